"""What engines do with schedules: tell a day ahead, start what is due, tell what could not be.

However many engines look, each drill starts once: the row is locked, and what is due is looked at again, in the
transaction that starts it. One that is not ready is tried each minute for a quarter of an hour; then it is not started,
because a drill at another time than people were told is worse than none.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import F, Q, QuerySet

from contract.clock import Clock, utc
from contract.errors import DomainError, Forbidden
from contract.storage.prepared import Asked, Prepared
from executions import installation
from executions.commands import control
from executions.commands.production import NAMED, places_of_plan
from executions.readiness.assessment import assess
from executions.readiness.facts import believed_for, facts_of
from executions.runs.allowed import conflicts
from executions.runs.aws_calls import AwsCalls
from executions.states import Kind, Verdict
from protection.inventory import native_runs, recovery_instances
from protection.inventory.recovery_instances import InstancesKnown
from schedules.models import Occurrence, Schedule
from schedules.principal import SCHEDULE
from schedules.states import Outcome
from schedules.telling import journal, tell

TOLD_AHEAD = timedelta(days=1)
LATE_AT_MOST = timedelta(minutes=15)
TRIED_EVERY = timedelta(minutes=1)
AT_ONCE = 50


def _due() -> QuerySet[Schedule]:
    """Those of which something is to be said, or whose time has come."""
    now = Asked(Schedule, "next_at", "now")
    ahead = Q(next_at__gt=now) & Q(next_at__lte=Asked(Schedule, "next_at", "soon"))
    soon = ahead & (Q(told_for=None) | ~Q(told_for=F("next_at")))
    due = Q(next_at__lte=now) & (Q(try_at=None) | Q(try_at__lte=now))
    return Schedule.objects.select_related("plan").filter(soon | due).order_by("next_at")[:AT_ONCE]


_DUE = Prepared(_due)


def look(now: datetime, clock: Clock) -> Iterator[AwsCalls[None]]:
    """The work that is due now, for the engine to run."""
    for schedule in _DUE.objects(soon=now + TOLD_AHEAD, now=now):
        if schedule.next_at is not None and schedule.next_at > now:
            _announce(schedule, now)
        else:
            yield _go(schedule, clock)


def _announce(schedule: Schedule, now: datetime) -> None:
    """Told once a drill, whichever engine is first. A schedule that was made later is told of at once."""
    at = schedule.next_at
    assert at is not None  # noqa: S101  (it was found by it)
    with transaction.atomic():
        mine = Schedule.objects.filter(Q(told_for=None) | ~Q(told_for=at), pk=schedule.pk, next_at=at)
        if mine.update(told_for=at) and not installation.is_superseded():
            text = f"A drill of “{schedule.plan.name}” starts by schedule at {utc(at)}."
            tell(schedule, "SCHEDULED", text, at, now)


def _go(schedule: Schedule, clock: Clock) -> AwsCalls[None]:
    """Start the drill that is due, if it can be; else say why, when its time is over."""
    now, at = clock(), schedule.next_at
    if at is None or not _claim(schedule, now):
        return
    if now - at > LATE_AT_MOST:
        _give_up(schedule, at, now)
        return
    if problem := _taken(schedule) or _not_ready(schedule, now):
        _note(schedule, at, problem)
        return
    looked = yield from _look(schedule)
    try:
        _start(schedule, at, looked, clock)
    except DomainError as error:
        _note(schedule, at, _ends_production(error) or error.message)


def _claim(schedule: Schedule, now: datetime) -> bool:
    """For a minute: the next try, of whichever engine, is after that."""
    same = Schedule.objects.filter(pk=schedule.pk, next_at=schedule.next_at, try_at=schedule.try_at)
    return bool(same.update(try_at=now + TRIED_EVERY))


def _taken(schedule: Schedule) -> str:
    """Which run the plan, or its servers, are in: that is what people look for who miss the drill."""
    try:
        conflicts.refuse_second_run(schedule.plan)
        conflicts.refuse_held_servers(schedule.plan)
    except DomainError as error:
        return error.message
    return ""


def _ends_production(error: DomainError) -> str:
    """Of a refusal for production's sake: it is no right that is missing. Empty for any other."""
    found = error.details.get("instances", []) if isinstance(error, Forbidden) else []
    if not found:
        return ""
    named = ", ".join(f"{each['hostname']} {each['recoveryInstanceId'] or ''}".strip() for each in found[:NAMED])
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return (
        f"A launch would end what may run production: {named}{more}. No drill by schedule does that. Terminate what is"
        " not needed any more, or start the drill yourself."
    )


def _not_ready(schedule: Schedule, now: datetime) -> str:
    """What speaks against it by all that is known. What is not known keeps no drill from starting: its start asks DRS,
    and a missing right would keep every one."""
    for facts in facts_of([schedule.plan_id]):
        found = assess(facts, now, believed_for())
        if found.verdict is Verdict.NOT_READY:
            return " ".join(each.text for each in found.reasons if each.is_blocking)
    return ""


def _look(schedule: Schedule) -> AwsCalls[InstancesKnown]:
    """Ask DRS what runs where the plan launches, as a start by a person does."""
    places, failed, untold = places_of_plan(schedule.plan_id), {}, {}
    for account, region in places:
        found = yield partial(recovery_instances.fetch, region, account, reading="guard")
        recovery_instances.keep(found)
        if found.error is not None:
            failed[account, region] = found.error
        told = yield partial(native_runs.fetch, region, account, reading="guard")
        native_runs.keep(told)
        if told.error is not None:
            untold[account, region] = told.error
    return recovery_instances.known(places, failed, untold)


def _start(schedule: Schedule, at: datetime, looked: InstancesKnown, clock: Clock) -> None:
    """In one transaction: the drill, and that it was this one. Raises DomainError."""
    with transaction.atomic():
        row = Schedule.objects.select_for_update().get(pk=schedule.pk)
        if row.next_at != at:
            return  # another engine was faster, or a person has changed it
        run = control.start(
            actor=SCHEDULE, plan_id=row.plan_id, kind=Kind.DRILL, initiated_by="schedule", looked=looked, clock=clock
        )
        Occurrence.objects.create(schedule=row, at=at, outcome=Outcome.STARTED, execution=run)
        journal(SCHEDULE, row, Outcome.STARTED, at, "", executionId=str(run.pk))
        _advance(row, at)


def _give_up(schedule: Schedule, at: datetime, now: datetime) -> None:
    """Its time is over: nobody looked in time, or it could not be started."""
    with transaction.atomic():
        row = Schedule.objects.select_for_update().select_related("plan").get(pk=schedule.pk)
        if row.next_at != at:
            return
        outcome = Outcome.REFUSED if row.problem else Outcome.MISSED
        why = row.problem or "No engine ran at that time."
        Occurrence.objects.create(schedule=row, at=at, outcome=outcome, text=why)
        journal(SCHEDULE, row, outcome, at, why)
        if not installation.is_superseded():  # else whoever has taken over starts it, and tells
            tell(row, outcome.value, f"The drill of “{row.plan.name}” at {utc(at)} was not started. {why}", at, now)
        _advance(row, at)


def _advance(row: Schedule, at: datetime) -> None:
    row.next_at, row.try_at, row.problem = row.after(at), None, ""
    row.save(update_fields=["next_at", "try_at", "problem"])


def _note(schedule: Schedule, at: datetime, problem: str) -> None:
    Schedule.objects.filter(pk=schedule.pk, next_at=at).update(problem=problem)
