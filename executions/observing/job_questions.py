"""How DRS is asked for jobs: all of them at once, apart from ids that it does not take."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from drs.client import Drs
from drs.errors import DrsError, Trouble
from drs.shapes import JOB_COMPLETED, Job

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
