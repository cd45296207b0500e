"""On what the time of each wave of a run went, beside the runs before it: rows in, bars and cells out.

The time of a wave is that of the server that came up last in it, as the report has it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from django.db.models import prefetch_related_objects

from contract.clock import span
from executions.measuring.last_servers import last_servers
from executions.measuring.many_runs import HEAVY
from executions.measuring.rta_rpa import Split, time_of
from executions.measuring.time_parts import Part
from executions.models import Execution, WaveRun
from reports.parts.comparison import previous

COMPARED = 5  # runs before it
ROW = 30  # pixels
SHADES = dict(zip(Part, (0.3, 0.3, 0.45, 0.55, 0.65, 0.8, 1.0, 0.3), strict=True))


@dataclass(frozen=True)
class Piece:
    """A part of a bar, in per cent of the longest."""

    part: Part
    seconds: int
    left: float
    width: float

    @property
    def x(self) -> str:
        return f"{self.left:.2f}%"

    @property
    def size(self) -> str:
        return f"{self.width:.2f}%"

    @property
    def shade(self) -> float:
        return SHADES[self.part]


@dataclass(frozen=True)
class Bar:
    """A wave in one of the runs."""

    run: Execution
    wave: WaveRun
    took: int
    split: Split
    y: int
    longest: int

    @property
    def text_y(self) -> int:
        return self.y + 11

    @property
    def bar_y(self) -> int:
        return self.y + 16

    @property
    def pieces(self) -> list[Piece]:
        found, left = list[Piece](), 0.0
        for part, seconds in self.split.items():
            if seconds:
                width = 100 * seconds / (self.longest or 1)
                found.append(Piece(part, seconds, left, width))
                left += width
        return found


@dataclass(frozen=True)
class WaveTimes:
    """A wave of the run, and the wave of the same number in those before it; in which no server came up is left out."""

    wave: WaveRun
    bars: Sequence[Bar]
    parts: Sequence[Part]

    @property
    def number(self) -> int:
        return self.wave.number + 1

    @property
    def height(self) -> int:
        return ROW * len(self.bars)

    @property
    def rows(self) -> list[tuple[Bar, list[int]]]:
        return [(each, [each.split[part] for part in self.parts]) for each in self.bars]

    @property
    def own(self) -> Bar | None:
        return next((each for each in self.bars if each.wave is self.wave), None)

    @property
    def sentence(self) -> str:
        """The comparison in words."""
        others = [each.took for each in self.bars if each is not self.own]
        own = span(self.own.took) if self.own else "no server came up"
        if not others:
            return f"{own[0].upper()}{own[1:]}; nothing to compare it with."
        band = " to ".join(dict.fromkeys(span(each) for each in (min(others), max(others))))
        return f"{own[0].upper()}{own[1:]}; before: {band}, in the middle {span(round(median(others)))}."


@dataclass(frozen=True)
class Phases:
    """A run and those before it that it is compared with, newest first; and its waves."""

    run: Execution
    before: Sequence[Execution]
    waves: Sequence[WaveTimes]

    @property
    def changed(self) -> list[Execution]:
        """Those that ran another version of the plan."""
        return [each for each in self.before if each.plan_copy.get("version") != self.run.plan_copy.get("version")]


def phases_of(run: Execution) -> Phases:
    """The last five runs of the plan that are over, of both kinds; retries launch a part, and are left out. Five
    queries."""
    heavy = [each for each in HEAVY if each != "plan_copy"]
    before = list(previous(run).filter(attempt=1).defer(*heavy)[:COMPARED])
    runs = [run, *before]
    prefetch_related_objects(runs, "waves")
    rows = last_servers([wave for each in runs for wave in each.waves.all()])
    times = {key: time_of(each) for key, each in rows.items()}
    return Phases(run, before, [_wave(wave, runs, times) for wave in run.waves.all()])


def _wave(wave: WaveRun, runs: Sequence[Execution], times: Mapping[int, tuple[object, int | None, Split]]) -> WaveTimes:
    found = []
    for each in runs:
        same = wave if each.pk == wave.execution_id else _of_number(each, wave.number)
        if same is not None and same.pk in times:
            _, took, split = times[same.pk]
            found.append((each, same, took or 0, split))
    longest = max((took for _, _, took, _ in found), default=0)
    bars = [Bar(each, same, took, split, at * ROW, longest) for at, (each, same, took, split) in enumerate(found)]
    return WaveTimes(wave, bars, [part for part in Part if any(bar.split[part] for bar in bars)])


def _of_number(run: Execution, number: int) -> WaveRun | None:
    return next((each for each in run.waves.all() if each.number == number), None)
