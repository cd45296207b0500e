"""From nothing to the first finished drill: what is done, and what comes next. The same things that doctor checks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.core.cache import cache
from django.db.models import Count, Q

from audit.actor import SYSTEM
from doctor import account
from doctor.account import Place
from doctor.findings import Finding, Level
from executions.models import Execution
from executions.pacemaker import is_alive
from executions.states import ExecutionStatus, Kind
from notify.models import Delivery
from notify.states import DeliveryStatus
from plans.models import RecoveryPlan
from protection.models import RegionInventory, SourceServer

RIGHTS_KEPT_SECONDS = 3600  # IAM's simulator answers few questions an hour; "look again" asks anew
CANDIDATES = 5
PLANS = "Groups and plans say what is recovered, and in which order."
DRY_RUN = "It asks DRS about everything, and launches nothing."
DRILL = "Only a launch proves that a launch works."
NOTIFICATIONS = "Subscribe e-mail, a topic or a webhook, and send a test."


@dataclass(frozen=True)
class Step:
    """One step, with its own words where it stands. `key` is what the page does about it."""

    key: str
    title: str
    done: bool
    said: str = ""


@dataclass(frozen=True)
class RegionCount:
    region: str
    servers: int
    state: str  # empty where DRS is set up and was read


def is_needed() -> bool:
    """Whether an installation is so new that its dashboard shows the way: until a drill finished and somebody is told.
    Once both are done, two queries say so."""
    return not drilled() or not somebody_is_told()


def drilled(*, dry_run: bool = False) -> bool:
    runs = Execution.objects.filter(status=ExecutionStatus.COMPLETED, dry_run=dry_run)
    return (runs if dry_run else runs.filter(kind=Kind.DRILL)).exists()


def somebody_is_told() -> bool:
    reached = Delivery.objects.filter(subscription__enabled=True, status=DeliveryStatus.DELIVERED)
    return reached.exists()


def is_demo() -> bool:
    """The plans of `manage.py demo` on a simulated DRS: there is one thing to do."""
    return bool(settings.AWS_ENDPOINT_URL_DRS) and RecoveryPlan.objects.filter(owner=SYSTEM.name).exists()


def regions() -> list[RegionCount]:
    """Every region that was read, those with servers first."""
    counts = dict(
        SourceServer.objects.present()
        .read_by("")
        .order_by()
        .values_list("region")
        .annotate(n=Count("pk"))
        .values_list("region", "n")
    )
    rows = [
        RegionCount(row.region, counts.get(row.region, 0), _state(row))
        for row in RegionInventory.objects.filter(way="")
    ]
    return sorted(rows, key=lambda each: (-each.servers, bool(each.state), each.region))


def _state(row: RegionInventory) -> str:
    if row.error_code:
        return f"could not be read: {row.error_code}"
    return "" if row.initialized else "DRS was never set up"


def candidates() -> Sequence[SourceServer]:
    """Servers for the first drill: ready ones, the smallest first."""
    ready = SourceServer.objects.present().filter(
        Q(replication_state="CONTINUOUS"),
        replication_error="",
        staging_error="",
        replication_direction__in=["", "FAILOVER"],
    )
    return list(ready.order_by("disk_bytes", "name")[:CANDIDATES])


def steps(*, afresh: bool) -> list[Step]:
    """All steps, in order. With `afresh` AWS is asked about rights again."""
    credentials, owner = _credentials()
    counted = regions()
    return [
        Step("engine", "An engine runs", is_alive(), "Start one: manage.py engine, or the engine's service."),
        Step("credentials", "AWS accepts the credentials", credentials.level is Level.OK, credentials.message),
        _rights(counted, owner, afresh=afresh),
        Step("regions", "Regions are known", bool(counted), _said_of(counted)),
        Step("plans", "There is a recovery plan", RecoveryPlan.objects.exists(), PLANS),
        Step("dry-run", "A first dry run", drilled(dry_run=True), DRY_RUN),
        Step("drill", "A first drill of one server", drilled(), DRILL),
        Step("notifications", "Somebody is told", somebody_is_told(), NOTIFICATIONS),
    ]


def _credentials() -> tuple[Finding, str]:
    owner, findings = account.of_credentials(settings.AWS_REGION, "")
    return findings[0], owner


def _said_of(counted: Iterable[RegionCount]) -> str:
    having = [f"{each.region}: {each.servers}" for each in counted if each.servers]
    return ", ".join(having) or "Look at every region in which DRS exists."


def _rights(counted: Iterable[RegionCount], owner: str, *, afresh: bool) -> Step:
    """What IAM says of the region with the most servers, kept for an hour."""
    title = "The engine's role may launch"
    region = next((each.region for each in counted if each.servers), "")
    if not owner or not region:
        return Step("rights", title, done=False, said="Asked when a region with servers is known.")
    key = f"first-steps:rights:{owner}:{region}"
    kept: tuple[bool, str] | None = None if afresh else cache.get(key)
    if kept is None:
        place = Place(region, owner)
        found = list(account.of_rights(place, account.rights_of(place).core(), what="A launch"))
        kept = _summed_up(found)
        cache.set(key, kept, RIGHTS_KEPT_SECONDS)
    return Step("rights", title, *kept)


def _summed_up(found: Sequence[Finding]) -> tuple[bool, str]:
    for level in (Level.FAILED, Level.UNKNOWN):
        bad = [each for each in found if each.level is level]
        if bad:
            more = f" And {len(bad) - 1} more." if len(bad) > 1 else ""
            return False, f"{bad[0].message}{more} Settings → Check has all of it."
    return True, "IAM knows nothing against it."
