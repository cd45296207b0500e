"""Whether a run is as a client has it, from one row: the answer itself may hold a thousand servers."""

import uuid
from datetime import datetime

from django.conf import settings

from audit.actor import Actor
from contract.rest.answers.unchanged import tag
from executions.commands.control import no_execution
from executions.models import Execution
from executions.runs.allowed.actions import Verb, right_of
from executions.runs.attempts import lineages, retry_of

_COLUMNS = ("kind", "dry_run", "status", "revision", "hidden_at", "plan_id", "attempt", "first_attempt_id", "ended_at")


def tag_of_run(execution_id: uuid.UUID, actor: Actor, now: datetime) -> str:
    """The ETag of what the API answers about a run, to this actor.

    Whatever is kept of a run changes with its revision. What changes besides is here: who asks; the clock, by which a
    run that is not over tells its duration, its forecast and whether it can be abandoned, to the minute; and other
    runs, which may stand against trying one again. Raises NotFound.
    """
    execution = Execution.objects.only(*_COLUMNS).filter(pk=execution_id).first()
    if execution is None:
        raise no_execution(execution_id)
    rights = [actor.may(right_of(verb, execution.purpose)[0]) for verb in Verb]
    return tag(
        settings.VERSION,
        execution.pk,
        execution.revision,
        execution.hidden_at,
        execution.plan_id,
        rights,
        _besides(execution, actor, now),
    )


def _besides(execution: Execution, actor: Actor, now: datetime) -> object:
    if execution.ended_at is None:
        return now.replace(second=0, microsecond=0)
    if not execution.state.fell_short:
        return None
    tried = lineages([execution])[execution.pk]
    return retry_of(execution, actor, tried), [(each.pk, each.status) for each in tried.attempts]
