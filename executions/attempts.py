"""The attempts at a run: which there were, and whether it can be tried once more."""

from django.db.models import Q

from audit.actor import Actor
from executions.actions import Action
from executions.models import Execution, LaunchJob
from executions.states import ExecutionStatus, JobStatus, Kind, TerminationStatus

RETRIED = (ExecutionStatus.PARTIAL, ExecutionStatus.FAILED)


def attempts_of(execution: Execution) -> list[Execution]:
    """The run and everything that was tried before and after it, the first attempt first."""
    first = execution.first_attempt_id or execution.pk
    return list(Execution.objects.filter(Q(pk=first) | Q(first_attempt_id=first)).order_by("attempt", "started_at"))


def why_not(execution: Execution) -> str:
    """Why a run cannot be tried again, as a sentence; empty when it can."""
    if execution.dry_run:
        return "A dry run launched nothing. Start it anew."
    if execution.state not in RETRIED:
        return f"Only a failed or partial run can be tried again; this one is {execution.state.label.lower()}."
    attempts = attempts_of(execution)
    later = next((each for each in attempts if each.attempt > execution.attempt), None)
    if later is not None:
        return f"It was tried again already: attempt {later.attempt} ({later.state.label.lower()})."
    if any(each.termination_status != TerminationStatus.NOT_STARTED for each in attempts):
        return "Instances of it were terminated, so what it launched no longer stands. Start the plan anew."
    if execution.plan_id is None:
        return "Its plan was deleted."
    unsure = [JobStatus.INITIATED, JobStatus.PENDING, JobStatus.STARTED]
    if LaunchJob.objects.filter(wave__execution=execution, status__in=unsure).exists():
        return "DRS still works on a launch of it, which may yet come up. Try again when that has ended."
    return ""


def retry_of(execution: Execution, actor: Actor) -> Action:
    """Whether `actor` can try the run again now."""
    reason = why_not(execution)
    right = "start_recovery" if execution.purpose is Kind.RECOVERY else "start_drill"
    if not reason and not actor.may(f"executions.{right}"):
        reason = f"You may not start a {execution.purpose.label.lower()}."
    return Action(not reason, reason)
