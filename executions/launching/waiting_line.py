"""Launches that wait for a quota of DRS: first come, first served, and none is sent before there may be room for it.

Twenty jobs run at once in an account and region. The place is asked which run; as many launches are called as have
ended. How many fit is what ran when DRS last took no more; now and then one more is tried, because quotas are raised,
and others' jobs end unseen.
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
from executions.states import JOB_MAY_RUN, WAVE_BEGUN, ExecutionStatus, JobStatus

REST = timedelta(minutes=30)  # when a launch is tried that nobody has called
_ORDER = ("queued_at", "wave__started_at", "position")
_KEYS = ("pk", "wave__execution_id", "attempt")
Waiting = tuple[uuid.UUID, uuid.UUID, int]  # of a launch in the line, by these
USED_UP = "A DRS quota in"
TRIED_SOON = timedelta(minutes=2)  # the first of the line, where nothing runs that could be waited for
TRIED_AFTER = timedelta(minutes=15)  # the same, where as many run as did when DRS took no more
TOLD_WITHIN = timedelta(minutes=2)  # before a refusal: what DRS told of a job then still holds


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
        start_wave(run, wave, now)
        transitions.touch(run.execution, now, [wave])
        set_wave_message(run, wave, _text(job), now)
    return True


def wait_in_line(run: Run, wave: WaveRun, job: LaunchJob, error: DrsError, now: datetime) -> None:
    """DRS takes no more: wait, for as long as one of our own jobs runs there. How many it takes is counted anew."""
    refused = {"quota_jobs": None, "refused_at": now}
    Place.objects.update_or_create(account_id=job.account_id, region=job.region, defaults=refused)
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
    """As many launches of the line as there is room for may be sent; answers their runs, and those of all that were
    called before: whoever called them may have died before their runs knew."""
    if running is None:
        return []
    place.refresh_from_db()
    refused_at = place.refused_at
    if place.quota_jobs is None:  # nobody has looked since it took no more; some may have ended meanwhile
        place.quota_jobs = max(running.jobs, _ours_at(place, refused_at or now))
    line = list(_line(place.account_id, place.region).filter(not_before__gt=now).order_by(*_ORDER).values_list(*_KEYS))
    sent, called = _called(place, now)
    free = _most(place.quota_jobs, running.jobs) - running.jobs - sent - len(called)
    next_ones = line[: max(free, 0)]
    if free <= 0 and not sent and not called and (next_ones := _one_more(place, line, running, now)):
        place.refused_at = now
    if next_ones:
        LaunchJob.objects.filter(pk__in=[pk for pk, *_ in next_ones]).update(not_before=now)
    row = Place.objects.filter(pk=place.pk)
    row.update(jobs_running=running.jobs, servers_running=running.servers)
    row.filter(refused_at=refused_at).update(quota_jobs=place.quota_jobs, refused_at=place.refused_at or now)
    _tell_line(place, now)
    return [*called, *(run for _, run, _ in next_ones)]


def _one_more(place: Place, line: list[Waiting], running: Running, now: datetime) -> list[Waiting]:
    """Now and then one more than is known to fit: the first. Where jobs come and go it is one that DRS has not refused
    yet, so that each is sent twice at most."""
    if now <= (place.refused_at or now) + (TRIED_AFTER if running.jobs else TRIED_SOON):
        return []
    here = LaunchJob.objects.filter(account_id=place.account_id, region=place.region)
    moves = running.jobs and here.filter(intent_at__gt=now - TRIED_AFTER).exists()
    return [each for each in line if not (moves and each[2])][:1]


def _ours_at(place: Place, moment: datetime) -> int:
    """How many jobs of ours ran there then, by what DRS told shortly before."""
    here = LaunchJob.objects.filter(account_id=place.account_id, region=place.region, intent_at__lte=moment)
    told = here.exclude(job_id="").exclude(completed_seen_at__lte=moment)
    return told.filter(Q(recorded_at__gte=moment - TOLD_WITHIN) | Q(seen_at__gte=moment - TOLD_WITHIN)).count()


def _called(place: Place, now: datetime) -> tuple[int, list[uuid.UUID]]:
    """How many of the line may have been sent, and the runs of those that may be but were not yet."""
    here = LaunchJob.objects.filter(account_id=place.account_id, region=place.region, refused_as=Trouble.QUOTA.name)
    called = here.filter(status=JobStatus.QUEUED, not_before__lte=now)
    called = called.exclude(wave__execution__status=ExecutionStatus.PAUSED)
    return here.filter(status=JobStatus.INITIATED).count(), list(called.values_list("wave__execution_id", flat=True))


def _most(quota: int, running: int) -> int:
    """How many jobs may run there: as many as did when DRS took no more. Where more do by now, that was too few, and
    as many again are tried, until DRS takes no more."""
    return max(quota, 2 * running - quota)


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
