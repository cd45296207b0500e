"""What every page of the console knows."""

import time
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.context_processors import PermWrapper
from django.http import HttpRequest

from console.asked import unusable
from contract.rights import EVERYWHERE, grants_of, holds, is_bounded
from executions.installation import STOPPED
from executions.pacemaker import alive_and_superseded
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


STARTS = ("start-drill", "start-recovery", "drill-plans", "label-plans")
COMMANDS = ("cancel-execution", "terminate-execution", "terminate-runs", "abandon-execution")
PICTURES = ("run-phases", "compare-runs", "exercises", "readiness-history")
RUNS = frozenset({"execution", "job-logs", "report", "instances", "end-instances", *PICTURES, *COMMANDS})


NAMES = ("new-{}", "edit-{}", "delete-{}", "duplicate-{}", "{}-versions", "{}-version")


def _of(thing: str) -> tuple[str, ...]:
    return tuple(name.format(thing) for name in NAMES)


SETTINGS = frozenset({"notifications", "password", "roles", "take-role", *_of("subscription")})


NAVIGATION = (
    NavEntry("Dashboard", "home", "dashboard", "d"),
    NavEntry("Protection groups", "shield-check", "groups", "g", frozenset({"group", "label-groups", *_of("group")})),
    NavEntry("Recovery plans", "queue-list", "plans", "p", frozenset({"plan", "plan-history", *_of("plan"), *STARTS})),
    NavEntry("Runs", "play-circle", "executions", "e", RUNS),
    NavEntry("Ledger", "clipboard-document-check", "ledger", "l"),
    NavEntry("Source servers", "server-stack", "servers", "s", frozenset({"server"})),
    NavEntry("Journal", "book-open", "journal", "j", frozenset({"journal-entry"})),
    NavEntry("Settings", "cog-6-tooth", "settings", "c", SETTINGS),
)


WHOLE = frozenset({"journal", "ledger"})  # of no use to who sees a part


class Held:
    """Whose rights templates ask for: for what the page is about, or for anything where it is about nothing."""

    def __init__(self, user: Any) -> None:
        self.has_perm = holds(user)
        self.has_module_perms = user.has_module_perms


class _Beat:
    """Whether an engine runs, and whether another installation has taken over, asked at most every few seconds a
    process."""

    asked_at = float("-inf")
    alive = False
    superseded = False

    def is_alive(self) -> bool:
        if time.monotonic() - self.asked_at > BEAT_IS_KNOWN_SECONDS:
            self.alive, self.superseded = alive_and_superseded()
            self.asked_at = time.monotonic()
        return self.alive


beat = _Beat()


def console(request: HttpRequest) -> dict[str, object]:
    """Context for the page frame."""
    unusable(request)
    match = request.resolver_match
    name = match.url_name if match else ""
    theme = request.COOKIES.get("theme", "")
    user = getattr(request, "user", None)
    is_limited = user is not None and user.is_authenticated and is_bounded(user)
    sees = grants_of(user).sees if is_limited else EVERYWHERE
    sees_all = sees.everywhere
    return {
        "navigation": tuple(
            (entry, name == entry.view or name in entry.below)
            for entry in NAVIGATION
            if sees_all or entry.view not in WHOLE
        ),
        "sees_all": sees_all,
        "sees": "" if sees_all else str(sees) or "nothing yet",
        "perms": PermWrapper(Held(user)) if user is not None else {},
        "theme": theme if theme in THEMES else "",
        "local_times": request.COOKIES.get("times") == "local",
        "keys_off": request.COOKIES.get("keys") == "off",
        "session_end": end_of(request),
        "engine_alive": beat.is_alive() if user is not None and user.is_authenticated else True,
        "taken_over": STOPPED if beat.superseded else "",
    }
