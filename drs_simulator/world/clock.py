"""Virtual time: jobs progress in virtual seconds, every timestamp shown to a client is a wall-clock one.

Keeping the two apart lets the speed factor and `advance` change while clients with a real clock (deadlines,
`fromDate` filters) still see creation and end times that make sense to them.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Anchor:
    """From wall time `wall` on, virtual time runs from `virtual` at `speed` virtual seconds a second."""

    wall: float
    virtual: float
    speed: float


class VirtualClock:
    """A piecewise linear map of wall to virtual time that never runs backwards.

    The anchors are only ever appended to, so the wall time of a past virtual moment never changes.
    """

    def __init__(self, anchors: Sequence[Anchor] = (), wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        start = wall()
        self.anchors: list[Anchor] = list(anchors) or [Anchor(start, start, 1.0)]

    @property
    def speed(self) -> float:
        return self.anchors[-1].speed

    def wall(self) -> float:
        """The real time in epoch seconds, held back to the last anchor if the machine's clock stepped back."""
        return max(self._wall(), self.anchors[-1].wall)

    def now(self) -> float:
        """The virtual time in seconds."""
        last = self.anchors[-1]
        return last.virtual + (self.wall() - last.wall) * last.speed

    def set_speed(self, speed: float) -> None:
        """Run on from the present moment at another speed (> 0)."""
        if speed <= 0:
            raise ValueError("speed must be above 0")
        self.anchors.append(Anchor(self.wall(), self.now(), speed))

    def advance(self, seconds: float) -> None:
        """Jump ahead by virtual seconds; whatever lay in the gap counts as happened at this wall moment."""
        if seconds < 0:
            raise ValueError("time does not go backwards")
        self.anchors.append(Anchor(self.wall(), self.now() + seconds, self.speed))

    def wall_of(self, virtual: float) -> float:
        """The wall time (epoch seconds) at which `virtual` was or, at the present speed, will be."""
        index = max(bisect_right(self.anchors, virtual, key=lambda anchor: anchor.virtual) - 1, 0)
        anchor = self.anchors[index]
        wall = anchor.wall + (virtual - anchor.virtual) / anchor.speed
        following = self.anchors[index + 1 : index + 2]
        return min([wall, *(later.wall for later in following)])


def timestamp(wall: float, z_style: bool = False) -> str:
    """Epoch seconds as DRS writes them: `2024-09-16T04:42:46.324841+00:00`, or the modelled `…Z`."""
    text = datetime.fromtimestamp(wall, UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z") if z_style else text


def epoch(text: str) -> float:
    """An ISO-8601 timestamp (`Z` or offset) as epoch seconds. Raises ValueError on an impossible date."""
    return datetime.fromisoformat(text).timestamp()


def duration(seconds: float) -> str:
    """Seconds as an ISO-8601 duration with days; zero is `P0D`, as the service sends it."""
    days, rest = divmod(int(seconds), 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, left = divmod(rest, 60)
    clock = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (left, "S")) if n)
    day_part = f"{days}D" if days or not clock else ""
    return f"P{day_part}" + (f"T{clock}" if clock else "")
