"""Whether there is room for a launch: quotas, free addresses of subnets, vCPUs. Read at a slow pace, and kept.

Known: codes and meaning of the quotas (Service Quotas, EC2's guide), that spot instances and those on hosts of the
account's own do not count. Likely: that a quota counts a type's default vCPUs, whatever CPU options an instance has.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.conf import settings

from audit.safe_text import storable
from drs.errors import DrsError
from drs.running import Running
from protection.inventory.launch_settings import type_of
from protection.models import LaunchSettings, RegionInventory, ServerAssignment, SourceServer

READ_EVERY = timedelta(minutes=10)
JOBS, SERVERS_A_JOB, SERVERS_IN_JOBS = "L-D88FAC3A", "L-B827C881", "L-05AFA8C6"
PUBLISHED: Mapping[str, float] = {JOBS: 20.0, SERVERS_A_JOB: 100.0, SERVERS_IN_JOBS: 500.0}
STANDARD = "L-1216C47A"
# The quotas of running On-Demand instances, by the letters that a type begins with.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    STANDARD: ("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"),
    "L-74FC7D96": ("f",),
    "L-DB2E81BA": ("g", "gr", "vt"),
    "L-1945791B": ("inf",),
    "L-417A185B": ("p",),
    "L-7295265B": ("x",),
    "L-43DA4232": ("u",),
    "L-6E869C2A": ("dl",),
    "L-2C3B7624": ("trn",),
    "L-F7808C92": ("hpc",),
}
NAMES: Mapping[str, str] = {
    STANDARD: "Standard",
    "L-74FC7D96": "F",
    "L-DB2E81BA": "G and VT",
    "L-1945791B": "Inf",
    "L-417A185B": "P",
    "L-7295265B": "X",
    "L-43DA4232": "High Memory",
    "L-6E869C2A": "DL",
    "L-2C3B7624": "Trn",
    "L-F7808C92": "HPC",
}
_BY_LETTERS = {letters: code for code, several in FAMILIES.items() for letters in several}

T = TypeVar("T")


def quota_of(instance_type: str) -> str:
    """The code of the quota that counts this type; empty for one that none counts, or nobody knows."""
    letters = re.match(r"[a-z]+", instance_type)
    return _BY_LETTERS.get(letters.group(), "") if letters else ""


@dataclass(frozen=True)
class Capacity:
    """What AWS said; each `…_error` is why it said nothing of that."""

    quotas: Mapping[str, float] = field(default_factory=dict)  # DRS's, by code
    quotas_error: str = ""
    subnets: Mapping[str, int] = field(default_factory=dict)  # free addresses of those that exist
    asked_subnets: Sequence[str] = ()
    subnets_error: str = ""
    asked_types: Sequence[str] = ()
    vcpu_quotas: Mapping[str, float] = field(default_factory=dict)
    vcpus: Mapping[str, int] = field(default_factory=dict)  # of each type that a launch uses
    running: Mapping[str, int] = field(default_factory=dict)  # vCPUs that run now, by the quota's code
    vcpus_error: str = ""

    @classmethod
    def read(cls, kept: Mapping[str, Any] | None) -> "Capacity | None":
        """As the database has it; None when it was never asked for."""
        return None if kept is None else cls(**{name: kept[name] for name in cls.__dataclass_fields__ if name in kept})

    def quota(self, code: str) -> float:
        """Service Quotas' value, else the published one."""
        return self.quotas.get(code, PUBLISHED[code])


@dataclass(frozen=True)
class Wanted:
    """What the launch settings of a region's servers name."""

    subnets: Sequence[str] = ()
    types: Sequence[str] = ()


def due(region: str, account: str, now: datetime) -> "Wanted | None":
    """What is to be asked for now: every ten minutes, and at once where launch settings name what was never asked."""
    asked = wanted(region, account)
    row = RegionInventory.objects.of(account, region).filter(capacity_as_of__gt=now - READ_EVERY).first()
    known = Capacity.read(row.capacity) if row else None
    if known is None or not {*asked.subnets} <= {*known.asked_subnets} or not {*asked.types} <= {*known.asked_types}:
        return asked
    return None


def wanted(region: str, account: str) -> Wanted:
    """Of the servers of groups."""
    servers = SourceServer.objects.present().filter(
        region=region, account_id=account, pk__in=ServerAssignment.objects.values("source_server_id")
    )
    known = set(servers.exclude(launch_digest="").order_by().values_list("launch_digest", "instance_type"))
    kept = dict(LaunchSettings.objects.filter(pk__in={each for each, _ in known}).values_list("pk", "settings"))
    subnets, types = set[str](), set[str]()
    for digest, recommended in known:
        told = kept.get(digest, {})
        subnets.update(told.get("subnetIds", ()))
        types.add(type_of(told, recommended))
    return Wanted(sorted(subnets), sorted(each for each in types if quota_of(each)))


def fetch(region: str, account: str, asked: Wanted) -> Capacity:
    """Ask Service Quotas and EC2. Touches no database."""
    beside = Running(region, account, simulated=bool(settings.AWS_ENDPOINT_URL_DRS))
    quotas, quotas_error = _told(lambda: beside.quotas("drs"))
    subnets, subnets_error = _told(lambda: beside.subnets(asked.subnets)) if asked.subnets else (None, "")
    vcpu_quotas, vcpus_error = _told(lambda: beside.quotas("ec2")) if asked.types else (None, "")
    counts: Counts | None = None
    if asked.types and not vcpus_error:
        counts, vcpus_error = _told(lambda: _vcpus(beside, asked.types))
    return Capacity(
        quotas=_of(quotas, PUBLISHED),
        quotas_error=quotas_error,
        subnets=subnets or {},
        asked_subnets=asked.subnets,
        subnets_error=subnets_error,
        asked_types=asked.types,
        vcpu_quotas=_of(vcpu_quotas, FAMILIES),
        vcpus=counts.of_types if counts else {},
        running=counts.running if counts else {},
        vcpus_error=vcpus_error,
    )


def _told(ask: Callable[[], T]) -> tuple[T | None, str]:
    """What was said, or why nothing was."""
    try:
        return ask(), ""
    except DrsError as error:
        return None, f"{error.code}: {error.message}"


def _of(quotas: Mapping[str, float] | None, codes: Iterable[str]) -> dict[str, float]:
    return {code: quotas[code] for code in codes if code in quotas} if quotas else {}


@dataclass(frozen=True)
class Counts:
    """The vCPUs of each type that is wanted, and of what runs now, by the quota that counts it."""

    of_types: Mapping[str, int]
    running: Mapping[str, int]


def _vcpus(beside: Running, types: Iterable[str]) -> Counts:
    running = beside.running_types()
    known = beside.vcpus_of(sorted({*types, *running}))
    used = Counter[str]()
    for each, count in running.items():
        if code := quota_of(each):
            used[code] += count * known.get(each, 0)
    return Counts({each: known[each] for each in types if each in known}, dict(used))


def keep(region: str, account: str, found: Capacity, now: datetime) -> None:
    RegionInventory.objects.of(account, region).update(capacity=storable(asdict(found)), capacity_as_of=now)
