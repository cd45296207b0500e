"""The product's two clocks of a session, moved by tests."""

from datetime import datetime, timedelta
from typing import Any

from identity.provider.session_renewal import Renewal
from identity.session_expiry import SessionClock


class MovedRenewal(Renewal):
    ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + MovedRenewal.ahead


class MovedSession(SessionClock):
    ahead = timedelta(0)

    def now(self) -> int:
        return super().now() + int(MovedSession.ahead.total_seconds())


def put_in(settings: Any) -> None:
    """In place of the product's own, at zero."""
    after(0)
    after(0, of_session=True)
    for ours, moved in ((Renewal, MovedRenewal), (SessionClock, MovedSession)):
        names = [f"{each.__module__}.{each.__qualname__}" for each in (ours, moved)]
        assert names[0] in settings.MIDDLEWARE
        settings.MIDDLEWARE = [names[1] if each == names[0] else each for each in settings.MIDDLEWARE]


def after(minutes: float, *, of_session: bool = False) -> None:
    """So long after the sign-in, for what asks the provider; `of_session`: for the idle and the absolute limit."""
    (MovedSession if of_session else MovedRenewal).ahead = timedelta(minutes=minutes)
