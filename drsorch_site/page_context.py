"""What every page of the console knows."""

import time
from dataclasses import dataclass

from django.http import HttpRequest

from executions.pacemaker import is_alive
from identity.session_expiry import end_of

THEMES = ("light", "dark")
BEAT_IS_KNOWN_SECONDS = 3.0


@dataclass(frozen=True)
class NavEntry:
    """One entry of the side bar; current on its own page and on those below it."""

    label: str
    icon: str
    view: str
    key: str
    below: frozenset[str] = frozenset()


STARTS = ("start-drill", "start-recovery")
COMMANDS = ("cancel-execution", "terminate-execution", "abandon-execution")
RUNS = frozenset({"execution", "job-logs", "report", "instances", "end-instances", *COMMANDS})


def _of(thing: str) -> tuple[str, ...]:
    return (f"new-{thing}", f"edit-{thing}", f"delete-{thing}")


NAVIGATION = (
    NavEntry("Dashboard", "home", "dashboard", "d"),
    NavEntry("Protection groups", "shield-check", "groups", "g", frozenset({"group", *_of("group")})),
    NavEntry("Recovery plans", "queue-list", "plans", "p", frozenset({"plan", *_of("plan"), *STARTS})),
    NavEntry("Executions", "play-circle", "executions", "e", RUNS),
    NavEntry("Source servers", "server-stack", "servers", "s"),
    NavEntry("Journal", "book-open", "journal", "j", frozenset({"journal-entry"})),
    NavEntry(
        "Settings", "cog-6-tooth", "settings", "c", frozenset({"notifications", "password", *_of("subscription")})
    ),
)


class _Beat:
    """Whether an engine runs, asked at most every few seconds a process."""

    asked_at = float("-inf")
    alive = False

    def is_alive(self) -> bool:
        if time.monotonic() - self.asked_at > BEAT_IS_KNOWN_SECONDS:
            self.alive, self.asked_at = is_alive(), time.monotonic()
        return self.alive


beat = _Beat()


def console(request: HttpRequest) -> dict[str, object]:
    """Context for the page frame."""
    match = request.resolver_match
    name = match.url_name if match else ""
    theme = request.COOKIES.get("theme", "")
    user = getattr(request, "user", None)
    return {
        "navigation": [(entry, name == entry.view or name in entry.below) for entry in NAVIGATION],
        "theme": theme if theme in THEMES else "",
        "keys_off": request.COOKIES.get("keys") == "off",
        "session_end": end_of(request),
        "engine_alive": beat.is_alive() if user is not None and user.is_authenticated else True,
    }
