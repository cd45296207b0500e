"""The one state file: SQLite in WAL mode, written through a single connection under a lock.

Everything is committed before it is answered, so a `kill -9` loses nothing that a client has seen. `synchronous` is
NORMAL on purpose: that survives the death of the process, and the simulator need not survive a power cut.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from drs_simulator.world.clock import Anchor, VirtualClock
from drs_simulator.world.fleet import DEFAULT_ACCOUNT, Fleet, FleetServer

Value = str | int | float | None

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS anchor (
    seq INTEGER PRIMARY KEY, wall REAL NOT NULL, virtual REAL NOT NULL, speed REAL NOT NULL);
CREATE TABLE IF NOT EXISTS region (account TEXT, name TEXT, PRIMARY KEY (account, name));
CREATE TABLE IF NOT EXISTS server (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, hostname TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS server_place ON server (account, region, id);
CREATE TABLE IF NOT EXISTS job (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, account TEXT NOT NULL, region TEXT NOT NULL,
    type TEXT NOT NULL, created REAL NOT NULL, created_wall REAL NOT NULL, visible_at REAL NOT NULL,
    ends_at REAL NOT NULL, spec TEXT NOT NULL, tags TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS job_place ON job (account, region, ends_at);
CREATE TABLE IF NOT EXISTS job_server (server_id TEXT, seq INTEGER, PRIMARY KEY (server_id, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS instance (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, account TEXT NOT NULL, region TEXT NOT NULL,
    server_id TEXT NOT NULL, job_id TEXT NOT NULL, is_drill INTEGER NOT NULL, snapshot_at REAL, snapshot_wall REAL,
    appears_at REAL NOT NULL, cleanup_at REAL, gone_at REAL, ended_at REAL, left_drs INTEGER NOT NULL DEFAULT 0,
    end_state TEXT NOT NULL DEFAULT '', disconnected INTEGER NOT NULL DEFAULT 0, tags TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS instance_server ON instance (server_id);
CREATE TABLE IF NOT EXISTS landing (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, lands_at REAL NOT NULL, journal_id INTEGER NOT NULL, call TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS scenario (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, options TEXT NOT NULL,
    calls INTEGER NOT NULL DEFAULT 0, hits INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS native_plan (
    arn TEXT PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL,
    tags TEXT NOT NULL, token TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL);
CREATE TABLE IF NOT EXISTS native_step (
    arn TEXT PRIMARY KEY, plan_arn TEXT NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL,
    configuration TEXT NOT NULL, token TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL);
CREATE TABLE IF NOT EXISTS native_run (
    arn TEXT PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, plan_arn TEXT NOT NULL, mode TEXT NOT NULL,
    status TEXT NOT NULL, started REAL NOT NULL, completed REAL, cancelled INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '', token TEXT NOT NULL, tags TEXT NOT NULL, snapshots TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS native_run_step (
    arn TEXT PRIMARY KEY, run_arn TEXT NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL,
    configuration TEXT NOT NULL, created REAL NOT NULL, status TEXT NOT NULL DEFAULT 'NOT_STARTED',
    attempt INTEGER NOT NULL DEFAULT 1, job_id TEXT NOT NULL DEFAULT '', began REAL, ended REAL,
    error TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, operation TEXT NOT NULL, region TEXT NOT NULL,
    account TEXT NOT NULL, params TEXT NOT NULL, invocation_id TEXT NOT NULL, attempt TEXT NOT NULL,
    fault TEXT NOT NULL, status INTEGER, error TEXT NOT NULL, job_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS role_session (
    access_key TEXT PRIMARY KEY, token TEXT NOT NULL, account TEXT NOT NULL, role TEXT NOT NULL, name TEXT NOT NULL,
    expires REAL NOT NULL);
CREATE INDEX IF NOT EXISTS journal_operation ON journal (operation, id);
"""
# What state files of earlier versions lack.
LATER_COLUMNS = (
    ("instance", "ended_at", "REAL"),
    ("instance", "left_drs", "INTEGER NOT NULL DEFAULT 0"),
    ("instance", "end_state", "TEXT NOT NULL DEFAULT ''"),  # what it is since `ended_at`; empty: TERMINATED
    ("instance", "disconnected", "INTEGER NOT NULL DEFAULT 0"),
)
RUN_TABLES = (
    *("job", "job_server", "instance", "landing", "scenario", "journal"),
    *("native_plan", "native_step", "native_run", "native_run_step"),
)


@dataclass(frozen=True)
class Settings:
    """What a control call may change. Sizes count items, the age is in real seconds."""

    page_size: int = 50
    signature_max_age_seconds: float = 300.0
    max_jobs: int = 20
    max_servers_per_job: int = 100
    max_servers_in_jobs: int = 500

    def __post_init__(self) -> None:
        if self.page_size < 1:
            raise ValueError("a page holds at least one item")


