"""What to do next with a run. Pure: rows in, one decision out; no I/O, no clock of its own.

`decide` is the whole orchestration. Decisions are in `decisions`, their effects in `engine`, `launching`.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import assert_never

from contract.plurals import counted
from executions.codes.ours import Code
from executions.runs.current_wave import current_wave
from executions.runs.decisions import (
    PAUSE_LIMIT,
    Decision,
    ExpirePause,
    ExpirePauseAfter,
    FindLaunches,
    Finish,
    Following,
    GiveUpUnproven,
    GiveUpUnsettled,
    JobView,
    Launch,
    Pause,
    PauseAfter,
    Reconcile,
    RunView,
    SettleWave,
    Skip,
    StartWait,
    Wait,
    WaveView,
    Withdraw,
)
from executions.states import ExecutionStatus, JobStatus, LaunchStatus, WaveStatus, roll_up

LAUNCH_SPACING = timedelta(seconds=15)  # between two jobs of one wave in one account and region
SETTLING_GRACE = timedelta(minutes=2)  # for rows that lag behind a COMPLETED job
UNLISTED_LIMIT = timedelta(days=1)  # how long DRS is asked which instances an ended job has launched
BACKOFF_LIMIT = timedelta(minutes=5)
LONGEST_REST = BACKOFF_LIMIT  # of a run that waits for DRS: what DRS says makes it due at once


def decide(run: RunView, now: datetime, *, poll_seconds: float) -> Decision:
    """The one next thing to do with a run that is not over."""
    if run.unconfirmed_launches:
        return FindLaunches()
    wave = run.current
    if not run.cancelled and (asked := _unanswered(run, wave)):
        return _ask(asked, now)
    if wave is None:
        return Finish(_rolled_up(run))
    if wave.status.has_begun:
        return _in_flight(run, wave, now, poll_seconds)
    return _before_launch(run, wave, now)


def _rolled_up(run: RunView) -> ExecutionStatus:
    """Waves that people skipped do not make a run partial; one of which they skipped every wave is cancelled."""
    statuses = [WaveStatus.COMPLETED if each.left_out else each.status for each in run.waves]
    cancelled = run.cancelled or all(each.left_out for each in run.waves)
    return roll_up(statuses, any_launched=run.any_launched, cancelled=cancelled, left_out=run.left_out)


def _unanswered(run: RunView, current: WaveView | None) -> WaveView | None:
    """The failed wave after which a person is asked; not before what is under way has ended."""
    if current is not None and current.status.has_begun:
        return None
    return next((each for each in run.waves if each.needs_answer), None)


def _ask(failed: WaveView, now: datetime) -> Decision:
    if failed.asked_at is None:
        return PauseAfter(failed.number)
    expires = failed.asked_at + PAUSE_LIMIT
    return ExpirePauseAfter(failed.number) if now >= expires else Wait(expires)


def _before_launch(run: RunView, wave: WaveView, now: datetime) -> Decision:
    """A wave of which nothing was sent."""
    if run.cancelled:
        rest = tuple(each.number for each in run.waves if not each.status.is_final)
        return Skip(rest, "The run was cancelled before this wave.")
    if blocked := _skip_reason(run, wave):
        return blocked
    if wave.status is WaveStatus.PAUSED:
        expires = (wave.paused_at or now) + wave.pause_limit
        return ExpirePause(wave.number) if now >= expires else Wait(expires)
    if run.pause_requested or run.restored:
        return Pause(wave.number)
    if wave.wait and wave.starts_at is None:
        return StartWait(wave.number, now + wave.wait)
    if wave.starts_at is not None and now < wave.starts_at:
        return Wait(wave.starts_at)
    if wave.pause_before and not wave.resumed:
        return Pause(wave.number)
    at, first = _next_send(wave, wave.jobs, now)
    return Wait(at) if at > now else Launch(wave.number, first.key)


def following(run: RunView, after: int, *, fails: bool) -> Following:
    """What comes once the wave under way has ended, with a server that failed it or with none: so that nothing is
    promised that is not done then."""
    views = list(run.waves)
    views[after] = replace(views[after], status=WaveStatus.FAILED if fails else WaveStatus.COMPLETED)
    if views[after].needs_answer:
        return Following(asks=True)
    skipped: list[int] = []
    while (coming := current_wave(views)) is not None:
        blocked = _skip_reason(replace(run, waves=tuple(views)), coming)
        if blocked is None:
            return Following(coming, tuple(skipped))
        for number in blocked.waves:
            views[number] = replace(views[number], status=WaveStatus.SKIPPED)
        skipped += blocked.waves
    return Following(skipped=tuple(skipped))


def _skip_reason(run: RunView, wave: WaveView) -> Skip | None:
    """Why a wave must not start: an earlier one failed and stops the plan, or one it depends on did not complete."""
    earlier = run.waves[: wave.number]
    stopper = next((each for each in earlier if each.status is WaveStatus.FAILED and each.on_failure.stops_plan), None)
    if stopper is not None:
        rest = tuple(each.number for each in run.waves[wave.number :])
        return Skip(rest, f"Wave {stopper.number + 1} failed, and the plan stops there.")
    needed = [each for each in earlier if each.number in wave.depends_on and not each.runs_dependents]
    missing = [each for each in needed if each.status is not WaveStatus.COMPLETED]
    if missing:
        return Skip((wave.number,), f"It depends on wave {missing[0].number + 1}, which did not complete.")
    return None


def _in_flight(run: RunView, wave: WaveView, now: datetime, poll_seconds: float) -> Decision:
    """A wave of which at least one launch was intended."""
    unknown = [job for job in wave.jobs if job.status is JobStatus.INITIATED]
    due = [job for job in unknown if _is_due(job, now)]
    if due:
        return Reconcile(wave.number, due[0].key)
    if not unknown and (verdict := judge_wave(wave)):
        return verdict
    queued = tuple(job for job in wave.jobs if job.status is JobStatus.QUEUED)
    if queued and run.cancelled:
        return Withdraw(wave.number, tuple(job.key for job in queued))
    if queued and run.restored:
        return Pause(wave.number)
    at, first = _next_send(wave, queued, now) if queued else (None, None)
    if first is not None and at is not None and at <= now:
        return Launch(wave.number, first.key)
    polling = any(job.status.is_open for job in wave.jobs)
    moments = [each for each in (at, *(job.not_before for job in unknown)) if each is not None]
    if polling:
        moments.append(now + LONGEST_REST)
    if not moments:
        moments.append(next_poll_slot(now, poll_seconds))
    return Wait(min(moments))


def _is_due(job: JobView, now: datetime) -> bool:
    return job.not_before is None or job.not_before <= now


def _next_send(wave: WaveView, queued: Sequence[JobView], now: datetime) -> tuple[datetime, JobView]:
    """When the wave may send its next job, and which: an account that does not answer keeps none behind it waiting, so
    what was not tried yet comes first, then what has waited longest."""
    sends = [(_may_be_sent(wave, job, now), job) for job in queued]
    if due := [job for at, job in sends if at <= now]:
        return now, min(due, key=lambda job: (job.not_before is not None, job.not_before or now))
    return min(sends, key=lambda each: each[0])


def _may_be_sent(wave: WaveView, job: JobView, now: datetime) -> datetime:
    """When this job of a wave may be sent: not within 15 s of the last one there, not before AWS is ready for it."""
    there = [each for each in wave.jobs if each.place == job.place and each.status is not JobStatus.QUEUED]
    sent = [each.intent_at + LAUNCH_SPACING for each in there if each.intent_at is not None]
    return max([job.not_before or now, *sent])


def judge_wave(wave: WaveView) -> SettleWave | GiveUpUnsettled | GiveUpUnproven | None:
    """Whether a wave is over: judged by its servers, never by a job's COMPLETED, and on fresh evidence only."""
    if any(each.is_overdue(wave.check_limit) for each in wave.unproven):
        return GiveUpUnproven(wave.number)
    if all(server.is_settled for server in (*wave.servers, *wave.optional)):
        return None if wave.unproven else _settled(wave)
    if any(job.status is JobStatus.QUEUED for job in wave.jobs):
        return None
    if all(_seen_long_after_its_end(job) for job in wave.jobs):
        return GiveUpUnsettled(wave.number)
    deadline = wave.deadline_at
    at_drs = [job for job in wave.jobs if job.status.is_open or job.status is JobStatus.COMPLETED]
    if deadline is None or not all(_is_answered_after(deadline, job) for job in at_drs):
        return None
    if all(server.is_settled for server in wave.servers):
        return None if wave.unproven else _settled(wave)
    missing, servers = sum(not server.is_settled for server in wave.servers), counted(len(wave.servers), "server")
    text = f"{missing} of {servers} not up in time. AWS goes on; late instances are recorded."
    return SettleWave(wave.number, WaveStatus.FAILED, Code.WAVE_TIMEOUT, text)


