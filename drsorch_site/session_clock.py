"""Ends a session that nobody has used for 45 minutes, or that is 12 hours old. A page that polls uses nothing.

The header X-Background is the browser's own word. It can only make a session shorter: a request without it is activity.
"""

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from drsorch_site.grants import forget
from drsorch_site.sign_in_journal import note

STARTED, SEEN = "signed_in_at", "seen_at"
ABSOLUTE_SECONDS = 12 * 3600
GRAIN_SECONDS = 60  # one write a minute, not one a request
LEFT = "X-Session-Seconds"


def stamp(sender: type[User], request: HttpRequest, user: User, **_: Any) -> None:
    """Every way to sign in ends in Django's signal, the administration's and a test client's too."""
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
        left = seconds_left(request, self.now()) if request.session.accessed else None
        if left is not None:
            response.headers[LEFT] = str(left)
        return response

    def _judge(self, request: HttpRequest) -> None:
        session, now = request.session, self.now()
        if SESSION_KEY not in session:
            return
        left = seconds_left(request, now)
        if left is None or left <= 0:
            note(request, "session.expire", user=User.objects.filter(pk=session[SESSION_KEY]).first())
            forget(session)
            session.flush()
            request.session_has_ended = "1"  # type: ignore[attr-defined]  # the sign-in page says so
        elif not is_background(request) and now - session[SEEN] >= GRAIN_SECONDS:
            session[SEEN] = now


def seconds_left(request: HttpRequest, now: int | None = None) -> int | None:
    """Until the session ends if nobody does anything; None without a session of somebody signed in."""
    session = getattr(request, "session", {})
    if SESSION_KEY not in session or STARTED not in session or SEEN not in session:
        return None
    ends_at = min(session[SEEN] + settings.SESSION_MINUTES * 60, session[STARTED] + ABSOLUTE_SECONDS)
    return int(ends_at) - (int(time.time()) if now is None else now)


def is_background(request: HttpRequest) -> bool:
    """Whether a timer of the page asked, not a person."""
    return request.headers.get("X-Background") == "1"
