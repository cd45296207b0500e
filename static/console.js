// Cosmetics and live updates of the console. Everything else works without it.
(() => {
"use strict";
const byId = (id) => document.getElementById(id);
const on = (names, act) => names.split(" ").forEach((name) => document.addEventListener(name, act));
const live = () => byId("live");
const isLive = (each) => each?.id === "live";
let answeredAt = Date.now(); // when the server last told us something
let ahead = 0; // how far the server's clock is ahead of this one's
const now = () => Date.now() + ahead;

// Times that would be wrong between two reads. The words are those of templatetags/console.py.
const two = (n) => String(n).padStart(2, "0");
const span = (s) => {
  const [d, h, m] = [s / 86400, (s / 3600) % 24, (s / 60) % 60].map(Math.floor);
  return d ? `${d} d ${h} h` : h ? `${h} h ${two(m)} min` : m ? `${m} min ${two(s % 60)} s` : `${s} s`;
};
const SIZES = Object.entries({ day: 86400, hour: 3600, minute: 60, second: 1 });
const ago = (s) => {
  if (s < 5) return "just now";
  const [name, size] = SIZES.find(([, size]) => s >= size);
  return new Intl.RelativeTimeFormat("en").format(-Math.floor(s / size), name);
};
const tick = () => {
  if (document.hidden) return;
  for (const time of document.querySelectorAll("time[data-ago], time[data-elapsed]")) {
    const seconds = Math.max(0, Math.floor((now() - Date.parse(time.dateTime)) / 1000));
    const text = "ago" in time.dataset ? ago(seconds) : span(seconds);
    if (time.textContent !== text) time.textContent = text;
  }
};
const readClock = () => {
  ahead = (Date.parse(live()?.dataset.now) || Date.now()) - Date.now();
  tick();
};

// A dialog is filled by htmx from the address that its button would lead to without a script.
const dialog = byId("dialog");
const menu = document.querySelector(".menu");
dialog?.addEventListener("close", () => dialog.replaceChildren());
on("click", (event) => {
  if (event.target.closest("dialog [data-close]")) {
    event.preventDefault();
    dialog.close();
  }
  if (!menu?.contains(event.target)) menu?.removeAttribute("open");
});
let keys = ""; // "g" is the first of two
on("keydown", (event) => {
  if (event.key === "Escape" && menu?.open) {
    menu.open = false;
    menu.firstElementChild.focus();
  }
  const typing = event.target.closest("input, select, textarea, dialog");
  if (typing || event.ctrlKey || event.altKey || event.metaKey || document.documentElement.dataset.keys) return;
  keys += event.key;
  const found = document.querySelector(`[data-key=${JSON.stringify(keys)}]`);
  if (keys !== "g") keys = "";
  if (!found) return;
  event.preventDefault();
  found[found.matches("a") ? "click" : "focus"]();
});

// A form is sent once, however often its button is pressed.
on("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || form.hasAttribute("hx-post")) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
});
window.addEventListener("pageshow", (event) => event.persisted && location.reload());

// What a person opened or closed stays so.
const chosen = new Map();
on("click", (event) => {
  const details = event.target.closest("summary")?.parentElement;
  if (details?.id) setTimeout(() => chosen.set(details.id, details.open));
});
let scrolled = [];
on("htmx:oobBeforeSwap", ({ detail }) => {
  for (const details of detail.fragment.querySelectorAll("details[id]")) {
    if (chosen.has(details.id)) details.open = chosen.get(details.id);
  }
  scrolled = [...detail.target.querySelectorAll(".table-scroll")].map((each) => each.scrollLeft);
});
on("htmx:oobAfterSwap", ({ detail }) => {
  byId(detail.target.id)?.querySelectorAll(".table-scroll").forEach((each, at) => (each.scrollLeft = scrolled[at] ?? 0));
});

// Polls: none while nobody looks, one at once when somebody does.
on("htmx:beforeRequest", (event) => {
  if (isLive(event.detail.elt) && document.hidden) event.preventDefault();
});
on("visibilitychange", () => {
  tick();
  if (!document.hidden && live()?.hasAttribute("hx-get")) htmx.trigger(live(), "poll-now");
});
on("htmx:sendError htmx:timeout htmx:responseError", ({ detail }) => {
  if (!isLive(detail.elt)) return;
  const status = detail.xhr?.status;
  if (status === 403 || status === 404) return location.reload();
  const banner = byId("connection");
  if (status === 401 || !banner?.hidden) return; // 401: htmx goes to the sign-in
  const time = banner.querySelector("time");
  time.dateTime = new Date(answeredAt + ahead).toISOString();
  time.textContent = `${time.dateTime.slice(11, 19)} UTC`;
  banner.hidden = false;
});

// A change of state is said once.
let said = live()?.dataset.say;
on("htmx:afterRequest", (event) => {
  if (!isLive(event.detail.elt) || !event.detail.successful) return;
  answeredAt = Date.now();
  const told = event.detail.xhr.getResponseHeader("X-Told-At"); // nothing else changed
  const time = document.querySelector("#told time");
  if (told && time) time.dateTime = told;
  byId("connection")?.toggleAttribute("hidden", true);
});
on("htmx:afterSwap", () => {
  if (dialog?.childElementCount && !dialog.open) dialog.showModal();
  const { say, title } = live()?.dataset ?? {};
  if (!say) return;
  document.title = title;
  if (say !== said) byId("announcer").textContent = said = say;
  readClock();
});

document.querySelector(".sidenav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
readClock();
setInterval(tick, 1000);
})();
