"""Advances runs: takes a row, asks `decide` what is next, does it, until the row must wait."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import assert_never

from django.conf import settings
from django.db import transaction

from contract import log_context
from contract.clock import Clock, db_clock
from contract.storage.prepared import Asked, Prepared
from executions.codes.ours import Code
from executions.engine import pauses, unproven
from executions.engine.dry_run import dry_run_turn
from executions.launching import launch
from executions.launching.restored_runs import find_launches
from executions.measuring import recorded_figures
from executions.measuring.forecast import is_stale, phase_times, updated_forecast
from executions.models import LaunchJob, ServerRun, WaveRun
from executions.observing.server_outcome import UNLISTED, UNSETTLED, after_word
from executions.querysets import CAME_UP
from executions.runs import decide, notifications, transitions
from executions.runs import decisions as d
from executions.runs.aws_calls import AwsCalls, run_inline
from executions.runs.claim import ClaimLost, Run, claim, load, unconfirmed_launches
from executions.runs.current_wave import current_wave
from executions.states import JOB_UNCONFIRMED, STEPPED, ExecutionStatus, JobStatus, LaunchStatus, WaveStatus
from executions.terminating import follow_up
from protection.inventory.launch_details import Round

_JOB_STATUSES = Prepared(lambda: LaunchJob.objects.filter(wave=Asked(WaveRun, "id")).order_by().values_list("status"))


def step(execution_id: uuid.UUID, clock: Clock = db_clock) -> None:
    """Move one run as far as it goes now. Safe to call at any time, any number of times, from anywhere. What was lost
    at AWS is left to the beat, which looks for all runs of a place at once."""
    run_inline(step_calls(execution_id, clock, looks_up=False))


def step_calls(execution_id: uuid.UUID, clock: Clock = db_clock, *, looks_up: bool = True) -> AwsCalls[None]:
    """The same, but the caller makes the AWS calls."""
    token = claim(execution_id, clock())
    if token is not None:
        yield from advance(execution_id, token, clock, looks_up=looks_up)


def advance(
    execution_id: uuid.UUID, token: uuid.UUID, clock: Clock = db_clock, *, looks_up: bool = True
) -> AwsCalls[None]:
    """Decide and act until the run must wait, is over, or with `looks_up` false needs to be looked for at AWS."""
    turn = Round()
    try:
        while True:
            run, now = load(execution_id, token), clock()
            log_context.note(execution_id=str(execution_id))
            if run.execution.state.is_final:
                yield from _follow_finished(run, clock)
                return
            if run.execution.dry_run:
                if not (yield from dry_run_turn(run, clock)):
                    return
                if turn.is_over:
                    run.release(clock())
                    return
                continue
            decision = decide.decide(run.view, now, poll_seconds=settings.POLL_SECONDS)
            log_context.note(execution_id=str(execution_id), wave=getattr(decision, "wave", None))
            if isinstance(decision, d.Launch):
                yield from launch.launch(run, run.waves[decision.wave], decision.job, clock)
            elif isinstance(decision, d.Reconcile):
                if not looks_up:
                    run.release(now)
                    return
                yield from launch.reconcile(run, run.waves[decision.wave], decision.job, clock)
            elif isinstance(decision, d.FindLaunches):
                if not (yield from find_launches(run, clock)):
                    return
            elif not _apply_decision(run, decision, now):
                return
    except ClaimLost:
        return


def _follow_finished(run: Run, clock: Clock) -> AwsCalls[None]:
    """Terminations and unconfirmed launches of a run that is over. It is looked at as long as there are any, and while
    DRS, in any region, has news of it."""
    execution = run.execution
    yield from follow_up.follow_up_finished(execution, clock)
    yield from launch.adopt_late(run, clock)
    now, at = clock(), None
    if execution.terminations.filter(status__in=JOB_UNCONFIRMED).exists() or unconfirmed_launches(execution).exists():
        at = decide.next_poll_slot(now, settings.POLL_SECONDS)
    elif execution.terminations.filter(watched=True).exists() or transitions.is_watched(execution):
        at = now + decide.LONGEST_REST
    run.release(at)


DatabaseOnly = (
    d.Withdraw
    | d.GiveUpUnsettled
    | d.GiveUpUnproven
    | d.SettleWave
    | d.Pause
    | d.PauseAfter
    | d.StartWait
    | d.ExpirePause
    | d.ExpirePauseAfter
    | d.Skip
    | d.Finish
    | d.Wait
)


def _apply_decision(run: Run, decision: DatabaseOnly, now: datetime) -> bool:
    """Write down what needs no AWS; False when the run now waits, or is over."""
    match decision:
        case d.Withdraw(number, job_ids):
            _withdraw(run, run.waves[number], job_ids, now)
        case d.GiveUpUnsettled(number):
            _give_up_unsettled(run, run.waves[number], now)
        case d.GiveUpUnproven(number):
            unproven.give_up(run, run.waves[number], now)
        case d.SettleWave():
            _settle(run, decision, now)
        case d.Skip(numbers, reason):
            _skip(run, [run.waves[number] for number in numbers], reason, now)
        case d.Pause(number):
            pauses.pause_before(run, run.waves[number], now)
        case d.PauseAfter(number):
            pauses.pause_after(run, run.waves[number], now)
        case d.StartWait(number, until):
            pauses.start_wait(run, run.waves[number], until, now)
        case d.ExpirePause(number):
            pauses.expire(run, run.waves[number:], now)
        case d.ExpirePauseAfter(number):
            pauses.expire_after(run, run.waves[number], now)
        case d.Finish(status):
            _finish(run, status, now)
            return False
        case d.Wait(until):
            _wait(run, until, now)
            return False
        case _:
            assert_never(decision)
    return True


def _wait(run: Run, until: datetime, now: datetime) -> None:
    wave = current_wave(run.waves)
    status = run.execution.state
    if wave is not None and wave.state.has_begun:
        jobs = [JobStatus.of(each) for (each,) in _JOB_STATUSES.rows(id=wave.pk)]
        cancelled = run.execution.cancel_requested_at is not None
        status = decide.running_status(decide.wave_status(jobs), cancelled=cancelled)
    elif wave is not None and status in (ExecutionStatus.POLLING, ExecutionStatus.LAUNCHING):
        status = ExecutionStatus.RUNNING  # it waits for the next wave's time
    if status in STEPPED and transitions.is_watched(run.execution):
        status = ExecutionStatus.POLLING  # DRS still owes us news, of an earlier wave perhaps
    if is_stale(run.execution, now):  # nothing happened, and so it takes longer than was thought: readers see that
        run.write(now)
        transitions.touch(run.execution, now)
    forecast = updated_forecast(run.execution, now)
    if forecast is not None:
        run.write(now, forecast=forecast)
    if status is run.execution.state:
        run.release(until)
    else:
        run.release(until, status=status, updated_at=now)


def _settle(run: Run, verdict: d.SettleWave, now: datetime) -> None:
    wave = run.waves[verdict.wave]
    with transaction.atomic():
        run.write(now)
        wave.status, wave.ended_at, wave.status_message = verdict.status, now, verdict.message
        wave.error_code, wave.error_message = verdict.code, verdict.message if verdict.code else ""
        wave.save(update_fields=["status", "ended_at", "status_message", "error_code", "error_message"])
        transitions.touch(run.execution, now, [wave])
        recorded_figures.record_wave_end(run.execution, wave, now)
        if verdict.code == Code.WAVE_TIMEOUT:
            notifications.timed_out(run.execution, wave, verdict.code, verdict.message, now)


def _withdraw(run: Run, wave: WaveRun, job_ids: Iterable[uuid.UUID], now: datetime) -> None:
    with transaction.atomic():
        run.write(now)
        LaunchJob.objects.filter(pk__in=job_ids, status=JobStatus.QUEUED).update(status=JobStatus.WITHDRAWN)
        transitions.touch(run.execution, now, [wave])


def _give_up_unsettled(run: Run, wave: WaveRun, now: datetime) -> None:
    with transaction.atomic():
        run.write(now)
        unsettled = [LaunchStatus.PENDING, LaunchStatus.IN_PROGRESS]
        left = wave.servers.filter(launch_status__in=unsettled, excluded__isnull=True)
        for servers, why in ((left.filter(job__instances_seen_at=None), UNLISTED), (left, UNSETTLED)):
            for word in set(servers.values_list("error", flat=True)):  # DRS's own, if it has one for it
                servers.filter(error=word).update(launch_status=LaunchStatus.FAILED, error=after_word(word, why))
        transitions.touch(run.execution, now, [wave])


def _skip(run: Run, waves: list[WaveRun], reason: str, now: datetime) -> None:
    with transaction.atomic():
        run.write(now)
        transitions.skip(waves, reason, now)
        transitions.touch(run.execution, now, waves)
        recorded_figures.record_skipped_waves(run.execution, waves, reason)


def _finish(run: Run, status: ExecutionStatus, now: datetime) -> None:
    failed = next((wave for wave in run.waves if wave.state is WaveStatus.FAILED), None)
    servers = ServerRun.objects.filter(wave__execution=run.execution)
    with transaction.atomic():
        columns = transitions.end_columns(run.execution, status, now)
        if status is ExecutionStatus.COMPLETED:
            columns["servers_left_out"] = servers.count() - servers.filter(CAME_UP).count()
        if failed is not None and not run.execution.error_code:
            columns |= {"error_code": failed.error_code, "error_message": failed.error_message}
        run.write(now, **columns, phase_times=phase_times(run.execution))
        transitions.release(run.execution)
        transitions.touch(run.execution, now)
        recorded_figures.record_run_end(run.execution, status, now)
        notifications.ended(run.execution, now)
