// Live updates. All else works without.
const byId = (id) => document.getElementById(id);
const find = (s) => document.querySelector(s);
const all = (s) => [...document.querySelectorAll(s)];
const on = (names, act) => names.split(" ").forEach((name) => document.addEventListener(name, act));
const live = () => byId("live");
const POLLS = "[hx-trigger^=every]";
const polls = (each) => each?.matches?.(POLLS);
const lost = byId("connection");
let answeredAt = Date.parse(lost.dataset.now); // by the server's clock
let ahead = answeredAt - Date.now(); // it is
const now = () => Date.now() + ahead;
const say = (text) => (byId("announcer").textContent = text);

// Times, in the words of templatetags/console.py.
const span = (s) => {
  const [d, h, m] = [s / 86400, (s / 3600) % 24, (s / 60) % 60].map(Math.floor);
  const [n, unit, rest, small] = d ? [d, "d", h, "h"] : h ? [h, "h", m, "min"] : m ? [m, "min", s % 60, "s"] : [s, "s"];
  return `${n} ${unit}${rest ? ` ${rest} ${small}` : ""}`;
};
const SIZES = Object.entries({ day: 86400, hour: 3600, minute: 60, second: 1 });
const ago = (s) => {
  if (s < 5) return "just now";
  const [name, size] = SIZES.find(([, size]) => s >= size);
  return new Intl.RelativeTimeFormat("en").format(-Math.floor(s / size), name);
};
// A time here: on pointing at it, or instead of UTC.
const here = (time) => new Date(time.dateTime).toLocaleString("sv", { dateStyle: "short", timeStyle: "long" });
on("mouseover", ({ target }) => {
  const time = target.closest?.("time[title]");
  if (time && !time.title.includes("here")) time.title += ` · ${here(time)} here`;
});
const inLocalTime = () => {
  for (const time of all("time[title]:not([data-ago], [data-elapsed], [data-here])")) time.dataset.here = time.textContent = here(time);
};
const tick = () => {
  if (document.hidden) return;
  if (find("[data-times]")) inLocalTime();
  for (const time of all("time[data-ago], time[data-elapsed]")) {
    const seconds = Math.max(0, Math.floor((now() - Date.parse(time.dateTime)) / 1000));
    const text = "ago" in time.dataset ? ago(seconds) : span(seconds);
    if (time.textContent !== text) time.textContent = text;
  }
};

// Lost focus goes to what came instead, its wave, the dialog or the title.
let had;
on("focusin", ({ target }) => (had = target));
let pressed = 0;
on("pointerdown", () => {
  had = null;
  pressed = Date.now();
});
const focusOn = (...places) => {
  for (const each of places) if (document.activeElement === document.body) each?.focus({ preventScroll: true });
};
const refocus = () => {
  if (had) focusOn(had, byId(had.id), find(`#${had.closest(".wave")?.id} summary`), find("dialog[open]"), find("h1"));
};

// htmx fills the dialog from where its button leads else.
const dialog = byId("dialog");
let opener, asking; // a question on its way
dialog.onclose = () => {
  if (find("#dialog .htmx-request[hx-post]")) return dialog.showModal(); // may be refused
  dialog.replaceChildren();
  had = opener;
  refocus();
};
on("click", (event) => {
  if (event.target.closest("dialog [data-close]")) dialog.close(event.preventDefault());
});
let keys = ""; // "g" is the first of two
on("keydown", (event) => {
  const command = event.ctrlKey || event.metaKey;
  if (event.key === "k" && command) {
    event.preventDefault();
    byId("search-open")?.click();
  }
  if (command || event.altKey || find("[data-keys]") || event.target.closest("input, select, textarea, dialog")) return;
  keys += event.key;
  const found = find(`[data-key=${CSS.escape(keys)}]`);
  if (keys !== "g") keys = "";
  if (!found) return;
  event.preventDefault();
  found.focus();
  found.click();
});

// What was typed is not left without asking.
let unsaved = find("form[data-guard=unsaved]");
on("input change click", ({ type, target }) => {
  if (target.closest("[data-discard]")) unsaved = false;
  else if (target.closest("form[data-guard]") && (type !== "click" || target.closest("[hx-post]:not(input)"))) unsaved = true;
});
onbeforeunload = (event) => {
  if (unsaved) event.preventDefault();
};

on("click", async ({ target }) => {
  const button = target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  say("Copied");
  button.dataset.done = "1";
  setTimeout(() => delete button.dataset.done, 2000);
});

// A form is sent once, unless it answers a file.
on("submit", (event) => {
  const form = event.target;
  if (live()?.contains(form) && Date.now() - cameAt < 900 && !stood.includes(event.submitter?.innerText)) return event.preventDefault();
  sessionStorage.said = said;
  if ("guard" in form.dataset) unsaved = false;
  if (form.method !== "post" || form.matches("[hx-post], [data-again]")) return;
  if (Date.now() - form.sentAt < 9000) return event.preventDefault();
  form.sentAt = Date.now();
});
onpageshow = (event) => event.persisted && location.reload();

