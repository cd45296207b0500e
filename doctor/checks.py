"""Will it work here? Every check, in the order in which one depends on the other."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import QuerySet

from accounts.registry import way_of
from contract.errors import Invalid, NotFound
from contract.names import ACCOUNT, NO_ACCOUNT
from doctor import account, here, servers
from doctor.account import Place
from doctor.findings import Check, Finding, Level
from drs.errors import DrsError
from notify.channels.recipients import region_of_bus
from notify.models import Subscription
from notify.states import Channel
from plans.models import RecoveryPlan, WaveServer
from protection.inventory import source_servers as inventory
from protection.inventory.source_servers import check_region, places_in_use
from protection.models import ServerAssignment, SourceServer


@dataclass(frozen=True)
class Asked:
    """What is to be looked at: everything, or one account, region or plan."""

    account: str = ""
    region: str = ""
    plan: RecoveryPlan | None = None

    @classmethod
    def read(cls, *, account: str = "", region: str = "", plan: str = "") -> "Asked":
        """Raises Invalid or NotFound for what cannot be looked at."""
        if account and not ACCOUNT.fullmatch(account):
            raise Invalid({"account": [NO_ACCOUNT]})
        if region:
            check_region(region)
        return cls(account, region, find_plan(plan) if plan else None)

    def servers(self) -> QuerySet[SourceServer]:
        """The servers of the plan, or of every group."""
        if self.plan is not None:
            chosen = SourceServer.objects.filter(
                pk__in=WaveServer.objects.filter(plan=self.plan).values("assignment__source_server_id")
            )
        else:
            chosen = SourceServer.objects.filter(pk__in=ServerAssignment.objects.values("source_server_id"))
        found = chosen.order_by("name", "pk")
        return found.filter(region=self.region) if self.region else found

    def places(self) -> list[inventory.Place]:
        """The regions to look at, each with the account that is entered there by its role, if it is one of those."""
        if self.plan is not None:
            rows = self.servers().order_by().values_list("account_id", "region")
            used = {(way_of(account), region) for account, region in rows}
        else:
            used = places_in_use() or {("", settings.AWS_REGION)}
        if self.region:
            used = {place for place in used if place[1] == self.region} | {(way_of(self.account), self.region)}
        if self.account:
            used = {place for place in used if place[0] == way_of(self.account)}
        return sorted(used)

    def regions(self) -> list[str]:
        return sorted({region for _, region in self.places()})


def find_plan(text: str) -> RecoveryPlan:
    """A plan by its id or its whole name. Raises NotFound."""
    try:
        found = RecoveryPlan.objects.filter(pk=uuid.UUID(text)).first()
    except ValueError:
        found = RecoveryPlan.objects.filter(name=text).first()
    if found is None:
        raise NotFound(f"There is no recovery plan {text[:128]!r}.", details={"plan": text[:128]})
    return found


def findings(asked: Asked, now: datetime | None = None) -> Iterator[Finding]:
    """All checks. What fails early keeps those from being asked that rest on it."""
    usable = True
    for finding in here.all_here(now):
        usable = usable and not (finding.check == "database" and finding.level is Level.FAILED)
        yield finding
    if not usable:
        return
    yield from servers.of_replication(asked.servers())
    for way, region in asked.places():
        yield from of_region(asked, region, way)
    yield from of_topics()
    yield from of_buses()


def of_region(asked: Asked, region: str, way: str = "") -> Iterator[Finding]:
    """Of the account that is entered by its role, or of our own credentials'."""
    owner, found = account.of_role(region, way) if way else account.of_credentials(region, asked.account)
    yield from found
    if not owner or any(each.level is Level.FAILED for each in found):
        return
    place = Place(region, owner)
    of_groups = [*account.of_groups_account(place)]
    yield from of_groups
    if any(each.level is Level.FAILED for each in of_groups):
        return
    of_drs = [*account.of_drs(place)]
    yield from of_drs
    if any(each.level is Level.FAILED for each in of_drs):
        return
    members = list(asked.servers().filter(region=region, account_id=owner))
    yield from account.of_quotas(place, sum(each.cpu_cores for each in members), largest_wave(asked, place))
    rights = account.rights_of(place)
    yield from account.of_rights(place, rights.core(), what="A launch")
    yield from account.of_rights(place, rights.terminate(), what="The end of a drill")
    yield from servers.of_settings(place, [each for each in members if each.gone_at is None])


def largest_wave(asked: Asked, place: Place) -> int:
    """How many servers of an account's region the largest wave launches at once."""
    here = {"assignment__group__region": place.region, "assignment__group__account_id": place.account}
    rows = WaveServer.objects.filter(**here)
    rows = rows.filter(plan=asked.plan) if asked.plan is not None else rows
    counts: dict[int, int] = {}
    for wave in rows.values_list("wave_id", flat=True):
        counts[wave] = counts.get(wave, 0) + 1
    return max(counts.values(), default=0)


def of_buses() -> Iterator[Finding]:
    """Whether the event buses that somebody subscribed are there: PutEvents may take what no bus gets."""
    check = Check("notifications")
    for each in Subscription.objects.filter(enabled=True, channel=Channel.EVENTBRIDGE):
        region = region_of_bus(each.target)
        try:
            Place(region, "").beside.check_bus(each.target)
        except DrsError as error:
            if "NotFound" in error.code:
                text = f"The event bus {each.target} does not exist in {region}."
                yield check.failed(each.name, text, "Make the bus, or change the subscription.")
            else:
                yield check.not_asked(each.name, error, "Compare the role with deploy/iam/check.json and notify.json.")
        else:
            yield check.ok(each.name, f"The event bus {each.target} is there.")


def of_topics() -> Iterator[Finding]:
    """Whether the topics that somebody subscribed are there."""
    check = Check("notifications")
    for each in Subscription.objects.filter(enabled=True, channel=Channel.SNS):
        region = each.target.split(":")[3] if each.target.count(":") >= 5 else settings.AWS_REGION
        try:
            Place(region, "").beside.check_topic(each.target)
        except DrsError as error:
            if "NotFound" in error.code:
                text = f"The topic {each.target} does not exist."
                yield check.failed(each.name, text, "Make the topic, or change the subscription.")
            else:
                yield check.not_asked(each.name, error, "Compare the role with deploy/iam/check.json and notify.json.")
        else:
            yield check.ok(each.name, f"The topic {each.target} is there.")
