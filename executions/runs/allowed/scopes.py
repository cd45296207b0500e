"""Runs as rights are asked for them: a run is of its plan, as that is labeled now; one whose plan is
gone is seen only by those who see everything."""

import uuid
from collections.abc import Collection
from typing import Any

from audit.actor import Actor
from contract.errors import NotFound
from contract.rights import Reach, Thing, as_id
from executions.models import Execution
from plans.scopes import plans

OF_NO_PLAN = Thing()


def things_of(runs: Collection[Execution]) -> dict[uuid.UUID, Thing]:
    """Each of these runs as rights are asked for it; two queries."""
    known = plans.things_of({each.plan_id for each in runs if each.plan_id})
    return {each.pk: known[each.plan_id] if each.plan_id else OF_NO_PLAN for each in runs}


def seen(execution_id: Any, reach: Reach) -> Thing:
    """The run that an address names. Raises NotFound, as for one that is not there."""
    key = as_id(execution_id)
    found = Execution.objects.seen_by(reach).filter(pk=key).only("plan_id").first() if key else None
    if found is None:
        raise no_execution(str(execution_id)[:64])
    return things_of([found])[found.pk]


def no_execution(execution_id: object) -> NotFound:
    """The refusal for an id of no run."""
    return NotFound(f"There is no execution {execution_id}.", details={"executionId": str(execution_id)})


def at_run(actor: Actor, execution_id: uuid.UUID) -> Actor:
    """The actor, whose rights are asked for that run. Raises NotFound for one that they do not see."""
    return actor.at(seen(execution_id, actor.sees)) if actor.is_bounded else actor


def at_each(actor: Actor, runs: Collection[Execution]) -> dict[uuid.UUID, Actor]:
    """The actor at each of these runs."""
    if not actor.is_bounded:
        return dict.fromkeys((each.pk for each in runs), actor)
    return {key: actor.at(thing) for key, thing in things_of(runs).items()}
