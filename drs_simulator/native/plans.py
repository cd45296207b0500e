"""DRS's own recovery plans and their steps, by the service model of botocore.

Known: the shapes, the limits of steps and of servers a step, that a plan has at most twenty steps. Likely: that names
are unique in an account and region, that a repeated clientToken answers what it made, a hundred servers a plan, that a
server stands in one step only, that a plan whose server is gone is INVALID. Unknown: the words of refusals.
"""

# Conditions are put together from constants and question marks only.

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from typing import cast

from drs_simulator.protocol.call_log import Call
from drs_simulator.protocol.paging import Keyed, Page, page_of
from drs_simulator.world.clock import timestamp
from drs_simulator.world.errors import ApiError, invalid, not_found, quota_exceeded
from drs_simulator.world.jobs import Place
from drs_simulator.world.state_file import Store

MOST_STEPS, MOST_SERVERS = 20, 100
Body = dict[str, object]
Answer = tuple[Body, int]
Servers = Sequence[Mapping[str, str]]


def new_arn(call: Call, kind: str) -> str:
    return Place(call.account, call.region).arn(kind, secrets.token_hex(8))


def stamp(store: Store, at: float) -> str:
    return timestamp(store.clock.wall_of(at)).replace("+00:00", "Z")


def conflict(message: str) -> ApiError:
    return ApiError("ConflictException", message)


def listing(name: str, page: Page[Body]) -> Answer:
    return {name: page.items} | ({"nextToken": page.next_token} if page.next_token else {}), 200


def servers_in(configuration: Mapping[str, object]) -> Servers:
    step = cast("Mapping[str, object]", configuration.get("serverStepConfiguration") or {})
    return cast("Servers", step.get("servers") or [])


def server_id(each: Mapping[str, str]) -> str:
    return each["serverArn"].rpartition("/")[2]


# Plans


def plan_row(store: Store, call: Call) -> sqlite3.Row:
    arn = str(call.params["recoveryPlanArn"])
    sql = "SELECT * FROM native_plan WHERE arn = ? AND account = ? AND region = ?"
    row = store.one(sql, arn, call.account, call.region)
    if row is None:
        raise not_found("RecoveryPlan", arn)
    return row


def _is_valid(store: Store, row: sqlite3.Row) -> bool:
    servers = [each for step in step_rows(store, row["arn"]) for each in servers_in(json.loads(step["configuration"]))]
    return all(store.server(server_id(each), row["account"], row["region"]) is not None for each in servers)


def plan_shape(store: Store, row: sqlite3.Row, *, whole: bool = True) -> Body:
    shape: Body = {
        "recoveryPlanArn": row["arn"],
        "name": row["name"],
        "status": "ACTIVE" if _is_valid(store, row) else "INVALID",
        "createdAt": stamp(store, row["created"]),
        "updatedAt": stamp(store, row["updated"]),
    }
    return shape | ({"description": row["description"], "tags": json.loads(row["tags"])} if whole else {})


def create_plan(store: Store, call: Call, now: float) -> Answer:
    token, name = str(call.params.get("clientToken") or ""), str(call.params["name"])
    place = (call.account, call.region)
    made = store.one("SELECT * FROM native_plan WHERE token = ? AND account = ? AND region = ?", token, *place)
    if token and made is not None:
        return {"recoveryPlan": plan_shape(store, made)}, 201
    if store.one("SELECT 1 FROM native_plan WHERE name = ? AND account = ? AND region = ?", name, *place):
        raise conflict(f"A recovery plan with the name {name} exists")
    arn = new_arn(call, "recovery-plan")
    store.run(
        "INSERT INTO native_plan (arn, account, region, name, description, tags, token, created, updated)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        arn, *place, name, str(call.params.get("description") or ""), json.dumps(call.params.get("tags") or {}),
        token, now, now,
    )  # fmt: skip
    row = store.rows("SELECT * FROM native_plan WHERE arn = ?", arn)[0]
    return {"recoveryPlan": plan_shape(store, row)}, 201


