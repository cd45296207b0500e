"""Time comes from the database, never from a host's clock, so that engines on many hosts agree."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import overload

from django.db import connection

Clock = Callable[[], datetime]

_SQL = {
    "sqlite": "SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')",
    "postgresql": "SELECT clock_timestamp()",
}


def db_clock() -> datetime:
    """The database's idea of now, aware, UTC, to the millisecond or better."""
    with connection.cursor() as cursor:
        cursor.execute(_SQL[connection.vendor])
        (value,) = cursor.fetchone()
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC)


def moment(seconds: int | None) -> datetime | None:
    """The time that whole Unix seconds tell, or None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def utc(moment: datetime) -> str:
    """A time as people read it, everywhere: with its date and to the second, so that any two have an order."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


@overload
def unix(moment: datetime) -> int: ...
@overload
def unix(moment: None) -> None: ...
@overload
def unix(moment: datetime | None) -> int | None: ...
def unix(moment: datetime | None) -> int | None:
    """A time as the API writes it: whole Unix seconds, or null."""
    return None if moment is None else int(moment.timestamp())
