"""What the last runs of a plan achieved, as two charts and a table: rows in, points on a canvas out.

Every figure is the one that the run's report has, against the target that the plan had when the run was started.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count

from contract.clock import span
from contract.status import Tone
from executions.measuring.many_runs import HEAVY, figures_of
from executions.measuring.rta_rpa import Measured, Verdict
from executions.models import Execution, ServerRun

MOST_RUNS = 50
MOST_SERVERS = 5_000  # in all of them: so many take a third of a second
TOP, BOTTOM, HEIGHT = 34, 140, 152  # pixels


@dataclass(frozen=True)
class Point:
    """A run that is over, and what it achieved. A time counts only when every server came up, an age of data only when
    every server's is known."""

    run: Execution
    measured: Measured

    @property
    def is_complete(self) -> bool:
        return self.measured.complete

    @property
    def rta(self) -> "Figure":
        verdict = self.measured.rto
        return Figure(verdict, self.is_complete and verdict.seconds is not None)

    @property
    def rpa(self) -> "Figure":
        verdict, open_ones = self.measured.rpo, self.measured.rpo_unknown + self.measured.rpo_reading
        return Figure(verdict, self.is_complete and verdict.seconds is not None and not open_ones)


@dataclass(frozen=True)
class Figure:
    """A figure of a run, and whether it was achieved."""

    verdict: Verdict
    is_known: bool


@dataclass(frozen=True)
class Trend:
    """The newest runs, oldest first, and how many there are in all."""

    points: Sequence[Point]
    total: int

    @property
    def newest_first(self) -> Sequence[Point]:
        return self.points[::-1]

    @property
    def charts(self) -> list["Chart"]:
        return [
            Chart("Recovery time achieved (RTA)", [(each, each.rta) for each in self.points]),
            Chart("Recovery point achieved (RPA)", [(each, each.rpa) for each in self.points]),
        ]


def trend_of(plan_id: uuid.UUID) -> Trend:
    """Of drills and recoveries that are over, also of those that were hidden; a fixed number of queries."""
    every = Execution.objects.final().filter(plan=plan_id, dry_run=False)
    newest = list(every.newest_first().defer(*HEAVY)[:MOST_RUNS])
    sizes = ServerRun.objects.filter(wave__execution__in=[each.pk for each in newest]).order_by()
    servers = dict(sizes.values_list("wave__execution").annotate(Count("pk")))
    shown, left = list[Execution](), MOST_SERVERS
    for run in newest:
        left -= servers.get(run.pk, 0)
        if shown and left < 0:
            break
        shown.append(run)
    figures = figures_of(shown)
    points = [Point(run, figures[run.pk]) for run in reversed(shown)]
    return Trend(points, len(points) if len(newest) < MOST_RUNS and len(shown) == len(newest) else every.count())


@dataclass(frozen=True)
class Mark:
    """A run on a chart: across in per cent, down in pixels. One without a figure stands on the base line."""

    point: Point
    figure: Figure
    x: float
    y: int
    width: float
    target_y: int | None

    @property
    def across(self) -> str:
        return f"{self.x:.2f}%"

    @property
    def left(self) -> str:
        return f"{self.x - self.width / 2:.2f}%"

    @property
    def right(self) -> str:
        return f"{self.x + self.width / 2:.2f}%"

    @property
    def tone(self) -> Tone:
        verdict = self.figure.verdict
        if not self.figure.is_known:
            return Tone.NEUTRAL if self.point.is_complete else Tone.DANGER
        return verdict.reached.tone if verdict.target is not None else Tone.PROGRESS

    @property
    def words(self) -> str:
        """What it says when somebody points at it."""
        run = self.point.run
        told = span(self.figure.verdict.seconds) if self.figure.is_known else "no figure"
        return f"{run.purpose.label}, {run.called}, {run.started_at:%Y-%m-%d}: {told}"


class Chart:
    """One figure over the runs, oldest on the left, from nothing to what fits all of them and their targets."""

    height, top, base = HEIGHT, TOP, BOTTOM

    def __init__(self, title: str, told: Sequence[tuple[Point, Figure]]) -> None:
        self.title = title
        known = [figure.verdict.seconds for _, figure in told if figure.is_known]
        values = [each for each in (*known, *(figure.verdict.target for _, figure in told)) if each is not None]
        self.most = max(values, default=0)
        width = 100 / max(1, len(told))
        self.marks = [
            Mark(
                point,
                figure,
                (at + 0.5) * width,
                self._down(figure.verdict.seconds if figure.is_known else 0),
                width,
                None if figure.verdict.target is None else self._down(figure.verdict.target),
            )
            for at, (point, figure) in enumerate(told)
        ]

    def _down(self, seconds: int | None) -> int:
        return round(BOTTOM - (BOTTOM - TOP) * (seconds or 0) / (self.most or 1))

    @property
    def joins(self) -> list[tuple[Mark, Mark]]:
        """Neighbors that both have a figure."""
        pairs = zip(self.marks, self.marks[1:], strict=False)
        return [(one, other) for one, other in pairs if one.figure.is_known and other.figure.is_known]

    @property
    def sentence(self) -> str:
        """The chart in words, for who does not see it."""
        known = [each.figure.verdict for each in self.marks if each.figure.is_known]
        seconds = [each.seconds for each in known if each.seconds is not None]
        if not seconds:
            return f"{self.title}: no run has a figure."
        aimed = [each for each in known if each.target is not None]
        met = sum(each.missed_by is None for each in aimed)
        against = f"; {met} of {len(aimed)} within the target" if aimed else ""
        last = self.marks[-1].figure
        newest = span(last.verdict.seconds) if last.is_known else "no figure"
        band = " to ".join(dict.fromkeys(span(each) for each in (min(seconds), max(seconds))))
        return f"{self.title}: {band}{against}; the last run: {newest}."
