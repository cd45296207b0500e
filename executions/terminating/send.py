"""Sending terminations to DRS, and taking a refusal for what it is: of one instance, and not of all that were named.

The intent is committed before each call. What DRS certainly refuses because of one of several is asked for again
without it, in parts if it does not say which one: each part is a request, and a row, of its own.
"""

import time
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import assert_never

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from contract.clock import Clock
from drs.client import Drs, SendWindow
from drs.errors import SUPERSEDED, DrsError, Trouble
from drs.shapes import Job
from executions import installation
from executions.codes.ours import Code
from executions.models import Execution, LaunchJob, TerminationJob
from executions.runs import transitions
from executions.runs.aws_calls import AwsCalls
from executions.runs.journal import note
from executions.states import JOB_TOLD, JobStatus
from executions.terminating.instances import lock_run, roll_up, wake_by
from executions.terminating.spared import IN_USE, MAY_BE_PRODUCTION, held_instances, is_by_engine, spared
from executions.terminating.successors import has_successor

SECONDS = 20.0  # how long a person waits while DRS refuses part after part; an engine goes on with the rest

PATIENCE = timedelta(hours=6)  # no DRS job runs for longer: by then another one's place was free
NO_ROOM = "DRS works on as many jobs and servers here as it takes at once. These are asked for when some have ended."

Parts = list[TerminationJob]


def send(execution: Execution, jobs: Iterable[TerminationJob], window: SendWindow, clock: Clock) -> AwsCalls[None]:
    """Ask DRS for these requests, just intended, and then for what refused ones were split into. Where DRS takes no
    more now, the rest is not asked for: it waits."""
    parts: Parts = []
    full: dict[tuple[str, str], str] = {}  # with the code of the refusal
    for job in jobs:
        if _place(job) in full:
            _wait(execution, job, full[_place(job)], NO_ROOM, clock())
            continue
        parts += yield from _send_one(execution, job, window, clock)
        full |= {_place(job): job.error_code} if job.waits_for == NO_ROOM else {}
    yield from send_queued(execution, [each for each in parts if _place(each) not in full], clock, max_wait=SECONDS)


def send_queued(
    execution: Execution, jobs: Iterable[TerminationJob], clock: Clock, *, max_wait: float = float("inf")
) -> AwsCalls[None]:
    """Ask for what waited, and for its parts. A row goes from QUEUED to INITIATED before its call: of several engines
    one asks, and what becomes of its request is found out as after any other."""
    left, until = list(jobs), time.monotonic() + max_wait
    full: set[tuple[str, str]] = set()
    while left and time.monotonic() < until:
        job = left.pop(0)
        if _place(job) in full:
            continue
        window, now = SendWindow(settings.SEND_WINDOW_SECONDS), clock()
        waiting = TerminationJob.objects.filter(pk=job.pk, status=JobStatus.QUEUED, job_id="")
        if waiting.update(status=JobStatus.INITIATED, intent_at=now):
            job.status = JobStatus.INITIATED
            left += yield from _send_again(execution, job, window, clock)
            full |= {_place(job)} if job.waits_for == NO_ROOM else set()


def _send_again(execution: Execution, job: TerminationJob, window: SendWindow, clock: Clock) -> AwsCalls[Parts]:
    """What has waited, but for what became production meanwhile, or is in use, and no person asked for."""
    in_use = held_instances(job)
    try:
        kept = in_use or (yield from spared(job))
    except DrsError as error:
        _wait_or_refuse(execution, job, error.code, error.message, clock(), rest=error.rest)
        return []
    code, text = (Code.SERVER_CONFLICT, IN_USE) if in_use else (Code.LEFT_ALONE, MAY_BE_PRODUCTION)
    if kept and (others := [each for each in job.instance_ids if each not in kept]):
        return _set_apart(execution, job, code, text, others, clock())
    if not kept:
        return (yield from _send_one(execution, job, window, clock))
    (_wait_or_refuse if in_use else refuse)(execution, job, code, text, clock())
    return []


def _place(job: TerminationJob) -> tuple[str, str]:
    return job.account_id, job.region


def _send_one(execution: Execution, job: TerminationJob, window: SendWindow, clock: Clock) -> AwsCalls[Parts]:
    """One call; answers the parts that are to be asked for instead, when it is refused because of one instance."""
    try:
        if (yield from has_successor(*_place(job), job.server_ids, clock)):  # what this one knows of instances is old
            refuse(execution, job, SUPERSEDED, installation.STOPPED, clock())
            return []
        answer = yield partial(Drs(job.region, job.account_id).terminate, job.instance_ids, window=window)
    except DrsError as error:
        return _after_refusal(execution, job, error, clock())
    confirm(execution, job, answer, clock())
    return []


