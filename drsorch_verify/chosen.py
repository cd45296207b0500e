"""The snapshots that servers were to be launched from, against what the journal says was chosen and sent."""

from collections.abc import Iterable, Sequence
from typing import Any

from drsorch_verify import chain

Json = dict[str, Any]


def of_attempt(record: Json, tried: Json, start: Json | None) -> list[str]:
    """The choice of a whole attempt, which a retry keeps: its start has the digest of all snapshots."""
    servers = [each for wave in tried["waves"] for each in wave["servers"]]
    chosen = sorted(
        [each["sourceServerId"], each["recoverySnapshotId"], each["snapshotTime"]]
        for each in servers
        if each.get("recoverySnapshotId")
    )
    detail: Json = {} if start is None else start["detail"]
    found = []
    if record.get("pointInTime") != detail.get("pointInTime"):
        found.append("the point in time that it launches from is not what the journal says")
    told = detail.get("snapshotsDigest", chain.sha256(chain.canonical([])))
    if chain.sha256(chain.canonical(chosen)) != told:
        found.append("the snapshots chosen for its servers are others than the journal says")
    return found


def of_wave(wave: Json, told: Iterable[Json]) -> list[str]:
    """What was sent: each server's snapshot is that of the last intent to launch it."""
    sent: dict[str, Sequence[Any] | None] = {}
    for entry in told:
        if entry["verb"] == "launch.intent" and not entry["refused"]:
            detail = entry["detail"]
            sent |= {server: detail.get("snapshots", {}).get(server) for server in detail.get("lags", {})}
    return [
        f"the snapshot of {each['hostname']} is not the one that the journal says was sent"
        for each in wave["servers"]
        if each["sourceServerId"] in sent and sent[each["sourceServerId"]] != _kept(each)
    ]


def _kept(server: Json) -> list[Any] | None:
    snapshot = server.get("recoverySnapshotId")
    return [snapshot, server["snapshotTime"]] if snapshot else None
