"""What the list of source servers does not tell and readiness needs: snapshots, launch settings, jobs that run.

DRS tells snapshots and launch settings of one server a call, so a few servers are read a round, those never read first.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, F, OuterRef, Q

from drs.client import Drs
from drs.errors import DrsError
from drs.shapes import JOB_COMPLETED, Job
from protection.models import RegionInventory, ServerAssignment, SourceServer

SERVERS_A_ROUND = 25
SECONDS_A_ROUND = 5.0  # one slow region must not keep an engine from passing its turn on
READ_AGAIN = timedelta(hours=1)
JOBS_SINCE = timedelta(hours=6)  # no DRS job runs for longer


@dataclass(frozen=True)
class Detail:
    """What DRS says of one server beside its replication; `error` is why it said nothing."""

    source_server_id: str
    latest_snapshot_at: datetime | None = None
    launch_template_id: str = ""
    error: DrsError | None = None


def fetch_detail(region: str, account: str, source_server_id: str) -> Detail:
    """Ask DRS for one server's newest snapshot and launch settings. Touches no database."""
    drs = Drs(region, account, reading="poller")
    try:
        snapshot, template = drs.latest_snapshot(source_server_id), drs.launch_template(source_server_id)
    except DrsError as error:
        return Detail(source_server_id, error=error)
    return Detail(source_server_id, snapshot, template)


def fetch_jobs(region: str, account: str, now: datetime) -> Sequence[Job] | DrsError:
    """The jobs that DRS works on in a region, ours and others'. Touches no database."""
    try:
        jobs = Drs(region, account, reading="poller").jobs_since(now - JOBS_SINCE)
    except DrsError as error:
        return error
    return [job for job in jobs if job.status != JOB_COMPLETED]


def fetch_launches(region: str, account: str, job_ids: Sequence[str]) -> Sequence[Job] | DrsError:
    """These jobs, as far as DRS still knows them. Touches no database."""
    try:
        return Drs(region, account, reading="poller").jobs(job_ids)
    except DrsError as error:
        return error


def keep_detail(detail: Detail, now: datetime) -> None:
    """Write down what DRS said of one server."""
    SourceServer.objects.filter(pk=detail.source_server_id).update(
        latest_snapshot_at=detail.latest_snapshot_at, launch_template_id=detail.launch_template_id, details_as_of=now
    )


def keep_jobs(region: str, jobs: Sequence[Job], now: datetime) -> None:
    """Write down which jobs run in a region."""
    running = [{"jobId": job.job_id, "servers": [each.source_server_id for each in job.participants]} for job in jobs]
    RegionInventory.objects.filter(region=region).update(running_jobs=running, jobs_as_of=now, details_error="")


def note_trouble(region: str, error: DrsError) -> None:
    """Remember why the details of a region could not be read; what was known stays, with its age."""
    RegionInventory.objects.filter(region=region).update(details_error=f"{error.code}: {error.message}")


def due_servers(region: str, account: str, now: datetime) -> list[str]:
    """Servers of groups whose details are unknown or old, the oldest first, as many as one round reads."""
    grouped = ServerAssignment.objects.filter(source_server_id=OuterRef("pk"))
    old = Q(details_as_of=None) | Q(details_as_of__lt=now - READ_AGAIN)
    servers = SourceServer.objects.present().filter(old, Exists(grouped), region=region, account_id=account)
    oldest = servers.order_by(F("details_as_of").asc(nulls_first=True), "pk")
    return list(oldest.values_list("pk", flat=True)[:SERVERS_A_ROUND])


class Round:
    """How long one round of reading a region's details may go on."""

    def __init__(self) -> None:
        self.until = time.monotonic() + SECONDS_A_ROUND

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.until
