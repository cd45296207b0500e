"""Answers as scenarios want them: items of listings, and the job of an answer, changed on their way out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from drs_simulator.protocol.call_log import Call
from drs_simulator.world import scenarios
from drs_simulator.world.clock import timestamp
from drs_simulator.world.scenario_kinds import Acts
from drs_simulator.world.scenarios import Scenario
from drs_simulator.world.state_file import Store
from drs_simulator.world.timeline import hex_id

Item = dict[str, object]
LAUNCH_ACTION = "ssm-run-command"


@dataclass(frozen=True)
class Change:
    """A scenario that strikes an answer at a virtual time; `servers` are the ids of those it is about, None: all."""

    store: Store
    scenario: Scenario
    now: float
    servers: frozenset[str] | None

    def concerns(self, server_id: object) -> bool:
        return self.servers is None or server_id in self.servers

    def rows(self, job: Item) -> list[Item]:
        return cast("list[Item]", job.get("participatingServers") or [])

    def is_about(self, item: Item) -> bool:
        ids = [item.get("sourceServerID"), *(each.get("sourceServerID") for each in self.rows(item))]
        return any(self.concerns(each) for each in ids)


def changed(store: Store, call: Call, body: Mapping[str, object], now: float) -> Mapping[str, object]:
    """The body of an answer after every scenario that strikes it."""
    for scenario in scenarios.in_force(store, call.region):
        if scenario.kind.acts is not Acts.ITEM or not scenario.concerns_operation(call.operation):
            continue
        if scenarios.strikes(store, scenario):
            change = Change(store, scenario, now, _server_ids(store, scenario))
            body = CHANGES[scenario.name](change, call, dict(body))
    return body


def _server_ids(store: Store, scenario: Scenario) -> frozenset[str] | None:
    wanted = cast("list[str]", scenario.options.get("servers") or [])
    if not wanted:
        return None
    marks = ", ".join("?" * len(wanted))
    sql = f"SELECT id FROM server WHERE hostname IN ({marks})"  # noqa: S608  # question marks only
    return frozenset([*wanted, *(str(row["id"]) for row in store.rows(sql, *wanted))])


def _each(edit: Callable[[Change, Item], None]) -> Callable[[Change, Call, Item], Item]:
    """A change of every item that is about the scenario's servers; a single answer is an item, too."""

    def apply(change: Change, call: Call, body: Item) -> Item:
        single = cast("Iterable[Item]", [body["job"]] if "job" in body else [])
        for item in [*cast("list[Item]", body.get("items") or []), *single]:
            if change.is_about(item):
                edit(change, item)
        return body

    return apply


def _leave_out(value: object, names: frozenset[str]) -> object:
    if isinstance(value, dict):
        return {name: _leave_out(each, names) for name, each in value.items() if name not in names}
    return [_leave_out(each, names) for each in value] if isinstance(value, list) else value


def _missing_members(change: Change, item: Item) -> None:
    left = cast("Item", _leave_out(item, frozenset(cast("list[str]", change.scenario.options["members"]))))
    item.clear()
    item.update(left)


def _strange_jobs(change: Change, call: Call, body: Item) -> Item:
    """The model requires only a job's id. Not among jobs that are asked for by theirs."""
    filters = cast("Mapping[str, object]", call.params.get("filters") or {})
    if call.operation != "DescribeJobs" or filters.get("jobIDs") or call.params.get("nextToken"):
        return body
    kinds = cast("list[str]", change.scenario.options["initiated_by"])
    listed = cast("list[Item]", body.get("items") or [])
    return {**body, "items": [*(_strange_job(kind) for kind in kinds), *listed]}


def _strange_job(initiated_by: str) -> Item:
    job: Item = {"jobID": hex_id("drsjob-", "strange", initiated_by), "initiatedBy": initiated_by}
    if "NETWORK" in initiated_by:
        job["participatingResources"] = [{"launchStatus": "PENDING"}]
    elif initiated_by == "TARGET_ACCOUNT":
        job |= {"type": "CREATE_CONVERTED_SNAPSHOT", "status": "STARTED", "participatingServers": [{}]}
    return job


def _late_rows(change: Change, item: Item) -> None:
    made = change.store.one("SELECT created FROM job WHERE id = ?", str(item["jobID"]))
    if made is not None and change.now < made["created"] + change.scenario.number("seconds"):
        _missing_rows(change, item)


def _missing_rows(change: Change, item: Item) -> None:
    if item.get("type") == "LAUNCH":
        item["participatingServers"] = [
            each for each in change.rows(item) if not change.concerns(each["sourceServerID"])
        ]


def _failed_rows(change: Change, item: Item) -> None:
    if item.get("type") == "LAUNCH" and item.get("status") == "COMPLETED":
        for row in change.rows(item):
            if change.concerns(row["sourceServerID"]):
                row.pop("recoveryInstanceID", None)
                row["launchStatus"] = "FAILED"


def _double_rows(change: Change, item: Item) -> None:
    shown: list[Item] = []
    for row in change.rows(item):
        other = {"sourceServerID": row["sourceServerID"], "launchStatus": change.scenario.text("status")}
        is_first = bool(change.scenario.options["first"])
        both = [other, row] if is_first else [row, other]
        shown += both if change.concerns(row["sourceServerID"]) else [row]
    item["participatingServers"] = shown


