"""Where a run waits: for a person, before a wave or after one that failed; or for the time that its plan says.

Waiting costs nothing: the row is due when the wait is over, and a person's command makes it due at once.
"""

from datetime import datetime

from django.db import transaction

from contract.clock import unix
from executions.codes.ours import Code
from executions.measuring import recorded_figures
from executions.models import WaveRun
from executions.runs import notifications, transitions
from executions.runs.claim import Run
from executions.runs.gates.waiting import wait_before
from executions.runs.journal import note
from executions.states import ExecutionStatus


def pause_before(run: Run, wave: WaveRun, now: datetime) -> None:
    """Wait for a person before this wave."""
    with transaction.atomic():
        run.write(now, status=ExecutionStatus.PAUSED, pause_requested_at=None)
        wait_before(run.execution, wave, now)


def pause_after(run: Run, wave: WaveRun, now: datetime) -> None:
    """Wait for a person to say how the run goes on after this wave, which failed."""
    with transaction.atomic():
        run.write(now, status=ExecutionStatus.PAUSED, pause_requested_at=None)
        wave.asked_at = now
        wave.save(update_fields=["asked_at"])
        transitions.touch(run.execution, now, [wave])
        note(run.execution, "execution.paused", afterWave=wave.number, pausedTime=unix(now))
        notifications.paused_after(run.execution, wave, now)


def start_wait(run: Run, wave: WaveRun, until: datetime, now: datetime) -> None:
    """The time that the plan leaves before this wave begins to run."""
    with transaction.atomic():
        run.write(now)
        wave.starts_at = until
        wave.save(update_fields=["starts_at"])
        transitions.touch(run.execution, now, [wave])
        note(run.execution, "wave.waits", wave=wave.number, startsAt=unix(until))


def expire(run: Run, waves: list[WaveRun], now: datetime) -> None:
    """Nobody came in time: these waves will not run."""
    text = Code.PAUSE_EXPIRED.meaning
    with transaction.atomic():
        run.write(now, error_code=Code.PAUSE_EXPIRED, error_message=text)
        transitions.skip(waves, text, now)
        transitions.touch(run.execution, now, waves)
        note(run.execution, "execution.pause_expired", wave=waves[0].number)
        notifications.timed_out(run.execution, waves[0], Code.PAUSE_EXPIRED, text, now)


def expire_after(run: Run, failed: WaveRun, now: datetime) -> None:
    """The same after a wave that failed: nobody said how the run goes on."""
    rest = [wave for wave in run.waves if not wave.state.is_final]
    text = Code.PAUSE_EXPIRED.meaning
    with transaction.atomic():
        run.write(now, error_code=Code.PAUSE_EXPIRED, error_message=text)
        failed.answered_at = now
        failed.save(update_fields=["answered_at"])
        transitions.skip(rest, text, now)
        transitions.touch(run.execution, now, [failed, *rest])
        note(run.execution, "execution.pause_expired", afterWave=failed.number)
        if rest:
            recorded_figures.record_skipped_waves(run.execution, rest, text)
        notifications.timed_out(run.execution, failed, Code.PAUSE_EXPIRED, text, now)
