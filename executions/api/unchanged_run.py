"""Whether runs are as they were shown before, from one row of each: a run may hold a thousand servers, and a page of
the history takes eight queries to be made."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime

from django.conf import settings
from django.db.models import Prefetch

from audit.actor import Actor
from contract.rest.answers.ready import KeptParts
from contract.rest.answers.unchanged import tag
from executions.api.representation import ExecutionSummary, show_summary
from executions.measuring.forecast import has_forecast
from executions.models import Execution, WaveRun
from executions.pacemaker import is_alive
from executions.querysets import ExecutionQuerySet
from executions.runs.allowed.actions import Verb, right_of
from executions.runs.allowed.scopes import at_each, no_execution
from executions.runs.allowed.terminable_instances import terminable_counts
from executions.runs.attempts import Lineage, lineages, retry_of

# Whatever else is kept of a run changes with its revision.
COLUMNS = (
    "kind", "dry_run", "status", "termination_status", "revision", "updated_at", "hidden_at", "number", "plan_id",
    "plan_name", "attempt", "retry_of_id", "first_attempt_id", "started_at", "ended_at",
)  # fmt: skip


def tag_of_run(execution_id: uuid.UUID, actor: Actor, now: datetime) -> str:
    """The ETag of what the API answers about a run, to this actor.

    What changes besides is here: who asks; the clock, by which a run that is not over tells its duration, its forecast
    and whether it can be abandoned, to the minute; whether an engine runs, without which no end is forecast; and other
    runs, which may stand against trying one again. Raises NotFound.
    """
    execution = Execution.objects.only(*COLUMNS).filter(pk=execution_id).first()
    if execution is None:
        raise no_execution(execution_id)
    return tag(settings.VERSION, _row(execution), _rights(execution, actor), _besides(execution, actor, now))


def _row(execution: Execution) -> tuple[object, ...]:
    return tuple(getattr(execution, name) for name in ("pk", *COLUMNS))


def _rights(execution: Execution, actor: Actor) -> tuple[bool, ...]:
    return tuple(actor.may(right_of(verb, execution.purpose)[0]) for verb in Verb)


def _besides(execution: Execution, actor: Actor, now: datetime) -> object:
    if execution.ended_at is None:
        return now.replace(second=0, microsecond=0), is_alive()
    if not execution.state.fell_short:
        return None
    tried = lineages([execution])[execution.pk]
    return retry_of(execution, actor, tried), [(each.pk, each.status) for each in tried.attempts]


# A page of the history

KEPT = KeptParts(most=4_000_000)  # characters: those of 4,000 runs
# What a list says of waves: which is the current one, and for which a person is waited.
WAVES_OF_LIST = Prefetch(
    "waves",
    WaveRun.objects.order_by("number").only(
        "execution", "number", "status", "attempt", "started_at", "asked_at", "answered_at", "resumed_at", "gate"
    ),
)


def show_list(listed: Sequence[Execution], actor: Actor, now: datetime) -> list[ExecutionSummary]:
    """Runs without their waves. `listed` need have COLUMNS alone: of those that are over most were shown before."""
    tried, here = lineages(listed), at_each(actor, listed)
    made_of = {each.pk: _made_of(each, here[each.pk], tried[each.pk]) for each in listed if each.state.is_final}
    shown = {key: kept for key, of in made_of.items() if (kept := KEPT.find((key, of[0]), of))}
    runs = _read([each.pk for each in listed if each.pk not in shown])
    standing = terminable_counts([each for each in runs if each.state.is_final and not each.dry_run])
    alive = not any(map(has_forecast, runs)) or is_alive()
    for run in runs:
        found = show_summary(run, here[run.pk], now, tried[run.pk], stands=run.pk in standing, engine_alive=alive)
        of = made_of.get(run.pk)
        shown[run.pk] = KEPT.keep((run.pk, of[0]), of, found) if of and run.state.is_final else found
    return [shown[each.pk] for each in listed if each.pk in shown]


def _made_of(execution: Execution, actor: Actor, tried: Lineage) -> tuple[object, ...]:
    """All that the summary of a run that is over is made of; what somebody may do comes first."""
    retry = retry_of(execution, actor, tried)
    attempts = [(each.pk, each.attempt, each.status) for each in tried.attempts]
    return _rights(execution, actor), _row(execution), retry, attempts


def _read(keys: Collection[uuid.UUID]) -> list[Execution]:
    """These runs, without what lists do not read: it is as long as the plan."""
    runs: ExecutionQuerySet = Execution.objects.filter(pk__in=keys).defer("plan_copy", "phase_times").order_by()
    found = list(runs.prefetch_related(WAVES_OF_LIST)) if keys else []
    without_plan = Execution.objects.filter(pk__in=[each.pk for each in found if each.plan_id is None])
    plans = dict(without_plan.values_list("pk", "plan_copy"))
    for each in found:
        each.plan_copy = plans.get(each.pk, {})
    return found
