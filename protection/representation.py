"""Groups and source servers as the API shows them, from our own rows alone: three queries, however many there are."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NotRequired, TypedDict

from django.db.models import TextField
from django.db.models.functions import Cast

from accounts.registry import way_of
from audit.actor import Actor
from contract.clock import unix, utc
from contract.rest.answers.columns import IdText, UnixSeconds
from contract.rest.answers.ready import KeptParts
from contract.rest.answers.selection import selected
from drs.errors import BY_CODE, Trouble
from protection.inventory.drs_refusals import code_of
from protection.inventory.known_servers import Known, KnownServers, Row, StagingArea
from protection.inventory.source_servers import Place
from protection.models import (
    GroupLabel,
    ProtectionGroup,
    ProtectionGroupQuerySet,
    RegionInventory,
    ServerAssignment,
    SourceServer,
)
from protection.scopes.groups import no_group, seen_servers


class GroupReference(TypedDict):
    groupId: str
    groupName: str


class ServerShape(TypedDict):
    """A source server. DRS's own words are there where it has any: of an error of its replication, of a direction
    other than FAILOVER, of a staging account; and when it last heard of an agent, if that is more than an hour ago."""

    sourceServerID: str
    hostname: str
    state: str | None
    replicationState: str | None
    lagDuration: str | None
    replicationError: NotRequired[str]
    replicationDirection: NotRequired[str]
    stagingArea: NotRequired[StagingArea]
    agentSilentSince: NotRequired[int]
    assignedToProtectionGroup: GroupReference | None
    selectable: bool


class Warning(TypedDict):  # noqa: A001  (the contract's word)
    code: str
    region: str
    message: str


class GroupShape(TypedDict):
    """A protection group. Servers come from the inventory; `serverDetailsAsOf` says how old that is."""

    groupId: str
    groupName: str
    description: str
    region: str
    accountId: str
    owner: str
    labels: dict[str, str]
    sourceServerIds: list[str]
    serverCount: int
    serverDetails: list[ServerShape]
    serverDetailsAsOf: int | None
    createdDate: int
    lastModifiedDate: int
    version: int


FIELDS = frozenset(GroupShape.__annotations__)


class GroupAnswer(GroupShape):
    """One group; with `warnings` when the inventory could not be read lately, a server has left DRS, or a name looks
    like another."""

    warnings: NotRequired[list[Warning]]


class GroupsAnswer(TypedDict):
    """All groups that match, or with `limit` some and the token of the next; with `fields` only those of each."""

    groups: list[GroupShape]
    count: int
    nextToken: NotRequired[str | None]
    warnings: NotRequired[list[Warning]]


class GroupDeleted(TypedDict):
    groupId: str
    message: str


class GroupRow(NamedTuple):
    """What is shown of a group itself, as the API writes it. `key` is the id as the database's text: no reader's."""

    key: str
    shown_id: str
    name: str
    description: str
    region: str
    account_id: str
    owner: str
    created: int
    updated: int
    version: int

    @property
    def place(self) -> Place:
        return way_of(self.account_id), self.region


def group_rows(groups: ProtectionGroupQuerySet) -> list[GroupRow]:
    shown = groups.annotate(
        key=Cast("pk", TextField()),
        shown_id=IdText("pk"),
        created=UnixSeconds("created_at"),
        updated=UnixSeconds("updated_at"),
    )
    return [GroupRow._make(row) for row in shown.values_list(*GroupRow._fields)]


FEW = 200  # more are found quicker among all there are than one by one


class Inventory:
    """What is known of the servers of some groups, and of their regions."""

    def __init__(self, groups: Collection[GroupRow], *, in_part: bool = False) -> None:
        """`in_part`: of many groups these are some."""
        assigned = ServerAssignment.objects.order_by("position")
        servers = SourceServer.objects.filter(region__in={group.region for group in groups}).order_by()
        if in_part or len(groups) <= FEW:
            assigned = assigned.filter(group__in=[group.shown_id for group in groups])
            servers = servers.filter(pk__in=assigned.order_by().values("source_server_id"))
        self.members: dict[str, list[str]] = defaultdict(list)
        for key, server_id in assigned.values_list(Cast("group_id", TextField()), "source_server_id"):
            self.members[key].append(server_id)
        labels = GroupLabel.objects.order_by("key")
        if in_part or len(groups) <= FEW:
            labels = labels.filter(group__in=[group.shown_id for group in groups])
        self.labels: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for owner, key, value in labels.values_list(Cast("group_id", TextField()), "key", "value"):
            self.labels[owner].append((key, value))
        self.servers = KnownServers(servers)
        self.regions = {(row.way, row.region): row for row in RegionInventory.objects.all()}

    def as_of(self, group: GroupRow, rows: Sequence[Row | None], odd: Sequence[Known]) -> int | None:
        """When DRS was last read for the one of these servers that was read longest ago; of one that it did not tell
        then, its region."""
        gone = {each.pk for each in odd if each.gone is not None}
        told = [row for row in rows if row and row[0] not in gone]
        oldest = self.servers.oldest(told)
        region = self.regions.get(group.place) if len(told) < len(rows) else None
        if region is None or region.as_of is None:
            return oldest
        return unix(region.as_of) if oldest is None else min(oldest, unix(region.as_of))

    def warnings(self, groups: Collection[GroupRow]) -> list[Warning]:
        """What makes these answers less than fresh: unreadable regions, servers that DRS no longer has."""
        regions = {(group.account_id, group.region) for group in groups}
        places = sorted({(way_of(account), region) for account, region in regions})
        found = [warning for place in places for warning in self._region(place)]
        for group in groups if self.servers.odd else ():
            odd = self.servers.odd_among(self.members[group.key])
            found += [_gone(each, group) for each in odd if each.gone is not None]
            found += [not_kept(each, group.region) for each in odd if each.not_kept]
        return found

    def _region(self, place: Place) -> list[Warning]:
        row, region = self.regions.get(place), place[1]
        if row is None or not row.error_code:
            return []
        trouble = BY_CODE.get(row.error_code, Trouble.UNCERTAIN)
        since = f"as they were at {utc(row.as_of)}" if row.as_of else "as far as they are known"
        unread = f"DRS in {row} could not be read ({row.error_code})."
        why = f"{region}: {row.error_message}" if trouble is Trouble.OTHER_ACCOUNT else unread
        text = f"{why} Servers are shown {since}."
        return [Warning(code=code_of(trouble), region=region, message=text)]


def _gone(server: Known, group: GroupRow) -> Warning:
    text = f"{server.pk} of “{group.name}” is no longer in DRS. Remove it from the group."
    return Warning(code="SERVER_NOT_IN_DRS", region=group.region, message=text)


def not_kept(server: Known, region: str) -> Warning:
    """What DRS tells of a server that no database keeps as it is."""
    text = f"DRS tells of {server.name} what cannot be kept as it is; it was cleaned or cut: {server.not_kept}."
    return Warning(code="SERVER_DATA_NOT_KEPT", region=region, message=text)


def show_server(server_id: str, server: Known | None, group: GroupReference | None, *, selectable: bool) -> ServerShape:
    """One server; what is not known of it is null."""
    if server is None:
        return ServerShape(
            sourceServerID=server_id,
            hostname=server_id,
            state=None,
            replicationState=None,
            lagDuration=None,
            assignedToProtectionGroup=group,
            selectable=selectable,
        )
    shape: ServerShape = {
        "sourceServerID": server_id,
        "hostname": server.name,
        "state": server.state,
        "replicationState": server.replication_state,
        "lagDuration": server.lag_duration or None,
        "assignedToProtectionGroup": group,
        "selectable": selectable,
    }
    if server.replication_error:
        shape["replicationError"] = server.replication_error
    if server.replication_direction not in ("", "FAILOVER"):
        shape["replicationDirection"] = server.replication_direction
    if server.silent is not None:
        shape["agentSilentSince"] = server.silent
    if area := server.staging_area:
        shape["stagingArea"] = area
    return shape


def _show_group(group: GroupRow, inventory: Inventory) -> GroupShape:
    ids = inventory.members[group.key]
    rows, odd = [inventory.servers.rows.get(each) for each in ids], inventory.servers.odd_among(ids)
    return _shape(group, inventory, _show_servers(group, inventory), inventory.as_of(group, rows, odd))


def _show_servers(group: GroupRow, inventory: Inventory) -> list[ServerShape]:
    own = GroupReference(groupId=group.shown_id, groupName=group.name)
    ids = inventory.members[group.key]
    return [show_server(each, inventory.servers.get(each), own, selectable=True) for each in ids]


def _shape(group: GroupRow, inventory: Inventory, servers: list[ServerShape], as_of: int | None) -> GroupShape:
    return GroupShape(
        groupId=group.shown_id,
        groupName=group.name,
        description=group.description,
        region=group.region,
        accountId=group.account_id,
        owner=group.owner,
        labels=dict(inventory.labels[group.key]),
        sourceServerIds=inventory.members[group.key],
        serverCount=len(inventory.members[group.key]),
        serverDetails=servers,
        serverDetailsAsOf=as_of,
        createdDate=group.created,
        lastModifiedDate=group.updated,
        version=group.version,
    )


KEPT = KeptParts(most=8_000_000)  # characters: those of 3,000 groups


def _kept_group(group: GroupRow, inventory: Inventory) -> GroupShape:
    """The same, as JSON if it was shown before; its servers apart, of which nothing is new when only they were read."""
    ids = inventory.members[group.key]
    rows, odd = [inventory.servers.rows.get(each) for each in ids], inventory.servers.odd_among(ids)
    as_of = inventory.as_of(group, rows, odd)
    told = [row and row[:-1] for row in rows]

    def servers() -> list[ServerShape]:
        made_of = (group.name, ids, told, odd)
        return KEPT.part(("servers", group.key), made_of, lambda: _show_servers(group, inventory))

    made_of = (group, inventory.labels[group.key], ids, told, odd, as_of)
    return KEPT.part(("group", group.key), made_of, lambda: _shape(group, inventory, servers(), as_of))


AT_ONCE = 2_000  # groups; more are read and sent a batch after the other
BATCH = 500


def group_batches(listed: Sequence[GroupRow], warned: list[Warning]) -> Iterator[list[GroupShape]]:
    """These groups in batches; what to know about how fresh they are is added to `warned` meanwhile."""
    for batch in (listed[at : at + BATCH] for at in range(0, len(listed), BATCH)):
        inventory = Inventory(batch, in_part=True)
        yield [_show_group(group, inventory) for group in batch]
        warned += [each for each in inventory.warnings(batch) if each not in warned]


def show_groups(
    listed: Sequence[GroupRow], fields: frozenset[str] = FIELDS
) -> tuple[Sequence[Mapping[str, Any]], list[Warning]]:
    """These fields of the groups, ready to be answered, and what to know about how fresh they are."""
    inventory = Inventory(listed)
    if fields >= FIELDS:
        return [_kept_group(group, inventory) for group in listed], inventory.warnings(listed)
    return selected([_show_group(group, inventory) for group in listed], fields), inventory.warnings(listed)


def show_group(group_id: uuid.UUID) -> tuple[GroupShape, list[Warning]]:
    """The group as it stands in the database now, or NotFound."""
    listed = group_rows(ProtectionGroup.objects.filter(pk=group_id))
    inventory = Inventory(listed)
    for group in listed:
        return _show_group(group, inventory), inventory.warnings(listed)
    raise no_group(group_id)


class DiscoveryShape(TypedDict):
    """The source servers of a region; with `warnings` where what DRS tells of one cannot be kept as it is."""

    region: str
    accountId: NotRequired[str | None]
    initialized: bool
    asOf: int | None
    servers: list[ServerShape]
    totalCount: int
    availableCount: int
    assignedCount: int
    warnings: NotRequired[list[Warning]]


def show_discovery(inventory: RegionInventory, current: ProtectionGroup | None, actor: Actor) -> DiscoveryShape:
    """The servers of a region as they were just read, and which of them a group could take."""
    found = seen_servers(actor).present().filter(region=inventory.region).read_by(inventory.way)
    servers = KnownServers(found).all()
    homes = _homes(inventory.region)
    own = str(current.pk) if current else None
    taken = {server_id for server_id, home in homes.items() if home["groupId"] != own}
    shown = [show_server(each.pk, each, homes.get(each.pk), selectable=each.pk not in taken) for each in servers]
    available = sum(each["selectable"] for each in shown)
    shape = DiscoveryShape(
        region=inventory.region,
        accountId=inventory.owner or None,
        initialized=inventory.initialized,
        asOf=unix(inventory.as_of),
        servers=shown if inventory.initialized else [],
        totalCount=len(shown) if inventory.initialized else 0,
        availableCount=available if inventory.initialized else 0,
        assignedCount=len(shown) - available if inventory.initialized else 0,
    )
    odd = [not_kept(each, inventory.region) for each in servers if each.not_kept]
    for each in inventory.left_out or ():
        text = f"{each} is a server of another account, too, by whose reading it is known: here it is left out."
        odd.append(Warning(code="SERVER_OF_ANOTHER_ACCOUNT", region=inventory.region, message=text))
    if inventory.initialized and odd:
        shape["warnings"] = odd
    return shape


def _homes(region: str) -> Mapping[str, GroupReference]:
    rows = ServerAssignment.objects.filter(group__region=region).values_list("source_server_id", "group", "group__name")
    return {server: GroupReference(groupId=str(pk), groupName=name) for server, pk, name in rows}
