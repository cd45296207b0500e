"""Time comes from the database, never from a host's clock, so that engines on many hosts agree."""

import logging
import struct
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from mmap import mmap
from typing import overload

from django.db import connection

from drsorch_verify.derive import span as span  # how long something took, in words: one wording everywhere

log = logging.getLogger(__name__)

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


class SteadyClock:
    """The database's clock, which is not believed when it jumps: then time goes on as it did, by a clock that nobody
    sets. A jump that stays for as long as `believed_after` is the time from then on.

    One process watches. Those that were forked after `anchor` was made go by what it found; where nobody has watched,
    this is the database's clock.
    """

    SIZE = 8  # bytes of an anchor
    TOLERANCE = 5.0  # seconds that a clock may be corrected by at once

    def __init__(
        self,
        clock: Clock = db_clock,
        monotonic: Callable[[], float] = time.monotonic,
        anchor: "mmap | bytearray | None" = None,
        believed_after: float = 660.0,
    ) -> None:
        self.clock = clock
        self.monotonic = monotonic
        self.believed_after = believed_after
        self._anchor = bytearray(self.SIZE) if anchor is None else anchor
        self._jumped: tuple[float, float] | None = None  # since when, and to where

    def __call__(self) -> datetime:
        told, shift, slack = self._ask()
        if self._is_near(shift, slack):
            return told
        return datetime.fromtimestamp(self.monotonic() + self._trusted, UTC)

    def watch(self) -> timedelta | None:
        """Compare the clocks; None if all is well. While the database's is not believed, and once when it is again,
        times may stand in rows that are not of this clock: by how much this one was moved to agree with it."""
        _, shift, slack = self._ask()
        if self._is_near(shift, slack):
            was_away, self._jumped, self._trusted = self._jumped is not None, None, shift
            return timedelta() if was_away else None
        moved = timedelta()
        if self._jumped is None or abs(shift - self._jumped[1]) > self.TOLERANCE + slack:
            log.warning("The database's clock has jumped by %.0f s; it is not believed yet", shift - self._trusted)
            self._jumped = self.monotonic(), shift
        elif self.monotonic() - self._jumped[0] > self.believed_after:
            moved = timedelta(seconds=shift - self._trusted)
            log.warning("The database's clock still differs by %s; it is believed now", moved)
            self._jumped, self._trusted = None, shift
        return moved

    def _ask(self) -> tuple[datetime, float, float]:
        """What the database says, how far that is from the clock that nobody sets, and how inexactly that is known."""
        before, told, after = self.monotonic(), self.clock(), self.monotonic()
        return told, told.timestamp() - after, after - before

    def _is_near(self, shift: float, slack: float) -> bool:
        return not self._trusted or abs(shift - self._trusted) <= self.TOLERANCE + slack

    @property
    def _trusted(self) -> float:
        value: float = struct.unpack_from("d", self._anchor)[0]
        return value

    @_trusted.setter
    def _trusted(self, shift: float) -> None:
        struct.pack_into("d", self._anchor, 0, shift)


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


def stamp(moment: datetime) -> str:
    """A moment for programs: 2026-11-29T14:02:11Z."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
