// Tells of runs in the browser's notifications. The tab that has the lock does it for all.
const KEPT = "run-news"; // {on, since, told}
const EVERY = 10_000;
const TOLD = 20; // keys sent back: none is told twice
const address = document.body.dataset.news;
const isPossible = "Notification" in window && "locks" in navigator; // neither is without https
const read = () => JSON.parse(localStorage[KEPT] ?? "{}");
const keep = (kept) => (localStorage[KEPT] = JSON.stringify(kept));
const isOn = () => isPossible && Notification.permission === "granted" && Boolean(read().on);

const tell = ({ key, title, body, url }) => {
  const shown = new Notification(title, { body, tag: key });
  shown.onclick = () => {
    focus();
    location.assign(url);
    shown.close();
  };
};

// False when nobody is signed in any more.
const look = async () => {
  const { since, told = [] } = read();
  const query = new URLSearchParams([...(since ? [["since", since]] : []), ...told.map((key) => ["told", key])]);
  const headers = { "X-Background": "1", "HX-Request": "true" };
  try {
    const answer = await fetch(`${address}?${query}`, { headers, cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (answer.status !== 200) return answer.status !== 401;
    const found = await answer.json();
    keep({ on: read().on, since: found.since, told: [...told, ...found.news.map(({ key }) => key)].slice(-TOLD) });
    found.news.forEach(tell);
  } catch {
    // Offline: later.
  }
  return true;
};

let waits = false;
const watch = () => {
  if (waits || !isOn()) return;
  waits = true;
  navigator.locks.request(KEPT, async () => {
    while (isOn() && (await look())) await new Promise((done) => setTimeout(done, EVERY));
    waits = false;
  });
};

const update = () => {
  const denied = isPossible && Notification.permission === "denied";
  for (const each of document.querySelectorAll("[data-tell]")) {
    each.ariaPressed = (each.dataset.tell === "on") === isOn();
  }
  for (const each of document.querySelectorAll("[data-offers-news]")) {
    each.hidden = each.dataset.offersNews === "once" && (!isPossible || denied || isOn());
  }
  const note = document.getElementById("news-note");
  const text = note?.dataset[!isPossible ? "none" : denied ? "denied" : isOn() ? "on" : "off"] ?? "";
  if (note && note.textContent !== text) note.textContent = text;
  watch();
};
document.addEventListener("click", async ({ target }) => {
  const wanted = target.closest?.("[data-tell]")?.dataset.tell;
  if (!wanted || !isPossible) return;
  const allowed = wanted === "on" && (await Notification.requestPermission()) === "granted";
  keep({ on: allowed });
  update();
});
addEventListener("storage", update);
update();
