"""Runs as the API shows them, from our own rows alone: a fixed number of queries, however many there are."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import NotRequired, TypedDict

from audit.actor import Actor
from contract.clock import unix
from executions.api.server_runs import (
    FindingShape,
    LeftOutShape,
    ServerRunShape,
    Values,
    servers_of,
    show_left_out,
    show_servers,
)
from executions.measuring.forecast import ForecastShape, has_forecast
from executions.measuring.forecast import show as show_forecast
from executions.models import Execution, LaunchJob, TerminationJob, WaveRun
from executions.pacemaker import is_alive
from executions.querysets import is_split
from executions.runs.account_check import aws_words
from executions.runs.allowed.actions import Action, actions_of
from executions.runs.allowed.scopes import no_execution
from executions.runs.allowed.terminable_instances import terminable_counts
from executions.runs.attempts import LeftOut, Lineage, lineages, retry_of
from executions.runs.current_wave import failed_waiting_wave, shown_wave, waiting_wave
from executions.states import JobStatus, TerminationStatus
from executions.terminating.instances import earlier_instances
from plans.gates import GateShape
from protection.representation import Warning  # noqa: A004  (the contract's word)


class ActionShape(TypedDict):
    allowed: bool
    reason: str


class ActionsShape(TypedDict):
    pause: ActionShape
    cancel: ActionShape
    resume: ActionShape
    terminate: ActionShape
    abandon: ActionShape
    retry: ActionShape


def _action(action: Action) -> ActionShape:
    return ActionShape(allowed=action.allowed, reason=action.reason)


class RehearsalShape(TypedDict):
    """What a dry run found of the whole plan. Seconds are null while too few launches were measured (`launches`)."""

    findings: list[FindingShape]
    predictedDuration: int | None
    predictedEarliest: int | None
    predictedLatest: int | None
    launches: int
    runs: int
    basis: str


class JobShape(TypedDict):
    jobId: str | None
    accountId: str
    region: str
    status: str


class WaveRunShape(TypedDict):
    waveNumber: int
    waveName: str
    status: str
    statusMessage: str
    dependsOnWaves: list[int]
    pauseBeforeWave: bool
    gate: GateShape | None
    onFailure: str
    waitMinutesBefore: int
    startsAt: int | None
    timeoutMinutes: int | None
    successMeans: str
    checkTimeoutMinutes: int
    skipped: LeftOutShape | None
    attempt: int
    jobId: str | None
    jobs: list[JobShape]
    startTime: int | None
    endTime: int | None
    duration: int | None
    errorCode: str | None
    errorMessage: str | None
    serverStatuses: list[ServerRunShape]


class AttemptShape(TypedDict):
    """One of the tries of a run; the first has attempt 1."""

    executionId: str
    attempt: int
    status: str


class AwsTroubleShape(TypedDict):
    """What keeps AWS's news from a run that is not over, and since when: the place and AWS's words."""

    since: int
    message: str


class ExecutionSummary(TypedDict):
    """A run as the history lists it. Waves are numbered from 0."""

    executionId: str
    runNumber: int | None
    planId: str | None
    planName: str
    executionType: str
    dryRun: bool
    status: str
    initiatedBy: str
    startedBy: str
    startTime: int
    endTime: int | None
    duration: int
    outageTime: int | None
    pointInTime: int | None
    stalledSince: int | None
    awsTrouble: AwsTroubleShape | None
    forecast: ForecastShape | None
    currentWave: int | None
    totalWaves: int
    rtoMinutes: int | None
    rpoMinutes: int | None
    pausedBeforeWave: int | None
    pausedAfterWave: int | None
    instancesTerminated: bool
    terminationStatus: str
    errorCode: str | None
    errorMessage: str | None
    dryRunResult: RehearsalShape | None
    retryOf: str | None
    attempt: int
    attempts: list[AttemptShape]
    leftOut: list[LeftOut]
    serversLeftOut: int
    pauseRequested: bool
    actions: ActionsShape
    hiddenTime: int | None
    drillLeaseHours: int | None
    drillLeaseEnds: str
    leaseEndsTime: int | None
    revision: int


class EarlierInstanceShape(TypedDict):
    """An instance of a launch before its wave was tried again; the run's termination ends it, too."""

    waveNumber: int
    sourceServerId: str
    hostname: str
    recoveryInstanceId: str
    launchStatus: str


