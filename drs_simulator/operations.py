"""The operations of the service, one function each: a checked call in, the body of the answer out."""

# Conditions are put together from constants and question marks only.
# ruff: noqa: S608

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from drs_simulator import removals
from drs_simulator.native import NATIVE, progress
from drs_simulator.protocol import odd_answers, responses, surroundings
from drs_simulator.protocol.call_log import Call
from drs_simulator.protocol.paging import Keyed, Page, page_of
from drs_simulator.protocol.responses import LaunchHistory, Moment
from drs_simulator.world import scenarios
from drs_simulator.world.clock import epoch
from drs_simulator.world.errors import ApiError, busy_quota, invalid, not_found, uninitialized, unnamed
from drs_simulator.world.fleet import FleetServer
from drs_simulator.world.jobs import Job, Place, Target, check_snapshot, create_job, job_from_row, live_instance
from drs_simulator.world.jobs import job as stored_job
from drs_simulator.world.snapshots import RecoverySnapshot, snapshots
from drs_simulator.world.state_file import Store, Value

if TYPE_CHECKING:
    from mypy_boto3_drs import type_defs as shapes

    Key = str | int | None

T = TypeVar("T")

# Tag operations answer even where DRS was never set up.
WITHOUT_INITIALIZATION = frozenset({"ListTagsForResource", "TagResource"})
MAX_TAGS = 50


@dataclass(frozen=True)
class Done:
    """A carried out call: what to answer, and the id of the job it started."""

    body: Mapping[str, object]
    status: int = 200
    job_id: str = ""
    at: float = 0.0  # the time of day that the answer tells


def perform(store: Store, call: Call, now: float) -> Done:
    """Carry out one call at virtual time `now`, inside a transaction. Raises ApiError as the service would."""
    if call.operation not in WITHOUT_INITIALIZATION and not store.is_initialized(call.account, call.region):
        raise uninitialized()
    progress(store, now)
    done = OPERATIONS[call.operation](store, call, now)
    told_at = store.clock.wall() + _skew(store, call.region)
    return replace(done, body=odd_answers.changed(store, call, done.body, now), at=told_at)


def _place(call: Call) -> Place:
    return Place(call.account, call.region)


def _moment(store: Store, call: Call, now: float) -> Moment:
    def is_set(name: str) -> bool:
        return scenarios.view(store, call.region, name, call.operation) is not None

    untold = scenarios.view(store, call.region, "terminate_untold", call.operation)
    emptied = None if untold is None else bool(untold.options["emptied"])
    forgets = scenarios.view(store, call.region, "untold_launches", call.operation)
    how = forgets.text("how") if forgets else ""
    return Moment(
        store, now, is_set("z_timestamps"), is_set("clear_instance_ids"), emptied, _skew(store, call.region), how
    )


def _skew(store: Store, region: str) -> float:
    """By how many seconds the service's clock is off."""
    set_now = [each for each in scenarios.in_force(store, region) if each.name == "clock_skew"]
    return sum(each.number("seconds") for each in set_now)


def _filters(call: Call) -> Mapping[str, object]:
    return cast("Mapping[str, object]", call.params.get("filters") or {})


def _ids(filters: Mapping[str, object], name: str) -> list[str]:
    return cast("list[str]", filters.get(name) or [])


def _among(column: str, ids: Sequence[str]) -> tuple[str, list[Value]]:
    """An SQL condition for a filter of ids; no ids, no condition."""
    marks = ", ".join("?" * len(ids))
    return (f" AND {column} IN ({marks})", list(ids)) if ids else ("", [])


def _listing(page: Page[object]) -> Done:
    return Done({"items": page.items} | ({"nextToken": page.next_token} if page.next_token else {}))


