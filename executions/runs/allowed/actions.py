"""What can be done with a run now, and if not, why. Pages and API ask before anybody tries, and the services that do it
ask the same under the run's lock: what a button says is what a refusal says."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import assert_never

from django.utils import timezone

from audit.actor import Actor
from contract.errors import BadRequest, Conflict, DomainError, Forbidden
from contract.plurals import counted
from contract.rights import not_allowed
from executions.codes.ours import Code
from executions.models import Execution
from executions.runs.allowed.terminable_instances import terminable_counts
from executions.runs.current_wave import failed_waiting_wave, waiting_wave
from executions.runs.gates.given import at_gate
from executions.runs.silence.unresponsive_regions import not_abandonable
from executions.states import ExecutionStatus, Kind, TerminationStatus, WaveStatus

CONTROL = "executions.control_execution"
CONFLICTS = (Code.WAVE_HAS_BEGUN, Code.GATE_CHANGED, Code.GATE_NEEDS_APPROVALS)
NOT_BEFORE_THE_END = "Instances can be terminated when the run has ended."
NO_WAVE = -1  # what somebody expects to wait who saw a pause only asked for


@dataclass(frozen=True)
class Meant:
    """Where somebody saw the run wait: at a wave, numbered from 0, or NO_WAVE for a pause that has not come yet.
    `attempt` is which attempt at the wave had failed, 0 before it is launched, None for either."""

    wave: int
    attempt: int | None = None


class Verb(Enum):
    """What a person can do with a run."""

    PAUSE = "pause"
    CANCEL = "cancel"
    RESUME = "resume"
    TERMINATE = "terminate"
    ABANDON = "abandon"
    RETRY = "retry"
    STEER = "steer"
    APPROVE = "approve"
    BREAK_GLASS = "break glass"


@dataclass(frozen=True)
class Action:
    """Whether something is possible; `reason` is empty when it is, else one sentence."""

    allowed: bool
    reason: str = ""


@dataclass(frozen=True)
class Actions:
    """The five things a person can do with a run; the sixth, trying it again, is `attempts.retry_of`."""

    pause: Action
    cancel: Action
    resume: Action
    terminate: Action
    abandon: Action


@dataclass(frozen=True)
class Refusal:
    """Why the state of a run rules something out: the contract's code and one sentence. `is_done` where that is so
    because it is done, or there is nothing to do it with: no error for somebody who asks for it again."""

    code: Code
    reason: str
    is_done: bool = False
    details: Mapping[str, str] = field(default_factory=dict)

    def error(self, execution: Execution) -> DomainError:
        """The same for the caller of a service."""
        details = {"status": execution.status, **self.details}
        if self.code is Code.APPROVER_IS_STARTER:
            return Forbidden(self.reason, code=self.code, details=details)
        kind = Conflict if self.code in CONFLICTS else BadRequest
        return kind(self.code, self.reason, details=details)


def right_of(verb: Verb, kind: Kind) -> tuple[str, str]:
    """The right that `verb` on a run of this kind needs, and what completes "You may not …"."""
    match verb:
        case Verb.CANCEL:
            return CONTROL, "cancel runs"
        case Verb.PAUSE | Verb.RESUME | Verb.STEER | Verb.APPROVE:
            return right_to_steer(verb, kind)
        case Verb.BREAK_GLASS:
            return right_to_start(Kind.RECOVERY)[0], "pass a gate without its approvals"
        case Verb.ABANDON:
            return CONTROL, "give up on AWS's answer"
        case Verb.TERMINATE:
            return _right_to_terminate(kind)
        case Verb.RETRY:
            return right_to_start(kind)
        case _:
            assert_never(verb)


def right_to_steer(verb: Verb, kind: Kind) -> tuple[str, str]:
    """Whoever lets a recovery go on has its next wave launched, and whoever pauses one cannot let it go on without the
    same right: both are for those who may start one."""
    match kind:
        case Kind.DRILL:
            return CONTROL, f"{verb.value} runs"
        case Kind.RECOVERY:
            return right_to_start(kind)[0], f"{verb.value} recoveries"
        case _:
            assert_never(kind)


def right_to_start(kind: Kind) -> tuple[str, str]:
    """The right to start runs of this kind, and what completes "You may not …"."""
    match kind:
        case Kind.DRILL:
            return "executions.start_drill", "start drills"
        case Kind.RECOVERY:
            return "executions.start_recovery", "start recoveries"
        case _:
            assert_never(kind)


def _right_to_terminate(kind: Kind) -> tuple[str, str]:
    match kind:
        case Kind.DRILL:
            return "executions.terminate_drill", "terminate the instances of a drill"
        case Kind.RECOVERY:
            return "executions.terminate_recovery", "terminate the instances of a recovery"
        case _:
            assert_never(kind)


def require_right(actor: Actor, verb: Verb, kind: Kind) -> None:
    """Raise Forbidden unless `actor` may do that with runs of this kind."""
    actor.require(*right_of(verb, kind))


def action_of(actor: Actor, verb: Verb, execution: Execution, reason: str) -> Action:
    """Whether `actor` can do something, `reason` being the state's sentence against it. The right comes first, as in
    the service: whoever lacks it is told nothing else."""
    right, to = right_of(verb, execution.purpose)
    if not actor.may(right):
        return Action(False, not_allowed(right, to).message)
    return Action(not reason, reason)


def actions_of(
    execution: Execution,
    actor: Actor,
    *,
    stands: bool | None = None,
    attempts: Sequence[Execution] | None = None,
    now: datetime | None = None,
) -> Actions:
    """What `actor` can do with the run. `stands`, whether `terminable_counts` counts any, and
    `attempts`, all that were made at it, each spare a query to those who know them."""

    def action(verb: Verb, refusal: Refusal | None) -> Action:
        return action_of(actor, verb, execution, refusal.reason if refusal else "")

    return Actions(
        pause=action(Verb.PAUSE, no_pause(execution)),
        cancel=action(Verb.CANCEL, no_cancel(execution)),
        resume=action(Verb.RESUME, no_resume(execution)),
        terminate=action(Verb.TERMINATE, no_terminate(execution, stands=stands, attempts=attempts)),
        abandon=action(Verb.ABANDON, no_abandon(execution, now or timezone.now())),
    )


def is_done(execution: Execution, refusal: Refusal | None) -> bool:
    """Raise what speaks against it, as the button does; else whether there is nothing left to do."""
    if refusal is not None and not refusal.is_done:
        raise refusal.error(execution)
    return refusal is not None


def no_pause(execution: Execution) -> Refusal | None:
    """Why the run cannot be made to wait before its next wave."""
    code = Code.EXECUTION_NOT_PAUSABLE
    if execution.state.is_final:
        return Refusal(code, "The run is over.")
    if execution.state is ExecutionStatus.PAUSED:
        return Refusal(code, "The run is already paused.")
    if execution.state is ExecutionStatus.CANCELLING:
        return Refusal(code, "The run is being cancelled.")
    if execution.dry_run:
        return Refusal(code, "A dry run does not pause.")
    if execution.pause_requested_at is not None:
        return Refusal(code, "A pause before the next wave has already been requested.", is_done=True)
    if not any(wave.state is WaveStatus.PENDING for wave in execution.waves.all()):
        return Refusal(code, "There is no wave left to pause before.")
    return None


def no_cancel(execution: Execution) -> Refusal | None:
    """Why the run cannot be cancelled."""
    if execution.state.is_final:
        return Refusal(Code.EXECUTION_NOT_CANCELLABLE, "The run is over.")
    if execution.state is ExecutionStatus.CANCELLING:
        return Refusal(Code.EXECUTION_NOT_CANCELLABLE, "The run is already being cancelled.", is_done=True)
    return None


def no_resume(execution: Execution, meant: Meant | None = None) -> Refusal | None:
    """Why the run cannot go on where that is `meant`; None for whatever waits."""
    code = Code.EXECUTION_NOT_PAUSED
    if execution.state is ExecutionStatus.PAUSED:
        return waits_elsewhere(execution, meant) or _needs_approvals(execution)
    if execution.state.is_final:
        return Refusal(code, "The run is over.")
    if execution.pause_requested_at is not None and (meant is None or meant.wave == NO_WAVE):
        return None  # it takes the pause back
    return Refusal(code, "The run is not paused.")


def _needs_approvals(execution: Execution) -> Refusal | None:
    """Why a mere resume does not pass the gate before which the run waits."""
    at = at_gate(execution)
    if at is None or not at.gate.approvals:
        return None
    text = (
        f"The gate before wave {at.wave.number + 1} needs {counted(at.gate.approvals, 'approval')} of others than"
        f" {execution.started_by}, who started the run."
    )
    return Refusal(Code.GATE_NEEDS_APPROVALS, text, details={"waveNumber": str(at.wave.number)})


def waits_elsewhere(execution: Execution, meant: Meant | None) -> Refusal | None:
    """Why it is not where it waits that somebody `meant`; None for wherever that is."""
    if meant is None:
        return None
    waves = execution.waves.all()
    failed, waits = failed_waiting_wave(waves), waiting_wave(waves)
    there = failed or waits
    attempt = failed.attempt if failed else 0
    if there is None or (there.number == meant.wave and meant.attempt in (None, attempt)):
        return None
    where = f"after wave {there.number + 1}, which failed" if failed else f"before wave {there.number + 1}"
    return Refusal(
        Code.EXECUTION_NOT_PAUSED,
        f"The run has advanced: it is now paused {where}. Nothing was resumed. Check what is up, then resume it there.",
    )


def no_terminate(
    execution: Execution, *, stands: bool | None = None, attempts: Sequence[Execution] | None = None
) -> Refusal | None:
    """Why none of the run's instances can be terminated; `stands` and `attempts` as of `actions_of`."""
    code, is_over = Code.EXECUTION_STILL_RUNNING, execution.state.is_final
    if execution.dry_run:
        return Refusal(code, "A dry run launches nothing.", is_done=is_over)
    if not is_over:
        return Refusal(code, NOT_BEFORE_THE_END)
    if stands is None:
        stands = bool(terminable_counts([execution]).get(execution.pk))
    if not stands:
        return Refusal(code, _none_stands(TerminationStatus.of(execution.termination_status)), is_done=True)
    if execution.state.fell_short and (later := _counting_on(execution, attempts)):
        text = f"Attempt {later.attempt} of this run is {later.state.label.lower()} and counts on these instances."
        return Refusal(code, text, details={"executionId": str(later.pk)})
    return None


def _none_stands(status: TerminationStatus) -> str:
    match status:
        case TerminationStatus.COMPLETED:
            return "All instances of this run are terminated."
        case TerminationStatus.IN_PROGRESS:
            return "The instances are being terminated."
        case TerminationStatus.NOT_STARTED | TerminationStatus.PARTIAL:
            return "No instance of this run is left."
        case _:
            assert_never(status)


def _counting_on(execution: Execution, attempts: Iterable[Execution] | None) -> Execution | None:
    """The later attempt that is under way and counts on what this one launched."""
    if attempts is None:
        attempts = Execution.objects.active().filter(first_attempt_id=execution.first_attempt_id or execution.pk)
    later = (each for each in attempts if each.attempt > execution.attempt and not each.state.is_final)
    return next(later, None)


def no_abandon(execution: Execution, now: datetime) -> Refusal | None:
    """Why nobody may give up on AWS's answer yet."""
    reason = not_abandonable(execution, now)
    return Refusal(Code.EXECUTION_NOT_ABANDONABLE, reason) if reason else None
