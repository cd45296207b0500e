"""Rows that a clock which jumped has put off: nothing sleeps longer than a lease because of it."""

from datetime import datetime, timedelta

from django.db.models import F, Q

from executions.models import Execution, LaunchJob, Place, WaveRun
from executions.runs.claim import ASLEEP, LEASE
from executions.states import WAVE_BEGUN, ExecutionStatus, JobStatus


def pull_back(now: datetime, moved: timedelta) -> None:
    """Have everything looked at that would rest for longer than a lease; what rests for a good reason goes on to. With
    the clock the deadlines of waves move: time that has not passed is none."""
    late = Execution.objects.filter(next_step_at__gt=now + LEASE, next_step_at__lt=now + ASLEEP)
    late.exclude(status=ExecutionStatus.PAUSED).update(next_step_at=now)
    Place.objects.filter(next_poll_at__gt=now + LEASE).update(next_poll_at=now)
    # One that was not refused waits until no request can land any more, whatever the time is.
    waiting = Q(status=JobStatus.INITIATED) | (Q(status=JobStatus.QUEUED) & ~Q(refused_as=""))
    LaunchJob.objects.filter(waiting, not_before__gt=now + LEASE).update(not_before=now)
    if moved > timedelta():
        begun = WaveRun.objects.filter(status__in=WAVE_BEGUN, deadline_at__isnull=False)
        begun.update(deadline_at=F("deadline_at") + moved)
