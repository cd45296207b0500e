"""What the list of source servers does not tell and readiness needs: snapshots, launch settings, jobs that run.

DRS tells snapshots and launch settings of one server a call, so some servers are read a round, those never read first.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Exists, OuterRef, QuerySet

from drs.client import Drs
from drs.errors import DrsError
from drs.shapes import JOB_COMPLETED, Job, LaunchSettings
from protection.models import RegionInventory, ServerAssignment, SourceServer

SERVERS_A_ROUND = 40  # every five seconds: 4,000 in eight minutes
READ_AGAIN_A_ROUND = 10  # of those that are known: 4,000 in half an hour
SECONDS_A_ROUND = 5.0  # one slow region must not keep an engine from passing its turn on
READ_AGAIN = timedelta(hours=2)  # at rest this is a third of what the engine costs
JOBS_SINCE = timedelta(hours=6)  # no DRS job runs for longer


@dataclass(frozen=True)
class Detail:
    """What DRS says of one server beside its replication; `error` is why it said nothing."""

    source_server_id: str
    latest_snapshot_at: datetime | None = None
    settings: LaunchSettings | None = None
    error: DrsError | None = None


def fetch_detail(region: str, account: str, source_server_id: str) -> Detail:
    """Ask DRS for one server's newest snapshot and launch settings. Touches no database."""
    drs = Drs(region, account, reading="poller")
    try:
        snapshot, launch = drs.latest_snapshot(source_server_id), drs.launch_settings(source_server_id)
    except DrsError as error:
        return Detail(source_server_id, error=error)
    return Detail(source_server_id, snapshot, launch)


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
    launch = detail.settings
    SourceServer.objects.filter(pk=detail.source_server_id).update(
        latest_snapshot_at=detail.latest_snapshot_at,
        launch_template_id=launch.template_id if launch else "",
        starts_stopped=not launch.starts if launch else None,
        has_actions=launch.has_actions if launch else None,
        details_as_of=now,
    )


def keep_jobs(region: str, jobs: Sequence[Job], now: datetime) -> None:
    """Write down which jobs run in a region."""
    running = [{"jobId": job.job_id, "servers": [each.source_server_id for each in job.participants]} for job in jobs]
    RegionInventory.objects.filter(region=region).update(running_jobs=running, jobs_as_of=now, details_error="")


def note_trouble(region: str, error: DrsError) -> None:
    """Remember why the details of a region could not be read; what was known stays, with its age."""
    RegionInventory.objects.filter(region=region).update(details_error=f"{error.code}: {error.message}")


def due_servers(region: str, account: str, now: datetime, *, limit: int = SERVERS_A_ROUND) -> list[str]:
    """Servers of groups whose details are due: those never read, and a few of those that are old, the oldest first."""
    servers = _grouped().filter(region=region, account_id=account)
    unread = list(servers.filter(details_as_of=None).order_by("pk").values_list("pk", flat=True)[:limit])
    old = servers.filter(details_as_of__lt=now - READ_AGAIN).order_by("details_as_of", "pk")
    room = min(limit - len(unread), READ_AGAIN_A_ROUND)
    return unread + list(old.values_list("pk", flat=True)[:room] if room else [])


def _grouped() -> QuerySet[SourceServer]:
    grouped = ServerAssignment.objects.filter(source_server_id=OuterRef("pk"))
    return SourceServer.objects.present().filter(Exists(grouped))


@dataclass(frozen=True)
class Progress:
    """How many of the servers of groups have been asked about by themselves."""

    read: int
    total: int

    def __str__(self) -> str:
        return f"Details of {self.read:,} of {self.total:,} servers read"

    @property
    def is_over(self) -> bool:
        return self.read >= self.total


def progress() -> Progress:
    """One query."""
    found = _grouped().aggregate(read=Count("details_as_of"), total=Count("pk"))
    return Progress(found["read"], found["total"])


class Round:
    """How long one round of reading a region's details may go on."""

    def __init__(self) -> None:
        self.until = time.monotonic() + SECONDS_A_ROUND

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.until
