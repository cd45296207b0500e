"""Following terminations to their end: what the engine does after a person has asked (`termination`)."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import transaction

from contract.clock import Clock
from drs.client import Drs, SendWindow
from drs.errors import DrsError
from drs.shapes import JOB_COMPLETED, TERMINATE, Job
from executions.errands import Errand
from executions.models import Execution, TerminationJob
from executions.observe import LOST_AFTER
from executions.patience import wake_waiting
from executions.states import JobStatus, TerminationStatus
from executions.termination import (
    UNCONFIRMED_AFTER,
    confirm,
    journal,
    launch_jobs,
    mark_terminated,
    not_taken,
    refuse,
    roll_up,
)

log = logging.getLogger(__name__)

CLOCKS_DIFFER = timedelta(minutes=2)  # a job that is older than its intent by more is not ours
_TOLD = (JobStatus.PENDING, JobStatus.STARTED, JobStatus.COMPLETED)  # DRS's own words for a job
UNSETTLED = (JobStatus.QUEUED, JobStatus.INITIATED)

_NOT_TERMINATED = {"code": "TERMINATION_FAILED", "message": "DRS ended the job without terminating this instance."}
_LOST = {"code": "TERMINATION_LOST", "message": "DRS has not shown the job of this termination for a day."}


def follow(job: TerminationJob, found: Job | None, asked_at: datetime, now: datetime) -> None:
    """Write down what DRS says of a TERMINATE job: per server TERMINATED or not, and the end."""
    if not job.watched:
        return
    if found is None:
        _despair(job, asked_at, now)
    elif found.status not in _TOLD:
        log.warning("DRS says %r of %s, which is no state of a job that we know", found.status, job.job_id)
    elif found.status != job.status or found.status == JOB_COMPLETED:
        by_server = dict(zip(job.server_ids, job.instance_ids, strict=True))
        statuses = {each.source_server_id: each.launch_status for each in found.participants}
        gone = [by_server[each] for each, status in statuses.items() if status == "TERMINATED" and each in by_server]
        _write(job, JobStatus.of(found.status), gone, _NOT_TERMINATED, now)


def _despair(job: TerminationJob, asked_at: datetime, now: datetime) -> None:
    """A job that DRS does not show was not observed, which says nothing; after a whole day it is taken for gone. What
    still stands is found out when a person terminates again."""
    if asked_at > (job.seen_at or job.intent_at or asked_at) + LOST_AFTER:
        _write(job, JobStatus.COMPLETED, [], _LOST, now)


def _write(job: TerminationJob, status: JobStatus, gone: list[str], why_not: dict[str, str], now: datetime) -> None:
    execution, watched = job.execution, status is not JobStatus.COMPLETED
    with transaction.atomic():
        mine = TerminationJob.objects.filter(pk=job.pk, status=job.status, watched=True)
        if not mine.update(status=status, watched=watched):
            return  # another engine was faster
        job.status, job.watched = status, watched
        if not job.watched:
            job.failures = {each: dict(why_not) for each in job.instance_ids if each not in gone}
            job.save(update_fields=["failures"])
            journal(execution, "terminate.ended", jobId=job.job_id, terminated=gone, failed=sorted(job.failures))
            wake_waiting(job.account_id, job.region, now)
        mark_terminated(execution, now, recovery_instance_id__in=gone)
        roll_up(execution, now)


def tend(execution: Execution, clock: Clock) -> Errand[None]:
    """What was asked for and DRS does not work on yet: send what waited, find out what became of what was sent."""
    yield from send_waiting(execution, clock)
    yield from find_unconfirmed(execution, clock)


def send_waiting(execution: Execution, clock: Clock) -> Errand[None]:
    """Ask for what waited until DRS had ended the launch. The row goes from QUEUED to INITIATED before the call: of
    several engines one asks, and what becomes of its request is found out as after any other."""
    for job in execution.terminations.filter(status=JobStatus.QUEUED):
        if launch_jobs(execution, job).exclude(status=JobStatus.COMPLETED).exists():
            continue
        window, now = SendWindow(settings.SEND_WINDOW_SECONDS), clock()
        waiting = TerminationJob.objects.filter(pk=job.pk, status=JobStatus.QUEUED, job_id="")
        if not waiting.update(status=JobStatus.INITIATED, intent_at=now):
            continue
        try:
            answer = yield partial(Drs(job.region, job.account_id).terminate, job.instance_ids, window=window)
        except DrsError as error:
            not_taken(execution, job, error, clock())
        else:
            confirm(execution, job, answer, clock())


def find_unconfirmed(execution: Execution, clock: Clock) -> Errand[None]:
    """Settle terminations whose request was lost or killed: adopt DRS's job, or let a person try again."""
    oldest = clock() - UNCONFIRMED_AFTER
    for job in execution.terminations.filter(status=JobStatus.INITIATED, intent_at__lte=oldest):
        since = (job.intent_at or oldest) - CLOCKS_DIFFER
        try:
            jobs = yield partial(Drs(job.region, job.account_id, reading="poller").jobs_since, since)
        except DrsError:
            continue  # asked again at the next poll
        mine = _unowned(each for each in jobs if each.created_at >= since and _is_for(each, job))
        if mine:
            confirm(execution, job, min(mine, key=lambda each: each.created_at), clock())
        else:
            refuse(execution, job, "NOT_CONFIRMED", "AWS never confirmed the request; terminate again.", clock())


def _is_for(found: Job, job: TerminationJob) -> bool:
    """Whether a DRS job terminates exactly these servers, and none of their instances of another launch."""
    instances = dict(zip(job.server_ids, job.instance_ids, strict=True))
    told = {each.source_server_id: each.recovery_instance_id for each in found.participants}
    return (
        found.type == TERMINATE
        and set(told) == set(instances)
        and all(told[each] in ("", instances[each]) for each in told)
    )


def _unowned(jobs: Iterable[Job]) -> list[Job]:
    """Those that no termination has: the same servers may have been terminated before, after another launch."""
    found = list(jobs)
    ids = [each.job_id for each in found]
    owned = set(TerminationJob.objects.filter(job_id__in=ids).values_list("job_id", flat=True))
    return [each for each in found if each.job_id not in owned]


def after_late_news(execution: Execution, now: datetime) -> None:
    """An instance that came up after its run's instances were terminated is still standing: say so."""
    if execution.state.is_final and execution.termination_status != TerminationStatus.NOT_STARTED:
        roll_up(execution, now)
