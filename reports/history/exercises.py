"""Which plans were exercised in which month: drills and recoveries of the last twelve, and what was overdue."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db.models import Q

from executions.models import Execution
from plans.models import RecoveryPlan
from reports.history.states import Exercise
from reports.ledger.figures import DAYS

MONTHS = 12
DUE_AFTER = timedelta(days=DAYS)
COUNTED: list[Exercise] = [
    each for each in Exercise if each not in (Exercise.OVERDUE, Exercise.NONE, Exercise.NO_PLAN_YET)
]
COLUMNS = ["planId", "planName", "month", *(each.value for each in COUNTED), "overdue", "planExisted"]


@dataclass(frozen=True)
class Month:
    """A calendar month in UTC."""

    first: date

    @property
    def after(self) -> date:
        return (self.first + timedelta(days=31)).replace(day=1)

    @property
    def last(self) -> date:
        return self.after - timedelta(days=1)

    @property
    def end(self) -> datetime:
        return datetime(self.after.year, self.after.month, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Cell:
    """A plan in a month. Overdue: at its end, or now, nothing had proven the plan for as long as the ledger asks."""

    month: Month
    counts: Counter[Exercise]
    is_overdue: bool
    had_plan: bool

    @property
    def told(self) -> list[tuple[Exercise, int]]:
        """What stands in it: never nothing."""
        found = [(each, self.counts[each]) for each in COUNTED if self.counts[each]]
        if self.is_overdue:
            found.append((Exercise.OVERDUE, 1))
        return found or [(Exercise.NONE if self.had_plan else Exercise.NO_PLAN_YET, 1)]

    @property
    def has_runs(self) -> bool:
        return bool(self.counts)


@dataclass(frozen=True)
class PlanYear:
    """A plan with its months, oldest first."""

    plan: RecoveryPlan
    cells: Sequence[Cell]


def months(now: datetime) -> list[Month]:
    """The last twelve, this one last."""
    found = [Month(now.astimezone(UTC).date().replace(day=1))]
    while len(found) < MONTHS:
        found.insert(0, Month((found[0].first - timedelta(days=1)).replace(day=1)))
    return found


def exercises(plans: Sequence[RecoveryPlan], now: datetime) -> list[PlanYear]:
    """One query, however many plans. Dry runs are no exercises; what was hidden counts."""
    shown = months(now)
    since = datetime.combine(shown[0].first, datetime.min.time(), UTC)
    counts: dict[tuple[uuid.UUID, date], Counter[Exercise]] = defaultdict(Counter)
    proofs: dict[uuid.UUID, list[datetime]] = defaultdict(list)
    wanted = Q(ended_at=None) | Q(ended_at__gte=since - DUE_AFTER)
    runs = Execution.objects.filter(wanted, plan__in=[each.pk for each in plans], dry_run=False).order_by()
    for run in runs.only("plan_id", "kind", "status", "servers_left_out", "started_at", "ended_at"):
        key, kind = run.plan_id, Exercise.of_run(run)
        if key is None:
            continue
        counts[key, run.started_at.astimezone(UTC).date().replace(day=1)][kind] += 1
        if kind.proves and run.ended_at is not None:
            proofs[key].append(run.ended_at)
    return [
        PlanYear(plan, [_cell(plan, month, counts[plan.pk, month.first], proofs[plan.pk], now) for month in shown])
        for plan in plans
    ]


def _cell(
    plan: RecoveryPlan, month: Month, counts: Counter[Exercise], proofs: Sequence[datetime], now: datetime
) -> Cell:
    end = min(month.end, now)
    last = max((each for each in proofs if each <= end), default=plan.created_at)
    had_plan = plan.created_at < end
    return Cell(month, counts, had_plan and last <= end - DUE_AFTER, had_plan)


def lines(found: Sequence[PlanYear]) -> Iterator[list[object]]:
    """A line for each plan and month, as of COLUMNS."""
    for year in found:
        for cell in year.cells:
            counts = [cell.counts[each] for each in COUNTED]
            flags = ["yes" if each else "no" for each in (cell.is_overdue, cell.had_plan)]
            yield [year.plan.pk, year.plan.name, f"{cell.month.first:%Y-%m}", *counts, *flags]
