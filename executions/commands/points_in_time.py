"""Launching from points in time: which snapshots a run launches its servers from, settled before anything is sent."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from contract.clock import Clock, db_clock
from contract.errors import Invalid
from contract.plurals import counted
from drs.shapes import Snapshot
from executions.models import ServerRun
from plans.models import WaveServer
from protection.inventory.points_in_time import PointsInTime, points_in_time, snapshots_of
from protection.inventory.recovery_instances import Place

SNAPSHOT_ID = re.compile(r"pit-[0-9a-zA-Z]{17}")
NAMED = 20  # faults that a refusal tells

Wanted = datetime | Mapping[str, str]  # newest not after; or a snapshot by source server


@dataclass(frozen=True)
class ChosenSnapshots:
    """The snapshots that servers are launched from. `at`: each the newest that is not after it, and `servers`, the
    plan's when DRS was asked, are launched so or not at all; None: chosen one by one, others take a new one."""

    snapshots: Mapping[str, Snapshot]
    at: datetime | None = None
    servers: frozenset[str] = frozenset()

    @classmethod
    def of(cls, points: PointsInTime) -> "ChosenSnapshots":
        """Raises Invalid where nothing could be launched."""
        if not points.found:
            text = f"None of the {counted(len(points.missing), 'server')} has a snapshot that is not after this time."
            raise Invalid({"pointInTime": [text]})
        return cls(points.found, points.at, frozenset([*points.found, *points.missing]))

    def freeze(self, row: ServerRun) -> None:
        """Write the choice into the row of a server."""
        if chosen := self.snapshots.get(row.source_server_id):
            row.recovery_snapshot_id, row.snapshot_at = chosen.snapshot_id, chosen.at

    def check(self, servers: set[str]) -> None:
        """Raise Invalid when the plan has other servers by now: of those nobody has looked for snapshots."""
        new = servers - self.servers if self.at is not None else set(self.snapshots) - servers
        if new:
            text = f"The plan's servers changed while their snapshots were read ({min(new)}). Start again."
            raise Invalid({"pointInTime": [text]})


NEWEST = ChosenSnapshots({})


def servers_of_plan(plan_id: uuid.UUID) -> dict[str, Place]:
    """The source servers of a plan's waves, in the plan's order, with the account and region that each launches in."""
    rows = WaveServer.objects.filter(plan=plan_id).order_by("wave__number", "pk")
    columns = ("assignment__source_server_id", "assignment__group__account_id", "assignment__group__region")
    return {server: (account, region) for server, account, region in rows.values_list(*columns)}


def look(plan_id: uuid.UUID, at: datetime | None, clock: Clock = db_clock) -> PointsInTime:
    """What a start with this time would launch. Raises Invalid for a time to come, and the contract's DRS errors.
    Never inside a transaction: it may take seconds."""
    now = clock()
    if at is not None and at > now:
        raise Invalid({"at": ["A point in time lies in the past; this is in the future."]})
    return points_in_time(servers_of_plan(plan_id), at or now)


def choose(plan_id: uuid.UUID, wanted: Wanted | None, clock: Clock = db_clock) -> ChosenSnapshots:
    """The snapshots that `wanted` means. Raises Invalid, and the contract's DRS errors. Never inside a transaction."""
    if wanted is None:
        return NEWEST
    servers = servers_of_plan(plan_id)
    if not servers:  # the start itself says what is wrong
        return NEWEST
    if not isinstance(wanted, datetime):
        return _chosen_one_by_one(servers, wanted)
    if wanted > clock():
        raise Invalid({"pointInTime": ["A point in time lies in the past; this is in the future."]})
    return ChosenSnapshots.of(points_in_time(servers, wanted))


def _chosen_one_by_one(servers: Mapping[str, Place], wanted: Mapping[str, str]) -> ChosenSnapshots:
    faults = [f"{each} is not a server of this plan." for each in wanted if each not in servers]
    ids = wanted.items()
    faults += [f"{each} is not a recovery snapshot's ID." for _, each in ids if not SNAPSHOT_ID.fullmatch(each)]
    if faults:
        raise Invalid({"pointInTime": faults[:NAMED]})
    known = snapshots_of({each: servers[each] for each in wanted}, None)
    found = {server: next((each for each in known[server] if each.snapshot_id == id_), None) for server, id_ in ids}
    gone = [f"{server} has no recovery snapshot {wanted[server]}." for server, each in found.items() if each is None]
    if gone:
        raise Invalid({"pointInTime": gone[:NAMED]})
    return ChosenSnapshots({server: each for server, each in found.items() if each is not None})
