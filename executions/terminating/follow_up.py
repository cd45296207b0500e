"""Follows terminations to their end: what the engine does after somebody has asked for them (`terminate`)."""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction

from audit.safe_text import storable
from contract.clock import Clock
from drs.classify_errors import REST_MOST
from drs.client import Drs
from drs.errors import DrsError
from drs.shapes import ASKED_TO_TERMINATE, JOB_COMPLETED, TERMINATE, Job, JobLogItem
from executions.codes.ours import Code
from executions.models import Execution, ServerRun, TerminationJob
from executions.observing.drs_answers import LATE_ANSWERS, LOST_AFTER
from executions.observing.job_questions import aws_ahead
from executions.runs.aws_calls import AwsCalls
from executions.runs.journal import note
from executions.runs.retry_policy import wake_waiting
from executions.states import JOB_TOLD, JobStatus, TerminationStatus
from executions.terminating.instances import GONE, UNCONFIRMED_AFTER, mark_terminated, mark_unknown, roll_up
from executions.terminating.send import confirm, give_up_unconfirmed, launch_jobs, send_queued
from executions.terminating.spared import is_by_engine

log = logging.getLogger(__name__)

CLOCKS_DIFFER = timedelta(minutes=2)  # a job that is older than its intent by more is not ours
LEFT_ALONE_FOR = timedelta(seconds=REST_MOST)
LOOK_BACK = timedelta(hours=3)  # before the intent: AWS's clock may be behind by so much

_LOST = {"code": Code.TERMINATION_LOST.value, "message": Code.TERMINATION_LOST.meaning}
TERMINATED, FAILED = "TERMINATED", "FAILED"  # DRS's words for a server of a TERMINATE job

Failures = dict[str, dict[str, str]]  # code and message, by instance


def save_progress(job: TerminationJob, found: Job | None, asked_at: datetime, now: datetime) -> bool:
    """Write down what DRS says of a TERMINATE job. True when it has ended and does not say of every instance that it
    is gone: then somebody must look (`settle_ended_job`)."""
    if not job.watched:
        return False
    if found is None:
        _give_up_missing_job(job, asked_at, now)
    elif found.status not in JOB_TOLD:
        log.warning("DRS reports an unknown status %r for job %s", found.status, job.job_id)
    elif found.status == JOB_COMPLETED:
        told = _server_statuses(found)
        if any(told.get(each) != TERMINATED for each in job.server_ids):
            return True
        _save(job, JobStatus.COMPLETED, job.instance_ids, {}, now)
    elif found.status != job.status:
        by_server = dict(zip(job.server_ids, job.instance_ids, strict=True))
        gone = [
            by_server[each]
            for each, status in _server_statuses(found).items()
            if status == TERMINATED and each in by_server
        ]
        _save(job, JobStatus.of(found.status), gone, {}, now)
    return False


def _server_statuses(found: Job) -> dict[str, str]:
    return {each.source_server_id: each.launch_status for each in found.participants}


def settle_ended_job(job: TerminationJob, found: Job, clock: Clock) -> AwsCalls[None]:
    """DRS ended the job and left open what became of an instance: its participants are emptied or PENDING, or it
    failed. Look before anything is said. While DRS does not answer nothing is: the next poll asks again."""
    drs = Drs(job.region, job.account_id, reading="poller")
    try:
        listed = yield partial(drs.recovery_instances, job.server_ids)
        lines = yield partial(_log_of, drs, job.job_id, is_late=_is_long_ended(found, clock()))
    except DrsError:
        return
    told, states = _server_statuses(found), {each.recovery_instance_id: each.ec2_state for each in listed}
    names = dict(ServerRun.objects.filter(wave__execution=job.execution_id).values_list("source_server_id", "hostname"))
    gone: list[str] = []
    failures: Failures = {}
    for server, instance in zip(job.server_ids, job.instance_ids, strict=True):
        state, name = states.get(instance), names.get(server, server)
        if told.get(server) == TERMINATED or state in GONE or (state is None and told.get(server) != FAILED):
            gone.append(instance)
        else:
            failures[instance] = _failure(lines, server, name, is_listed=state is not None)
    _save(job, JobStatus.COMPLETED, gone, failures, clock())


def _is_long_ended(found: Job, now: datetime) -> bool:
    return found.ended_at is not None and now > found.ended_at + LATE_ANSWERS


def _log_of(drs: Drs, job_id: str, *, is_late: bool) -> list[JobLogItem]:
    """Why an instance still stands; without it after a while, or where it cannot be read."""
    try:
        return drs.job_log(job_id)
    except DrsError as error:
        if error.effect.is_final or is_late:
            return []
        raise


def _failure(lines: Iterable[JobLogItem], server: str, name: str, *, is_listed: bool) -> dict[str, str]:
    """AWS's own words for an instance that was not terminated, of its own event or of the job's."""
    told = [each for each in lines if each.event == "CLEANUP_FAIL" and each.source_server_id in ("", server)]
    told.sort(key=lambda each: (each.source_server_id == server, bool(each.data.get("rawError"))))
    if told:
        text = f"{name}: CLEANUP_FAIL: {told[-1].data.get('rawError') or 'AWS gave no reason.'}"
    else:
        text = f"{name}: DRS ended the job without terminating this instance, and gave no reason."
    return {"code": Code.TERMINATION_FAILED if is_listed else Code.UNKNOWN_TO_DRS, "message": str(storable(text))}


