"""What can be done with single waves and servers of a run, and if not, why: the page asks, and so does the service."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from executions.codes.ours import Code
from executions.models import Execution, LaunchJob, ServerRun, WaveRun
from executions.runs.allowed.actions import Refusal
from executions.states import ExecutionStatus, JobStatus, LaunchStatus, WaveStatus


def no_skip(execution: Execution, wave: WaveRun, jobs: Sequence[LaunchJob], *, dependents: str = "") -> Refusal | None:
    """Why a wave of `jobs` cannot be skipped, with what shall become of its `dependents` if that is known."""
    if wave.skipped is not None:
        done = dependents in ("", wave.skipped.get("dependents"))
        text = f"Wave {wave.number + 1} has been skipped already."
        return Refusal(Code.WAVE_HAS_BEGUN, text if done else f"{text} {_told_of(wave.skipped)}", is_done=done)
    return _has_begun(execution, wave, jobs)


def no_exclude(
    execution: Execution, server: ServerRun, jobs: Sequence[LaunchJob], others: Sequence[ServerRun]
) -> Refusal | None:
    """Why a server cannot be left out; `jobs` and `others` are those of its wave."""
    if server.excluded is not None:
        return Refusal(Code.WAVE_HAS_BEGUN, f"{server.hostname} has been left out already.", is_done=True)
    if refusal := _has_begun(execution, server.wave, jobs):
        return refusal
    if not any(each.excluded is None for each in others):
        text = f"{server.hostname} is the last server of wave {server.wave.number + 1}. Skip the wave instead."
        return Refusal(Code.SERVER_NOT_EXCLUDABLE, text)
    return None


def no_start_now(execution: Execution, wave: WaveRun, now: datetime) -> Refusal | None:
    """Why the wait before a wave cannot be ended."""
    if wave.state is WaveStatus.PENDING and not _is_over(execution):
        if wave.starts_at is None:
            text = f"Wave {wave.number + 1} is not waiting for a time."
            return Refusal(Code.WAVE_NOT_WAITING, text)
        if wave.starts_at <= now:
            return Refusal(Code.WAVE_NOT_WAITING, f"The wait before wave {wave.number + 1} is over.", is_done=True)
        return None
    if wave.state is WaveStatus.PAUSED and not _is_over(execution):
        text = f"The run is paused before wave {wave.number + 1}. Resume it first."
        return Refusal(Code.WAVE_NOT_WAITING, text)
    return Refusal(Code.WAVE_HAS_BEGUN, _begun(execution, wave))


def no_retry(execution: Execution, wave: WaveRun, servers: Sequence[ServerRun]) -> Refusal | None:
    """Why the failed `servers` of a wave cannot be launched again within the run."""
    code, number = Code.WAVE_NOT_RETRYABLE, wave.number + 1
    if execution.state.is_final:
        instead = " Try the run again instead." if execution.state.fell_short else ""
        return Refusal(code, f"The run is over.{instead}")
    if execution.state is not ExecutionStatus.PAUSED or wave.asked_at is None or wave.answered_at is not None:
        return Refusal(code, f"The run is not paused after wave {number}.")
    if not any(is_retryable(each) for each in servers):
        is_up = all(each.state.came_up or each.excluded is not None for each in servers)
        why = "all of them have come up since. Resume the run" if is_up else "DRS is still working on what is not up"
        return Refusal(code, f"No server of wave {number} has failed: {why}.")
    return None


def is_retryable(server: ServerRun) -> bool:
    """Whether it has failed, and nobody has left it out."""
    return server.state is LaunchStatus.FAILED and server.excluded is None


def _has_begun(execution: Execution, wave: WaveRun, jobs: Sequence[LaunchJob]) -> Refusal | None:
    waits = wave.state in (WaveStatus.PENDING, WaveStatus.PAUSED)
    if _is_over(execution) or not waits:
        return Refusal(Code.WAVE_HAS_BEGUN, _begun(execution, wave))
    if wave.started_at is not None or any(job.state is JobStatus.INITIATED for job in jobs):
        text = f"Launches of wave {wave.number + 1} were sent, or may have been."
        return Refusal(Code.WAVE_HAS_BEGUN, text)
    return None


def _told_of(skipped: Mapping[str, object]) -> str:
    """What somebody else has decided, for whoever decides otherwise on a page from before."""
    how = "run all the same" if skipped.get("dependents") == "RUN" else "are skipped, too"
    return f"{skipped.get('by')} did, and waves that depend on it {how}. Nothing was changed."


def _is_over(execution: Execution) -> bool:
    """Whether nothing of it is still to be launched."""
    return execution.state.is_final or execution.state is ExecutionStatus.CANCELLING or execution.dry_run


def _begun(execution: Execution, wave: WaveRun) -> str:
    if execution.state.is_final:
        return "The run is over."
    if execution.dry_run:
        return "A dry run launches nothing."
    if execution.state is ExecutionStatus.CANCELLING:
        return "The run is being cancelled."
    if wave.state.is_final:
        return f"Wave {wave.number + 1} is over ({wave.state.label.lower()})."
    return f"Wave {wave.number + 1} has begun."
