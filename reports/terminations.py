"""What became of a run's instances after it: what was asked of DRS, and what still runs."""

from collections.abc import Sequence
from typing import TypedDict

from contract.clock import unix
from executions.measuring.rta_rpa import WaveRows
from executions.models import Execution, ServerRun
from executions.querysets import stands
from executions.states import InstanceState
from executions.terminating.cleanup_proof import PlaceProof
from executions.terminating.instances import earlier_instances
from executions.terminating.outcome import Failure, result
from executions.terminating.replacements import Replacement


class CleanupJobShape(TypedDict):
    jobId: str | None
    region: str
    status: str
    instanceIds: list[str]
    requestedBy: str
    requestedTime: int
    errorMessage: str | None


class CleanupFailureShape(TypedDict):
    """An instance that was not terminated, and why, in AWS's words where it gave any."""

    recoveryInstanceId: str | None
    code: str
    message: str


class ReplacedShape(TypedDict):
    """Instances that DRS ended because it launched their servers anew: `by` a run or a job started elsewhere."""

    instances: list[str]
    by: str
    executionId: str | None
    runNumber: int | None
    planName: str | None
    jobId: str | None


class EarlierInstanceShape(TypedDict):
    """An instance of a launch before its wave was tried again: it stays this run's until it is TERMINATED."""

    waveNumber: int
    sourceServerId: str
    hostname: str
    launchId: str
    recoveryInstanceId: str
    launchStatus: str
    instanceState: str | None
    errorCode: str | None


class LeaseShape(TypedDict):
    """Of a drill whose instances may run on for a time: by its plan so many `hours`, with `atEnd` TELL or TERMINATE,
    and by what people extended it to until `endsTime`. `overTime` is when people were told, or they were terminated."""

    hours: int | None
    atEnd: str
    endsTime: int
    warnedTime: int | None
    overTime: int | None


class CleanupShape(TypedDict):
    """`accepted` by DRS for termination, `alreadyGone` without that, `failed`, and not known to DRS any more: each of
    the instances that are not simply running is in one. `replaced` are those of `alreadyGone` that ended for a later
    launch. `proof` is what DRS listed of them when all was over."""

    status: str
    stillRunning: int
    stopped: list[str]
    accepted: list[str]
    alreadyGone: list[str]
    replaced: list[ReplacedShape]
    failed: list[CleanupFailureShape]
    unknownToDrs: list[str]
    proof: list[PlaceProof] | None
    lease: LeaseShape | None
    earlierInstances: list[EarlierInstanceShape]
    jobs: list[CleanupJobShape]


def cleanup(execution: Execution, rows: Sequence[WaveRows]) -> CleanupShape:
    """The terminations of a run read `with_waves`."""
    servers = [server for wave in rows for server in wave.servers]
    stopped = [each.recovery_instance_id for each in servers if each.standing_state == InstanceState.STOPPED]
    earlier = earlier_instances(execution, [wave.run for wave in rows])
    running = sum(stands(each) and each.can_be_asked_for for each in [*servers, *earlier]) - len(stopped)
    told = result(execution)
    unknown = [each.recovery_instance_id or each.source_server_id for each in servers if each.is_unknown_to_drs]
    jobs = [
        CleanupJobShape(
            jobId=job.job_id or None,
            region=job.region,
            status=job.status,
            instanceIds=job.instance_ids,
            requestedBy=job.requested_by,
            requestedTime=unix(job.requested_at),
            errorMessage=job.error_message or None,
        )
        for job in told.jobs
    ]
    return CleanupShape(
        status=execution.termination_status,
        stillRunning=running,
        stopped=stopped,
        accepted=told.terminated,
        alreadyGone=told.already_gone,
        replaced=[_replaced(each) for each in told.replaced],
        failed=[_failure(each) for each in told.failed],
        unknownToDrs=unknown,
        proof=execution.cleanup_proof,
        lease=_lease(execution),
        earlierInstances=[_earlier(each) for each in earlier],
        jobs=jobs,
    )


def _failure(each: Failure) -> CleanupFailureShape:
    return CleanupFailureShape(
        recoveryInstanceId=each.recovery_instance_id or None, code=each.code, message=each.message
    )


def _replaced(each: Replacement) -> ReplacedShape:
    return ReplacedShape(
        instances=list(each.instances),
        by=each.by,
        executionId=str(each.execution_id) if each.execution_id else None,
        runNumber=each.number,
        planName=each.plan_name or None,
        jobId=each.job_id or None,
    )


def _earlier(each: ServerRun) -> EarlierInstanceShape:
    return EarlierInstanceShape(
        waveNumber=each.wave.number,
        sourceServerId=each.source_server_id,
        hostname=each.hostname,
        launchId=str(each.job_id),
        recoveryInstanceId=each.recovery_instance_id,
        launchStatus=each.launch_status,
        instanceState=each.instance_state or None,
        errorCode=each.error_code or None,
    )


def _lease(execution: Execution) -> LeaseShape | None:
    if execution.lease_ends_at is None:
        return None
    return LeaseShape(
        hours=execution.drill_lease_hours,
        atEnd=execution.drill_lease_ends,
        endsTime=unix(execution.lease_ends_at),
        warnedTime=unix(execution.lease_warned_at),
        overTime=unix(execution.lease_over_at),
    )