def _give_up_missing_job(job: TerminationJob, asked_at: datetime, now: datetime) -> None:
    """A job that DRS does not show was not observed, which says nothing; after a whole day it is taken for gone. What
    still stands is found out when a person terminates again."""
    if asked_at > (job.seen_at or job.intent_at or asked_at) + LOST_AFTER:
        _save(job, JobStatus.COMPLETED, [], {each: dict(_LOST) for each in job.instance_ids}, now)


def _save(job: TerminationJob, status: JobStatus, gone: list[str], failures: Failures, now: datetime) -> None:
    execution, watched = job.execution, status is not JobStatus.COMPLETED
    with transaction.atomic():
        mine = TerminationJob.objects.filter(pk=job.pk, status=job.status, watched=True)
        if not mine.update(status=status, watched=watched):
            return  # another engine was faster
        job.status, job.watched = status, watched
        if not job.watched:
            job.failures = failures
            job.save(update_fields=["failures"])
            codes = {each: failure["code"] for each, failure in failures.items()}
            note(execution, "terminate.ended", jobId=job.job_id, terminated=gone, failed=sorted(failures), codes=codes)
            wake_waiting(job.account_id, job.region, now)
        new = mark_terminated(execution, now, recovery_instance_id__in=gone)
        if new and job.watched:
            ids = [each.recovery_instance_id for each in new]
            note(execution, "terminate.gone", jobId=job.job_id, region=job.region, instances=ids)
        lost = [each for each, failure in failures.items() if failure["code"] == Code.UNKNOWN_TO_DRS]
        mark_unknown(execution, now, recovery_instance_id__in=lost)
        roll_up(execution, now)


def follow_up_finished(execution: Execution, clock: Clock) -> AwsCalls[None]:
    """Terminations that DRS does not work on yet: send those that waited, look up those without a confirmation."""
    yield from send_waiting(execution, clock)
    yield from find_unconfirmed(execution, clock)


def send_waiting(execution: Execution, clock: Clock) -> AwsCalls[None]:
    """Ask for what waited until DRS had ended the launch, and for parts of a refused request that nobody has sent."""
    now, queued = clock(), execution.terminations.filter(status=JobStatus.QUEUED)
    free = [job for job in queued if not launch_jobs(execution, job).exclude(status=JobStatus.COMPLETED).exists()]
    yield from send_queued(execution, [job for job in free if not _rests(job, now)], clock)


def _rests(job: TerminationJob, now: datetime) -> bool:
    """Whether an engine's own request that AWS has refused is left alone yet, for as long as AWS may ask us to: nobody
    waits for it."""
    refused_at = job.intent_at if is_by_engine(job) and job.error_code else None
    return refused_at is not None and timedelta(0) <= now - refused_at < LEFT_ALONE_FOR


def find_unconfirmed(execution: Execution, clock: Clock) -> AwsCalls[None]:
    """Settle terminations whose request was lost or killed: adopt DRS's job, or let a person try again."""
    oldest = clock() - UNCONFIRMED_AFTER
    for job in execution.terminations.filter(status=JobStatus.INITIATED, intent_at__lte=oldest):
        since = (job.intent_at or oldest) - LOOK_BACK
        try:
            jobs = yield partial(Drs(job.region, job.account_id, reading="poller").jobs_since, since)
        except DrsError:
            continue  # asked again at the next poll
        if found := adoptable(job, jobs, clock()):
            confirm(execution, job, found, clock())
        else:
            give_up_unconfirmed(execution, job, clock())


def adoptable(job: TerminationJob, jobs: Sequence[Job], now: datetime, within: timedelta = LOOK_BACK) -> Job | None:
    """The DRS job that may be what became of a request without an answer: the first since then that no other has."""
    if job.intent_at is None:
        return None
    sent = job.intent_at + aws_ahead(jobs, job.account_id, job.region, now)
    begun = (each for each in jobs if sent - CLOCKS_DIFFER <= each.created_at <= sent + within)
    mine = _without_termination(each for each in begun if _is_for(each, job))
    return min(mine, key=lambda each: each.created_at, default=None)


def _is_for(found: Job, job: TerminationJob) -> bool:
    """Whether a DRS job terminates exactly these servers, and none of their instances of another launch."""
    instances = dict(zip(job.server_ids, job.instance_ids, strict=True))
    told = {each.source_server_id: each.recovery_instance_id for each in found.participants}
    return (
        found.type == TERMINATE
        and found.initiated_by in ("", ASKED_TO_TERMINATE)
        and set(told) == set(instances)
        and all(told[each] in ("", instances[each]) for each in told)
    )


def _without_termination(jobs: Iterable[Job]) -> list[Job]:
    """Those that no termination has: the same servers may have been terminated before, after another launch."""
    found = list(jobs)
    ids = [each.job_id for each in found]
    owned = set(TerminationJob.objects.filter(job_id__in=ids).values_list("job_id", flat=True))
    return [each for each in found if each.job_id not in owned]


def reopen_after_late_launch(execution: Execution, now: datetime) -> None:
    """An instance that came up after its run's instances were terminated is still standing: say so."""
    if execution.state.is_final and execution.termination_status != TerminationStatus.NOT_STARTED:
        roll_up(execution, now)
