// Warns two minutes before the session ends, and leaves the page when it has. The server says how long that is, with every answer.
(() => {
  "use strict";
  const warning = document.getElementById("session-warning");
  if (!warning) return;
  const WARN_SECONDS = 120;
  const ASK_SECONDS = 20; // while warned: another tab may have been used
  const left = () => Math.round((endsAt - Date.now()) / 1000);
  let endsAt = 0; // unknown
  let askedAt = 0;

  const learn = (seconds) => {
    if (!/^-?\d+$/.test(seconds ?? "")) return;
    endsAt = Date.now() + Number(seconds) * 1000;
    if (left() > WARN_SECONDS && warning.open) warning.close();
  };
  const leave = (address) => {
    const here = new URLSearchParams({ next: location.pathname + location.search, expired: "1" });
    location.replace(address ?? `${warning.dataset.signIn}?${here}`);
  };
  const ask = async () => {
    askedAt = Date.now();
    const headers = { "X-Background": "1", "HX-Request": "true", "HX-Current-URL": location.href };
    try {
      const answer = await fetch(warning.dataset.address, { headers, cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (answer.status === 401) leave(answer.headers.get("HX-Redirect"));
      learn(answer.headers.get("X-Session-Seconds"));
    } catch {
      // Offline: the clock here decides.
    }
  };
  const look = async () => {
    if (!endsAt || left() > WARN_SECONDS) return;
    if (Date.now() - askedAt >= ASK_SECONDS * 1000 || left() <= 0) await ask();
    if (left() <= 0) return leave();
    if (left() > WARN_SECONDS || warning.open) return;
    const end = document.getElementById("session-end");
    const at = new Date(endsAt);
    end.dateTime = at.toISOString();
    end.textContent = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    warning.showModal();
  };

  document.addEventListener("htmx:afterRequest", ({ detail }) => learn(detail.xhr?.getResponseHeader("X-Session-Seconds")));
  learn(warning.dataset.seconds);
  setInterval(look, 1000);
})();
