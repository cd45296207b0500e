"""What the list of source servers does not tell and readiness needs: snapshots, launch settings, jobs that run.

DRS tells snapshots and launch settings of one server a call, and EC2 the template of one, so some servers are read a
round, those never read first.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from accounts.registry import way_of
from audit.safe_text import storable
from contract.storage.prepared import Asked, Prepared, PreparedUpdate
from drs.client import Drs
from drs.errors import DrsError, Trouble
from drs.shapes import JOB_COMPLETED, Job, LaunchSettings
from drs.surroundings import LaunchTemplate, Surroundings
from protection.inventory.launch_settings import OF_TEMPLATE, Settings, digest_of, settings_of
from protection.models import LaunchSettings as Kept
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
    launch: LaunchSettings | None = None
    template: LaunchTemplate | None = None
    template_gone: bool = False
    template_error: DrsError | None = None  # why EC2 did not tell the template; the rest is known
    error: DrsError | None = None


def fetch_detail(region: str, account: str, source_server_id: str, *, with_template: bool = True) -> Detail:
    """Ask DRS for one server's newest snapshot and launch settings, and EC2 for its template. Touches no database."""
    drs = Drs(region, account, reading="poller")
    try:
        snapshot, launch = drs.latest_snapshot(source_server_id), drs.launch_settings(source_server_id)
    except DrsError as error:
        return Detail(source_server_id, error=error)
    found = Detail(source_server_id, snapshot, launch)
    if not with_template or launch is None or not launch.template_id:
        return found
    try:
        beside = Surroundings(region, account, simulated=bool(settings.AWS_ENDPOINT_URL_DRS))
        return replace(found, template=beside.launch_template(launch.template_id))
    except DrsError as error:
        if "NotFound" in error.code:
            return replace(found, template_gone=True)
        if error.trouble is Trouble.THROTTLED:  # as when DRS does: all of it is asked again, later
            return Detail(source_server_id, error=error)
        return replace(found, template_error=error)


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


def keep_detail(detail: Detail, now: datetime) -> str:
    """Write down what DRS and EC2 said of one server; answers the digest of what was said, empty without settings."""
    launch, known = detail.launch, detail.template is not None or detail.template_gone
    told: Settings = {}
    if launch is not None:
        told = storable(settings_of(launch, detail.template, template_gone=detail.template_gone))
    digest = _kept(told)
    columns = {
        "latest_snapshot_at": detail.latest_snapshot_at,
        "launch_template_id": launch.template_id if launch else "",
        "launch_digest": digest if known else _kept(_with_known_template(detail.source_server_id, told)),
        "starts_stopped": not launch.starts if launch else None,
        "has_actions": launch.has_actions if launch else None,
        "details_as_of": now,
    }
    if known:
        _KEEP_TOLD.run(**columns, template_as_of=now, source_server_id=detail.source_server_id)
    else:
        _KEEP.run(**columns, source_server_id=detail.source_server_id)
    return digest


def _this_server() -> QuerySet[SourceServer]:
    return SourceServer.objects.filter(pk=Asked(SourceServer, "source_server_id"))


_COLUMNS = (
    "latest_snapshot_at",
    "launch_template_id",
    "launch_digest",
    "starts_stopped",
    "has_actions",
    "details_as_of",
)
_KEEP, _KEEP_TOLD = (PreparedUpdate(_this_server, *_COLUMNS, *more) for more in ((), ("template_as_of",)))
_KNOWN = Prepared(lambda: Kept.objects.filter(pk=Asked(Kept, "digest")).values_list("pk"))


def _kept(told: Settings) -> str:
    if not told:
        return ""
    digest = digest_of(told)
    if not _KNOWN.rows(digest=digest):
        Kept.objects.get_or_create(digest=digest, defaults={"settings": told})
    return digest


