// Tells of runs in the browser's notifications: in one tab, which has the lock.
const KEPT = "run-news"; // {on, since, told: keys, none is told twice}
// None is without https; on Android, Chromium has the name alone.
const isPossible = "Notification" in window && "locks" in navigator && !/Android.+Chrome/.test(navigator.userAgent);
const read = () => JSON.parse(localStorage[KEPT] ?? "{}");
const keep = (kept) => (localStorage[KEPT] = JSON.stringify(kept));
const isOn = () => isPossible && Notification.permission === "granted" && !!read().on;

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
  const query = new URLSearchParams([["since", since ?? ""], ...told.map((key) => ["told", key])]);
  const headers = { "X-Background": "1", "HX-Request": "true" };
  try {
    const answer = await fetch(`${document.body.dataset.news}?${query}`, { headers, signal: AbortSignal.timeout(5000) });
    if (answer.status !== 200) return answer.status !== 401;
    const found = await answer.json();
    keep({ on: read().on, since: found.since, told: [...told, ...found.news.map(({ key }) => key)].slice(-20) });
    found.news.forEach(tell);
  } catch {
    // Offline: later.
  }
  return true;
};

const all = (s, act) => document.querySelectorAll(s).forEach(act);
let waits = false;
const update = () => {
  const denied = isPossible && Notification.permission === "denied";
  all("[data-tell]", (each) => (each.ariaPressed = (each.dataset.tell === "on") === isOn()));
  all("[data-offers-news]", (each) => (each.hidden = each.dataset.offersNews && (!isPossible || denied || isOn())));
  const note = document.getElementById("news-note");
  const text = note?.dataset[!isPossible ? "none" : denied ? "denied" : isOn() ? "on" : "off"];
  if (note?.textContent !== text) note.textContent = text;
  if (waits || !isOn()) return;
  waits = true;
  navigator.locks.request(KEPT, async () => {
    while (isOn() && (await look())) await new Promise((done) => setTimeout(done, 10_000));
    waits = false;
  });
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
