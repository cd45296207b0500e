"""The launches of a run as the report has them."""

from typing import TypedDict

from contract.clock import unix
from executions.models import LaunchJob
from reports.parts.pending_data import is_open


class JobShape(TypedDict):
    """One StartRecovery; `launchId` is its tag `drsorch:launch` at AWS. `moreExpected`: AWS may tell more of it."""

    launchId: str
    accountId: str
    region: str
    jobId: str | None
    attempts: int
    intentTime: int | None
    status: str
    moreExpected: bool
    errorCode: str | None
    errorMessage: str | None


def show_job(job: LaunchJob) -> JobShape:
    """One of them."""
    return JobShape(
        launchId=str(job.pk),
        accountId=job.account_id,
        region=job.region,
        jobId=job.job_id or None,
        attempts=job.attempt,
        intentTime=unix(job.intent_at),
        status=job.status,
        moreExpected=is_open(job),
        errorCode=job.error_code or None,
        errorMessage=job.error_message or None,
    )
