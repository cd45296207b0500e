"""How DRS is asked for jobs: all of them at once, apart from ids that it does not take."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from drs.client import Drs
from drs.errors import DrsError, Trouble
from drs.shapes import JOB_COMPLETED, Job
from executions.models import LaunchJob
from executions.models.drs_jobs import CLOCKS_AGREE

log = logging.getLogger(__name__)

MOST_REFUSED = 5  # ids, before a refusal counts as one of them all

Jobs = dict[str, Job]


@dataclass(frozen=True)
class Running:
    """What runs in an account and region, whoever started it."""

    jobs: int
    servers: int


def list_jobs(drs: Drs, since: datetime) -> tuple[Jobs, Running]:
    """Every job made since then, and how much of the quotas those that run use."""
    found = drs.jobs_since(since)
    running = [job for job in found if job.status != JOB_COMPLETED]
    return {job.job_id: job for job in found}, Running(len(running), sum(len(job.participants) for job in running))


def aws_ahead(jobs: Collection[Job], account: str, region: str, now: datetime) -> timedelta:
    """By how much AWS's clock is ahead of ours, or behind, so that what it has dated can be compared with what we have:
    by the time of the answer that has just listed these jobs, else as at the last launch there."""
    told_at = next((each.told_at for each in jobs if each.told_at is not None), None)
    if told_at is not None:
        return told_at - now if abs(told_at - now) > CLOCKS_AGREE else timedelta(0)
    dated = LaunchJob.objects.filter(account_id=account, region=region, recorded_at__isnull=False)
    last = dated.select_related("wave").order_by("-recorded_at").first() if jobs else None
    return last.aws_ahead if last is not None else timedelta(0)


def jobs_by_id(drs: Drs, job_ids: Sequence[str], apart: Collection[str]) -> tuple[Jobs, set[str]]:
    """These jobs, as far as DRS shows them, and the ids that it does not take; those known for it are asked `apart`."""
    found: Jobs = {}
    refused: set[str] = set()
    _ask(drs, [each for each in job_ids if each not in apart], found, refused)
    for each in job_ids:
        if each in apart:
            _ask(drs, [each], found, refused)
    return found, refused


def _ask(drs: Drs, job_ids: Sequence[str], found: Jobs, refused: set[str]) -> None:
    """All at once; if DRS refuses that because of one of them, in halves, until that one stands alone: it was not
    observed."""
    if not job_ids:
        return
    try:
        found.update((job.job_id, job) for job in drs.jobs(job_ids))
    except DrsError as error:
        is_of_an_id = error.trouble in (Trouble.INVALID, Trouble.NOT_FOUND, Trouble.REFUSED)
        if not is_of_an_id or (len(refused) >= MOST_REFUSED and not found):
            raise
        if len(job_ids) == 1:
            log.warning("DRS does not take the id of a job: %s", error)
            refused.update(job_ids)
            return
        middle = (len(job_ids) + 1) // 2
        _ask(drs, job_ids[:middle], found, refused)
        _ask(drs, job_ids[middle:], found, refused)
