"""The two questions of EC2 that tell whether an instance came up, in EC2's query protocol: states and status checks.

An instance that left DRS runs on here. One that was terminated is shown for an hour. Known, but for the moment at which
DRS's state and EC2's agree.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from html import escape
from uuid import uuid4

from drs_simulator.protocol.call_log import Call
from drs_simulator.world import scenarios
from drs_simulator.world.errors import ApiError
from drs_simulator.world.state_file import Store

OPERATIONS = frozenset({"DescribeInstances", "DescribeInstanceStatus"})
BOOTING, CHECKED = 20.0, 180.0  # seconds after it was launched: running, and its first checks passed
SHOWN_TERMINATED = 3_600.0
CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
TYPE = "m5.large"
_CODES = {"UnrecognizedClientException": "AuthFailure", "ExpiredTokenException": "RequestExpired"}
XMLNS = "http://ec2.amazonaws.com/doc/2016-11-15/"


def answer(store: Store, call: Call, now: float) -> str:
    """The XML of one of the two. Raises ApiError for an instance that EC2 does not know."""
    asked = [str(value) for name, value in sorted(call.params.items()) if name.startswith("InstanceId.")]
    rows = {str(row["id"]): row for row in _instances(store, call, now)}
    if unknown := [each for each in asked if each not in rows]:
        raise ApiError("InvalidInstanceID.NotFound", f"The instance ID '{unknown[0]}' does not exist")
    chosen = [row for instance, row in rows.items() if not asked or instance in asked]
    if call.operation == "DescribeInstances":
        wanted = {str(value) for name, value in call.params.items() if name.startswith("Filter.1.Value.")}
        chosen = [row for row in chosen if not wanted or state(row, now) in wanted]
        return _document(call.operation, _reservations(chosen, now))
    everything = call.params.get("IncludeAllInstances") == "true"
    shown = [row for row in chosen if everything or state(row, now) == "running"]
    return _document(call.operation, "".join(_status_item(store, call, row, now) for row in shown))


def error(error: ApiError) -> str:
    """A refusal in EC2's words and codes (known: its reference)."""
    code, text = escape(_CODES.get(error.code, error.code)), escape(error.message)
    return (
        f"<Response><Errors><Error><Code>{code}</Code><Message>{text}</Message></Error></Errors>"
        f"<RequestID>{uuid4()}</RequestID></Response>"
    )


def _instances(store: Store, call: Call, now: float) -> list[sqlite3.Row]:
    sql = (
        "SELECT * FROM instance WHERE account = ? AND region = ? AND appears_at <= ?"
        " AND (left_drs OR gone_at IS NULL OR gone_at > ?) ORDER BY seq"
    )
    return store.rows(sql, call.account, call.region, now, now - SHOWN_TERMINATED)


def state(row: sqlite3.Row, now: float) -> str:
    """EC2's own word for what an instance is."""
    if row["ended_at"] is not None and now >= row["ended_at"]:
        return str(row["end_state"] or "TERMINATED").lower()
    if row["gone_at"] is not None and now >= row["gone_at"] and not row["left_drs"]:
        return "terminated"
    if row["cleanup_at"] is not None and now >= row["cleanup_at"]:
        return "shutting-down"
    return "running" if now >= row["appears_at"] + BOOTING else "pending"


def _state_xml(name: str, row: sqlite3.Row, now: float) -> str:
    told = state(row, now)
    return f"<{name}><code>{CODES[told]}</code><name>{told}</name></{name}>"


def _reservations(rows: Sequence[sqlite3.Row], now: float) -> str:
    """All of one type, that of the launch templates, unless `/_control/surroundings` says otherwise of a template."""
    items = [
        f"<item><instanceId>{row['id']}</instanceId><instanceType>{TYPE}</instanceType>"
        f"{_state_xml('instanceState', row, now)}</item>"
        for row in rows
    ]
    return "".join(f"<item><instancesSet>{item}</instancesSet></item>" for item in items)


def _status_item(store: Store, call: Call, row: sqlite3.Row, now: float) -> str:
    checks = _checks(store, call, row, now)
    told = "".join(f"<{name}><status>{status}</status></{name}>" for name, status in checks.items())
    return f"<item><instanceId>{row['id']}</instanceId>{_state_xml('instanceState', row, now)}{told}</item>"


def _checks(store: Store, call: Call, row: sqlite3.Row, now: float) -> Mapping[str, str]:
    if state(row, now) != "running":
        return {"systemStatus": "not-applicable", "instanceStatus": "not-applicable"}
    if now < row["appears_at"] + CHECKED:
        return {"systemStatus": "initializing", "instanceStatus": "initializing"}
    said = scenarios.view(store, call.region, "status_checks", call.operation)
    server = store.server(row["server_id"], call.account, call.region)
    if said is not None and server is not None and said.concerns_server(server):
        return {"systemStatus": said.text("system"), "instanceStatus": said.text("instance")}
    return {"systemStatus": "ok", "instanceStatus": "ok"}


def _document(operation: str, items: str) -> str:
    name = "reservationSet" if operation == "DescribeInstances" else "instanceStatusSet"
    return (
        f'<{operation}Response xmlns="{XMLNS}"><requestId>{uuid4()}</requestId>'
        f"<{name}>{items}</{name}></{operation}Response>"
    )
