"""What people do with schedules, one function a verb. Who may start drills may have them started."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from audit.actor import Actor
from audit.journal import attempt, record
from contract.clock import Clock, db_clock
from contract.errors import Invalid, NotFound
from contract.rest.etag import refuse_stale
from contract.rights import Reach
from plans.models import RecoveryPlan
from plans.scopes.plans import at_plan
from schedules.models import Schedule
from schedules.occurrences import Calendar, WrongRule, faults
from schedules.principal import SCHEDULE
from schedules.telling import call_off

MAY = "executions.start_drill"


@dataclass(frozen=True)
class Wanted:
    """A schedule as it shall be. `blackouts` are objects with the days `from` and `to`."""

    rule: str
    starts_on: date
    time: time
    time_zone: str
    blackouts: Sequence[Mapping[str, Any]] = ()
    enabled: bool = True

    def calendar(self) -> Calendar:
        """Raises Invalid, which names all that is wrong."""
        if wrong_parts := faults(self.rule, self.time_zone, self.blackouts):
            raise Invalid(wrong_parts)
        try:
            return Calendar.asked(self.rule, self.starts_on, self.time, self.time_zone, self.blackouts)
        except WrongRule as wrong:
            raise Invalid({wrong.field: [wrong.message]}) from None


def seen_by(sees: Reach) -> QuerySet[Schedule]:
    """The schedules of the plans that somebody sees who sees so far."""
    rows = Schedule.objects.select_related("plan")
    return rows if sees.everywhere else rows.filter(plan__in=RecoveryPlan.objects.seen_by(sees))


def get(schedule_id: uuid.UUID, sees: Reach, *, for_update: bool = False) -> Schedule:
    """The schedule, or NotFound, also for one of a plan that is not seen."""
    rows = seen_by(sees).select_for_update(of=("self",)) if for_update else seen_by(sees)
    found = rows.filter(pk=schedule_id).first()
    if found is None:
        raise NotFound(f"There is no schedule {schedule_id}.", details={"scheduleId": str(schedule_id)})
    return found


@attempt("schedule.create", "plan", subject="plan_id")
def create(*, actor: Actor, plan_id: uuid.UUID, wanted: Wanted, clock: Clock = db_clock) -> Schedule:
    """Have drills of a plan started by calendar. Raises Forbidden, Invalid."""
    at_plan(actor, plan_id).require(MAY, "schedule drills")
    wanted.calendar()
    with transaction.atomic():
        plan = RecoveryPlan.objects.select_for_update().filter(pk=plan_id).first()
        if plan is None:
            raise Invalid({"planId": [f"There is no recovery plan {plan_id}."]})
        now = clock()
        schedule = Schedule(plan=plan, created_by=actor.name[:254], created_at=now, updated_at=now)
        _apply(schedule, wanted)
        schedule.next_at = _next(schedule, now)
        schedule.save()
        _journal(actor, "schedule.create", schedule, after=state(schedule))
    return schedule


@attempt("schedule.update", "schedule", subject="schedule_id")
def update(
    *,
    actor: Actor,
    schedule_id: uuid.UUID,
    wanted: Wanted,
    expected: Collection[int] | None = None,
    clock: Clock = db_clock,
) -> Schedule:
    """Change a schedule, all of it; a drill that was due and not started yet is forgotten. Raises Forbidden, NotFound,
    VersionConflict, Invalid."""
    _require(actor, get(schedule_id, actor.sees), "change schedules of drills")
    wanted.calendar()
    with transaction.atomic():
        schedule = get(schedule_id, actor.sees, for_update=True)
        refuse_stale(schedule.version, expected, f"The schedule of “{schedule.plan.name}”")
        before, now = state(schedule), clock()
        schedule.version, schedule.updated_at = schedule.version + 1, now
        _apply(schedule, wanted)
        then = _next(schedule, now)
        _journal(actor, "schedule.update", schedule, before=before, after=state(schedule))
        deed = "changed" if wanted.enabled else "switched off"
        call_off(actor, schedule, f"its schedule was {deed} by {actor.name}", now, then)
        schedule.next_at = then
        schedule.save()
    return schedule


@attempt("schedule.delete", "schedule", subject="schedule_id")
def delete(
    *, actor: Actor, schedule_id: uuid.UUID, expected: Collection[int] | None = None, clock: Clock = db_clock
) -> Schedule:
    """No more drills by it; those that it started stay. Raises Forbidden, NotFound, VersionConflict."""
    _require(actor, get(schedule_id, actor.sees), "delete schedules of drills")
    with transaction.atomic():
        schedule = get(schedule_id, actor.sees, for_update=True)
        refuse_stale(schedule.version, expected, f"The schedule of “{schedule.plan.name}”")
        _journal(actor, "schedule.delete", schedule, before=state(schedule))
        call_off(actor, schedule, f"its schedule was deleted by {actor.name}", clock())
        Schedule.objects.filter(pk=schedule.pk).delete()
    return schedule


def _require(actor: Actor, schedule: Schedule, to: str) -> None:
    at_plan(actor, schedule.plan_id).require(MAY, to)


def plan_goes(plan: RecoveryPlan, clock: Clock = db_clock) -> None:
    """A plan is being deleted, and its schedules with it."""
    for schedule in Schedule.objects.select_related("plan").select_for_update(of=("self",)).filter(plan=plan):
        call_off(SCHEDULE, schedule, "the plan was deleted", clock())


def _apply(schedule: Schedule, wanted: Wanted) -> None:
    calendar = wanted.calendar()
    schedule.rule, schedule.time_zone = calendar.rule, wanted.time_zone
    schedule.starts_on, schedule.time = wanted.starts_on, calendar.start.time()
    schedule.blackouts = [{"from": each.since.isoformat(), "to": each.until.isoformat()} for each in calendar.blackouts]
    schedule.enabled = wanted.enabled
    schedule.try_at, schedule.problem = None, ""


def _next(schedule: Schedule, now: datetime) -> datetime | None:
    """The first drill by what was asked for. Raises Invalid."""
    found = schedule.after(now)
    if schedule.enabled and found is None:
        raise Invalid({"rule": ["No drill would come within five years. Change the rule, its start or the blackouts."]})
    return found


def state(schedule: Schedule) -> dict[str, Any]:
    """A schedule as the journal keeps it."""
    return {
        "rule": schedule.rule,
        "startsOn": schedule.starts_on.isoformat(),
        "time": f"{schedule.time:%H:%M}",
        "timeZone": schedule.time_zone,
        "blackouts": schedule.blackouts,
        "enabled": schedule.enabled,
        "version": schedule.version,
    }


def _journal(actor: Actor, verb: str, schedule: Schedule, **kept: Any) -> None:
    record(actor, verb, subject_kind="schedule", subject_id=schedule.pk, subject_name=schedule.plan.name, **kept)
