"""What every page of the console knows."""

import time
from dataclasses import dataclass

from django.http import HttpRequest

from drsorch_site.session_clock import seconds_left
from executions.pacemaker import last_beat
from executions.views import is_alive

THEMES = ("light", "dark")
BEAT_IS_KNOWN_SECONDS = 3.0


@dataclass(frozen=True)
class NavEntry:
    """One entry of the side bar; current on its own page and on those below it."""

    label: str
    icon: str
    view: str
    below: frozenset[str] = frozenset()


NAVIGATION = (
    NavEntry("Dashboard", "home", "dashboard"),
    NavEntry("Protection groups", "shield-check", "groups", frozenset({"group"})),
    NavEntry("Recovery plans", "queue-list", "plans", frozenset({"plan", "start-drill"})),
    NavEntry("Executions", "play-circle", "executions", frozenset({"execution", "cancel-execution"})),
    NavEntry("Source servers", "server-stack", "servers"),
    NavEntry("Journal", "book-open", "journal", frozenset({"journal-entry"})),
)


class _Beat:
    """Whether an engine runs, asked at most every few seconds a process."""

    asked_at = float("-inf")
    alive = False

    def is_alive(self) -> bool:
        if time.monotonic() - self.asked_at > BEAT_IS_KNOWN_SECONDS:
            self.alive, self.asked_at = is_alive(last_beat()), time.monotonic()
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
        "session_seconds": seconds_left(request),
        "engine_alive": beat.is_alive() if user is not None and user.is_authenticated else True,
    }