def describe_source_servers(store: Store, call: Call, now: float) -> Done:
    filters, moment = _filters(call), _moment(store, call, now)
    condition, ids = _among("id", _ids(filters, "sourceServerIDs"))
    hardware, stagings = filters.get("hardwareId"), _ids(filters, "stagingAccountIDs")

    def concerns(server: FleetServer) -> bool:
        staging = server.staging_account or server.account
        return hardware in (None, responses.vmware_uuid(server)) and (not stagings or staging in stagings)

    def fetch(after: Key, limit: int) -> list[Keyed[FleetServer]]:
        sql = f"SELECT body FROM server WHERE account = ? AND region = ? AND id > ?{condition} ORDER BY id"
        everything = hardware is not None or stagings
        rows = store.rows(f"{sql} LIMIT ?", call.account, call.region, after or "", *ids, -1 if everything else limit)
        found = (FleetServer(**json.loads(row["body"])) for row in rows)
        return [Keyed(server.id, server) for server in found if concerns(server)]

    page = page_of(store, call, fetch)
    histories = _histories(store, [server.id for server in page.items], now)
    shown = [responses.source_server_shape(moment, each, histories[each.id]) for each in page.items]
    return _listing(Page(list(shown), page.next_token))


def _histories(store: Store, server_ids: Sequence[str], now: float) -> dict[str, LaunchHistory]:
    """The last visible LAUNCH job and the present instance of each server."""
    condition, ids = _among("server_id", server_ids)
    histories = {server_id: LaunchHistory() for server_id in server_ids}
    if not ids:
        return histories
    last = "SELECT server_id, MAX(seq) AS seq FROM job_server JOIN job USING (seq)"
    last += f" WHERE type = 'LAUNCH' AND visible_at <= ?{condition} GROUP BY server_id"
    jobs = store.rows(f"SELECT * FROM job WHERE seq IN (SELECT seq FROM ({last}))", now, *ids)
    by_seq = {row["seq"]: job_from_row(row) for row in jobs}
    alive = f"SELECT server_id, id FROM instance WHERE appears_at <= ? AND (gone_at IS NULL OR gone_at > ?){condition}"
    instances = {row["server_id"]: row["id"] for row in store.rows(alive, now, now, *ids)}
    launched = {row["server_id"]: by_seq[row["seq"]] for row in store.rows(last, now, *ids)}
    return {each: LaunchHistory(launched.get(each), instances.get(each, "")) for each in server_ids}


def start_recovery(store: Store, call: Call, now: float) -> Done:
    """All or nothing (assumed: the service says so nowhere). With which code it refuses an id that it does not know,
    and whether it names it, is not known either: the scenarios `refusal_style` and `server_refused` tell both."""
    try:
        return _start_recovery(store, call, now)
    except ApiError as error:
        raise _styled(store, call, error) from error


def _styled(store: Store, call: Call, error: ApiError) -> ApiError:
    """A refusal because of one id, as the scenario in force wants it."""
    style = scenarios.view(store, call.region, "refusal_style", call.operation)
    if style is None or error.code not in ("ConflictException", "ResourceNotFoundException"):
        return error
    if error.code == "ResourceNotFoundException":
        error = ApiError(style.text("code"), error.message)
    elif style.text("busy") == "ServiceQuotaExceededException":
        return busy_quota()
    return error if style.options["named"] else unnamed(error)


def _check_refused(store: Store, call: Call, servers: Sequence[FleetServer]) -> None:
    scenario = scenarios.view(store, call.region, "server_refused", call.operation)
    bad = next((each for each in servers if scenario is not None and scenario.concerns_server(each)), None)
    if scenario is not None and bad is not None:
        error = ApiError(scenario.text("code"), f"Source server {bad.id} cannot be launched")
        raise error if scenario.options["named"] else unnamed(error)


