// Live updates. Everything else works without.
const byId = (id) => document.getElementById(id);
const find = (s) => document.querySelector(s);
const on = (names, act) => names.split(" ").forEach((name) => document.addEventListener(name, act));
const live = () => byId("live");
const polls = (each) => each?.getAttribute?.("hx-trigger")?.startsWith("every");
const lost = byId("connection");
let answeredAt = lost.dataset.now; // of what the page shows, by the server's clock
let ahead = 0; // how far the server's clock is ahead of ours
const now = () => Date.now() + ahead;

// Times, in the words of templatetags/console.py.
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
  ahead = (Date.parse((live() ?? lost).dataset.now) || Date.now()) - Date.now();
  tick();
};

// htmx fills the dialog from where its button would lead without a script.
const dialog = byId("dialog");
const menu = find(".menu");
let opener = "";
dialog.addEventListener("close", () => {
  dialog.replaceChildren();
  byId(opener)?.focus();
});
on("click", (event) => {
  if (event.target.closest("dialog [data-close]")) {
    event.preventDefault();
    dialog.close();
  }
  if (!menu.contains(event.target)) menu.open = false;
});
let keys = ""; // "g" is the first of two
on("keydown", (event) => {
  if (event.key === "Escape" && menu.open) {
    menu.open = false;
    menu.firstElementChild.focus();
  }
  if (event.target.closest("input, select, textarea, dialog") || document.documentElement.dataset.keys) return;
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  keys += event.key;
  const found = find(`[data-key=${JSON.stringify(keys)}]`);
  if (keys !== "g") keys = "";
  if (!found) return;
  event.preventDefault();
  found[found.matches("a") ? "click" : "focus"]();
});

// A form is sent once, unless its answer is a file.
on("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || form.matches("[hx-post], [data-again]")) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
});
onpageshow = (event) => event.persisted && location.reload();

// What a person opened, closed or scrolled stays so.
const chosen = new Map();
const asked = new URLSearchParams(location.search).get("wave"); // one that the address opens
if (asked) chosen.set(`wave-${Number(asked) + 1}-servers`, true);
on("click", (event) => {
  const details = event.target.closest("summary")?.parentElement;
  if (details?.id) setTimeout(() => chosen.set(details.id, details.open));
});
const areas = ({ target }) => [...(byId(target.id)?.querySelectorAll(".table-scroll, .feed") ?? [])];
let scrolled = [];
on("htmx:oobBeforeSwap", ({ detail }) => {
  for (const details of detail.fragment.querySelectorAll("details[id]")) {
    if (chosen.has(details.id)) details.open = chosen.get(details.id);
  }
  scrolled = areas(detail).map((each) => [each.scrollLeft, each.scrollTop]);
});
on("htmx:oobAfterSwap", ({ detail }) => areas(detail).forEach((each, at) => each.scrollTo(...(scrolled[at] ?? [0, 0]))));

// Polls: none while nobody looks, one at once when somebody does. An error never takes a page's place.
on("htmx:beforeRequest", (event) => {
  if (!polls(event.detail.elt)) find(".unanswered")?.remove();
  else if (document.hidden) event.preventDefault();
});
on("visibilitychange", () => {
  tick();
  if (!document.hidden && live()?.hasAttribute("hx-get")) htmx.trigger(live(), "poll-now");
});
on("htmx:beforeSwap", ({ detail }) => {
  if (polls(detail.elt) && detail.xhr.status >= 400) detail.shouldSwap = !(detail.isError = true);
});
on("htmx:sendError htmx:timeout htmx:responseError", ({ detail }) => {
  const status = detail.xhr?.status;
  if (status === 401) return; // htmx goes to the sign-in
  const place = detail.elt.closest("dialog") ?? find("dialog[open]") ?? byId("main");
  if (!polls(detail.elt)) return place.prepend(byId("unanswered").content.cloneNode(true));
  if (status === 403 || status === 404) return location.reload();
  if (!lost.hidden) return;
  const time = lost.querySelector("time");
  time.dateTime = new Date(answeredAt).toISOString();
  time.title = `${time.dateTime.slice(0, 10)} ${time.dateTime.slice(11, 19)} UTC`;
  time.textContent = time.title;
  lost.hidden = false;
});

// After a swap htmx tells of the request at the parent: what asked, and was replaced, is in the request alone.
on("htmx:afterRequest", ({ detail }) => {
  const asked = polls(detail.requestConfig?.elt) || !find("[hx-trigger^=every]");
  if (!asked || !detail.successful) return;
  const header = (name) => detail.xhr.getResponseHeader(name);
  answeredAt = Date.parse(header("Date")) || now();
  const told = find("#told time");
  if (told && header("X-Told-At")) told.dateTime = header("X-Told-At");
  lost.hidden = true;
});

// A change of state is said once.
let said = live()?.dataset.say;
on("htmx:afterSwap", () => {
  if (dialog.childElementCount && !dialog.open) {
    opener = document.activeElement.id;
    dialog.showModal();
  }
  const { say, title } = live()?.dataset ?? {};
  if (!say) return;
  document.title = title;
  if (say !== said) byId("announcer").textContent = said = say;
  readClock();
});

find(".sidenav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
readClock();
setInterval(tick, 1000);