// What a person opened, closed or scrolled stays so.
const chosen = new Map();
const asked = new URLSearchParams(location.search).get("wave");
if (asked) chosen.set(`wave-${+asked + 1}-servers`, true);
on("click", ({ target }) => {
  const details = target.closest("summary")?.parentElement;
  if (details?.id) setTimeout(() => chosen.set(details.id, details.open));
});
const areas = ({ target }) => all(`[id="${target.id}"] :is(.table-scroll, .feed)`);
let scrolled = [];
on("htmx:oobBeforeSwap", ({ detail }) => {
  for (const each of detail.fragment.querySelectorAll("details[id]")) each.open = chosen.get(each.id) ?? each.open;
  scrolled = areas(detail).map((each) => [each.scrollLeft, each.scrollTop]);
});
on("htmx:oobAfterSwap", ({ detail }) => areas(detail).forEach((each, at) => each.scrollTo(...(scrolled[at] ?? [0, 0]))));

// Polls: none while nobody looks. They change nothing under a finger, and keep ticks.
let ticked, stood, cameAt;
on("htmx:beforeRequest", (event) => {
  const { elt, target, xhr } = event.detail;
  if (polls(elt)) return document.hidden && event.preventDefault();
  find(".unanswered")?.remove();
  if (target !== dialog || dialog.contains(elt)) return;
  if (dialog.open) return event.preventDefault();
  asking?.abort();
  asking = xhr;
});
on("visibilitychange", () => {
  tick();
  all(POLLS).forEach((each) => htmx.trigger(each, "poll-now"));
});
on("htmx:beforeSwap", ({ detail }) => {
  if (!polls(detail.requestConfig.elt)) return (ticked = []);
  detail.isError = detail.xhr.status >= 400;
  detail.shouldSwap &&= !detail.isError && Date.now() - pressed > 600;
  ticked = all(".pick :checked").map((each) => each.value);
  stood = live()?.innerText;
  cameAt = Date.now();
});
on("htmx:sendError htmx:timeout htmx:responseError", ({ detail }) => {
  const status = detail.xhr?.status;
  if (status === 401) return; // session.js leaves
  if (!polls(detail.elt)) return (find("dialog[open]") ?? byId("main")).prepend(byId(detail.requestConfig.verb).content.cloneNode(true));
  if (status === 403 || status === 404) return location.reload();
  if (!lost.hidden) return;
  const time = find("#connection time");
  time.dateTime = new Date(answeredAt).toISOString();
  time.textContent = time.title = time.dateTime.replace("T", " ").replace(/\..*/, " UTC");
  lost.hidden = false;
});

// What asked may be gone by now.
on("htmx:afterRequest", ({ detail }) => {
  setTimeout(refocus, 50);
  const polled = polls(detail.requestConfig?.elt);
  const header = (name) => detail.xhr.getResponseHeader(name);
  if (!polled && !header("HX-Redirect")) delete sessionStorage.said;
  if (!detail.successful || (!polled && find(POLLS))) return;
  answeredAt = Date.parse(header("Date")) || now();
  if (polled) ahead = answeredAt - Date.now();
  const told = find("#told time");
  if (told && header("X-Told-At")) told.dateTime = header("X-Told-At");
  lost.hidden = true;
});

// A change is said once: after a form, by the next page.
const told = () => `${byId("done")?.innerText ?? ""}\n${live()?.dataset.say ?? ""}`;
let said = sessionStorage.said ?? told();
const tell = () => {
  if ("said" in sessionStorage) return;
  const news = told().split("\n").filter((each) => !said.split("\n").includes(each));
  said = told();
  if (news.length) say(news.join(" "));
};
on("htmx:afterSwap", () => {
  if (dialog.childElementCount && !dialog.open) {
    opener = document.activeElement;
    dialog.showModal();
    dialog.focus();
  }
  for (const each of all(".pick input")) each.checked ||= ticked.includes(each.value);
  tell();
  document.title = live()?.dataset.title ?? document.title;
  tick();
});
// "Choose all" is as the rows are.
on("change htmx:afterSwap", ({ target }) => {
  const box = find("[data-all]");
  if (!box) return;
  const rows = all("td.pick :enabled");
  if (target === box) rows.forEach((each) => (each.checked = box.checked));
  const ticks = all("td.pick :enabled:checked").length;
  box.indeterminate = ticks && ticks < rows.length;
  box.checked = ticks && !box.indeterminate;
});
find("h1")?.setAttribute("tabindex", "-1");
if ("said" in sessionStorage) focusOn(find("main [autofocus]"), find("h1"));
delete sessionStorage.said;
setTimeout(tell, 500);

find(".sidenav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
tick();
setInterval(tick, 1000);
