"""Launches that wait for a quota of DRS: first come, first served, and none is sent before there may be room for it.

Twenty jobs run at once in an account and region. The place is asked which run; as many launches are called as have
ended. Where nothing moves the first one tries now and then, because quotas are raised, and others' jobs end unseen.
"""

import uuid
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

from contract.plurals import counted
from drs.errors import DrsError, Trouble
from executions.launching.refusals import retry_later, set_wave_message, start_wave
from executions.models import LaunchJob, Place, WaveRun
from executions.observing.job_questions import Running
from executions.runs import transitions
from executions.runs.claim import ClaimLost, Run
from executions.states import JOB_MAY_RUN, WAVE_BEGUN, JobStatus

REST = timedelta(minutes=30)  # when a launch is tried that nobody has called
USED_UP = "A DRS quota in"
TRIED_SOON = timedelta(minutes=2)  # the first of the line, where nothing runs that could be waited for
TRIED_AFTER = timedelta(minutes=15)  # the same, where nothing moves


def _line(account: str, region: str) -> QuerySet[LaunchJob]:
    """Launches that wait there for a quota."""
    here = LaunchJob.objects.filter(account_id=account, region=region, refused_as=Trouble.QUOTA.name)
    return here.filter(status=JobStatus.QUEUED)


def is_waited_for(place: Place) -> bool:
    """Whether launches wait there for a quota."""
    return _line(place.account_id, place.region).exists()


def joins_line(run: Run, wave: WaveRun, job: LaunchJob, now: datetime) -> bool:
    """Before a launch is intended: where others wait already, it waits behind them. Raises ClaimLost."""
    line = _line(job.account_id, job.region)
    if job.refused_as == Trouble.QUOTA.name or not line.filter(not_before__gt=now).exists():
        return False
    with transaction.atomic():
        run.write(now)
        mine = LaunchJob.objects.filter(pk=job.pk, status=JobStatus.QUEUED, attempt=job.attempt, job_id="")
        if not mine.update(refused_as=Trouble.QUOTA.name, refused_since=now, queued_at=now, not_before=now + REST):
            raise ClaimLost
        start_wave(wave, now)
        transitions.touch(run.execution, now, [wave])
        set_wave_message(run, wave, _text(job), now)
    return True


def wait_in_line(run: Run, wave: WaveRun, job: LaunchJob, error: DrsError, now: datetime) -> None:
    """DRS takes no more: wait, for as long as one of our own jobs runs there. How many it takes is counted anew."""
    Place.objects.filter(account_id=job.account_id, region=job.region).update(quota_jobs=None)
    LaunchJob.objects.filter(pk=job.pk).update(queued_at=Coalesce("queued_at", now))
    ours = LaunchJob.objects.filter(account_id=job.account_id, region=job.region, status__in=JOB_MAY_RUN)
    is_ours = ours.exclude(pk=job.pk).exists()
    text = f"{_text(job)} ({error.message})"
    retry_later(run, wave, job, error, text, now, without_limit=is_ours, rest=REST)


def _text(job: LaunchJob) -> str:
    place = Place.objects.filter(account_id=job.account_id, region=job.region, jobs_running__gt=0).first()
    used = f"{USED_UP} {job.region} is used up"
    if place is None:
        return f"{used}. Waiting for a job there to end."
    jobs, servers = place.jobs_running or 0, counted(place.servers_running or 0, "server")
    return (
        f"{used}: {counted(jobs, 'job')} with {servers} {'runs' if jobs == 1 else 'run'} there. Waiting for one to end."
    )


def call_next(place: Place, running: Running | None, now: datetime) -> list[uuid.UUID]:
    """As many launches of the line as there is room for may be sent; answers their runs."""
    if running is None:
        return []
    place.refresh_from_db()
    quota = max(place.quota_jobs or 0, running.jobs)
    here = LaunchJob.objects.filter(account_id=place.account_id, region=place.region, refused_as=Trouble.QUOTA.name)
    sent = Q(status=JobStatus.INITIATED) | Q(status=JobStatus.QUEUED, not_before__lte=now)
    called = here.filter(sent).count()
    free = quota - running.jobs - called
    place.called_at = place.called_at or now
    if free <= 0 and not called and now > place.called_at + (TRIED_AFTER if running.jobs else TRIED_SOON):
        free = 1
    line = _line(place.account_id, place.region).filter(not_before__gt=now)
    first = list(line.order_by("queued_at", "wave__started_at", "position").values_list("pk", "wave__execution_id"))
    next_ones = first[: max(free, 0)]
    if next_ones:
        place.called_at = now
        LaunchJob.objects.filter(pk__in=[pk for pk, _ in next_ones]).update(not_before=now)
    place.quota_jobs, place.jobs_running, place.servers_running = quota, running.jobs, running.servers
    place.save(update_fields=["quota_jobs", "jobs_running", "servers_running", "called_at"])
    _tell_line(place, now)
    return [run for _, run in next_ones]


def _tell_line(place: Place, now: datetime) -> None:
    """What runs there changes: say so on the waves that wait, with what AWS said when it refused them."""
    line = _line(place.account_id, place.region)
    job = line.first()
    if job is None:
        return
    text, told = _text(job), list[WaveRun]()
    for wave in WaveRun.objects.filter(status__in=WAVE_BEGUN, jobs__in=line, status_message__startswith=USED_UP):
        _, bracket, words = wave.status_message.partition(" (")
        if wave.status_message != text + bracket + words:
            wave.status_message = text + bracket + words
            told.append(wave)
    if told:
        WaveRun.objects.bulk_update(told, ["status_message"])
        transitions.touch_all([wave.execution_id for wave in told], now, [wave.pk for wave in told])
