"""Executions of DRS's own recovery plans: step after step, each server step one job.

Known, of botocore's service model: the shapes and statuses, that executions are listed by plan and status, that each
server of a step has its job id, that steps can be skipped, changed and tried again, that servers may be launched from
chosen snapshots. Likely: one active execution a plan; that a CRITICAL server that is not launched fails its step and
the execution, an OPTIONAL one does not; that a cancelled execution lets its step end; that instances of mode DRILL are
drills to DescribeRecoveryInstances. Unknown: when TIMED_OUT comes; it never does here; whether a start is refused
whose servers are in a job already: here its step fails.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import cast

from drs_simulator.native.plans import (
    Answer,
    Body,
    conflict,
    listing,
    new_arn,
    plan_row,
    refuse_running,
    server_id,
    servers_in,
    stamp,
    step_rows,
)
from drs_simulator.protocol.call_log import Call
from drs_simulator.protocol.paging import Keyed, page_of
from drs_simulator.world.errors import ApiError, invalid, not_found
from drs_simulator.world.jobs import Place, Target, create_job, job
from drs_simulator.world.state_file import Store

LAUNCHED = "LAUNCHED"
ACTIVE = "status IN ('CREATED', 'IN_PROGRESS', 'CANCELLING')"


# What time brings


def progress(store: Store, now: float) -> None:
    """Bring every execution to where it is at a virtual moment."""
    for run in store.rows(f"SELECT * FROM native_run WHERE {ACTIVE}"):  # noqa: S608  # constants
        at = float(run["started"])
        for step in _steps(store, run["arn"]):
            ended = _step_end(store, run, step, at, now)
            if ended is None:
                break
            at = ended
        _settle(store, str(run["arn"]), at)


def _steps(store: Store, run_arn: str) -> list[sqlite3.Row]:
    return store.rows("SELECT * FROM native_run_step WHERE run_arn = ? ORDER BY position", run_arn)


def _step_end(store: Store, run: sqlite3.Row, step: sqlite3.Row, at: float, now: float) -> float | None:
    """When a step ended, begun at `at` if it had not begun; None while it lasts, or where the execution stops."""
    status, configuration = str(step["status"]), json.loads(step["configuration"])
    if status in ("COMPLETED", "SKIPPED"):
        return float(step["ended"] or at)
    if status == "FAILED" or (status == "NOT_STARTED" and run["cancelled"]):
        return None
    if status == "NOT_STARTED":
        _begin(store, run, step, configuration, at)
        step = next(each for each in _steps(store, run["arn"]) if each["arn"] == step["arn"])
        if step["status"] == "FAILED":
            return None
    if wait := configuration.get("waitStepConfiguration"):
        until = float(step["began"]) + 60.0 * int(wait["waitDurationMinutes"])
        return _end(store, step, "COMPLETED", until) if until <= now else None
    return _job_end(store, run, step, configuration, now)


def _begin(store: Store, run: sqlite3.Row, step: sqlite3.Row, configuration: Mapping[str, object], at: float) -> None:
    place, mode = Place(run["account"], run["region"]), run["mode"]
    servers, chosen = servers_in(configuration), json.loads(run["snapshots"])
    if not servers:
        store.run("UPDATE native_run_step SET status = 'WAITING', began = ? WHERE arn = ?", at, step["arn"])
        return
    known = [(each, store.server(server_id(each), *_pair(place))) for each in servers]
    targets = [Target(found, snapshot_id=chosen.get(found.id, "")) for _, found in known if found is not None]
    try:
        if len(targets) < len(servers):
            raise not_found("SourceServer", next(server_id(each) for each, found in known if found is None))
        made = create_job(store, place, targets, "START_DRILL" if mode == "DRILL" else "START_RECOVERY", {}, at)
    except ApiError as error:
        detail = json.dumps({"code": error.code, "message": error.message})
        sql = "UPDATE native_run_step SET status = 'FAILED', began = ?, ended = ?, error = ? WHERE arn = ?"
        store.run(sql, at, at, detail, step["arn"])
        return
    sql = "UPDATE native_run_step SET status = 'EXECUTING', began = ?, job_id = ? WHERE arn = ?"
    store.run(sql, at, made.spec.id, step["arn"])


def _pair(place: Place) -> tuple[str, str]:
    return place.account, place.region


def _job_end(
    store: Store, run: sqlite3.Row, step: sqlite3.Row, configuration: Mapping[str, object], now: float
) -> float | None:
    made = job(store, Place(run["account"], run["region"]), step["job_id"])
    if made is None or made.timeline.ended_at > now:
        return None
    up = {
        plan.server_id
        for plan, track in zip(made.spec.servers, made.timeline.tracks, strict=True)
        if track.launched_at is not None
    }
    critical = {server_id(each) for each in servers_in(configuration) if each.get("impactLevel") != "OPTIONAL"}
    if missing := sorted(critical - up):
        detail = json.dumps({"code": "ServerLaunchFailed", "message": f"{missing[0]} was not launched"})
        store.run("UPDATE native_run_step SET error = ? WHERE arn = ?", detail, step["arn"])
        _end(store, step, "FAILED", made.timeline.ended_at)
        return None
    return _end(store, step, "COMPLETED", made.timeline.ended_at)


def _end(store: Store, step: sqlite3.Row, status: str, at: float) -> float:
    store.run("UPDATE native_run_step SET status = ?, ended = ? WHERE arn = ?", status, at, step["arn"])
    return at


def _settle(store: Store, run_arn: str, at: float) -> None:
    run = store.rows("SELECT * FROM native_run WHERE arn = ?", run_arn)[0]
    steps = _steps(store, run_arn)
    told = [str(each["status"]) for each in steps]
    status, error = "IN_PROGRESS", ""
    if "FAILED" in told:
        status, error = "FAILED", next(each["error"] for each in steps if each["status"] == "FAILED")
        at = next(float(each["ended"]) for each in steps if each["status"] == "FAILED")
    elif all(each in ("COMPLETED", "SKIPPED") for each in told):
        status = "COMPLETED"
    elif run["cancelled"]:
        status = "CANCELLING" if {"EXECUTING", "WAITING"} & set(told) else "CANCELLED"
    ended = None if status in ("IN_PROGRESS", "CANCELLING") else at
    sql = "UPDATE native_run SET status = ?, completed = ?, error = ? WHERE arn = ?"
    store.run(sql, status, ended, error, run_arn)


# Executions


def _run_row(store: Store, call: Call) -> sqlite3.Row:
    arn = str(call.params["recoveryPlanExecutionArn"])
    sql = "SELECT * FROM native_run WHERE arn = ? AND account = ? AND region = ?"
    row = store.one(sql, arn, call.account, call.region)
    if row is None:
        raise not_found("RecoveryPlanExecution", arn)
    return row


def _run_shape(store: Store, row: sqlite3.Row, *, whole: bool = True) -> Body:
    shape: Body = {
        "recoveryPlanExecutionArn": row["arn"],
        "recoveryPlanArn": row["plan_arn"],
        "mode": row["mode"],
        "status": row["status"],
        "startedAt": stamp(store, row["started"]),
    }
    shape |= {"errorDetail": json.loads(row["error"])} if row["error"] else {}
    if not whole:
        return shape
    shape |= {"completedAt": stamp(store, row["completed"])} if row["completed"] is not None else {}
    return shape | {"tags": json.loads(row["tags"])}


def start(store: Store, call: Call, now: float) -> Answer:
    plan, token = plan_row(store, call), str(call.params.get("clientToken") or "")
    made = store.one("SELECT * FROM native_run WHERE token = ? AND plan_arn = ?", token, plan["arn"])
    if token and made is not None:
        return {"recoveryPlanExecution": _run_shape(store, made)}, 201
    refuse_running(store, plan["arn"])
    steps = step_rows(store, plan["arn"])
    if not steps:
        raise invalid([("recoveryPlanArn", "the recovery plan has no steps")], "other")
    chosen = cast("list[Mapping[str, str]]", call.params.get("sourceServers") or [])
    arn = new_arn(call, "recovery-plan-execution")
    store.run(
        "INSERT INTO native_run (arn, account, region, plan_arn, mode, status, started, token, tags, snapshots)"
        " VALUES (?, ?, ?, ?, ?, 'CREATED', ?, ?, ?, ?)",
        arn, call.account, call.region, plan["arn"], str(call.params["mode"]), now, token,
        json.dumps(call.params.get("tags") or {}),
        json.dumps({each["sourceServerID"]: each["recoverySnapshotID"] for each in chosen}),
    )  # fmt: skip
    for position, step in enumerate(steps, 1):
        store.run(
            "INSERT INTO native_run_step (arn, run_arn, position, name, configuration, created)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            new_arn(call, "recovery-plan-execution-step"), arn, position, step["name"], step["configuration"], now,
        )  # fmt: skip
    row = store.rows("SELECT * FROM native_run WHERE arn = ?", arn)[0]
    return {"recoveryPlanExecution": _run_shape(store, row)}, 201


def get(store: Store, call: Call, now: float) -> Answer:
    return {"recoveryPlanExecution": _run_shape(store, _run_row(store, call))}, 200


def list_runs(store: Store, call: Call, now: float) -> Answer:
    plan, status = call.params.get("recoveryPlanArn"), call.params.get("status")

    def fetch(after: str | int | None, limit: int) -> list[Keyed[Body]]:
        sql = "SELECT * FROM native_run WHERE account = ? AND region = ? AND arn > ? ORDER BY arn"
        rows = store.rows(sql, call.account, call.region, after or "")
        found = [each for each in rows if plan in (None, each["plan_arn"]) and status in (None, each["status"])]
        return [Keyed(str(each["arn"]), _run_shape(store, each, whole=False)) for each in found[:limit]]

    return listing("recoveryPlanExecutions", page_of(store, call, fetch))


def cancel(store: Store, call: Call, now: float) -> Answer:
    row = _run_row(store, call)
    if row["status"] not in ("CREATED", "IN_PROGRESS"):
        raise conflict(f"The execution is {row['status']}")
    store.run("UPDATE native_run SET cancelled = 1, status = 'CANCELLING' WHERE arn = ?", row["arn"])
    progress(store, now)
    return {"recoveryPlanExecution": _run_shape(store, _run_row(store, call))}, 200


def delete(store: Store, call: Call, now: float) -> Answer:
    row = _run_row(store, call)
    if row["completed"] is None:
        raise conflict(f"The execution is {row['status']}")
    store.run("DELETE FROM native_run WHERE arn = ?", row["arn"])
    store.run("DELETE FROM native_run_step WHERE run_arn = ?", row["arn"])
    return {"recoveryPlanExecutionArn": row["arn"]}, 200


# Their steps


def _step_row(store: Store, call: Call) -> sqlite3.Row:
    arn = str(call.params["recoveryPlanExecutionStepArn"])
    sql = "SELECT native_run_step.*, native_run.status AS run_status FROM native_run_step"
    sql += " JOIN native_run ON native_run.arn = run_arn WHERE native_run_step.arn = ? AND account = ? AND region = ?"
    row = store.one(sql, arn, call.account, call.region)
    if row is None:
        raise not_found("RecoveryPlanExecutionStep", arn)
    return row


def _step_shape(store: Store, row: sqlite3.Row, *, whole: bool = True) -> Body:
    configuration = json.loads(row["configuration"])
    if servers := servers_in(configuration):
        told = {"jobID": row["job_id"]} if row["job_id"] else {}
        configuration = {"executionServerStepConfiguration": {"servers": [{**each, **told} for each in servers]}}
    shape: Body = {
        "recoveryPlanExecutionStepArn": row["arn"],
        "stepIndex": row["position"],
        "status": row["status"],
        "stepName": row["name"],
        "configuration": configuration,
    }
    shape |= {"errorDetail": json.loads(row["error"])} if row["error"] else {}
    if not whole:
        return shape
    changed = row["ended"] or row["began"] or row["created"]
    times: Body = {"createdAt": stamp(store, row["created"]), "updatedAt": stamp(store, changed)}
    return shape | {"attempt": row["attempt"]} | times


def get_step(store: Store, call: Call, now: float) -> Answer:
    return {"recoveryPlanExecutionStep": _step_shape(store, _step_row(store, call))}, 200


def list_steps(store: Store, call: Call, now: float) -> Answer:
    run = _run_row(store, call)
    wanted = cast("Mapping[str, str]", call.params.get("filter") or {}).get("status")

    def fetch(after: str | int | None, limit: int) -> list[Keyed[Body]]:
        rows = [each for each in _steps(store, run["arn"]) if each["position"] > int(after or 0)]
        found = [each for each in rows if wanted in (None, each["status"])]
        return [Keyed(int(each["position"]), _step_shape(store, each, whole=False)) for each in found[:limit]]

    return listing("recoveryPlanExecutionSteps", page_of(store, call, fetch))


def update_step(store: Store, call: Call, now: float) -> Answer:
    """Skip a step that has not begun, or change what it will do."""
    row = _step_row(store, call)
    if row["status"] not in ("NOT_STARTED", "FAILED"):
        raise conflict(f"The step is {row['status']}")
    configuration = row["configuration"]
    if servers := call.params.get("servers"):
        configuration = json.dumps({"serverStepConfiguration": {"servers": servers}})
    elif minutes := call.params.get("waitDurationMinutes"):
        configuration = json.dumps({"waitStepConfiguration": {"waitDurationMinutes": minutes}})
    status = str(call.params.get("status") or row["status"])
    if status not in ("SKIPPED", row["status"]):
        raise invalid([("status", "only SKIPPED can be asked for")])
    sql = "UPDATE native_run_step SET status = ?, configuration = ?, ended = ? WHERE arn = ?"
    store.run(sql, status, configuration, now if status == "SKIPPED" else None, row["arn"])
    return {"recoveryPlanExecutionStep": _step_shape(store, _step_row(store, call))}, 200


def retry_step(store: Store, call: Call, now: float) -> Answer:
    row = _step_row(store, call)
    if row["status"] != "FAILED":
        raise conflict(f"The step is {row['status']}")
    sql = "UPDATE native_run_step SET status = 'NOT_STARTED', attempt = attempt + 1, error = '' WHERE arn = ?"
    store.run(sql, row["arn"])
    # What goes on goes on from now.
    sql = "UPDATE native_run SET status = 'IN_PROGRESS', completed = NULL, error = '' WHERE arn = ?"
    store.run(sql, row["run_arn"])
    before = "UPDATE native_run_step SET ended = ? WHERE run_arn = ? AND position < ? AND position = ?"
    store.run(before, now, row["run_arn"], row["position"], row["position"] - 1)
    if row["position"] == 1:
        store.run("UPDATE native_run SET started = ? WHERE arn = ?", now, row["run_arn"])
    progress(store, now)
    return {"recoveryPlanExecutionStep": _step_shape(store, _step_row(store, call))}, 200