def _with_known_template(source_server_id: str, told: Settings) -> Settings:
    """What DRS says now beside what its template said when EC2 last told it."""
    before = SourceServer.objects.filter(pk=source_server_id).values("launch_digest")
    kept = Kept.objects.filter(digest__in=before).values_list("settings", flat=True).first() if told else None
    return {**{name: value for name, value in (kept or {}).items() if name in OF_TEMPLATE}, **told}


def lacks_templates(region: str, account: str) -> bool:
    """Whether EC2 refused to tell launch templates there when it was last asked."""
    return RegionInventory.objects.of(account, region).exclude(templates_error="").exists()


def note_templates(region: str, account: str, error: DrsError | None) -> None:
    """Remember why launch templates of a region cannot be read, or that they can."""
    told = storable(f"{error.code}: {error.message}") if error else ""
    _NOTE.run(templates_error=told, region=region, way=way_of(account))


_NOTE = PreparedUpdate(
    lambda: RegionInventory.objects.filter(
        region=Asked(RegionInventory, "region"), way=Asked(RegionInventory, "way")
    ).exclude(templates_error=Asked(RegionInventory, "templates_error")),
    "templates_error",
)


def keep_jobs(region: str, account: str, jobs: Sequence[Job], now: datetime) -> None:
    """Write down which jobs run in a region."""
    running = [{"jobId": job.job_id, "servers": [each.source_server_id for each in job.participants]} for job in jobs]
    RegionInventory.objects.of(account, region).update(running_jobs=running, jobs_as_of=now, details_error="")


def note_trouble(region: str, account: str, error: DrsError) -> None:
    """Remember why the details of a region could not be read; what was known stays, with its age."""
    RegionInventory.objects.of(account, region).update(details_error=f"{error.code}: {error.message}")


def due_servers(
    region: str, account: str, now: datetime, *, limit: int = SERVERS_A_ROUND, with_templates: bool = True
) -> list[str]:
    """Servers of groups whose details are due: those never read, and a few of those that are old, the oldest first.
    `with_templates`: EC2 may be asked, so those whose template was not read the last time are old, too."""
    here = {"region": region, "account_id": account}
    unread = [pk for (pk,) in _UNREAD.rows(**here)][:limit]
    room = min(limit - len(unread), READ_AGAIN_A_ROUND)
    if not room:
        return unread
    old = (_OLD_OR_LACKING if with_templates else _OLD).rows(**here, details_as_of=now - READ_AGAIN)
    return unread + [pk for (pk,) in old[:room]]


_MOST = SERVERS_A_ROUND  # that any round takes
_LACKING = (
    (Q(template_as_of=None) | Q(template_as_of__lt=F("details_as_of")))
    & Q(details_as_of__isnull=False)
    & ~Q(launch_template_id="")
)


def _there(is_due: Q, *order: str) -> QuerySet[SourceServer, tuple[str]]:
    """Servers of groups in one region, of one account, whose details are due."""
    servers = _grouped().filter(region=Asked(SourceServer, "region"), account_id=Asked(SourceServer, "account_id"))
    return servers.filter(is_due).order_by(*order).values_list("pk")[:_MOST]


def _is_old() -> Q:
    return Q(details_as_of__lt=Asked(SourceServer, "details_as_of"))


_UNREAD = Prepared(lambda: _there(Q(details_as_of=None), "pk"))
_OLD = Prepared(lambda: _there(_is_old(), "details_as_of", "pk"))
_OLD_OR_LACKING = Prepared(lambda: _there(_is_old() | _LACKING, "details_as_of", "pk"))


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
    """One query; a second one counts, while there is anything left to read."""
    if not _grouped().filter(details_as_of=None).exists():
        return Progress(0, 0)
    found = _grouped().aggregate(read=Count("details_as_of"), total=Count("pk"))
    return Progress(found["read"], found["total"])


class Round:
    """How long one round of reading a region's details may go on."""

    def __init__(self) -> None:
        self.until = time.monotonic() + SECONDS_A_ROUND

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.until
