// Cosmetics and live updates of the console. Everything else works without it.
(() => {
"use strict";
const byId = (id) => document.getElementById(id);
const on = (name, act) => document.addEventListener(name, act);
const live = () => byId("live");
const isLive = (element) => element?.id === "live";
let answeredAt = Date.now(); // when the server last told us something
let ahead = 0; // how far the server's clock is ahead of this one's
const now = () => Date.now() + ahead;

// Times that would be wrong between two reads. The words are those of templatetags/console.py.
const two = (number) => String(number).padStart(2, "0");
const span = (s) =>
  s < 60 ? `${s} s`
  : s < 3600 ? `${Math.floor(s / 60)} min ${two(s % 60)} s`
  : s < 86400 ? `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`
  : `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
const ago = (s) => {
  for (const [size, name] of [[86400, "day"], [3600, "hour"], [60, "minute"]]) {
    const count = Math.floor(s / size);
    if (count) return `${count} ${name}${count > 1 ? "s" : ""} ago`;
  }
  return s < 5 ? "just now" : `${s} seconds ago`;
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
  const stamp = Date.parse(live()?.dataset.now ?? "");
  if (stamp) ahead = stamp - Date.now();
};

// A dialog is filled by htmx from the address that its button would lead to without a script.
const dialog = byId("dialog");
on("htmx:afterSwap", () => {
  if (dialog?.childElementCount && !dialog.open) dialog.showModal();
});
dialog?.addEventListener("close", () => dialog.replaceChildren());
on("click", (event) => {
  const closer = event.target.closest("dialog [data-close]");
  if (closer) {
    event.preventDefault();
    dialog.close();
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
let keys = ""; // "g" is the first of two
on("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
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
const sent = new WeakSet();
on("submit", (event) => {
  if (event.target.method !== "post" || event.target.hasAttribute("hx-post")) return;
  if (sent.has(event.target)) event.preventDefault();
  sent.add(event.target);
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
  if (document.hidden) return;
  tick();
  if (live()?.hasAttribute("hx-get")) htmx.trigger(live(), "poll-now");
});
const lost = (event) => {
  if (!isLive(event.detail.elt)) return;
  const status = event.detail.xhr?.status ?? 0;
  if (status === 403 || status === 404) return location.reload();
  const banner = byId("connection");
  if (status === 401 || !banner?.hidden) return; // 401: htmx goes to the sign-in
  const moment = new Date(answeredAt + ahead).toISOString();
  const time = banner.querySelector("time");
  time.dateTime = moment;
  time.textContent = `${moment.slice(11, 19)} UTC`;
  banner.hidden = false;
};
for (const name of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) on(name, lost);

// A change of state is said once.
let said = live()?.dataset.say;
on("htmx:afterRequest", (event) => {
  if (!isLive(event.detail.elt) || !event.detail.successful) return;
  answeredAt = Date.now();
  if (byId("connection")) byId("connection").hidden = true;
});
on("htmx:afterSwap", () => {
  const { say, title } = live()?.dataset ?? {};
  if (!say) return;
  document.title = title;
  if (say !== said) byId("announcer").textContent = said = say;
  readClock();
  tick();
});

document.querySelector(".sidenav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
readClock();
setInterval(tick, 1000);
})();
