"""The control URLs under /_control/: load a fleet, set scenarios, turn the clock, read journal and state.

Only loopback clients are answered: whoever may steer the simulator may also read everything in it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import asdict
from ipaddress import ip_address
from typing import cast
from urllib.parse import parse_qs

from drs_simulator.protocol import call_log, ec2, responses, surroundings
from drs_simulator.protocol.responses import Moment
from drs_simulator.protocol.rest_json import Reply, Request
from drs_simulator.world import outside_changes, scenarios
from drs_simulator.world.demo import demo_fleet
from drs_simulator.world.fleet import fleet_from_json, generate_fleet
from drs_simulator.world.jobs import job_from_row
from drs_simulator.world.scenario_kinds import Acts
from drs_simulator.world.state_file import Store

Json = Mapping[str, object]


def respond(store: Store, request: Request) -> Reply:
    """Answer one control request: 200 with JSON, 400 with `{"error": …}` for a request that makes no sense."""
    if not ip_address(request.remote).is_loopback:
        return _reply(403, {"error": "control URLs answer loopback clients only"})
    action = ACTIONS.get((request.method, request.path.removeprefix("/_control/")))
    if action is None:
        known = sorted(f"{method} /_control/{name}" for method, name in ACTIONS)
        return _reply(404, {"error": f"known control requests: {', '.join(known)}"})
    try:
        with store.transaction():
            return _reply(200, action(store, _body(request)))
    except (ValueError, TypeError, KeyError) as error:
        return _reply(400, {"error": f"{type(error).__name__}: {error}"})


def _reply(status: int, body: Json) -> Reply:
    return Reply(status, json.dumps(body).encode())


def _body(request: Request) -> Json:
    """The JSON object of a POST, or the query of any other request."""
    if request.method != "POST":
        return {name: values[0] for name, values in parse_qs(request.query).items()}
    given = json.loads(request.body or b"{}")
    if not isinstance(given, dict):
        raise ValueError("the body must be a JSON object")
    return cast("Json", given)


def health(store: Store, body: Json) -> Json:
    return {
        "status": "ok",
        "speed": store.clock.speed,
        "servers": store.number("SELECT COUNT(*) FROM server"),
    }


def read_journal(store: Store, body: Json) -> Json:
    operation, since = str(body.get("operation", "")), int(str(body.get("since", 0)))
    return {"entries": call_log.entries(store, operation, since, int(str(body.get("limit", 10_000))))}


def state(store: Store, body: Json) -> Json:
    """Settings, clock, regions, every job as the API shows it (with its region), instances (DRS's, and all `ever`
    launched, as EC2 knows them) and late calls."""
    now = store.clock.now()
    moment = Moment(store, now)
    jobs = [job_from_row(row) for row in store.rows("SELECT * FROM job ORDER BY seq")]
    sql = "SELECT id, account, region, server_id, job_id FROM instance"
    alive = f"{sql} WHERE appears_at <= ? AND (gone_at IS NULL OR gone_at > ?) ORDER BY seq"
    return {
        "settings": asdict(store.settings),
        "clock": {"virtual": now, "wall": store.clock.wall(), "speed": store.clock.speed},
        "regions": [dict(row) for row in store.rows("SELECT * FROM region ORDER BY account, name")],
        "servers": store.number("SELECT COUNT(*) FROM server"),
        "jobs": [{**asdict(each.place), **responses.job_shape(moment, each)} for each in jobs],
        "instances": [dict(row) for row in store.rows(alive, now, now)],
        "ever": [_of_ec2(row, now) for row in store.rows("SELECT * FROM instance WHERE appears_at <= ?", now)],
        "landings": store.number("SELECT COUNT(*) FROM landing"),
    }


def _of_ec2(row: sqlite3.Row, now: float) -> Json:
    """An instance that was launched at some time, with what EC2 says of it now, whether or not DRS knows it."""
    return {"id": row["id"], "server_id": row["server_id"], "job_id": row["job_id"], "state": ec2.state(row, now)}


def load_fleet(store: Store, body: Json) -> Json:
    """`{"demo": true}` (or a number of accounts, 1 or 2), `{"generate": {"count", "region", "seed"}}`, or a fleet in
    full."""
    if accounts := body.get("demo"):
        fleet = demo_fleet(2 if accounts == 2 else 1)  # true is 1
    elif "generate" in body:
        asked = cast("Mapping[str, object]", body["generate"])
        count, seed = int(str(asked["count"])), int(str(asked.get("seed", 0)))
        fleet = generate_fleet(count, str(asked.get("region", "us-east-1")), seed)
    else:
        fleet = fleet_from_json(body)
    store.load_fleet(fleet)
    return {"servers": len(fleet.servers)}


def change_roles(store: Store, body: Json) -> Json:
    """`{ARN: {"externalId": "…"}}` adds a role or changes it; null takes it away."""
    given = cast("Mapping[str, Mapping[str, str] | None]", body)
    kept = {arn: role for arn, role in store.roles.items() if arn not in given}
    store.set_roles(kept | {arn: role for arn, role in given.items() if role is not None})
    return {"roles": store.roles}


def delete_servers(store: Store, body: Json) -> Json:
    """Source servers, by id or hostname, are gone from DRS, as after DeleteSourceServer; instances and jobs stay."""
    wanted = cast("list[str]", body["servers"])
    for each in wanted:
        store.run("DELETE FROM server WHERE id = ? OR hostname = ?", each, each)
    return {"servers": store.number("SELECT COUNT(*) FROM server")}


def set_speed(store: Store, body: Json) -> Json:
    store.clock.set_speed(float(str(body["speed"])))
    store.save_clock()
    return {"speed": store.clock.speed}


def advance(store: Store, body: Json) -> Json:
    store.clock.advance(float(str(body["seconds"])))
    store.save_clock()
    return {"virtual": store.clock.now()}


def change_settings(store: Store, body: Json) -> Json:
    store.change_settings(cast("Mapping[str, float]", body))
    return asdict(store.settings)


def reset(store: Store, body: Json) -> Json:
    store.reset()
    return {}


def add_scenario(store: Store, body: Json) -> Json:
    options = dict(body)
    return set_scenario(store, str(options.pop("name")), options)


def set_scenario(store: Store, name: str, options: Mapping[str, object]) -> Json:
    """Put it in force, or have it done where it acts at once. Raises ValueError for what makes no sense."""
    scenario = scenarios.add(store, name, options)
    if scenario.kind.acts is not Acts.AT_ONCE:
        return scenario.as_json()
    scenarios.remove(store, scenario.id)
    if scenario.name in outside_changes.ACTIONS:
        return {**scenario.as_json(), "instances": outside_changes.act(store, scenario, store.clock.now())}
    job_id = outside_changes.start_foreign_job(store, scenario.text("region"), scenario.options, store.clock.now())
    return {**scenario.as_json(), "jobID": job_id}


def list_scenarios(store: Store, body: Json) -> Json:
    known = {
        name: {"summary": kind.summary, "evidence": kind.evidence, "field": kind.field, **(kind.options or {})}
        for name, kind in scenarios.KINDS.items()
    }
    return {"scenarios": [each.as_json() for each in scenarios.in_force(store)], "known": known}


def remove_scenarios(store: Store, body: Json) -> Json:
    """All, or those of `?name=`, or the one of `?id=`."""
    scenario_id = int(str(body["id"])) if "id" in body else None
    scenarios.remove(store, scenario_id, str(body.get("name", "")))
    return {}


ACTIONS: Mapping[tuple[str, str], Callable[[Store, Json], Json]] = {
    ("GET", "health"): health,
    ("GET", "journal"): read_journal,
    ("GET", "state"): state,
    ("POST", "fleet"): load_fleet,
    ("POST", "roles"): change_roles,
    ("POST", "delete-servers"): delete_servers,
    ("POST", "speed"): set_speed,
    ("POST", "advance"): advance,
    ("POST", "settings"): change_settings,
    ("POST", "surroundings"): surroundings.change,
    ("POST", "reset"): reset,
    ("POST", "scenarios"): add_scenario,
    ("GET", "scenarios"): list_scenarios,
    ("DELETE", "scenarios"): remove_scenarios,
}