def _is_answered_after(deadline: datetime, job: JobView) -> bool:
    """Whether DRS told of the job after the deadline and, once it had ended, which instances it launched."""
    known = job.status is not JobStatus.COMPLETED or job.instances_seen_at is not None
    return known and job.seen_at is not None and job.seen_at > deadline


def _seen_long_after_its_end(job: JobView) -> bool:
    """That a server did not launch is said only when DRS lists no instance of the job a while after its end; of one
    that does not answer that for a day nothing more is expected."""
    if job.status is not JobStatus.COMPLETED:
        return not job.status.is_open
    if job.completed_seen_at is None:
        return False
    listed, seen = job.instances_seen_at, job.seen_at or job.completed_seen_at
    if seen > job.completed_seen_at + UNLISTED_LIMIT:
        return True
    return listed is not None and listed > job.completed_seen_at + SETTLING_GRACE


def _settled(wave: WaveView) -> SettleWave:
    withdrawn = sum(job.status is JobStatus.WITHDRAWN for job in wave.jobs)
    if withdrawn == len(wave.jobs):
        return SettleWave(wave.number, WaveStatus.SKIPPED, message="The run was cancelled before anything was sent.")
    if withdrawn:
        return SettleWave(wave.number, WaveStatus.FAILED, message="The run was cancelled before every launch was sent.")
    failed = sum(server is not LaunchStatus.LAUNCHED for server in wave.servers)
    if not failed:
        return SettleWave(wave.number, WaveStatus.COMPLETED, message=_without_optional(wave))
    rejected = next((job for job in wave.jobs if job.status is JobStatus.REJECTED), None)
    every = (*wave.servers, *wave.optional)
    missing = sum(server is not LaunchStatus.LAUNCHED for server in every)
    text = f"{missing} of {counted(len(every), 'server')} did not {'come up' if wave.asks_for_more else 'launch'}."
    if rejected is not None:
        told = rejected.error_message
        if failed != len(wave.servers):  # others may have failed for other reasons
            told = f"{text} {told}" if missing == 1 else f"{text} One reason: {told}"
        return SettleWave(wave.number, WaveStatus.FAILED, rejected.error_code, told)
    return SettleWave(wave.number, WaveStatus.FAILED, Code.SERVER_LAUNCH_FAILED, text)