class Store:
    """The connection, the clock, the settings and the fleet of one simulator."""

    def __init__(self, path: Path, wall: Callable[[], float] = time.time) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._depth = 0
        self.resets = 0
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=20)
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 20000"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(SCHEMA)
        for table, column, kind in LATER_COLUMNS:
            if column not in {row["name"] for row in self.rows(f"PRAGMA table_info({table})")}:
                self.run(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
        self.clock = VirtualClock(self._anchors(), wall)
        self.settings = Settings(**json.loads(self.meta("settings", "{}")))
        self.account: str = self.meta("account", DEFAULT_ACCOUNT)
        self.accounts: Mapping[str, str] = json.loads(self.meta("accounts", "{}"))
        self.roles: Mapping[str, Mapping[str, str]] = json.loads(self.meta("roles", "{}"))
        self.fleet_loaded_wall = float(self.meta("fleet_loaded_wall", str(self.clock.wall())))
        self.save_clock()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One atomic, exclusive piece of work; nests into the outer one of the same thread."""
        with self._lock:
            if self._depth:
                yield
                return
            self._depth = 1
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            else:
                self._connection.execute("COMMIT")
            finally:
                self._depth = 0

    def rows(self, sql: str, *values: Value) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Value) -> sqlite3.Row | None:
        found = self.rows(sql, *values)
        return found[0] if found else None

    def number(self, sql: str, *values: Value) -> int:
        """The single integer that a counting query yields."""
        return int(self.rows(sql, *values)[0][0])

    def run(self, sql: str, *values: Value) -> int:
        """Execute a change; answers the row id of an insert."""
        with self._lock:
            return self._connection.execute(sql, values).lastrowid or 0

    def run_many(self, sql: str, values: Iterable[tuple[Value, ...]]) -> None:
        with self._lock:
            self._connection.executemany(sql, values)

    def meta(self, key: str, default: str) -> str:
        row = self.one("SELECT value FROM meta WHERE key = ?", key)
        return str(row["value"]) if row else default

    def set_meta(self, key: str, value: str) -> None:
        self.run("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", key, value)

    def _anchors(self) -> Sequence[Anchor]:
        rows = self.rows("SELECT wall, virtual, speed FROM anchor ORDER BY seq")
        # State files of earlier versions have them all in one row.
        return [Anchor(**row) for row in rows or json.loads(self.meta("anchors", "[]"))]

    def save_clock(self) -> None:
        """Only what is new: anchors are never changed, and a simulator that runs for long has thousands."""
        known = self.number("SELECT COUNT(*) FROM anchor")
        new = ((each.wall, each.virtual, each.speed) for each in self.clock.anchors[known:])
        self.run_many("INSERT INTO anchor (wall, virtual, speed) VALUES (?, ?, ?)", new)

    def change_settings(self, changes: Mapping[str, float]) -> None:
        """Raises KeyError on an unknown setting, ValueError on a senseless one."""
        kinds = {name: type(value) for name, value in asdict(self.settings).items()}
        changes = {name: kinds[name](value) for name, value in changes.items()}
        self.settings = replace(self.settings, **changes)  # type: ignore[arg-type]  # names are checked by replace
        self.set_meta("settings", json.dumps(asdict(self.settings)))

    def load_fleet(self, fleet: Fleet) -> None:
        """Replace regions, servers and accounts; jobs and instances stay."""
        with self.transaction():
            self.run("DELETE FROM server")
            self.run("DELETE FROM region")
            self.run_many("INSERT INTO region (account, name) VALUES (?, ?)", fleet.initialized())
            rows = ((s.id, s.account, s.region, s.hostname, json.dumps(asdict(s))) for s in fleet.servers)
            self.run_many("INSERT INTO server (id, account, region, hostname, body) VALUES (?, ?, ?, ?, ?)", rows)
            self.account, self.accounts = fleet.account, dict(fleet.accounts)
            self.set_meta("account", self.account)
            self.set_meta("accounts", json.dumps(self.accounts))
            self.set_roles(fleet.roles)
            self.fleet_loaded_wall = self.clock.wall()
            self.set_meta("fleet_loaded_wall", str(self.fleet_loaded_wall))

    def set_roles(self, roles: Mapping[str, Mapping[str, str]]) -> None:
        """The roles that can be assumed, by ARN. Sessions of one that is gone are refused, also when one of its name is
        made anew (known: AWS's documentation)."""
        for gone in self.roles.keys() - roles.keys():
            self.run("DELETE FROM role_session WHERE role = ?", gone)
        self.roles = dict(roles)
        self.set_meta("roles", json.dumps(self.roles))

    def reset(self) -> None:
        """Forget jobs, instances, scenarios, surroundings and journal; fleet, settings, speed and virtual time stay."""
        self.resets += 1
        with self.transaction():
            for table in RUN_TABLES:
                self.run(f"DELETE FROM {table}")  # noqa: S608  # constants above
            self.run("DELETE FROM meta WHERE key = 'surroundings'")

    def server(self, server_id: str, account: str, region: str) -> FleetServer | None:
        sql = "SELECT body FROM server WHERE id = ? AND account = ? AND region = ?"
        row = self.one(sql, server_id, account, region)
        return FleetServer(**json.loads(row["body"])) if row else None

    def is_initialized(self, account: str, region: str) -> bool:
        return self.one("SELECT 1 FROM region WHERE account = ? AND name = ?", account, region) is not None
