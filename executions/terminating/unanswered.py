"""Requests to terminate to which AWS gave no answer, and whose job DRS did not show when it was asked for a minute
later. What ends after one may have ended by it: DRS's job is still taken for its own where it is of its time, and
without such a job nobody knows by whom the instances were terminated."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from django.db import transaction

from drs.shapes import Job
from executions.codes.ours import Code
from executions.models import ServerRun, TerminationJob
from executions.states import JobStatus
from executions.terminating.follow_up import LOOK_BACK, adoptable
from executions.terminating.instances import lock_run, roll_up
from executions.terminating.send import confirm

LANDS_WITHIN = timedelta(minutes=10)  # a lost request that is carried out at all has begun by then

Requests = dict[int, TerminationJob]  # the last one of each server's instance


def unanswered(servers: Collection[ServerRun]) -> Requests:
    """The last request for the instance of each of these, where it is one that AWS did not answer."""
    runs = {each.wave.execution_id for each in servers}
    rows = TerminationJob.objects.filter(
        execution__in=runs, status=JobStatus.REJECTED, job_id="", error_code=Code.NOT_CONFIRMED
    )
    by_instance = {
        (row.execution_id, instance): row
        for row in rows.select_related("execution").order_by("pk")
        for instance in row.instance_ids
    }
    keys = {each.pk: (each.wave.execution_id, each.recovery_instance_id) for each in servers}
    return {pk: by_instance[key] for pk, key in keys.items() if key in by_instance}


def since(requests: Iterable[TerminationJob], now: datetime) -> datetime:
    """From when on DRS's jobs may be theirs."""
    return min((each.intent_at or now for each in requests), default=now) - LOOK_BACK


def adopt_late(requests: Requests, jobs: Sequence[Job], now: datetime) -> set[int]:
    """Take DRS's jobs for the requests they answer, which are followed from now on; answers their servers."""
    rows = {row.pk: row for row in requests.values()}
    adopted = {pk for pk, row in rows.items() if _adopt(row, jobs, now)}
    return {server for server, row in requests.items() if row.pk in adopted}


def _adopt(row: TerminationJob, jobs: Iterable[Job], now: datetime) -> bool:
    found = adoptable(row, [each for each in jobs if each.dated], now, LANDS_WITHIN)
    if found is None:
        return False
    with transaction.atomic():
        lock_run(row.execution)
        confirm(row.execution, row, found, now)
        roll_up(row.execution, now)
    return True
