"""Launches from chosen snapshots: one that is gone fails its server alone, and nothing newer is launched instead."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any

from accounts import registry
from contract.clock import unix
from drs.client import Drs
from drs.errors import DrsError, Trouble
from executions.codes.ours import Code
from executions.launching.refusals import Part, leave_out
from executions.models import LaunchJob, WaveRun
from executions.runs.aws_calls import AwsCalls
from executions.runs.claim import Run

AT_ONCE = 8
Chosen = Mapping[str, tuple[str, datetime]]  # snapshot and its time by source server

GONE = "The recovery snapshot chosen for it is no longer in DRS; nothing newer was launched in its place."
NONE_THEN = "It had no recovery snapshot at or before {at:%Y-%m-%d %H:%M:%S} UTC, so it was not launched."


def chosen_of(job: LaunchJob) -> Chosen:
    """The snapshots that servers of a job are to be launched from."""
    rows = job.servers.exclude(recovery_snapshot_id="").order_by("position")
    found = rows.values_list("source_server_id", "recovery_snapshot_id", "snapshot_at")
    return {server: (snapshot, at) for server, snapshot, at in found if at is not None}


def intended(chosen: Chosen) -> dict[str, Any]:
    """What the intent to launch says of them."""
    told = {server: [snapshot, unix(at)] for server, (snapshot, at) in chosen.items()}
    return {"snapshots": told} if told else {}


def leave_out_without(run: Run, wave: WaveRun, job: LaunchJob, now: datetime) -> bool:
    """Of a run that launches from a time on, servers that had no snapshot then are left out. True when none remains."""
    at = run.execution.snapshots_until
    if at is None:
        return False
    without = list(
        job.servers.filter(recovery_snapshot_id="").order_by("position").values_list("source_server_id", flat=True)
    )
    return bool(without) and leave_out(
        run, wave, job, [Part(without, Code.SNAPSHOT_GONE, NONE_THEN.format(at=at))], now
    )


def gone_of(job: LaunchJob, servers: Sequence[str], error: DrsError) -> AwsCalls[frozenset[str]]:
    """Those of a refused launch whose chosen snapshot is gone: AWS names it, or DRS does not list it any more."""
    chosen = {each: told for each, told in chosen_of(job).items() if each in servers}
    ids = [snapshot for snapshot, _ in chosen.values()]
    named = error.names(ids, ids)
    if named:
        return frozenset(server for server, (snapshot, _) in chosen.items() if snapshot in named)
    if not chosen or (error.names(servers, servers) - set(chosen)):
        return frozenset()
    try:
        gone: frozenset[str] = yield partial(_unlisted, Drs(job.region, job.account_id, reading="poller"), chosen)
    except DrsError:
        return frozenset()  # a silence says nothing of any snapshot
    return gone


def _unlisted(drs: Drs, chosen: Chosen) -> frozenset[str]:
    with ThreadPoolExecutor(AT_ONCE, initializer=registry.without_database) as threads:
        listed = dict(zip(chosen, threads.map(partial(_is_listed, drs), chosen.items()), strict=True))
    return frozenset(server for server, is_there in listed.items() if not is_there)


def _is_listed(drs: Drs, each: tuple[str, tuple[str, datetime]]) -> bool:
    """Of a server that DRS does not know, the server is what is wrong."""
    server, (snapshot, at) = each
    try:
        return any(found.snapshot_id == snapshot for found in drs.snapshots(server, at))
    except DrsError as error:
        if error.trouble in (Trouble.NOT_FOUND, Trouble.INVALID):
            return True
        raise