def _start_recovery(store: Store, call: Call, now: float) -> Done:
    params = cast("shapes.StartRecoveryRequestTypeDef", call.params)
    tags = _checked_tags(params.get("tags") or {})
    targets = []
    for wanted in params["sourceServers"]:
        server = _server(store, call, wanted["sourceServerID"])
        snapshot_id = wanted.get("recoverySnapshotID") or ""
        check_snapshot(store, server, snapshot_id)
        targets.append(Target(server, snapshot_id=snapshot_id))
    _check_refused(store, call, [target.server for target in targets])
    # Leaving isDrill out means a real recovery.
    made = create_job(
        store, _place(call), targets, "START_DRILL" if params.get("isDrill") else "START_RECOVERY", tags, now
    )
    return _started(store, call, made, now, 202)


def _started(store: Store, call: Call, made: Job, now: float, status: int) -> Done:
    return Done({"job": responses.job_shape(_moment(store, call, now), made)}, status, made.spec.id)


def _server(store: Store, call: Call, server_id: str) -> FleetServer:
    server = store.server(server_id, call.account, call.region)
    if server is None:
        raise not_found("SourceServer", server_id)
    return server


def _checked_tags(tags: Mapping[str, str]) -> Mapping[str, str]:
    if len(tags) > MAX_TAGS:
        raise invalid([("tags", f"at most {MAX_TAGS} tags a resource")])
    return tags


def terminate_recovery_instances(store: Store, call: Call, now: float) -> Done:
    instance_ids = cast("list[str]", call.params["recoveryInstanceIDs"])
    targets = [_termination(store, call, each, now) for each in dict.fromkeys(instance_ids)]
    _refuse_one(store, call, targets)
    made = create_job(store, _place(call), targets, "TERMINATE_RECOVERY_INSTANCES", {}, now)
    return _started(store, call, made, now, 200)


def _refuse_one(store: Store, call: Call, targets: Sequence[Target]) -> None:
    """Refuse the whole call because of one instance. All or nothing is likely; the code, and whether the text names
    the instance, are unknown: a scenario chooses."""
    refusal = scenarios.view(store, call.region, "refuses_instance", call.operation)
    culprit = next((each for each in targets if refusal and refusal.concerns_server(each.server)), None)
    if refusal is not None and culprit is not None:
        who = culprit.instance_id if refusal.options["named"] else "One of the recovery instances"
        raise ApiError(refusal.text("error"), f"{who} cannot be terminated in its present state")


def _termination(store: Store, call: Call, instance_id: str, now: float) -> Target:
    sql = "SELECT * FROM instance WHERE id = ? AND account = ? AND region = ?"
    row = store.one(sql, instance_id, call.account, call.region)
    live = live_instance(store, row["server_id"], now) if row else None
    if row is None or live is None or live["id"] != instance_id:
        raise not_found("RecoveryInstance", instance_id)
    known = store.server(row["server_id"], call.account, call.region)
    return Target(known or FleetServer(row["server_id"], call.region, "", call.account), instance_id=instance_id)


def describe_jobs(store: Store, call: Call, now: float) -> Done:
    filters, moment = _filters(call), _moment(store, call, now)
    _check_poison(store, call, _ids(filters, "jobIDs"))
    condition, values = _among("id", _ids(filters, "jobIDs"))
    for name, comparison in (("fromDate", ">="), ("toDate", "<=")):
        if filters.get(name):
            condition += f" AND created_wall {comparison} ?"
            values.append(_filter_date(filters, name) - moment.skew)

    def fetch(after: Key, limit: int) -> list[Keyed[Job]]:
        sql = "SELECT * FROM job WHERE account = ? AND region = ? AND visible_at <= ? AND seq < ?" + condition
        start = after if isinstance(after, int) else 2**62
        rows = store.rows(f"{sql} ORDER BY seq DESC LIMIT ?", call.account, call.region, now, start, *values, limit)
        return [Keyed(row["seq"], job_from_row(row)) for row in rows]

    page = page_of(store, call, fetch)
    return _listing(Page([responses.job_shape(moment, each) for each in page.items], page.next_token))


