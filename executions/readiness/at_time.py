"""Whether a plan would work if it were launched from the snapshots of a point in time."""

from collections.abc import Mapping
from dataclasses import replace

from contract.clock import utc
from drs.shapes import Snapshot
from executions.readiness.terms import PlanFacts, ServerFacts
from protection.inventory.points_in_time import PointsInTime


def at_time(facts: PlanFacts, points: PointsInTime) -> PlanFacts:
    """The same, of servers that are launched from these snapshots: what replicates since then does not matter. A server
    that came to the plan since they were asked for is told as one without."""
    waves = [
        replace(wave, servers=[_chosen(server, points.found, points) for server in wave.servers])
        for wave in facts.waves
    ]
    return replace(facts, waves=waves)


def _chosen(server: ServerFacts, found: Mapping[str, Snapshot], points: PointsInTime) -> ServerFacts:
    if chosen := found.get(server.id):
        return replace(server, chosen_at=chosen.at)
    nearest = points.nearest.get(server.id)
    told = f"the nearest is of {utc(nearest.at)}" if nearest else "it has no snapshot at all"
    return replace(server, chosen_gone=f"It has no snapshot at or before {utc(points.at)}; {told}.")
