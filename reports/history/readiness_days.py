"""How ready plans were, day by day: engines note it once an hour, so that nobody has to believe a memory.

A day is as ready as its worst hour. One in which mostly nobody knew is not known, and one without a row was not
recorded: neither counts as ready. An hour in which nobody knew, as when an engine has just begun, marks no whole day.
"""

import uuid
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta

from django.db.models import Case, CharField, Count, F, Q, Value, When

from contract.rights import Reach
from executions.models import PlanReadiness
from executions.states import Verdict
from plans.models import RecoveryPlan
from reports.models import ReadinessDay

DAYS = 90  # shown
KEPT = timedelta(days=100)
FIRST_WEIGHED = timedelta(hours=1)  # a plan waits no longer for its first verdict where an engine runs
COLUMNS = {
    Verdict.READY: "ready",
    Verdict.READY_WITH_WARNINGS: "warnings",
    Verdict.NOT_READY: "not_ready",
    Verdict.UNKNOWN: "unknown",  # last: whatever no other verdict is believed of
}
STATE = Case(
    When(not_ready__gt=0, then=Value(Verdict.NOT_READY.value)),
    When(unknown__gt=F("ready") + F("warnings"), then=Value(Verdict.UNKNOWN.value)),
    When(warnings__gt=0, then=Value(Verdict.READY_WITH_WARNINGS.value)),
    default=Value(Verdict.READY.value),
    output_field=CharField(),
)


def note(now: datetime) -> int:
    """Note what was last weighed of every plan, once an hour whoever calls how often; answers of how many it was
    noted now. What is too old to be believed is not known; a plan that is new, and of which nothing could be said
    yet, is noted by the next look. Rows that nobody is shown any more go."""
    at = now.astimezone(UTC)
    believed = PlanReadiness.objects.filter(expires_at__gt=now, plan_version=F("plan__version"))
    weighed = believed.exclude(verdict=Verdict.UNKNOWN).values("plan")
    plans = RecoveryPlan.objects.order_by().filter(Q(created_at__lte=now - FIRST_WEIGHED) | Q(pk__in=weighed))
    keys = plans.values_list("pk", flat=True)
    there = ReadinessDay.objects.filter(day=at.date()).values("plan")
    rows = [ReadinessDay(plan_id=key, day=at.date()) for key in keys.exclude(pk__in=there)]
    ReadinessDay.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
    due = ReadinessDay.objects.filter(Q(hour=None) | Q(hour__lt=at.hour), day=at.date())
    noted = 0
    for verdict, column in COLUMNS.items():
        of_it = (
            due if verdict is Verdict.UNKNOWN else due.filter(plan__in=believed.filter(verdict=verdict).values("plan"))
        )
        noted += of_it.update(**{"hour": at.hour, column: F(column) + 1})
    ReadinessDay.objects.filter(day__lt=at.date() - KEPT).delete()
    return noted


def days_until(today: date) -> list[date]:
    """The days that are shown, oldest first."""
    return [today - timedelta(days=back) for back in reversed(range(DAYS))]


def days_of_plan(plan_id: uuid.UUID, today: date) -> dict[date, tuple[Verdict, int, int]]:
    """The days of a plan that were recorded: how ready it was, in how many hours engines looked, and in how many of
    those it was not known."""
    rows = ReadinessDay.objects.filter(plan=plan_id, day__gt=today - timedelta(days=DAYS), day__lte=today)
    looks = F("ready") + F("warnings") + F("unknown") + F("not_ready")
    found = rows.annotate(state=STATE, looks=looks).values_list("day", "state", "looks", "unknown")
    return {day: (Verdict.of(state), count, unknown) for day, state, count, unknown in found}


def days_of_all(sees: Reach, today: date) -> dict[date, Counter[Verdict]]:
    """By day that was recorded, how many of the plans that somebody sees were how ready."""
    rows = ReadinessDay.objects.filter(day__gt=today - timedelta(days=DAYS), day__lte=today)
    if not sees.everywhere:
        rows = rows.filter(plan__in=RecoveryPlan.objects.seen_by(sees).order_by().values("pk"))
    counts = rows.order_by().annotate(state=STATE).values_list("day", "state").annotate(Count("pk"))
    found: dict[date, Counter[Verdict]] = defaultdict(Counter)
    for day, state, plans in counts:
        found[day][Verdict.of(state)] = plans
    return found
