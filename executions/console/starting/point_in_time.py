"""The choice of a point in time in the question before a start. Nothing starts from snapshots that nobody was shown."""

import hashlib
import json
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

from django.http import HttpRequest

from contract.clock import unix, utc
from contract.errors import DomainError, Invalid
from executions.commands import points_in_time
from executions.commands.points_in_time import NEWEST, ChosenSnapshots
from protection.inventory.points_in_time import PointsInTime
from protection.models import SourceServer

ROWS = 100  # of servers, those furthest behind first


@dataclass(frozen=True)
class Point:
    """A server with the snapshot that it would be launched from."""

    name: str
    snapshot_id: str
    at: datetime
    behind: int  # seconds


@dataclass(frozen=True)
class Mark:
    """Where snapshots lie on the axis, in per cent of it, and how many servers are launched from there."""

    x: str
    servers: int


@dataclass(frozen=True)
class PointChoice:
    """What somebody typed into the field, and what DRS has for it; `points` is None while the newest data is meant."""

    typed: str = ""
    points: PointsInTime | None = None
    problem: DomainError | None = None

    @classmethod
    def of(cls, request: HttpRequest, plan_id: uuid.UUID) -> "PointChoice":
        """Asks DRS where a time was given; what it refuses is the choice's problem."""
        given = request.POST if request.method == "POST" else request.GET
        typed = given.get("point", "").strip()
        if not typed:
            return cls()
        try:
            return cls(typed, points_in_time.look(plan_id, _moment(typed)))
        except DomainError as error:
            return cls(typed, problem=error)

    @property
    def digest(self) -> str:
        """Of all that is shown: what was shown is what is started, or nothing is."""
        if self.points is None:
            return ""
        told = [[server, each.snapshot_id] for server, each in self.points.found.items()]
        text = json.dumps([unix(self.points.at), told, list(self.points.missing)])
        return hashlib.sha256(text.encode()).hexdigest()

    def unseen(self, request: HttpRequest) -> str:
        """Why nothing is started yet, in a sentence; empty when the snapshots are those that were shown."""
        if request.POST.get("seen", "") == self.digest:
            return ""
        return "These are the snapshots of that time. Nothing was started. Check them, then start."

    def chosen(self) -> ChosenSnapshots:
        """For the start. Raises what DRS, or the form, was refused with."""
        if self.problem is not None:
            raise self.problem
        return NEWEST if self.points is None else ChosenSnapshots.of(self.points)

    @property
    def rows(self) -> list[Point]:
        """The servers that are furthest behind, first."""
        if self.points is None:
            return []
        at, found = self.points.at, sorted(self.points.found.items(), key=lambda each: each[1].at)[:ROWS]
        names = dict(SourceServer.objects.filter(pk__in=[server for server, _ in found]).values_list("pk", "name"))
        return [
            Point(names.get(server, server), each.snapshot_id, each.at, unix(at) - unix(each.at))
            for server, each in found
        ]

    @property
    def more(self) -> int:
        return max(0, len(self.points.found) - ROWS) if self.points else 0

    @property
    def missing(self) -> list[str]:
        """Names of the servers that have no snapshot then."""
        if self.points is None:
            return []
        names = dict(SourceServer.objects.filter(pk__in=list(self.points.missing)).values_list("pk", "name"))
        return [names.get(each, each) for each in self.points.missing]

    @property
    def oldest(self) -> datetime | None:
        return min((each.at for each in self.points.found.values()), default=None) if self.points else None

    @property
    def ends(self) -> tuple[str, str]:
        """The ends of the axis."""
        return (utc(self.oldest), utc(self.points.at)) if self.points and self.oldest else ("", "")

    @property
    def skew(self) -> int | None:
        """Seconds between the oldest and the newest of them."""
        skew = self.points.skew if self.points else None
        return None if skew is None else int(skew.total_seconds())

    @property
    def marks(self) -> list[Mark]:
        """On one axis, from the oldest of them to the time that was asked for."""
        if self.points is None or self.oldest is None:
            return []
        whole = max(1.0, (self.points.at - self.oldest).total_seconds())
        places = Counter(
            round(960 * (each.at - self.oldest).total_seconds() / whole) for each in self.points.found.values()
        )
        return [Mark(f"{2 + place / 10:.1f}%", count) for place, count in sorted(places.items())]


def _moment(typed: str) -> datetime:
    try:
        at = datetime.fromisoformat(typed)
    except ValueError as error:
        raise Invalid({"pointInTime": ["Enter a date and a time, such as 2026-01-31T02:10."]}) from error
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