def get_plan(store: Store, call: Call, now: float) -> Answer:
    return {"recoveryPlan": plan_shape(store, plan_row(store, call))}, 200


def list_plans(store: Store, call: Call, now: float) -> Answer:
    def fetch(after: str | int | None, limit: int) -> list[Keyed[Body]]:
        sql = "SELECT * FROM native_plan WHERE account = ? AND region = ? AND arn > ? ORDER BY arn LIMIT ?"
        rows = store.rows(sql, call.account, call.region, after or "", limit)
        return [Keyed(str(row["arn"]), plan_shape(store, row, whole=False)) for row in rows]

    return listing("recoveryPlans", page_of(store, call, fetch))


def update_plan(store: Store, call: Call, now: float) -> Answer:
    row = plan_row(store, call)
    name = str(call.params.get("name") or row["name"])
    description = call.params.get("description")
    told = row["description"] if description is None else str(description)
    sql = "UPDATE native_plan SET name = ?, description = ?, updated = ? WHERE arn = ?"
    store.run(sql, name, told, now, row["arn"])
    return {"recoveryPlan": plan_shape(store, plan_row(store, call))}, 200


def delete_plan(store: Store, call: Call, now: float) -> Answer:
    row = plan_row(store, call)
    refuse_running(store, str(row["arn"]))
    store.run("DELETE FROM native_plan WHERE arn = ?", row["arn"])
    store.run("DELETE FROM native_step WHERE plan_arn = ?", row["arn"])
    return {"recoveryPlanArn": row["arn"]}, 200


def refuse_running(store: Store, plan_arn: str) -> None:
    """A plan has one execution at a time, and is not changed meanwhile."""
    sql = "SELECT arn FROM native_run WHERE plan_arn = ? AND status IN ('CREATED', 'IN_PROGRESS', 'CANCELLING')"
    if running := store.one(sql, plan_arn):
        raise conflict(f"The recovery plan has an active execution: {running['arn']}")


# Steps


def step_rows(store: Store, plan_arn: str) -> list[sqlite3.Row]:
    return store.rows("SELECT * FROM native_step WHERE plan_arn = ? ORDER BY position", plan_arn)


def _step_row(store: Store, call: Call) -> sqlite3.Row:
    arn = str(call.params["recoveryPlanStepArn"])
    sql = "SELECT native_step.* FROM native_step JOIN native_plan ON native_plan.arn = plan_arn"
    sql += " WHERE native_step.arn = ? AND account = ? AND region = ?"
    row = store.one(sql, arn, call.account, call.region)
    if row is None:
        raise not_found("RecoveryPlanStep", arn)
    return row


def step_shape(store: Store, row: sqlite3.Row) -> Body:
    order = [each["arn"] for each in step_rows(store, row["plan_arn"])].index(row["arn"]) + 1
    return {
        "recoveryPlanStepArn": row["arn"],
        "stepOrder": order,
        "stepName": row["name"],
        "configuration": json.loads(row["configuration"]),
        "createdAt": stamp(store, row["created"]),
        "updatedAt": stamp(store, row["updated"]),
    }


def _check_configuration(store: Store, call: Call, plan_arn: str, given: object, but: str = "") -> str:
    configuration = cast("Mapping[str, object]", given)
    if len([each for each in configuration.values() if each is not None]) != 1:
        raise invalid([("configuration", "exactly one of its members is expected")])
    ids = [server_id(each) for each in servers_in(configuration)]
    for each in ids:
        if store.server(each, call.account, call.region) is None:
            raise not_found("SourceServer", each)
    others = [row for row in step_rows(store, plan_arn) if row["arn"] != but]
    known = [server_id(each) for row in others for each in servers_in(json.loads(row["configuration"]))]
    if len(set(ids + known)) < len(ids + known):
        raise invalid([("configuration", "a source server stands in the plan already")])
    if len(ids + known) > MOST_SERVERS:
        raise quota_exceeded("L-UNKNOWN", f"A recovery plan has at most {MOST_SERVERS} source servers")
    filled = [{"impactLevel": "CRITICAL", **each} for each in servers_in(configuration)]
    return json.dumps({"serverStepConfiguration": {"servers": filled}} if filled else configuration)


