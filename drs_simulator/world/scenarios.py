"""The scenarios in force: `scenario_table` says what each is; the functions below decide when one strikes."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from drs_simulator.world.fleet import FleetServer
from drs_simulator.world.scenario_kinds import COMMON, Acts, Kind
from drs_simulator.world.scenarios_of_accounts import OF_ACCOUNTS
from drs_simulator.world.scenarios_of_answers import CHANGES, ITEMS, VIEWS
from drs_simulator.world.scenarios_of_calls import LIVES_OF_JOBS, REFUSALS
from drs_simulator.world.state_file import Store

KINDS: Mapping[str, Kind] = {**REFUSALS, **OF_ACCOUNTS, **LIVES_OF_JOBS, **VIEWS, **ITEMS, **CHANGES}
FAULTS = (Acts.INSTEAD, Acts.BEFORE, Acts.AFTER)
ASIDE = (
    "GetCallerIdentity",
    "AssumeRole",
    "DescribeInstances",
    "DescribeInstanceStatus",
    "DescribeInstanceTypes",
    "DescribeInstanceTypeOfferings",
    "DescribeLaunchTemplateVersions",
    "DescribeSubnets",
    "ListServiceQuotas",
)


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

    def concerns_account(self, account: str) -> bool:
        return self.options.get("account", "") in ("", account)

    def concerns_operation(self, operation: str) -> bool:
        """STS and EC2 are only struck when named: a look-up there must not use up a strike meant for DRS."""
        chosen = self.options["operation"] or self.kind.operations
        names = [chosen] if isinstance(chosen, str) else cast("list[str]", chosen)
        return operation in names or "*" in names if names else operation not in ASIDE

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
    defaults = _defaults(KINDS[name])
    if unknown := sorted(set(options) - set(defaults)):
        raise ValueError(f"scenario {name} has no option {', '.join(unknown)}; it has {', '.join(defaults)}")
    for option, value in options.items():
        _check_option(option, value, defaults[option])
    merged = {**defaults, **options}
    new_id = store.run("INSERT INTO scenario (name, options) VALUES (?, ?)", name, json.dumps(merged))
    return Scenario(new_id, name, merged, 0, 0)


def _defaults(kind: Kind) -> Mapping[str, object]:
    """Those that strike whole calls can be of one account: of AssumeRole, that of the role."""
    return {**COMMON, **({"account": ""} if kind.acts in FAULTS else {}), **(kind.options or {})}


def from_text(text: str) -> tuple[str, dict[str, object]]:
    """`name`, or `name:option=value,option=value`, as a command line has it; a list's values are joined by `+`.

    Raises ValueError for an unknown name or option.
    """
    name, _, rest = text.partition(":")
    if name not in KINDS:
        raise ValueError(f"unknown scenario {name!r}; known: {', '.join(sorted(KINDS))}")
    defaults = _defaults(KINDS[name])
    options: dict[str, object] = {}
    for pair in filter(None, rest.split(",")):
        option, _, value = pair.partition("=")
        if option not in defaults:
            raise ValueError(f"scenario {name} has no option {option}; it has {', '.join(defaults)}")
        options[option] = _value(value, defaults[option])
    return name, options


def _value(text: str, default: object) -> object:
    if isinstance(default, list):
        return text.split("+")
    if isinstance(default, bool):
        return text.lower() in ("true", "yes", "1")
    if isinstance(default, str):
        return text
    return float(text)


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


def striking_call(store: Store, region: str, operation: str, account: str = "") -> Scenario | None:
    """The first scenario that strikes this call as a whole, if any."""
    for scenario in in_force(store, region):
        concerned = scenario.kind.acts in FAULTS and scenario.concerns_account(account)
        if concerned and scenario.concerns_operation(operation) and strikes(store, scenario):
            return scenario
    return None


def view(store: Store, region: str, name: str, operation: str) -> Scenario | None:
    """The VIEW scenario of that name if it strikes this answer."""
    for scenario in in_force(store, region):
        if scenario.name == name and scenario.concerns_operation(operation) and strikes(store, scenario):
            return scenario
    return None


def as_table() -> str:
    """All scenarios as the README has them."""
    head = "| scenario | what happens | does DRS do that? | own options |\n|---|---|---|---|\n"
    return head + "\n".join(_table_row(name, kind) for name, kind in KINDS.items())


def _table_row(name: str, kind: Kind) -> str:
    options = ", ".join(f"`{option}`" for option in kind.options or {} if option != "servers")
    return f"| `{name}` | {kind.acts.value}: {kind.summary} | {kind.evidence} | {options} |"
