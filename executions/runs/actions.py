"""What can be done with a run now, and if not, why: asked by the API and by the console before anybody tries."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from audit.actor import Actor
from executions.models import Execution, ServerRun
from executions.runs.unresponsive_regions import not_abandonable
from executions.states import ExecutionStatus, Kind, LaunchStatus, TerminationStatus, WaveStatus


@dataclass(frozen=True)
class Action:
    """Whether something is possible; `reason` is empty when it is, else one sentence."""

    allowed: bool
    reason: str = ""


@dataclass(frozen=True)
class Actions:
    """The five things a person can do with a run."""

    pause: Action
    cancel: Action
    resume: Action
    terminate: Action
    abandon: Action


def actions_of(
    execution: Execution,
    actor: Actor,
    *,
    has_instances: bool | None = None,
    attempts: Sequence[Execution] | None = None,
    now: datetime | None = None,
) -> Actions:
    """What `actor` can do with the run. `has_instances`, whether any is launched, and `attempts`, all that were made
    at it, each spare a query to those who know them."""
    if has_instances is None:
        has_instances = _has_instances(execution)
    right = "terminate_recovery" if execution.purpose is Kind.RECOVERY else "terminate_drill"
    control = "executions.control_execution"
    return Actions(
        pause=_action(actor, control, "pause runs", _no_pause(execution)),
        cancel=_action(actor, control, "cancel runs", _no_cancel(execution)),
        resume=_action(actor, control, "resume runs", _no_resume(execution)),
        terminate=_action(
            actor,
            f"executions.{right}",
            f"terminate instances of a {execution.purpose.label.lower()}",
            _no_terminate(execution, has_instances, attempts),
        ),
        abandon=_action(actor, control, "give up on AWS's answer", not_abandonable(execution, now or timezone.now())),
    )


def _has_instances(execution: Execution) -> bool:
    return ServerRun.objects.filter(wave__execution=execution, launch_status=LaunchStatus.LAUNCHED).exists()


def _action(actor: Actor, right: str, to: str, refusal: str) -> Action:
    """The state's refusal first: it concerns everybody."""
    if refusal:
        return Action(False, refusal)
    return Action(True) if actor.may(right) else Action(False, f"You may not {to}.")


def _no_pause(execution: Execution) -> str:
    if execution.state.is_final:
        return "The run is over."
    if execution.state is ExecutionStatus.PAUSED:
        return "The run is paused already."
    if execution.state is ExecutionStatus.CANCELLING:
        return "The run is being cancelled."
    if execution.dry_run:
        return "A dry run does not pause."
    if execution.pause_requested_at is not None:
        return "A pause before the next wave is asked for already."
    if not any(WaveStatus.of(wave.status) is WaveStatus.PENDING for wave in execution.waves.all()):
        return "There is no wave left to pause before."
    return ""


def _no_cancel(execution: Execution) -> str:
    if execution.state.is_final:
        return "The run is over."
    return "The run is being cancelled already." if execution.state is ExecutionStatus.CANCELLING else ""


def _no_resume(execution: Execution) -> str:
    if execution.state is ExecutionStatus.PAUSED:
        return ""
    if execution.pause_requested_at is not None and not execution.state.is_final:
        return ""  # it takes the pause back
    return "The run is over." if execution.state.is_final else "The run is not paused."


def _no_terminate(execution: Execution, has_instances: bool, attempts: Sequence[Execution] | None) -> str:
    if execution.dry_run:
        return "A dry run launches nothing."
    if not execution.state.is_final:
        return "Instances can be terminated when the run has ended."
    if execution.termination_status == TerminationStatus.COMPLETED:
        return "All instances of this run are terminated."
    if execution.termination_status == TerminationStatus.IN_PROGRESS:
        return "The instances are being terminated."
    if not has_instances:
        return "No instance of this run is left."
    can_be_retried = execution.state in (ExecutionStatus.PARTIAL, ExecutionStatus.FAILED)
    later = counted_on_by(execution, attempts) if can_be_retried else None
    return counts_on(later) if later else ""


def counted_on_by(execution: Execution, attempts: Iterable[Execution] | None = None) -> Execution | None:
    """The later attempt that is under way and counts on what this one launched; `attempts`, all, spare a query."""
    if attempts is None:
        attempts = Execution.objects.active().filter(first_attempt_id=execution.first_attempt_id or execution.pk)
    later = (each for each in attempts if each.attempt > execution.attempt and not each.state.is_final)
    return next(later, None)


def counts_on(later: Execution) -> str:
    """Why nothing is terminated under a later attempt, as a sentence."""
    return f"Attempt {later.attempt} of this run is {later.state.label.lower()} and counts on these instances."
