"""What the simulator's regions contain: a declarative fleet of source servers, read from JSON or generated."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import cast

from drs_simulator.world.timeline import hex_id

DEFAULT_ACCOUNT = "111122223333"
GIB = 1024**3
REPLICATION_STATES = frozenset(
    [
        "STOPPED",
        "INITIATING",
        "INITIAL_SYNC",
        "BACKLOG",
        "CREATING_SNAPSHOT",
        "CONTINUOUS",
        "PAUSED",
        "RESCAN",
        "STALLED",
        "DISCONNECTED",
    ]
)
# These have never completed a first copy: no snapshot exists, nothing can be launched.
WITHOUT_SNAPSHOT = frozenset({"STOPPED", "INITIATING", "INITIAL_SYNC"})
# These can no longer take a fresh snapshot, but older ones remain.
CUT_OFF = frozenset({"STALLED", "DISCONNECTED", "PAUSED"})


@dataclass(frozen=True)
class FleetServer:
    """One source server as declared. `lag_seconds` is the lag of replication now; sizes are in bytes."""

    id: str
    region: str
    hostname: str
    account: str = DEFAULT_ACCOUNT
    fqdn: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    state: str = "CONTINUOUS"
    lag_seconds: int = 0
    disks: Mapping[str, int] = field(default_factory=lambda: {"/dev/sda1": 50 * GIB})
    replicated_share: float = 1.0
    cpus: int = 2
    ram_bytes: int = 8 * GIB
    os: str = "Ubuntu 22.04.4 LTS"
    ip: str = "10.0.0.10"
    instance_type: str = "m5.large"
    staging_account: str = ""
    staging_server: str = ""  # the id of the original there; empty: the same (likely never so: DRS makes a new server)
    error: str = ""
    disconnected: bool = False  # by DisconnectSourceServer: nothing is left of what it replicated

    def __post_init__(self) -> None:
        if not re.fullmatch(r"s-[0-9a-zA-Z]{17}", self.id):
            raise ValueError(f"server id {self.id!r} is not s- and 17 letters or digits")
        if self.state not in REPLICATION_STATES:
            raise ValueError(f"unknown replication state {self.state!r}")


@dataclass(frozen=True)
class Fleet:
    """All servers, the regions where DRS is initialized, which access key belongs to which account, and the roles of
    accounts that can be assumed, by ARN, with the external id that each asks for.

    An empty hostname means that the agent reported none.
    """

    servers: tuple[FleetServer, ...] = ()
    regions: tuple[str, ...] = ()
    account: str = DEFAULT_ACCOUNT
    accounts: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def initialized(self) -> set[tuple[str, str]]:
        """(account, region) pairs that do not answer UninitializedAccountException."""
        everyone = {self.account, *self.accounts.values(), *(arn.split(":")[4] for arn in self.roles)}
        declared = {(account, region) for account in everyone for region in self.regions}
        return declared | {(server.account, server.region) for server in self.servers}

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def server_from_json(raw: Mapping[str, object], account: str) -> FleetServer:
    """A server from its JSON object; the id may be left out and then follows from region and hostname.

    Raises ValueError on an unknown member or a bad value.
    """
    unknown = set(raw) - {each.name for each in fields(FleetServer)}
    if unknown:
        raise ValueError(f"unknown server members: {', '.join(sorted(unknown))}")
    values: dict[str, object] = {"account": account, **raw}
    values.setdefault("id", server_id(str(raw.get("hostname"))))
    try:
        return FleetServer(**values)  # type: ignore[arg-type]  # names are checked above, values below
    except TypeError as error:
        raise ValueError(str(error)) from error


def fleet_from_json(raw: Mapping[str, object]) -> Fleet:
    """A fleet from `{"servers": [...], "regions": [...], "account": "…", "accounts": {access key: account},
    "roles": {ARN: {"externalId": "…"}}}`."""
    account = str(raw.get("account", DEFAULT_ACCOUNT))
    servers = cast("list[Mapping[str, object]]", raw.get("servers", []))
    return Fleet(
        servers=tuple(server_from_json(server, account) for server in servers),
        regions=tuple(cast("list[str]", raw.get("regions", []))),
        account=account,
        accounts=cast("Mapping[str, str]", raw.get("accounts", {})),
        roles=cast("Mapping[str, Mapping[str, str]]", raw.get("roles", {})),
    )


def server_id(hostname: str) -> str:
    """The id of the server of that hostname: stable, 19 characters, `s-3` and 16 hexadecimal digits."""
    return hex_id("s-", "fleet", hostname)


def generate_fleet(count: int, region: str = "us-east-1", seed: int = 0) -> Fleet:
    """`count` servers (up to 4,000) named `bulk-<region>-<seed>-0001` …; nine in ten are CONTINUOUS."""
    if not 0 <= count <= 4000:
        raise ValueError("a region holds at most 4,000 source servers")
    dice = random.Random(f"{region}:{seed}")
    return Fleet(tuple(_generated(number, region, seed, dice) for number in range(1, count + 1)), (region,))


def _generated(number: int, region: str, seed: int, dice: random.Random) -> FleetServer:
    hostname = f"bulk-{region}-{seed}-{number:04}"
    state = dice.choices(["CONTINUOUS", "BACKLOG", "RESCAN", "STALLED"], [90, 6, 2, 2])[0]
    tier = dice.choice(["web", "app", "db"])
    return FleetServer(
        id=server_id(hostname),
        region=region,
        hostname=hostname,
        fqdn=f"{hostname}.corp.example.com",
        tags={"Name": hostname, "Tier": tier, "Application": f"bulk-{number % 40:02}"},
        state=state,
        lag_seconds=0 if state == "CONTINUOUS" else dice.randrange(60, 7200),
        disks={"/dev/sda1": dice.choice([30, 50, 100]) * GIB, "/dev/sdb": dice.choice([100, 500]) * GIB},
        cpus=dice.choice([2, 4, 8]),
        ram_bytes=dice.choice([4, 8, 16, 32]) * GIB,
        ip=f"10.{number // 65536 % 256}.{number // 256 % 256}.{number % 256}",
    )