def _without_optional(wave: WaveView) -> str:
    """What a wave that completes says of its optional servers that are not up; empty when all are."""
    missing = sum(server is not LaunchStatus.LAUNCHED for server in wave.optional)
    return f"Completed without {missing} of {counted(len(wave.optional), 'optional server')}." if missing else ""


def wave_status(jobs: Sequence[JobStatus]) -> WaveStatus:
    """The status of a begun wave from its jobs."""
    if JobStatus.STARTED in jobs or JobStatus.COMPLETED in jobs:
        return WaveStatus.LAUNCHING
    return WaveStatus.POLLING if JobStatus.PENDING in jobs else WaveStatus.INITIATED


def running_status(wave: WaveStatus, *, cancelled: bool) -> ExecutionStatus:
    """The status of a run whose current wave has this status."""
    if cancelled:
        return ExecutionStatus.CANCELLING
    match wave:
        case WaveStatus.LAUNCHING:
            return ExecutionStatus.LAUNCHING
        case WaveStatus.POLLING:
            return ExecutionStatus.POLLING
        case (
            WaveStatus.PENDING
            | WaveStatus.PAUSED
            | WaveStatus.INITIATED
            | WaveStatus.COMPLETED
            | WaveStatus.FAILED
            | WaveStatus.SKIPPED
        ):
            return ExecutionStatus.RUNNING
        case _:
            assert_never(wave)


def next_poll_slot(now: datetime, seconds: float) -> datetime:
    """The next slot of the grid on which every run is polled, so that one call serves them all."""
    slot = math.floor(now.timestamp() / seconds) + 1
    return datetime.fromtimestamp(slot * seconds, UTC)


def backoff(failures: int, seconds: float, jitter: float | None = None) -> timedelta:
    """How long to leave AWS alone after `failures` failures in a row: doubling, at most 5 min, ± 25 %."""
    factor = random.uniform(0.75, 1.25) if jitter is None else jitter  # noqa: S311  (spreads load, guards nothing)
    return min(timedelta(seconds=seconds * 2 ** min(failures, 8)), BACKOFF_LIMIT) * factor
