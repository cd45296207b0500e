"""The launches of a run as the report has them."""

from collections.abc import Iterable
from typing import TypedDict

from contract.clock import unix
from drsorch_verify.derive import span
from executions.models import LaunchJob
from reports.parts.pending_data import is_open


class JobShape(TypedDict):
    """One StartRecovery; `launchId` is its tag `drsorch:launch` at AWS. `moreExpected`: AWS may tell more of it.
    `awsAheadSeconds`: so much was AWS's clock ahead of ours at least, below 0 behind it; its log and the age of the
    data are by that clock."""

    launchId: str
    accountId: str
    region: str
    jobId: str | None
    attempts: int
    intentTime: int | None
    awsAheadSeconds: int
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
        awsAheadSeconds=job.aws_ahead_seconds,
        status=job.status,
        moreExpected=is_open(job),
        errorCode=job.error_code or None,
        errorMessage=job.error_message or None,
    )


def clocks(jobs: Iterable[JobShape]) -> list[list[str]]:
    """Where AWS's clock was not ours: by how much, and what of the figures is by which."""
    off: dict[str, int] = {}
    for each in jobs:
        off[each["region"]] = max(off.get(each["region"], 0), each["awsAheadSeconds"], key=abs)
    return [
        [
            f"AWS’s clock in {region}",
            f"{span(abs(seconds))} {'ahead of' if seconds > 0 else 'behind'} the clock of this installation, at least."
            " Launches there are timed by when they were seen here; the time of each phase and of the data is AWS’s,"
            " moved by that.",
        ]
        for region, seconds in sorted(off.items())
        if seconds
    ]
