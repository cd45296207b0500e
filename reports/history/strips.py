"""Readiness by day as a strip: the days of a plan, or of all plans that somebody sees. Percentages and words out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from contract.plurals import counted
from contract.status import Tone
from executions.states import Verdict
from reports.history.readiness_days import days_until

HEIGHT = 28  # pixels
TALL = {Verdict.READY: 28, Verdict.READY_WITH_WARNINGS: 20, Verdict.UNKNOWN: 12, Verdict.NOT_READY: 7}
ORDER = (Verdict.READY, Verdict.READY_WITH_WARNINGS, Verdict.NOT_READY, Verdict.UNKNOWN)
NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class Day:
    """A day of a plan: no state where it was not recorded. Taller is better, so that it is told without color."""

    at: int
    of: int
    day: date
    state: Verdict | None
    looks: int = 0
    unknown: int = 0

    @property
    def x(self) -> str:
        return f"{100 * self.at / self.of:.2f}%"

    @property
    def width(self) -> str:
        return f"{85 / self.of:.2f}%"

    @property
    def right(self) -> str:
        return f"{(100 * self.at + 85) / self.of:.2f}%"

    @property
    def tone(self) -> Tone:
        return self.state.tone if self.state else Tone.NEUTRAL

    @property
    def tall(self) -> int:
        return TALL[self.state] if self.state else 0

    @property
    def y(self) -> int:
        return HEIGHT - self.tall

    @property
    def words(self) -> str:
        if not self.state:
            return f"{self.day}: {NOT_RECORDED}"
        unknown = f", {self.unknown} of them not known" if 0 < self.unknown < self.looks else ""
        return f"{self.day}: {self.state.label}, {counted(self.looks, 'look')}{unknown}"


@dataclass(frozen=True)
class Stretch:
    """Days in a row of which the same is to be told."""

    first: date
    last: date
    days: int
    state: Verdict | None
    looks: int


class PlanStrip:
    """The last ninety days of a plan, oldest first."""

    height = HEIGHT

    def __init__(self, known: Mapping[date, tuple[Verdict, int, int]], today: date) -> None:
        shown = days_until(today)
        self.days = [Day(at, len(shown), day, *known.get(day, (None, 0, 0))) for at, day in enumerate(shown)]
        self.is_empty, self.today = not known, today

    @property
    def sentence(self) -> str:
        return _sentence(Counter(each.state for each in self.days))

    @property
    def stretches(self) -> list[Stretch]:
        """The same for a table, newest first."""
        found = []
        for state, group in groupby(reversed(self.days), key=lambda each: each.state):
            days = list(group)
            found.append(Stretch(days[-1].day, days[0].day, len(days), state, sum(each.looks for each in days)))
        return found


@dataclass(frozen=True)
class Share:
    """Plans of one verdict on a day, as a part of its bar."""

    state: Verdict
    plans: int
    y: float
    tall: float


@dataclass(frozen=True)
class WholeDay:
    """A day of all plans: what is known of each, best at the bottom."""

    place: Day
    counts: Counter[Verdict]

    @property
    def total(self) -> int:
        return self.counts.total()

    @property
    def shares(self) -> list[Share]:
        found, below = list[Share](), float(STACK)
        for state in ORDER:
            if self.counts[state]:
                tall = STACK * self.counts[state] / self.total
                below -= tall
                found.append(Share(state, self.counts[state], round(below, 2), round(tall, 2)))
        return found

    @property
    def cells(self) -> list[int]:
        return [self.counts[state] for state in ORDER]

    @property
    def words(self) -> str:
        told = ", ".join(f"{each.plans} {each.state.label.lower()}" for each in self.shares)
        return f"{self.place.day}: {told or NOT_RECORDED}"


STACK = 60  # pixels


class WholeStrip:
    """The last ninety days of all plans that somebody sees, oldest first."""

    height, columns = STACK, ORDER

    def __init__(self, known: Mapping[date, Counter[Verdict]], today: date) -> None:
        shown = days_until(today)
        self.days = [
            WholeDay(Day(at, len(shown), day, None), known.get(day, Counter[Verdict]())) for at, day in enumerate(shown)
        ]
        self.is_empty, self.today = not known, today

    @property
    def newest_first(self) -> Sequence[WholeDay]:
        return self.days[::-1]

    @property
    def sentence(self) -> str:
        """How many days were how good, and how it stands today."""
        recorded = [each for each in self.days if each.total]
        if not recorded:
            return "No day was recorded yet."
        good = sum(not each.counts[Verdict.NOT_READY] and not each.counts[Verdict.UNKNOWN] for each in recorded)
        missing = len(self.days) - len(recorded)
        last = recorded[-1]
        return (
            f"Of {len(self.days)} days every plan was ready, with or without warnings, on {good}; some were not, or it"
            f" was not known, on {len(recorded) - good}; {missing} were not recorded. On {last.place.day}:"
            f" {last.words.partition(': ')[2]}."
        )


def _sentence(counts: Counter[Verdict | None]) -> str:
    told = [f"{counts[state]} {state.label.lower()}" for state in ORDER if counts[state]]
    if counts[None]:
        told.append(f"{counts[None]} {NOT_RECORDED}")
    return f"Of {counts.total()} days: {', '.join(told)}."
