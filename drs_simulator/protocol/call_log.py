"""The journal: every API call that reached the simulator, and what became of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from drs_simulator.world.clock import timestamp
from drs_simulator.world.state_file import Store, Value


@dataclass(frozen=True)
class Call:
    """One API call: what is asked, where, by whom. `attempt` is the SDK's amz-sdk-request header."""

    operation: str
    region: str
    account: str
    params: dict[str, object]
    invocation_id: str = ""
    attempt: str = ""
    caller: str = ""  # the ARN of whoever signed it

    def as_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Outcome:
    """How a call ended. `status` is None when no answer was sent."""

    status: int | None
    error: str = ""
    job_id: str = ""


def open_entry(store: Store, call: Call, fault: str = "") -> int:
    """Note that a call came in; answers the entry's id."""
    return store.run(
        "INSERT INTO journal (at, operation, region, account, params, invocation_id, attempt, fault, error, job_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', '')",
        store.clock.wall(),
        call.operation,
        call.region,
        call.account,
        json.dumps(call.params),
        call.invocation_id,
        call.attempt,
        fault,
    )


def close_entry(store: Store, entry: int, outcome: Outcome) -> None:
    sql = "UPDATE journal SET status = ?, error = ?, job_id = ? WHERE id = ?"
    store.run(sql, outcome.status, outcome.error, outcome.job_id, entry)


def entries(store: Store, operation: str = "", since: int = 0, limit: int = 10_000) -> list[dict[str, object]]:
    """Entries with an id above `since`, oldest first, optionally of one operation only."""
    values: list[Value] = [since]
    sql = "SELECT * FROM journal WHERE id > ?"
    if operation:
        sql += " AND operation = ?"
        values.append(operation)
    rows = store.rows(f"{sql} ORDER BY id LIMIT ?", *values, limit)
    return [{**dict(row), "at": timestamp(row["at"]), "params": json.loads(row["params"])} for row in rows]