def _row_status(change: Change, item: Item) -> None:
    if item.get("type") == "LAUNCH" and item.get("status") == "COMPLETED":
        for row in change.rows(item):
            if change.concerns(row["sourceServerID"]):
                row.pop("recoveryInstanceID", None)
                row["launchStatus"] = change.scenario.text("status")


def _unlisted_servers(change: Change, call: Call, body: Item) -> Item:
    items = cast("list[Item]", body.get("items") or [])
    return {**body, "items": [each for each in items if not change.concerns(each.get("sourceServerID"))]}


def _unlisted_instances(change: Change, call: Call, body: Item) -> Item:
    kept = [each for each in cast("list[Item]", body.get("items") or []) if not _is_unlisted(change, each)]
    return {**body, "items": kept}


def _is_unlisted(change: Change, item: Item) -> bool:
    named = cast("list[str]", change.scenario.options["instances"])
    if not change.concerns(item.get("sourceServerID")) or (named and item["recoveryInstanceID"] not in named):
        return False
    seconds = change.scenario.number("seconds")
    row = change.store.one("SELECT appears_at FROM instance WHERE id = ?", str(item["recoveryInstanceID"]))
    return seconds < 0 or row is None or change.now < row["appears_at"] + seconds


def _instance_state(change: Change, item: Item) -> None:
    item.pop("ec2InstanceState", None)
    if state := change.scenario.text("state"):
        item["ec2InstanceState"] = state


def _launch_actions(change: Change, item: Item) -> None:
    """They run on the instance; the job does not wait for them (likely)."""
    job = change.store.one("SELECT ends_at FROM job WHERE id = ?", str(item["jobID"]))
    for row in change.rows(item):
        if job is None or row.get("launchStatus") != "LAUNCHED" or not change.concerns(row["sourceServerID"]):
            continue
        said = change.scenario
        is_over = change.now >= job["ends_at"] + said.number("seconds")
        run: Item = {
            "runId": hex_id("run-", row["sourceServerID"]),
            "status": said.text("status") if is_over else "IN_PROGRESS",
            "action": {
                "actionId": LAUNCH_ACTION,
                "name": said.text("action"),
                "category": said.text("category"),
                "optional": bool(said.options["optional"]),
                "active": True,
                "order": 1001,
                "type": "SSM_COMMAND",
            },
        }
        if is_over and said.text("status") == "FAILED":
            run["failureReason"] = said.text("reason")
        seen = timestamp(change.store.clock.wall_of(job["ends_at"]))
        row["launchActionsStatus"] = {"ssmAgentDiscoveryDatetime": seen, "runs": [run]}


def _staging_error(change: Change, item: Item) -> None:
    area = cast("Item", item.get("stagingArea") or {})
    item["stagingArea"] = {**area, "status": "EXTENSION_ERROR", "errorMessage": change.scenario.text("message")}


def _replication(item: Item) -> Item:
    return cast("Item", item.setdefault("dataReplicationInfo", {}))


def _replication_error(change: Change, item: Item) -> None:
    said = change.scenario
    _replication(item)["dataReplicationError"] = {"error": said.text("error"), "rawError": said.text("raw_error")}


def _failback_state(change: Change, item: Item) -> None:
    item["failback"] = {"state": change.scenario.text("state")}
    _replication(item)["dataReplicationState"] = change.scenario.text("replication")


def _odd_lag(change: Change, item: Item) -> None:
    _replication(item).pop("lagDuration", None)
    if lag := change.scenario.text("lag"):
        _replication(item)["lagDuration"] = lag


def _odd_strings(change: Change, item: Item) -> None:
    what, properties = change.scenario.text("what"), cast("Item", item.setdefault("sourceProperties", {}))
    if what in ("NUL", "ALL"):
        properties["os"] = {"fullString": "Windows\x00 Server 2019"}
    if what in ("LONG", "ALL"):
        _replication(item)["dataReplicationState"] = "X" * 36
    if what in ("NULL", "ALL"):
        properties["cpus"], properties["disks"] = [None, {"cores": None}], [{"bytes": None}, None]
    if what in ("LONE", "ALL"):
        cast("Item", properties.setdefault("identificationHints", {}))["fqdn"] = "host\ud800.example.com"


def _blank_name(change: Change, item: Item) -> None:
    item["tags"] = {**cast("Item", item.get("tags") or {}), "Name": "   "}


CHANGES: Mapping[str, Callable[[Change, Call, Item], Item]] = {
    "missing_members": _each(_missing_members),
    "tags_lost": _each(lambda change, item: item.update(tags={})),
    "strange_jobs": _strange_jobs,
    "unknown_status": _each(lambda change, item: item.update(status=change.scenario.text("status"))),
    "job_type": _each(lambda change, item: item.update(type=change.scenario.text("type"))),
    "late_rows": _each(_late_rows),
    "failed_rows": _each(_failed_rows),
    "missing_rows": _each(_missing_rows),
    "double_rows": _each(_double_rows),
    "row_status": _each(_row_status),
    "unlisted_servers": _unlisted_servers,
    "unlisted_instances": _unlisted_instances,
    "instance_state": _each(_instance_state),
    "launch_actions": _each(_launch_actions),
    "staging_error": _each(_staging_error),
    "replication_error": _each(_replication_error),
    "failback": _each(lambda change, item: item.update(replicationDirection="FAILBACK")),
    "failback_state": _each(_failback_state),
    "odd_lag": _each(_odd_lag),
    "odd_strings": _each(_odd_strings),
    "blank_name": _each(_blank_name),
}
