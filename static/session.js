// Warns two minutes before the session ends, then leaves. Answers say when and why.
const warning = document.getElementById("session-warning");
const left = () => (endsAt - Date.now()) / 1000;
let endsAt, end, told; // when; "idle 2026-11-29T15:02:07Z"; the one that was warned of
let askedAt = 0;

const learn = (header) => {
  if (header("X-Sign-In")) return leave(header("X-Sign-In"));
  const seconds = header("X-Session-Seconds");
  if (!seconds) return;
  endsAt = Date.now() + seconds * 1000;
  end = header("X-Session-End");
  if (end !== told) warning.close();
};
// Who stays for what is unsaved is asked once.
const leave = (address) => {
  if (endsAt < Infinity) location.replace(address);
  endsAt = Infinity;
};
const signIn = (why) => {
  const link = warning.querySelector("a");
  link.search = new URLSearchParams({ next: location.pathname + location.search, [why]: 1 });
  return link.href;
};
const ask = async () => {
  askedAt = Date.now();
  const headers = { "X-Background": "1", "HX-Request": "true", "HX-Current-URL": location.href };
  try {
    const answer = await fetch(warning.dataset.address, { headers, signal: AbortSignal.timeout(5000) });
    learn((name) => answer.headers.get(name));
  } catch {
    // Offline: the clock decides.
  }
};
const look = async () => {
  if (!endsAt || left() > 120) return (told = "");
  if (Date.now() - askedAt >= 20_000 || left() <= 0) await ask(); // another tab may be in use
  if (left() <= 0) return leave(signIn("expired"));
  if (left() > 120 || end === told) return;
  const [limit, at] = (told = end).split(" ");
  const time = warning.querySelector("time");
  time.dateTime = at;
  time.textContent = at.replace("T", " ").replace("Z", " UTC");
  for (const each of warning.querySelectorAll("[data-limit]")) each.hidden = each.dataset.limit !== limit;
  signIn("again");
  warning.showModal();
};

document.addEventListener("htmx:afterRequest", ({ detail }) => learn((name) => detail.xhr?.getResponseHeader(name)));
learn((name) => warning.getAttribute(`data-${name}`));
setInterval(look, 1000);
