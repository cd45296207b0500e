"""Source servers that somebody takes out of DRS: DisconnectSourceServer and DeleteSourceServer.

Known, by the API reference: a server with a recovery instance is not disconnected, and only a disconnected one is
deleted; disconnected, it is DISCONNECTED at once, its disks have no storage, its lag is null, and what DRS made to
replicate it is deleted within 90 minutes. Likely: ConflictException is the refusal of both, and of a server that a job
works on; its snapshots are part of what is deleted; an instance whose source server is gone is terminated like any
other. Unknown: when within the 90 minutes, here at once; and whether
StartRecovery refuses such a server, or launches and fails, as here (`server_refused` refuses it).
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from drs_simulator.protocol import responses
from drs_simulator.protocol.call_log import Call
from drs_simulator.protocol.responses import LaunchHistory, Moment
from drs_simulator.world import scenarios
from drs_simulator.world.errors import conflict, not_found
from drs_simulator.world.fleet import FleetServer
from drs_simulator.world.jobs import OCCUPIED, live_instance
from drs_simulator.world.state_file import Store

Answer = tuple[dict[str, object], int]


def disconnect(store: Store, call: Call, now: float) -> Answer:
    server = _free(store, call, now)
    if live_instance(store, server.id, now) is not None:
        raise conflict([server.id])
    gone = replace(server, state="DISCONNECTED", disconnected=True)
    store.run("UPDATE server SET body = ? WHERE id = ?", json.dumps(asdict(gone)), gone.id)
    moment = Moment(store, now, scenarios.view(store, call.region, "z_timestamps", call.operation) is not None)
    return {**responses.source_server_shape(moment, gone, LaunchHistory())}, 200


def delete(store: Store, call: Call, now: float) -> Answer:
    server = _free(store, call, now)
    if not server.disconnected:
        raise conflict([server.id])
    store.run("DELETE FROM server WHERE id = ?", server.id)
    return {}, 204


def _free(store: Store, call: Call, now: float) -> FleetServer:
    """The server, on which no job works."""
    server_id = str(call.params["sourceServerID"])
    server = store.server(server_id, call.account, call.region)
    if server is None:
        raise not_found("SourceServer", server_id)
    if server_id in {row["server_id"] for row in store.rows(OCCUPIED, call.account, call.region, now)}:
        raise conflict([server_id])
    return server