def _check_poison(store: Store, call: Call, job_ids: Sequence[str]) -> None:
    """Refuse a listing because of one id in it, if a scenario says so."""
    poison = scenarios.view(store, call.region, "poison_id", call.operation)
    for job_id in job_ids if poison is not None else ():
        sql = "SELECT body FROM server JOIN job_server ON server.id = server_id JOIN job USING (seq) WHERE job.id = ?"
        servers = [FleetServer(**json.loads(row["body"])) for row in store.rows(sql, job_id)]
        if poison is not None and any(poison.concerns_server(each) for each in servers):
            error = ApiError(poison.text("code"), f"Job {job_id} cannot be described")
            raise error if poison.options["named"] else unnamed(error)


def _filter_date(filters: Mapping[str, object], name: str) -> float:
    try:
        return epoch(str(filters[name]))
    except ValueError as error:  # the pattern lets 31 February through
        raise invalid([(f"filters.{name}", "is not a date")]) from error


def describe_job_log_items(store: Store, call: Call, now: float) -> Done:
    job_id, moment = str(call.params["jobID"]), _moment(store, call, now)
    found = stored_job(store, _place(call), job_id)
    if found is None or found.visible_at > now:
        raise invalid([("jobID", f"job {job_id} not found")], "other")
    page = page_of(store, call, partial(_slice, found.timeline.events_until(now)))
    return _listing(Page([responses.job_log_shape(moment, found, each) for each in page.items], page.next_token))


def _slice(items: Sequence[T], after: Key, limit: int) -> list[Keyed[T]]:
    """Part of a list whose keys are positions."""
    start = after + 1 if isinstance(after, int) else 0
    return [Keyed(start + index, item) for index, item in enumerate(items[start : start + limit])]


def describe_recovery_instances(store: Store, call: Call, now: float) -> Done:
    filters, moment = _filters(call), _moment(store, call, now)
    by_id, ids = _among("instance.id", _ids(filters, "recoveryInstanceIDs"))
    by_server, server_ids = _among("server_id", _ids(filters, "sourceServerIDs"))
    untold = scenarios.view(store, call.region, "no_is_drill", call.operation)

    def shape(row: sqlite3.Row) -> object:
        server = FleetServer(**json.loads(row["body"])) if row["body"] else None
        shown = responses.recovery_instance_shape(moment, row, server)
        if untold is not None and server is not None and untold.concerns_server(server):
            del shown["isDrill"]
        return shown

    def fetch(after: Key, limit: int) -> list[Keyed[object]]:
        sql = (
            "SELECT instance.*, server.body FROM instance LEFT JOIN server ON server.id = server_id"
            " WHERE instance.account = ? AND instance.region = ? AND appears_at <= ?"
            " AND (gone_at IS NULL OR gone_at > ?) AND seq > ?" + by_id + by_server
        )
        values = (call.account, call.region, now, now, after or 0, *ids, *server_ids, limit)
        return [Keyed(row["seq"], shape(row)) for row in store.rows(f"{sql} ORDER BY seq LIMIT ?", *values)]

    return _listing(page_of(store, call, fetch))


def describe_recovery_snapshots(store: Store, call: Call, now: float) -> Done:
    server_id, filters = str(call.params["sourceServerID"]), _filters(call)
    server = store.server(server_id, call.account, call.region)
    if server is None:
        raise invalid([("sourceServerID", f"source server {server_id} not found")], "other")
    first = _filter_date(filters, "fromDateTime") if filters.get("fromDateTime") else 0.0
    last = _filter_date(filters, "toDateTime") if filters.get("toDateTime") else float("inf")
    known = [each for each in snapshots(store, server) if first <= each.wall <= last]
    if call.params.get("order") == "ASC":
        known.reverse()
    page: Page[RecoverySnapshot] = page_of(store, call, partial(_slice, known))
    moment = _moment(store, call, now)
    return _listing(Page([responses.recovery_snapshot_shape(moment, each) for each in page.items], page.next_token))


