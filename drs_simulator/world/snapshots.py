"""Points in time: which recovery snapshots a server has, computed from the clock instead of being stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from drs_simulator.world import scenarios
from drs_simulator.world.fleet import CUT_OFF, WITHOUT_SNAPSHOT, FleetServer
from drs_simulator.world.state_file import Store
from drs_simulator.world.timeline import hex_id

# The default retention: every ten minutes for an hour, hourly for a day, daily for a week.
TEN_MINUTES, HOUR, DAY = 600, 3_600, 86_400
RETENTION = ((TEN_MINUTES, HOUR), (HOUR, DAY), (DAY, 7 * DAY))


@dataclass(frozen=True)
class RecoverySnapshot:
    """A point in time of one server; `wall` is in epoch seconds."""

    id: str
    server_id: str
    wall: float


def lag_seconds(store: Store, server: FleetServer) -> float:
    """The declared lag; it grows for a server that no longer replicates."""
    grown = store.clock.wall() - store.fleet_loaded_wall if server.state in CUT_OFF else 0.0
    return server.lag_seconds + grown


def snapshots(store: Store, server: FleetServer) -> list[RecoverySnapshot]:
    """All snapshots of a server, newest first; none when its first copy never completed."""
    if server.state in WITHOUT_SNAPSHOT or server.disconnected:
        return []
    last_seen = store.clock.wall() - (lag_seconds(store, server) if server.state in CUT_OFF else 0.0)
    moments = sorted(set(_moments(int(last_seen))), reverse=True)
    made = [RecoverySnapshot(hex_id("pit-", server.id, moment), server.id, float(moment)) for moment in moments]
    return [each for each in made if not _is_deleted(store, server, each.id)]


def _is_deleted(store: Store, server: FleetServer, snapshot_id: str) -> bool:
    for each in scenarios.in_force(store, server.region):
        if each.name == "snapshots_deleted" and each.concerns_server(server):
            ids = cast("list[str]", each.options["ids"])
            if not ids or snapshot_id in ids:
                return True
    return False


def _moments(last_seen: int) -> Iterator[int]:
    for grain, reach in RETENTION:
        newest = last_seen // grain * grain
        yield from range(newest, last_seen - reach, -grain)
