"""The attempts at runs: which there were, and whether a run can be tried once more. A fixed number of queries."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypedDict

from django.db.models import OuterRef, Q, QuerySet, Subquery, UUIDField

from audit.actor import Actor
from contract.errors import Conflict
from executions.models import Execution, LaunchJob, ServerHold, ServerRun
from executions.runs.allowed.actions import Action, Verb, action_of
from executions.runs.allowed.conflicts import held_servers, second_run
from executions.states import JOB_MAY_RUN, LaunchStatus, TerminationStatus


class LeftOut(TypedDict):
    """A server that a retry does not launch although it is not up."""

    waveNumber: int
    sourceServerId: str
    hostname: str


_COLUMNS = ("id", "attempt", "first_attempt_id", "status", "termination_status", "started_at", "ended_at")


@dataclass(frozen=True)
class Lineage:
    """The run and everything that was tried before and after it, the first attempt first; of a run that fell short,
    whether DRS works on it; of one that could be tried again, as what that would be refused because of another run."""

    attempts: list[Execution]
    is_busy: bool
    rival: Conflict | None = None


def lineages(executions: Collection[Execution]) -> dict[uuid.UUID, Lineage]:
    """The lineage of each of these runs, whose own rows were read just now."""
    tried = _tried(executions, own={each.pk: each for each in executions})
    rivals = _rivals([each for each in executions if not why_not(each, tried[each.pk])])
    return {key: replace(each, rival=rivals.get(key)) for key, each in tried.items()}


def _tried(
    executions: Collection[Execution], own: Mapping[uuid.UUID, Execution] = MappingProxyType({})
) -> dict[uuid.UUID, Lineage]:
    """`own` are rows that need not be read again."""
    firsts = {each.first_attempt_id or each.pk for each in executions}
    tried: dict[uuid.UUID, list[Execution]] = defaultdict(list)
    found = Execution.objects.filter(Q(pk__in=firsts - own.keys()) | Q(first_attempt_id__in=firsts)).order_by()
    rows = [*own.values(), *(each for each in found.only(*_COLUMNS) if each.pk not in own)]
    for each in sorted(rows, key=lambda row: (row.attempt, row.started_at)):
        tried[each.first_attempt_id or each.pk].append(each)
    busy = _busy([each.pk for each in executions if each.state.fell_short and not each.dry_run])
    return {each.pk: Lineage(tried[each.first_attempt_id or each.pk], each.pk in busy) for each in executions}


def _busy(fell_short: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these runs on whose launches DRS works."""
    if not fell_short:
        return set()
    open_jobs = LaunchJob.objects.filter(wave__execution__in=fell_short, status__in=JOB_MAY_RUN).order_by()
    return set(open_jobs.values_list("wave__execution_id", flat=True))


def _rivals(executions: Collection[Execution]) -> dict[uuid.UUID, Conflict]:
    """The refusal of a retry of each that has one: its plan is being run, or runs hold servers that are left of it."""
    if not executions:
        return {}
    left = ServerRun.objects.filter(wave__execution__in=[each.pk for each in executions])
    left = left.exclude(launch_status=LaunchStatus.LAUNCHED).order_by()
    holds = ServerHold.objects.filter(assignment__source_server_id__in=left.values("source_server_id"))
    in_the_way = Q(plan__in=[each.plan_id for each in executions]) | Q(pk__in=holds.values("execution"))
    active = Execution.objects.active().filter(in_the_way, dry_run=False)
    runs = active.only("id", "plan_id", "plan_name", "status", "started_by").in_bulk()
    if not runs:
        return {}
    by_plan = {run.plan_id: run for run in runs.values()}
    planned = [each for each in executions if each.plan_id in by_plan]
    return _held(left, runs) | {each.pk: second_run(by_plan[each.plan_id], each.plan_name) for each in planned}


def _held(left: QuerySet[ServerRun], runs: Mapping[uuid.UUID, Execution]) -> dict[uuid.UUID, Conflict]:
    """The refusals because of servers that these runs hold."""
    hold = ServerHold.objects.filter(assignment=OuterRef("source_server_id")).values("execution")
    held = left.annotate(holder=Subquery(hold, output_field=UUIDField())).filter(holder__in=list(runs))
    waves: dict[uuid.UUID, dict[str, int]] = defaultdict(dict)
    holders: dict[uuid.UUID, dict[str, Execution]] = defaultdict(dict)
    columns = ("wave__execution_id", "source_server_id", "wave__number", "holder")
    for key, server, number, holder in held.values_list(*columns):
        waves[key][server], holders[key][server] = number, runs[holder]
    return {key: held_servers(waves[key], holders[key]) for key in waves}


def attempts_among(execution: Execution) -> QuerySet[Execution]:
    """The rows of all attempts at a run, in no order."""
    first = execution.first_attempt_id or execution.pk
    return Execution.objects.filter(Q(pk=first) | Q(first_attempt_id=first))


def attempts_of(execution: Execution) -> list[Execution]:
    """The run and everything that was tried before and after it, the first attempt first."""
    return _tried([execution])[execution.pk].attempts


def why_not(execution: Execution, lineage: Lineage | None = None) -> str:
    """Why a run cannot be tried again, as a sentence; empty when it can, unless another run is in the way."""
    if execution.dry_run:
        return "A dry run launched nothing. Start a new one."
    if not execution.state.fell_short:
        return f"Only a failed or partial run can be tried again; this one is {execution.state.label.lower()}."
    lineage = lineage or _tried([execution])[execution.pk]
    later = next((each for each in lineage.attempts if each.attempt > execution.attempt), None)
    if later is not None:
        return f"It was tried again: attempt {later.attempt} ({later.state.label.lower()})."
    cleanups = [each.termination_status for each in lineage.attempts]
    if any(each != TerminationStatus.NOT_STARTED for each in cleanups):
        done = "are being" if TerminationStatus.IN_PROGRESS in cleanups else "were"
        return f"Instances of it {done} terminated, so it cannot be completed any more. Start the plan again."
    if execution.plan_id is None:
        return "Its plan was deleted."
    if lineage.is_busy:
        return "DRS is still working on one of its launches. Try again when that launch has ended."
    return ""


def retry_of(execution: Execution, actor: Actor, lineage: Lineage | None = None) -> Action:
    """Whether `actor` can try the run again now."""
    lineage = lineage or lineages([execution])[execution.pk]
    reason = why_not(execution, lineage) or (lineage.rival.message if lineage.rival else "")
    return action_of(actor, Verb.RETRY, execution, reason)
