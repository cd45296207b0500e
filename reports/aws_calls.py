"""What was asked of AWS for a run: every call that changes something, with what vouches for it at AWS."""

from typing import TypedDict

from contract.clock import unix
from executions.models import Execution, LaunchJob, TerminationJob


class CallShape(TypedDict):
    """One StartRecovery or TerminateRecoveryInstances. `tag` finds it in DescribeJobs, `operation` in CloudTrail."""

    operation: str
    accountId: str
    region: str
    attempts: int
    lastAttemptTime: int | None
    status: str
    jobId: str | None
    tag: str | None
    servers: int
    errorCode: str | None


class CallsShape(TypedDict):
    """`operations` counts by name. Reading calls change nothing, are repeated every few seconds and are not kept."""

    operations: dict[str, int]
    regions: list[str]
    calls: list[CallShape]
    note: str


def calls(execution: Execution) -> CallsShape:
    """The summary of a run read `with_waves`."""
    launches = [_launch(job, job.servers.count()) for wave in execution.waves.all() for job in wave.jobs.all()]
    found = [*launches, *(_termination(job) for job in execution.terminations.all())]
    sent = [each for each in found if each["attempts"]]
    names = ("StartRecovery", "TerminateRecoveryInstances")
    return CallsShape(
        operations={name: sum(each["attempts"] for each in sent if each["operation"] == name) for name in names},
        regions=sorted({each["region"] for each in found}),
        calls=found,
        note="Calls that change something. DescribeJobs, DescribeJobLogItems and DescribeRecoveryInstances only read.",
    )


def _launch(job: LaunchJob, servers: int) -> CallShape:
    return CallShape(
        operation="StartRecovery",
        accountId=job.account_id,
        region=job.region,
        attempts=job.attempt,
        lastAttemptTime=unix(job.intent_at),
        status=job.status,
        jobId=job.job_id or None,
        tag=f"drsorch:launch={job.pk}",
        servers=servers,
        errorCode=job.error_code or None,
    )


def _termination(job: TerminationJob) -> CallShape:
    return CallShape(
        operation="TerminateRecoveryInstances",
        accountId=job.account_id,
        region=job.region,
        attempts=1 if job.intent_at else 0,
        lastAttemptTime=unix(job.intent_at),
        status=job.status,
        jobId=job.job_id or None,
        tag=None,
        servers=len(job.instance_ids),
        errorCode=job.error_code or None,
    )
