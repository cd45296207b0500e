"""The attempts at runs: which there were, and whether a run can be tried once more. Two queries for any number."""

import uuid
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from audit.actor import Actor
from executions.actions import Action
from executions.models import Execution, LaunchJob
from executions.states import ExecutionStatus, JobStatus, Kind, TerminationStatus

RETRIED = (ExecutionStatus.PARTIAL, ExecutionStatus.FAILED)
OPEN = (JobStatus.INITIATED, JobStatus.PENDING, JobStatus.STARTED)


@dataclass(frozen=True)
class Lineage:
    """The run and everything that was tried before and after it, the first attempt first; whether DRS works on it."""

    attempts: list[Execution]
    is_busy: bool


def lineages(executions: Collection[Execution]) -> dict[uuid.UUID, Lineage]:
    """The lineage of each of these runs."""
    firsts = {each.first_attempt_id or each.pk for each in executions}
    tried: dict[uuid.UUID, list[Execution]] = defaultdict(list)
    found = Execution.objects.filter(Q(pk__in=firsts) | Q(first_attempt_id__in=firsts))
    columns = ("id", "attempt", "first_attempt_id", "status", "termination_status", "ended_at")
    for each in found.order_by("attempt", "started_at").only(*columns):
        tried[each.first_attempt_id or each.pk].append(each)
    jobs = LaunchJob.objects.filter(wave__execution__in=[each.pk for each in executions], status__in=OPEN).order_by()
    busy = set(jobs.values_list("wave__execution_id", flat=True))
    return {each.pk: Lineage(tried[each.first_attempt_id or each.pk], each.pk in busy) for each in executions}


def attempts_among(execution: Execution) -> QuerySet[Execution]:
    """The rows of all attempts at a run, in no order."""
    first = execution.first_attempt_id or execution.pk
    return Execution.objects.filter(Q(pk=first) | Q(first_attempt_id=first))


def attempts_of(execution: Execution) -> list[Execution]:
    """The run and everything that was tried before and after it, the first attempt first."""
    return lineages([execution])[execution.pk].attempts


def why_not(execution: Execution, lineage: Lineage | None = None) -> str:
    """Why a run cannot be tried again, as a sentence; empty when it can."""
    if execution.dry_run:
        return "A dry run launched nothing. Start it anew."
    if execution.state not in RETRIED:
        return f"Only a failed or partial run can be tried again; this one is {execution.state.label.lower()}."
    lineage = lineage or lineages([execution])[execution.pk]
    later = next((each for each in lineage.attempts if each.attempt > execution.attempt), None)
    if later is not None:
        return f"It was tried again already: attempt {later.attempt} ({later.state.label.lower()})."
    if any(each.termination_status != TerminationStatus.NOT_STARTED for each in lineage.attempts):
        return "Instances of it were terminated, so what it launched no longer stands. Start the plan anew."
    if execution.plan_id is None:
        return "Its plan was deleted."
    if lineage.is_busy:
        return "DRS still works on a launch of it, which may yet come up. Try again when that has ended."
    return ""


def retry_of(execution: Execution, actor: Actor, lineage: Lineage | None = None) -> Action:
    """Whether `actor` can try the run again now."""
    reason = why_not(execution, lineage)
    right = "start_recovery" if execution.purpose is Kind.RECOVERY else "start_drill"
    if not reason and not actor.may(f"executions.{right}"):
        reason = f"You may not start a {execution.purpose.label.lower()}."
    return Action(not reason, reason)
