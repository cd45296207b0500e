"""Ends a session that nobody has used for 45 minutes, or that is 12 hours old. A page that polls uses nothing.

The header X-Background is the browser's own word. It can only make a session shorter: a request without it is activity.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from console.pages import is_background
from identity.journal_sign_ins import note
from identity.provider.refresh_tokens import forget

STARTED, SEEN = "signed_in_at", "seen_at"
ABSOLUTE_SECONDS = 12 * 3600
GRAINS = 180  # at most so many writes in the length of a limit, not one a request
LEFT, END = "X-Session-Seconds", "X-Session-End"


def stamp(sender: type[User], request: HttpRequest, user: User, **_: Any) -> None:
    """Every way to sign in ends in Django's signal, the administration's and a test client's too."""
    if STARTED in request.session:  # signed in again: no copy of the cookie lives longer than the session it was of
        request.session.cycle_key()
    request.session[STARTED] = request.session[SEEN] = int(time.time())


class SessionClock:
    """Middleware. Tells the page how long its session still has, so that it can warn and leave in time."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def now(self) -> int:
        return int(time.time())

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.SESSION_COOKIE_NAME in request.COOKIES:
            self._judge(request)
        response = self.get_response(request)
        end = end_of(request) if request.session.accessed else None
        if end is not None:
            response.headers[LEFT], response.headers[END] = str(end.at - self.now()), str(end)
        return response

    def _judge(self, request: HttpRequest) -> None:
        session, now = request.session, self.now()
        if SESSION_KEY not in session:
            return
        end = end_of(request)
        if end is None or end.at <= now:
            note(request, "session.expire", user=User.objects.filter(pk=session[SESSION_KEY]).first())
            forget(session)
            session.flush()
            request.session_has_ended = "1"  # type: ignore[attr-defined]  # the sign-in page says so
        elif not is_background(request) and now > session[SEEN]:
            session[SEEN] = now + settings.SESSION_MINUTES * 60 // GRAINS  # what happens until then need not be noted


@dataclass(frozen=True)
class End:
    """When a session ends if nobody does anything, and by which limit: only an idle one can be kept from ending."""

    at: int
    limit: str

    def __str__(self) -> str:
        """As session.js reads it: "idle 2026-11-29T15:02:07Z"."""
        return f"{self.limit} {datetime.fromtimestamp(self.at, UTC):%Y-%m-%dT%H:%M:%SZ}"

    @property
    def seconds_left(self) -> int:
        return self.at - int(time.time())


def end_of(request: HttpRequest) -> End | None:
    """None without a session of somebody signed in."""
    session = getattr(request, "session", {})
    if SESSION_KEY not in session or STARTED not in session or SEEN not in session:
        return None
    idle, absolute = session[SEEN] + settings.SESSION_MINUTES * 60, session[STARTED] + ABSOLUTE_SECONDS
    return End(idle, "idle") if idle < absolute else End(absolute, "absolute")