class ExecutionShape(ExecutionSummary):
    """A run with its waves, jobs and servers."""

    waves: list[WaveRunShape]
    earlierInstances: list[EarlierInstanceShape]


def show_execution(execution_id: uuid.UUID, actor: Actor, now: datetime) -> ExecutionShape:
    """One run with its waves, jobs and servers."""
    execution = Execution.objects.with_jobs().filter(pk=execution_id).first()
    if execution is None:
        raise no_execution(execution_id)
    tried = lineages([execution])[execution.pk]
    stands, alive = bool(terminable_counts([execution])), not has_forecast(execution) or is_alive()
    summary = show_summary(execution, actor, now, tried, stands=stands, engine_alive=alive)
    servers = servers_of(execution_id)
    earlier = [
        EarlierInstanceShape(
            waveNumber=each.wave.number,
            sourceServerId=each.source_server_id,
            hostname=each.hostname,
            recoveryInstanceId=each.recovery_instance_id,
            launchStatus=each.launch_status,
        )
        for each in earlier_instances(execution, execution.waves.all())
    ]
    waves = [_wave(wave, servers[wave.pk], now) for wave in execution.waves.all()]
    return ExecutionShape(**summary, waves=waves, earlierInstances=earlier)


def show_summary(
    execution: Execution, actor: Actor, now: datetime, tried: Lineage, *, stands: bool, engine_alive: bool
) -> ExecutionSummary:
    """A run without its waves, which must be prefetched."""
    waves = list(execution.waves.all())
    actions = actions_of(execution, actor, stands=stands, attempts=tried.attempts, now=now)
    return ExecutionSummary(
        executionId=str(execution.pk),
        runNumber=execution.number,
        planId=_plan_id(execution),
        planName=execution.plan_name,
        executionType=execution.kind,
        dryRun=execution.dry_run,
        status=execution.status,
        initiatedBy=execution.initiated_by,
        startedBy=execution.started_by,
        startTime=unix(execution.started_at),
        endTime=unix(execution.ended_at),
        duration=_seconds(execution.started_at, execution.ended_at or now),
        outageTime=unix(execution.outage_at),
        pointInTime=unix(execution.snapshots_until),
        stalledSince=unix(execution.stalled_since),
        awsTrouble=_trouble(execution),
        forecast=show_forecast(execution, now, engine_alive=engine_alive),
        currentWave=_number(shown_wave(waves)),
        totalWaves=execution.total_waves,
        rtoMinutes=execution.rto_minutes,
        rpoMinutes=execution.rpo_minutes,
        pausedBeforeWave=_number(waiting_wave(waves)),
        pausedAfterWave=_number(failed_waiting_wave(waves)) if not execution.state.is_final else None,
        instancesTerminated=execution.termination_status == TerminationStatus.COMPLETED,
        terminationStatus=execution.termination_status,
        errorCode=execution.error_code or None,
        errorMessage=execution.error_message or None,
        dryRunResult=execution.rehearsal,
        retryOf=str(execution.retry_of_id) if execution.retry_of_id else None,
        attempt=execution.attempt,
        attempts=[
            AttemptShape(executionId=str(each.pk), attempt=each.attempt, status=each.status) for each in tried.attempts
        ],
        leftOut=execution.left_out or [],
        serversLeftOut=execution.servers_left_out,
        pauseRequested=execution.pause_requested_at is not None and execution.ended_at is None,
        actions=ActionsShape(
            pause=_action(actions.pause),
            cancel=_action(actions.cancel),
            resume=_action(actions.resume),
            terminate=_action(actions.terminate),
            abandon=_action(actions.abandon),
            retry=_action(retry_of(execution, actor, tried)),
        ),
        hiddenTime=unix(execution.hidden_at),
        drillLeaseHours=execution.drill_lease_hours,
        drillLeaseEnds=execution.drill_lease_ends,
        leaseEndsTime=unix(execution.lease_ends_at),
        revision=execution.revision,
    )