def _after_refusal(execution: Execution, job: TerminationJob, error: DrsError, now: datetime) -> Parts:
    """After no clear answer nothing is written: the engine finds out."""
    trouble = error.trouble
    match trouble:
        case Trouble.UNCERTAIN:
            return []
        case Trouble.CONFLICT | Trouble.INVALID | Trouble.NOT_FOUND:
            return _after_refused_instance(execution, job, error, now)
        case Trouble.ACCESS_DENIED | Trouble.REFUSED if error.names(job.instance_ids, job.server_ids):
            return _after_refused_instance(execution, job, error, now)
        case Trouble.ACCESS_DENIED | Trouble.REFUSED:
            refuse(execution, job, error.code, error.message, now)
            return []
        case Trouble.QUOTA if now < job.requested_at + PATIENCE:
            _wait(execution, job, error.code, NO_ROOM, now)
            return []
        case (
            Trouble.THROTTLED
            | Trouble.CREDENTIALS
            | Trouble.KEY_OR_REGION
            | Trouble.UNREACHABLE
            | Trouble.NOT_SENT
            | Trouble.OTHER_ACCOUNT
        ):
            _wait_or_refuse(execution, job, error.code, error.message, now, rest=error.rest)
            return []
        case Trouble.QUOTA | Trouble.NOT_INITIALIZED | Trouble.REGION_NOT_ENABLED:
            refuse(execution, job, error.code, error.message, now)
            return []
        case _:
            assert_never(trouble)


def _after_refused_instance(execution: Execution, job: TerminationJob, error: DrsError, now: datetime) -> Parts:
    """One of the instances may be what is refused, of several: the others are asked for by themselves. Which of these
    refusals DRS sends is not known."""
    parts: Parts = []
    if len(job.instance_ids) > 1:
        apart = _still_launching(execution, job, error) or error.names(job.instance_ids, job.server_ids)
        if not apart:
            return _halve(execution, job, error, now)
        kept = [each for each in job.instance_ids if each in apart]
        parts = _split(execution, job, error.code, error.message, kept, now)
    if error.trouble is Trouble.CONFLICT and (launching := list(launch_jobs(execution, job))):
        _wait_for_launch(execution, job, error, sorted({each.job_id for each in launching}), now)
    elif error.trouble is Trouble.CONFLICT:
        _wait_or_refuse(execution, job, error.code, error.message, now)
    else:
        refuse(execution, job, error.code, error.message, now)
    return parts


def launch_jobs(execution: Execution, job: TerminationJob) -> QuerySet[LaunchJob]:
    """The run's own launches, of the servers to terminate, of which DRS may have more news."""
    mine = LaunchJob.objects.filter(wave__execution=execution, account_id=job.account_id, region=job.region)
    return mine.filter(watched=True, servers__source_server_id__in=job.server_ids).exclude(job_id="")


def _still_launching(execution: Execution, job: TerminationJob, error: DrsError) -> set[str]:
    """Instances whose servers DRS still works on in a launch of this run, which is what a conflict is about then."""
    if error.trouble is not Trouble.CONFLICT:
        return set()
    launching = launch_jobs(execution, job).exclude(status=JobStatus.COMPLETED)
    servers = set(launching.values_list("servers__source_server_id", flat=True))
    return {instance for instance, server in zip(job.instance_ids, job.server_ids, strict=True) if server in servers}


def _halve(execution: Execution, job: TerminationJob, error: DrsError, now: datetime) -> Parts:
    """DRS does not say which one: ask for either half, and so on, until each that is refused stands alone."""
    middle = len(job.instance_ids) // 2
    return _set_apart(execution, job, error.code, error.message, job.instance_ids[:middle], now)


def _set_apart(
    execution: Execution, job: TerminationJob, code: str, text: str, these: Collection[str], now: datetime
) -> Parts:
    """Two requests of one, both of which wait: for `these`, and for the others. None that somebody else has settled."""
    rest = _split(execution, job, code, text, these, now)
    again = TerminationJob.objects.filter(pk=job.pk, status=JobStatus.INITIATED, job_id="")
    return [job, *rest] if again.update(status=JobStatus.QUEUED) else rest


