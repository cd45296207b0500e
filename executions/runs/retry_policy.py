"""How long a launch that AWS refuses is tried again, and when it is worth trying at once."""

from datetime import datetime, timedelta

from drs.errors import Trouble
from executions.models import LaunchJob
from executions.runs.claim import wake
from executions.states import JobStatus

GIVE_UP_AFTER = timedelta(minutes=30)
IDLE_AFTER = timedelta(minutes=2)  # a launch that is late by more: no engine ran

# One reason in different words: a bad network or a sick DRS shows all of them by turns.
_SAME_AS = {Trouble.UNCERTAIN: Trouble.UNREACHABLE, Trouble.NOT_SENT: Trouble.UNREACHABLE}


def count_refusal(job: LaunchJob, trouble: Trouble, now: datetime, *, without_limit: bool = False) -> None:
    """Half an hour of refusals for one reason is enough; refusals that will certainly end do not count."""
    kind = _SAME_AS.get(trouble, trouble).name
    if without_limit:
        job.refused_since = None
    elif job.refused_since is None or job.refused_as != kind:
        job.refused_since = now
    job.refused_as = kind


def is_out_of_time(job: LaunchJob, now: datetime) -> bool:
    """Whether AWS has refused the launch for so long that it is given up."""
    limit = GIVE_UP_AFTER
    if job.refused_as in (Trouble.QUOTA.name, Trouble.CONFLICT.name):  # others' launches may take as long as ours
        limit = max(limit, job.wave.time_limit)
    return job.refused_since is not None and now > job.refused_since + limit


def exclude_idle_time(job: LaunchJob, now: datetime) -> None:
    """Time in which no engine ran does not count: nothing was sent."""
    due = job.not_before or job.intent_at
    if job.refused_since is not None and due is not None and now > due + IDLE_AFTER:
        job.refused_since += now - due


def wake_waiting(account: str, region: str, now: datetime) -> None:
    """A DRS job has ended there: launches that wait for a server are tried at once. Those that wait for a slot are
    called in their order (launching/waiting_line.py)."""
    waiting = LaunchJob.objects.filter(
        account_id=account,
        region=region,
        status=JobStatus.QUEUED,
        refused_as=Trouble.CONFLICT.name,
        not_before__gt=now,
    )
    runs = set(waiting.values_list("wave__execution_id", flat=True))
    if runs and waiting.update(not_before=now):
        wake(runs, now)
