"""The failure scenarios: one table says what each is; the functions below decide when one strikes."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import cast

from drs_simulator.world.fleet import FleetServer
from drs_simulator.world.state_file import Store


class Acts(Enum):
    """At which point a scenario comes into play."""

    INSTEAD = "the call is not carried out"
    BEFORE = "something happens, then the call is carried out"
    AFTER = "the call is carried out, its answer suffers"
    CREATION = "a job's row is made differently"
    SERVER = "a server in a new job fares differently"
    VIEW = "answers look different while it is set"
    AT_ONCE = "acts when it is set"


@dataclass(frozen=True)
class Kind:
    """One named scenario. `options` are its own options with their defaults; `operations` the default filter."""

    acts: Acts
    summary: str
    options: Mapping[str, object] | None = None
    operations: tuple[str, ...] = ()
    error: str = ""


LAUNCHERS = ("StartRecovery", "TerminateRecoveryInstances")
SERVERS: Mapping[str, object] = {"servers": []}
FAILING: Mapping[str, object] = {"servers": [], "raw_error": ""}

KINDS: Mapping[str, Kind] = {
    "throttle": Kind(Acts.INSTEAD, "429, no effect", error="ThrottlingException"),
    "access_denied": Kind(Acts.INSTEAD, "403, no effect", error="AccessDeniedException"),
    "expired_token": Kind(Acts.INSTEAD, "403, no effect", error="ExpiredTokenException"),
    "internal_error_before": Kind(Acts.INSTEAD, "500, no effect", error="InternalServerException"),
    "uninitialized": Kind(Acts.INSTEAD, "400, no effect", error="UninitializedAccountException"),
    "quota_exceeded": Kind(Acts.INSTEAD, "402, no effect", operations=LAUNCHERS, error="ServiceQuotaExceededException"),
    "conflict": Kind(Acts.INSTEAD, "409, no effect", operations=LAUNCHERS, error="ConflictException"),
    "drop_connection_before": Kind(Acts.INSTEAD, "connection closed, no effect"),
    "unreachable": Kind(Acts.INSTEAD, "held open `seconds` real seconds, then closed, no effect", {"seconds": 60.0}),
    "late_landing": Kind(
        Acts.INSTEAD, "connection closed; the effect lands `seconds` later", {"seconds": 20.0}, LAUNCHERS
    ),
    "hang": Kind(
        Acts.BEFORE,
        "answered `seconds` real seconds late; effect at the end, or (`when`: after) at once",
        {"seconds": 5.0, "when": "before"},
    ),
    "internal_error_after_effect": Kind(Acts.AFTER, "the effect stays, the answer is a 500", operations=LAUNCHERS),
    "drop_connection_after_effect": Kind(Acts.AFTER, "the effect stays, no answer", operations=LAUNCHERS),
    "broken_json": Kind(Acts.AFTER, "the effect stays, the answer is half a JSON document"),
    "visibility_delay": Kind(Acts.CREATION, "a new job is in no DescribeJobs for `seconds`", {"seconds": 30.0}),
    "launch_end_event": Kind(Acts.CREATION, "new jobs log LAUNCH_END with a targetInstanceID"),
    "steady_times": Kind(Acts.CREATION, "every wait of new jobs takes the middle of its range"),
    "launch_failed": Kind(Acts.SERVER, "LAUNCH_FAILED with `raw_error`", FAILING),
    "conversion_fail": Kind(Acts.SERVER, "CONVERSION_FAIL with `raw_error`", FAILING),
    "snapshot_fail_uses_previous": Kind(Acts.SERVER, "SNAPSHOT_FAIL, then launched from an older snapshot", FAILING),
    "snapshot_fail_no_previous": Kind(Acts.SERVER, "SNAPSHOT_FAIL and no older snapshot: FAILED", FAILING),
    "server_skipped": Kind(Acts.SERVER, "SERVER_SKIPPED: FAILED", FAILING),
    "never_settles": Kind(Acts.SERVER, "the job completes, the server's row stays PENDING", SERVERS),
    "slow_server": Kind(Acts.SERVER, "every phase takes `factor` times as long", {"servers": [], "factor": 4.0}),
    "late_instance_id": Kind(
        Acts.SERVER,
        "the job shows the instance id `seconds` (virtual) after LAUNCHED, negative: never",
        {"servers": [], "seconds": 60.0},
    ),
    "terminate_fails": Kind(Acts.SERVER, "TERMINATE job: CLEANUP_FAIL, FAILED, the instance stays", FAILING),
    "refuses_instance": Kind(
        Acts.VIEW,
        "TerminateRecoveryInstances with an instance of `servers` is refused with `error`, which names it or not",
        {"servers": [], "error": "ValidationException", "named": True},
        ("TerminateRecoveryInstances",),
    ),
    "terminate_untold": Kind(
        Acts.VIEW, "an ended TERMINATE job's participants are PENDING, or (`emptied`) missing", {"emptied": True}
    ),
    "ec2_terminated": Kind(
        Acts.AT_ONCE, "instances of `servers` are terminated in EC2; DRS goes on listing them, as TERMINATED", SERVERS
    ),
    "left_drs": Kind(
        Acts.AT_ONCE, "instances of `servers` are disconnected and deleted from DRS, and run on in EC2", SERVERS
    ),
    "clear_instance_ids": Kind(Acts.VIEW, "LAUNCH jobs of instances since gone show TERMINATED and no id"),
    "untold_launches": Kind(
        Acts.VIEW,
        "LAUNCH jobs that have ended show no participants, or (`how`: PENDING) rows that stay PENDING, without an id",
        {"how": "EMPTY"},
        ("DescribeJobs",),
    ),
    "refusal_style": Kind(
        Acts.VIEW,
        "unknown ids are refused with `code`; not `named`: refusals of a launch name no server",
        {"code": "ResourceNotFoundException", "named": True},
        ("StartRecovery",),
    ),
    "server_refused": Kind(
        Acts.VIEW,
        "a StartRecovery with one of `servers` is refused with `code`, which names it only when `named`",
        {"servers": [], "code": "ValidationException", "named": False},
        ("StartRecovery",),
    ),
    "no_launch_settings": Kind(Acts.VIEW, "GetLaunchConfiguration of `servers` (all when empty) is a 404", SERVERS),
    # Unknown whether the real service ever does; its model allows it, and taking that for a drill ends production.
    "no_is_drill": Kind(Acts.VIEW, "recovery instances of `servers` (all when empty) have no isDrill", SERVERS),
    "short_pages": Kind(Acts.VIEW, "pages of `size` items, every `empty_every`th empty", {"size": 1, "empty_every": 2}),
    "z_timestamps": Kind(Acts.VIEW, "timestamps end in Z"),
    "foreign_job": Kind(
        Acts.AT_ONCE,
        "somebody else's job takes `servers`",
        {"servers": [], "initiated_by": "START_DRILL", "tags": {}},
    ),
}
# `times`: strikes left to give (null: any number) · `after`: matching calls let through first · `probability`
# with `seed`: strikes at random · `operation`: a name or a list · `region`: all when empty.
COMMON: Mapping[str, object] = {
    "times": None,
    "after": 0,
    "probability": 1.0,
    "seed": 0,
    "operation": [],
    "region": "",
}


@dataclass(frozen=True)
class Scenario:
    """A scenario in force. `calls` counts what matched its filters, `hits` how often it struck."""

    id: int
    name: str
    options: Mapping[str, object]
    calls: int
    hits: int

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]

    def number(self, option: str) -> float:
        return float(cast("float", self.options[option]))

    def text(self, option: str) -> str:
        return str(self.options[option])

    def concerns_region(self, region: str) -> bool:
        return self.options["region"] in ("", region)

    def concerns_operation(self, operation: str) -> bool:
        """STS is only struck when named: an account look-up must not use up a strike meant for DRS."""
        chosen = self.options["operation"] or self.kind.operations
        names = [chosen] if isinstance(chosen, str) else cast("list[str]", chosen)
        return operation in names if names else operation != "GetCallerIdentity"

    def concerns_server(self, server: FleetServer) -> bool:
        servers = cast("list[str]", self.options["servers"])
        return not servers or server.id in servers or server.hostname in servers

    def is_spent(self) -> bool:
        return self.options["times"] is not None and self.hits >= self.number("times")

    def as_json(self) -> dict[str, object]:
        return {"id": self.id, "name": self.name, "calls": self.calls, "hits": self.hits, **self.options}


def add(store: Store, name: str, options: Mapping[str, object]) -> Scenario:
    """Put a scenario in force. Raises ValueError for an unknown name, option or kind of value."""
    if name not in KINDS:
        raise ValueError(f"unknown scenario {name!r}; known: {', '.join(sorted(KINDS))}")
    defaults = {**COMMON, **(KINDS[name].options or {})}
    if unknown := sorted(set(options) - set(defaults)):
        raise ValueError(f"scenario {name} has no option {', '.join(unknown)}; it has {', '.join(defaults)}")
    for option, value in options.items():
        _check_option(option, value, defaults[option])
    merged = {**defaults, **options}
    new_id = store.run("INSERT INTO scenario (name, options) VALUES (?, ?)", name, json.dumps(merged))
    return Scenario(new_id, name, merged, 0, 0)


def _check_option(option: str, value: object, default: object) -> None:
    wanted: tuple[type, ...] = (int, float)
    if option == "operation":
        wanted = (str, list)
    elif isinstance(default, (str, list, dict)):
        wanted = (type(default),)
    if not isinstance(value, wanted) and not (option == "times" and value is None):
        raise ValueError(f"option {option} must be {' or '.join(each.__name__ for each in wanted)}")


def remove(store: Store, scenario_id: int | None = None, name: str = "") -> None:
    """End one scenario by id, all of a name, or all of them."""
    if scenario_id is not None:
        store.run("DELETE FROM scenario WHERE id = ?", scenario_id)
    elif name:
        store.run("DELETE FROM scenario WHERE name = ?", name)
    else:
        store.run("DELETE FROM scenario")


def in_force(store: Store, region: str = "") -> list[Scenario]:
    """Every scenario set (for a region: those that concern it), oldest first, spent ones included."""
    found = [_from_row(row) for row in store.rows("SELECT * FROM scenario ORDER BY id")]
    return [each for each in found if not region or each.concerns_region(region)]


def _from_row(row: sqlite3.Row) -> Scenario:
    return Scenario(row["id"], row["name"], json.loads(row["options"]), row["calls"], row["hits"])


def strikes(store: Store, scenario: Scenario) -> bool:
    """Count a matching call and say whether the scenario strikes this time. Inside a transaction."""
    row = store.one("SELECT * FROM scenario WHERE id = ?", scenario.id)
    if row is None or (scenario := _from_row(row)).is_spent():
        return False
    chance = random.Random(f"{scenario.options['seed']}:{scenario.calls}").random()
    hit = scenario.calls >= scenario.number("after") and chance < scenario.number("probability")
    sql = "UPDATE scenario SET calls = calls + 1, hits = hits + ? WHERE id = ?"
    store.run(sql, int(hit), scenario.id)
    return hit


def striking_call(store: Store, region: str, operation: str) -> Scenario | None:
    """The first scenario that strikes this call as a whole, if any."""
    faults = (Acts.INSTEAD, Acts.BEFORE, Acts.AFTER)
    for scenario in in_force(store, region):
        if scenario.kind.acts in faults and scenario.concerns_operation(operation) and strikes(store, scenario):
            return scenario
    return None


def view(store: Store, region: str, name: str, operation: str) -> Scenario | None:
    """The VIEW scenario of that name if it strikes this answer."""
    for scenario in in_force(store, region):
        if scenario.name == name and scenario.concerns_operation(operation) and strikes(store, scenario):
            return scenario
    return None