def create_step(store: Store, call: Call, now: float) -> Answer:
    plan, token = plan_row(store, call), str(call.params.get("clientToken") or "")
    rows = step_rows(store, plan["arn"])
    made = next((row for row in rows if token and row["token"] == token), None)
    if made is not None:
        return {"recoveryPlanStep": step_shape(store, made)}, 201
    refuse_running(store, plan["arn"])
    if len(rows) >= MOST_STEPS:
        raise quota_exceeded("L-UNKNOWN", f"A recovery plan has at most {MOST_STEPS} steps")
    configuration = _check_configuration(store, call, plan["arn"], call.params["configuration"])
    order = int(str(call.params.get("stepOrder") or len(rows) + 1))
    if order > len(rows) + 1:
        raise invalid([("stepOrder", f"the plan has {len(rows)} steps")])
    store.run("UPDATE native_step SET position = position + 1 WHERE plan_arn = ? AND position >= ?", plan["arn"], order)
    arn = new_arn(call, "recovery-plan-step")
    store.run(
        "INSERT INTO native_step (arn, plan_arn, position, name, configuration, token, created, updated)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        arn, plan["arn"], order, str(call.params["stepName"]), configuration, token, now, now,
    )  # fmt: skip
    store.run("UPDATE native_plan SET updated = ? WHERE arn = ?", now, plan["arn"])
    row = next(each for each in step_rows(store, plan["arn"]) if each["arn"] == arn)
    return {"recoveryPlanStep": step_shape(store, row)}, 201


def get_step(store: Store, call: Call, now: float) -> Answer:
    return {"recoveryPlanStep": step_shape(store, _step_row(store, call))}, 200


def list_steps(store: Store, call: Call, now: float) -> Answer:
    plan = plan_row(store, call)

    def fetch(after: str | int | None, limit: int) -> list[Keyed[Body]]:
        rows = [row for row in step_rows(store, plan["arn"]) if row["position"] > int(after or 0)]
        return [Keyed(int(row["position"]), step_shape(store, row)) for row in rows[:limit]]

    return listing("recoveryPlanSteps", page_of(store, call, fetch))


def update_step(store: Store, call: Call, now: float) -> Answer:
    row = _step_row(store, call)
    refuse_running(store, row["plan_arn"])
    configuration, given = row["configuration"], call.params.get("configuration")
    if given is not None:
        configuration = _check_configuration(store, call, row["plan_arn"], given, but=row["arn"])
    name = str(call.params.get("stepName") or row["name"])
    sql = "UPDATE native_step SET name = ?, configuration = ?, updated = ? WHERE arn = ?"
    store.run(sql, name, configuration, now, row["arn"])
    return {"recoveryPlanStep": step_shape(store, _step_row(store, call))}, 200


def delete_step(store: Store, call: Call, now: float) -> Answer:
    row = _step_row(store, call)
    refuse_running(store, row["plan_arn"])
    store.run("DELETE FROM native_step WHERE arn = ?", row["arn"])
    _number_anew(store, [each["arn"] for each in step_rows(store, row["plan_arn"])])
    return {"recoveryPlanStepArn": row["arn"]}, 200


def reorder_steps(store: Store, call: Call, now: float) -> Answer:
    plan, wanted = plan_row(store, call), cast("list[str]", call.params["orderedStepArns"])
    refuse_running(store, plan["arn"])
    if sorted(wanted) != sorted(each["arn"] for each in step_rows(store, plan["arn"])):
        raise invalid([("orderedStepArns", "all steps of the plan are expected, each once")])
    _number_anew(store, wanted)
    return {"recoveryPlanSteps": [step_shape(store, each) for each in step_rows(store, plan["arn"])]}, 200


def _number_anew(store: Store, arns: Sequence[str]) -> None:
    for position, arn in enumerate(arns, 1):
        store.run("UPDATE native_step SET position = ? WHERE arn = ?", position, arn)