def _trouble(execution: Execution) -> AwsTroubleShape | None:
    if execution.failing_since is None or execution.state.is_final:
        return None
    return AwsTroubleShape(since=unix(execution.failing_since), message=aws_words(execution.aws_error))


def _plan_id(execution: Execution) -> str | None:
    """The plan's id, also when the plan is gone."""
    kept = execution.plan_id or execution.plan_copy.get("planId")
    return str(kept) if kept else None


def _seconds(start: datetime, end: datetime) -> int:
    """As a client finds it from the two times that it is shown."""
    return max(0, unix(end) - unix(start))


def _number(wave: WaveRun | None) -> int | None:
    return None if wave is None else wave.number


def _wave(wave: WaveRun, servers: Sequence[Values], now: datetime) -> WaveRunShape:
    jobs = [job for job in wave.jobs.all() if not is_split(job)]
    return WaveRunShape(
        waveNumber=wave.number,
        waveName=wave.name,
        status=wave.status,
        statusMessage=wave.status_message,
        dependsOnWaves=wave.depends_on,
        pauseBeforeWave=wave.pause_before,
        gate=wave.gate,
        onFailure=wave.on_failure,
        waitMinutesBefore=wave.wait_minutes_before,
        startsAt=unix(wave.starts_at),
        timeoutMinutes=wave.timeout_minutes,
        successMeans=wave.success_means,
        checkTimeoutMinutes=wave.check_timeout_minutes,
        skipped=show_left_out(wave.skipped),
        attempt=wave.attempt,
        jobId=next((job.job_id for job in jobs if job.job_id), None),
        jobs=[show_job(job, _job_status(wave, job)) for job in jobs],
        startTime=unix(wave.started_at),
        endTime=unix(wave.ended_at),
        duration=_seconds(wave.started_at, wave.ended_at or now) if wave.started_at else None,
        errorCode=wave.error_code or None,
        errorMessage=wave.error_message or None,
        serverStatuses=show_servers(wave, servers),
    )


def show_job(job: LaunchJob | TerminationJob, status: str) -> JobShape:
    """A job of DRS, in which region of which account."""
    return JobShape(jobId=job.job_id or None, accountId=job.account_id, region=job.region, status=status)


def _job_status(wave: WaveRun, job: LaunchJob) -> str:
    """A launch that waited to be sent does so no more when its wave is over."""
    over = wave.state.is_final and job.state is JobStatus.QUEUED
    return JobStatus.WITHDRAWN.value if over else job.status


class ExecutionsAnswer(TypedDict):
    """One page of the history."""

    items: list[ExecutionSummary]
    nextToken: str | None


class ExecutionStarted(TypedDict):
    """A run that engines pick up within seconds. `warnings` say where a recovery was started although DRS did not tell
    which instances run there."""

    executionId: str
    status: str
    message: str
    statusUrl: str
    warnings: NotRequired[list[Warning]]


class CommandAnswer(TypedDict):
    """What a command made of a run."""

    executionId: str
    status: str
    message: str
    pauseRequested: NotRequired[bool]


class TerminationFailure(TypedDict):
    recoveryInstanceId: str
    code: str
    message: str


class TerminationAnswer(TypedDict):
    """Instances that DRS terminates, those that it would not, those that had ended before, and those that it does not
    list any more, which may run on in EC2."""

    executionId: str
    terminated: list[str]
    failed: list[TerminationFailure]
    alreadyGone: list[str]
    unknown: list[TerminationFailure]
    jobs: list[JobShape]
    message: str


class KeptShape(TypedDict):
    """A finished run that stays in the lists, and why, as a sentence."""

    executionId: str
    reason: str


class BulkDeleted(TypedDict):
    """How many runs were hidden: their rows stay, and GET by id finds them."""

    deletedCount: int
    totalScanned: int
    kept: list[KeptShape]