def _split(
    execution: Execution, job: TerminationJob, code: str, text: str, kept: Collection[str], now: datetime
) -> Parts:
    """Leave `kept` in the row; the rest becomes a row that waits to be sent."""
    pairs = list(zip(job.instance_ids, job.server_ids, strict=True))
    here, rest = [each for each in pairs if each[0] in kept], [each for each in pairs if each[0] not in kept]
    with transaction.atomic():
        lock_run(execution)
        mine = TerminationJob.objects.filter(pk=job.pk, status=JobStatus.INITIATED, job_id="")
        if not rest or not mine.update(instance_ids=_instance_ids(here), server_ids=_server_ids(here)):
            return []  # all of them are meant, or somebody else has settled it
        job.instance_ids, job.server_ids = _instance_ids(here), _server_ids(here)
        part = TerminationJob.objects.create(
            execution=execution,
            account_id=job.account_id,
            region=job.region,
            instance_ids=_instance_ids(rest),
            server_ids=_server_ids(rest),
            status=JobStatus.QUEUED,
            requested_by=job.requested_by,
            requested_at=job.requested_at,
        )
        wake_by(execution, now + timedelta(seconds=settings.POLL_SECONDS))
        detail = {"apart": job.instance_ids, "rest": part.instance_ids, "text": text}
        note(execution, "terminate.split", outcome=code, region=job.region, **detail)
    return [part]


def _instance_ids(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [instance for instance, _ in pairs]


def _server_ids(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [server for _, server in pairs]


def _wait_for_launch(
    execution: Execution, job: TerminationJob, error: DrsError, launching: list[str], now: datetime
) -> None:
    text = f"DRS has not ended {' and '.join(launching)} yet, which launched them. They are terminated when it has."
    _wait(execution, job, error.code, text, now)


def _wait(execution: Execution, job: TerminationJob, code: str, text: str, now: datetime, *, rest: float = 0.0) -> None:
    """It was certainly not accepted, and an engine asks again, after AWS's `rest`."""
    with transaction.atomic():
        lock_run(execution)
        sent = TerminationJob.objects.filter(pk=job.pk, status=JobStatus.INITIATED, job_id="")
        if sent.update(status=JobStatus.QUEUED, error_code=code, error_message=text):
            wake_by(execution, now + timedelta(seconds=max(rest, settings.POLL_SECONDS)))
            if job.error_code != code:
                note(execution, "terminate.waits", outcome=code, region=job.region, text=text)
            transitions.touch(execution, now)
            job.status, job.error_code, job.error_message = JobStatus.QUEUED, code, text


def _wait_or_refuse(
    execution: Execution, job: TerminationJob, code: str, text: str, now: datetime, *, rest: float = 0.0
) -> None:
    """AWS took nothing now, and may later: a person tries again; where none asked, an engine does."""
    if is_by_engine(job) and now < job.requested_at + PATIENCE:
        _wait(execution, job, code, f"{code}: {text} It is asked for again.", now, rest=rest)
    else:
        refuse(execution, job, code, text, now)


def give_up_unconfirmed(execution: Execution, job: TerminationJob, now: datetime) -> None:
    """AWS never answered, and shows no job of it: asking twice would do no harm."""
    _wait_or_refuse(execution, job, Code.NOT_CONFIRMED, str(Code.NOT_CONFIRMED.explanation), now)


def confirm(execution: Execution, job: TerminationJob, found: Job, now: datetime) -> None:
    """DRS has the request as this job. Of two requests that would have the same job, the second is not confirmed."""
    is_open = found.status in JOB_TOLD and found.status != JobStatus.COMPLETED
    status = found.status if is_open else JobStatus.PENDING  # its polls tell
    with transaction.atomic():
        lock_run(execution)
        if TerminationJob.objects.filter(job_id=found.job_id).exists():
            return
        unconfirmed = TerminationJob.objects.filter(pk=job.pk, job_id="")
        columns = {"error_code": "", "error_message": "", "failures": {}}
        done = unconfirmed.update(job_id=found.job_id, status=status, watched=True, **columns)
        if done:
            wake_by(execution, now + timedelta(seconds=settings.POLL_SECONDS))
            note(execution, "terminate.sent", jobId=found.job_id, region=job.region, instances=job.instance_ids)


def refuse(execution: Execution, job: TerminationJob, code: str, message: str, now: datetime) -> None:
    """Nothing was terminated by this request; a person may try again."""
    with transaction.atomic():
        lock_run(execution)
        failures = {each: {"code": code, "message": message} for each in job.instance_ids}
        unconfirmed = TerminationJob.objects.filter(pk=job.pk, status=JobStatus.INITIATED, job_id="")
        done = unconfirmed.update(status=JobStatus.REJECTED, error_code=code, error_message=message, failures=failures)
        if done:
            roll_up(execution, now)
            detail = {"region": job.region, "instances": job.instance_ids, "text": message}
            note(execution, "terminate.refused", outcome=code, **detail)
