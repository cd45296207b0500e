"""Doing with several plans or runs what people do with one: by the same command, with its rights and its checks, one
after the other. What is refused of one is told of that one, and keeps no other from being done."""

import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from audit.actor import Actor
from contract.clock import Clock, db_clock
from contract.errors import BadRequest, DomainError
from executions.commands import control
from executions.commands.end_instances import SECONDS_AT_ONCE
from executions.commands.production import places_of_plan
from executions.models import Execution
from executions.runs.allowed.scopes import no_execution
from executions.states import Kind
from executions.terminating.outcome import TerminationResult
from executions.terminating.terminate import terminate
from protection.inventory.recovery_instances import ANEW, InstancesKnown, Place, look

MOST = 50  # of one request
ONE_BY_ONE = "A recovery is never terminated with others. Open the run and terminate it there."


@dataclass(frozen=True)
class StartedDrill:
    """What became of one plan: the run, or why there is none."""

    plan_id: uuid.UUID
    run: Execution | None = None
    refusal: DomainError | None = None


def start_drills(*, actor: Actor, plan_ids: Sequence[uuid.UUID], clock: Clock = db_clock) -> list[StartedDrill]:
    """Start a drill of each of these plans. None ends production: such a plan is refused, and started by itself. DRS is
    asked once a place which instances run; where it does not answer, the plans of that place are refused."""
    wanted = list(dict.fromkeys(plan_ids))[:MOST]
    places = {each: places_of_plan(each) for each in wanted}
    looked = look({place for of_plan in places.values() for place in of_plan}, believed=ANEW)
    return [_start(actor, each, _there(looked, places[each]), clock) for each in wanted]


def _there(looked: InstancesKnown, places: Collection[Place]) -> InstancesKnown:
    return InstancesKnown(looked.as_of, {place: why for place, why in looked.silent.items() if place in places})


def _start(actor: Actor, plan_id: uuid.UUID, looked: InstancesKnown, clock: Clock) -> StartedDrill:
    try:
        run = control.start(actor=actor, plan_id=plan_id, kind=Kind.DRILL, looked=looked, clock=clock)
    except DomainError as refusal:
        return StartedDrill(plan_id, refusal=refusal)
    return StartedDrill(plan_id, run)


@dataclass(frozen=True)
class EndedDrill:
    """What became of one run's instances: what DRS was asked, or why it was not."""

    run_id: uuid.UUID
    told: TerminationResult | None = None
    refusal: DomainError | None = None


def terminate_drills(
    *, actor: Actor, execution_ids: Sequence[uuid.UUID], comment: str = "", clock: Clock = db_clock
) -> list[EndedDrill]:
    """Have the instances of each of these drills terminated: asked for at once as far as a person's patience goes, the
    others by an engine. A recovery is refused."""
    control.check_comment(comment)
    until = time.monotonic() + SECONDS_AT_ONCE
    wanted = list(dict.fromkeys(execution_ids))[:MOST]
    return [_end(actor, each, comment, clock, at_once=time.monotonic() < until) for each in wanted]


def _end(actor: Actor, run_id: uuid.UUID, comment: str, clock: Clock, *, at_once: bool) -> EndedDrill:
    try:
        kind = Execution.objects.seen_by(actor.sees).filter(pk=run_id).values_list("kind", flat=True).first()
        if kind is None:
            raise no_execution(run_id)
        if Kind.of(kind).is_recovery:
            raise BadRequest("VALIDATION_ERROR", ONE_BY_ONE)
        told = terminate(actor=actor, execution_id=run_id, comment=comment, at_once=at_once, clock=clock)
    except DomainError as refusal:
        return EndedDrill(run_id, refusal=refusal)
    return EndedDrill(run_id, told)