def get_launch_configuration(store: Store, call: Call, now: float) -> Done:
    server = _server(store, call, str(call.params["sourceServerID"]))
    without = scenarios.view(store, call.region, "no_launch_settings", call.operation)
    if without is not None and without.concerns_server(server):
        raise not_found("LaunchConfiguration", server.id)
    told = surroundings.launch_configuration(store, server.id, server.hostname)
    shape: dict[str, object] = {**responses.launch_configuration_shape(server), **told}
    said = scenarios.view(store, call.region, "launch_disposition", call.operation)
    if said is not None and said.concerns_server(server):
        shape["launchDisposition"] = said.text("disposition")
    return Done(shape)


@dataclass(frozen=True)
class Tagged:
    """A resource with tags: where they are stored, and what they are now."""

    sql: str
    id: str
    tags: dict[str, str]


def _tagged(store: Store, call: Call) -> Tagged:
    """The resource of an ARN. Raises ResourceNotFoundException, also for another account's or region's."""
    arn = str(call.params["resourceArn"])
    kind, _, name = arn.rpartition(":")[2].partition("/")
    table = {"job": "job", "recovery-instance": "instance", "source-server": "server"}.get(kind, "")
    if kind == "recovery-plan":
        plan = store.one("SELECT * FROM native_plan WHERE arn = ?", arn)
        if plan is None:
            raise not_found(kind, arn)
        return Tagged("UPDATE native_plan SET tags = ? WHERE arn = ?", arn, json.loads(plan["tags"]))
    sql = f"SELECT * FROM {table} WHERE id = ? AND account = ? AND region = ?"
    row = store.one(sql, name, call.account, call.region) if table else None
    if row is None or arn != _place(call).arn(kind, name):
        raise not_found(kind or "Resource", name or arn)
    if table != "server":
        return Tagged(f"UPDATE {table} SET tags = ? WHERE id = ?", name, json.loads(row["tags"]))
    sql = "UPDATE server SET body = json_set(body, '$.tags', json(?)) WHERE id = ?"
    return Tagged(sql, name, json.loads(row["body"])["tags"])


def list_tags_for_resource(store: Store, call: Call, now: float) -> Done:
    return Done({"tags": _tagged(store, call).tags})


def tag_resource(store: Store, call: Call, now: float) -> Done:
    """Known, from the model: it adds to the tags that there are, and answers nothing. There is no condition on what was
    there before. Likely: of two that write at once the last one stays. Unknown: how soon DescribeSourceServers shows a
    tag; here at once."""
    resource = _tagged(store, call)
    tags = _checked_tags(resource.tags | cast("dict[str, str]", call.params["tags"]))
    store.run(resource.sql, json.dumps(tags), resource.id)
    return Done({})


def _native(work: Callable[[Store, Call, float], tuple[dict[str, object], int]]) -> Callable[..., Done]:
    """An operation that starts no job: its answer, and the status of that."""
    return lambda store, call, now: Done(*work(store, call, now))


OPERATIONS: Mapping[str, Callable[[Store, Call, float], Done]] = {
    **{name: _native(work) for name, work in NATIVE.items()},
    "DisconnectSourceServer": _native(removals.disconnect),
    "DeleteSourceServer": _native(removals.delete),
    "DescribeSourceServers": describe_source_servers,
    "StartRecovery": start_recovery,
    "DescribeJobs": describe_jobs,
    "DescribeJobLogItems": describe_job_log_items,
    "DescribeRecoveryInstances": describe_recovery_instances,
    "TerminateRecoveryInstances": terminate_recovery_instances,
    "DescribeRecoverySnapshots": describe_recovery_snapshots,
    "GetLaunchConfiguration": get_launch_configuration,
    "ListTagsForResource": list_tags_for_resource,
    "TagResource": tag_resource,
}
