"""Groups and source servers as the API shows them, from our own rows alone: three queries, however many there are."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, NotRequired, TypedDict

from django.db.models import Q, TextField
from django.db.models.functions import Cast

from contract.clock import unix, utc
from contract.rest.answers.columns import IdText, UnixSeconds
from drs.errors import BY_CODE, Trouble
from protection.drs_refusals import code_of
from protection.models import (
    ProtectionGroup,
    ProtectionGroupQuerySet,
    RegionInventory,
    ServerAssignment,
    SourceServer,
    SourceServerQuerySet,
)
from protection.services import no_group
from protection.states import replication_trouble, server_state


class GroupReference(TypedDict):
    groupId: str
    groupName: str


class StagingArea(TypedDict):
    """The staging account of a server, as DRS tells of it."""

    status: str
    accountId: str | None
    errorMessage: str | None


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
    sourceServerIds: list[str]
    serverCount: int
    serverDetails: list[ServerShape]
    serverDetailsAsOf: int | None
    createdDate: int
    lastModifiedDate: int
    version: int


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


class Known(NamedTuple):
    """What is shown of a source server; a tuple and not a model, because a list holds thousands of them. Times are Unix
    seconds. What has a default is true of few servers, and is read of those alone."""

    pk: str
    name: str
    replication_state: str
    lag_duration: str
    seen: int
    gone: int | None = None
    replication_error: str = ""
    replication_direction: str = ""
    staging_status: str = ""
    staging_account: str = ""
    staging_error: str = ""
    not_kept: str = ""
    silent: int | None = None

    @property
    def state(self) -> str:
        return _state(
            self.replication_state,
            self.replication_error,
            self.replication_direction,
            self.staging_status,
            self.staging_error,
        )

    @property
    def staging_area(self) -> StagingArea | None:
        if self.staging_status in ("", "NOT_EXTENDED"):
            return None
        account, error = self.staging_account or None, self.staging_error or None
        return StagingArea(status=self.staging_status, accountId=account, errorMessage=error)


@lru_cache(maxsize=256)
def _state(replication_state: str, error: str, direction: str, staging_status: str, staging_error: str) -> str:
    """Our word for its state; most servers of a list are in the same."""
    trouble = replication_trouble(
        error=error, staging_status=staging_status, staging_error=staging_error, direction=direction
    )
    return server_state(replication_state, trouble).value


_COMMON = [name for name in Known._fields if name not in Known._field_defaults]
_ORDINARY = Q(
    gone_at=None,
    replication_error="",
    replication_direction__in=("", "FAILOVER"),
    staging_status__in=("", "NOT_EXTENDED"),
    not_kept="",
    agent_silent_since=None,
)


def _known(servers: SourceServerQuerySet) -> list[Known]:
    timed = servers.annotate(
        seen=UnixSeconds("seen_at"), gone=UnixSeconds("gone_at"), silent=UnixSeconds("agent_silent_since")
    )
    odd = {row[0]: Known._make(row) for row in timed.exclude(_ORDINARY).values_list(*Known._fields)}
    common = timed.values_list(*_COMMON)
    return [odd.get(row[0]) or Known(*row) for row in common]


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
        assigned = ServerAssignment.objects.order_by("group", "position")
        servers = SourceServer.objects.filter(region__in={group.region for group in groups}).order_by()
        if in_part or len(groups) <= FEW:
            assigned = assigned.filter(group__in=[group.shown_id for group in groups])
            servers = servers.filter(pk__in=assigned.order_by().values("source_server_id"))
        self.members: dict[str, list[str]] = defaultdict(list)
        for key, server_id in assigned.values_list(Cast("group_id", TextField()), "source_server_id"):
            self.members[key].append(server_id)
        self.servers = {server.pk: server for server in _known(servers)}
        self.regions = {row.region: row for row in RegionInventory.objects.all()}

    def as_of(self, server_ids: Iterable[str], region: str) -> int | None:
        """When DRS was last read for the one of these servers that was read longest ago."""
        seen = [self._read_at(each, region) for each in server_ids]
        return min((moment for moment in seen if moment is not None), default=None)

    def _read_at(self, server_id: str, region: str) -> int | None:
        server = self.servers.get(server_id)
        if server is not None and server.gone is None:
            return server.seen
        row = self.regions.get(region)
        return unix(row.as_of) if row else None

    def warnings(self, groups: Collection[GroupRow]) -> list[Warning]:
        """What makes these answers less than fresh: unreadable regions, servers that DRS no longer has."""
        found = [warning for region in sorted({group.region for group in groups}) for warning in self._region(region)]
        of_groups = (warning for group in groups for warning in (*self._gone(group), *self._not_kept(group)))
        return found + list(of_groups)

    def _region(self, region: str) -> list[Warning]:
        row = self.regions.get(region)
        if row is None or not row.error_code:
            return []
        trouble = BY_CODE.get(row.error_code, Trouble.UNCERTAIN)
        since = f"as they were at {utc(row.as_of)}" if row.as_of else "as far as they are known"
        unread = f"DRS in {region} could not be read ({row.error_code})."
        why = f"{region}: {row.error_message}" if trouble is Trouble.OTHER_ACCOUNT else unread
        text = f"{why} Servers are shown {since}."
        return [Warning(code=code_of(trouble), region=region, message=text)]

    def _gone(self, group: GroupRow) -> list[Warning]:
        return [
            Warning(
                code="SERVER_NOT_IN_DRS",
                region=group.region,
                message=f"{each} of “{group.name}” is no longer in DRS. Remove it from the group.",
            )
            for each in self.members[group.key]
            if (server := self.servers.get(each)) is not None and server.gone is not None
        ]

    def _not_kept(self, group: GroupRow) -> list[Warning]:
        known = (self.servers.get(each) for each in self.members[group.key])
        return [not_kept(each, group.region) for each in known if each is not None and each.not_kept]


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
    own = GroupReference(groupId=group.shown_id, groupName=group.name)
    return GroupShape(
        groupId=group.shown_id,
        groupName=group.name,
        description=group.description,
        region=group.region,
        accountId=group.account_id,
        owner=group.owner,
        sourceServerIds=ids,
        serverCount=len(ids),
        serverDetails=[show_server(each, inventory.servers.get(each), own, selectable=True) for each in ids],
        serverDetailsAsOf=inventory.as_of(ids, group.region),
        createdDate=group.created,
        lastModifiedDate=group.updated,
        version=group.version,
    )


AT_ONCE = 2_000  # groups; more are read and sent a batch after the other
BATCH = 500


def group_batches(listed: Sequence[GroupRow], warned: list[Warning]) -> Iterator[list[GroupShape]]:
    """These groups in batches; what to know about how fresh they are is added to `warned` meanwhile."""
    for batch in (listed[at : at + BATCH] for at in range(0, len(listed), BATCH)):
        inventory = Inventory(batch, in_part=True)
        yield [_show_group(group, inventory) for group in batch]
        warned += [each for each in inventory.warnings(batch) if each not in warned]


def show_groups(listed: Sequence[GroupRow]) -> tuple[list[GroupShape], list[Warning]]:
    """These groups, and what to know about how fresh they are."""
    inventory = Inventory(listed)
    return [_show_group(group, inventory) for group in listed], inventory.warnings(listed)


def show_group(group_id: uuid.UUID) -> tuple[GroupShape, list[Warning]]:
    """The group as it stands in the database now, or NotFound."""
    found, warnings = show_groups(group_rows(ProtectionGroup.objects.filter(pk=group_id)))
    for shown in found:
        return shown, warnings
    raise no_group(group_id)


class DiscoveryShape(TypedDict):
    """The source servers of a region; with `warnings` where what DRS tells of one cannot be kept as it is."""

    region: str
    initialized: bool
    asOf: int | None
    servers: list[ServerShape]
    totalCount: int
    availableCount: int
    assignedCount: int
    warnings: NotRequired[list[Warning]]


def show_discovery(inventory: RegionInventory, current: ProtectionGroup | None) -> DiscoveryShape:
    """The servers of a region as they were just read, and which of them a group could take."""
    servers = _known(SourceServer.objects.present().filter(region=inventory.region))
    homes = _homes(inventory.region)
    own = str(current.pk) if current else None
    taken = {server_id for server_id, home in homes.items() if home["groupId"] != own}
    shown = [show_server(each.pk, each, homes.get(each.pk), selectable=each.pk not in taken) for each in servers]
    available = sum(each["selectable"] for each in shown)
    shape = DiscoveryShape(
        region=inventory.region,
        initialized=inventory.initialized,
        asOf=unix(inventory.as_of),
        servers=shown if inventory.initialized else [],
        totalCount=len(shown) if inventory.initialized else 0,
        availableCount=available if inventory.initialized else 0,
        assignedCount=len(shown) - available if inventory.initialized else 0,
    )
    if inventory.initialized and (odd := [not_kept(each, inventory.region) for each in servers if each.not_kept]):
        shape["warnings"] = odd
    return shape


def _homes(region: str) -> Mapping[str, GroupReference]:
    rows = ServerAssignment.objects.filter(group__region=region).select_related("group")
    return {
        each.source_server_id: GroupReference(groupId=str(each.group_id), groupName=each.group.name) for each in rows
    }
