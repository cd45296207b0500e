"""Executions of DRS's own recovery plans that are not over: they launch servers, too, and none of our rows knows of
them."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypedDict

from django.db.models import Q

from accounts.registry import way_of
from audit.safe_text import storable
from contract.clock import db_clock
from drs.errors import DrsError, Trouble
from drs.native_plans import ExecutionInDrs, NativePlans
from protection.models import RegionInventory

BELIEVED = timedelta(minutes=1)  # as for recovery instances


class Kept(TypedDict):
    """As a row keeps it."""

    arn: str
    planArn: str
    planName: str
    mode: str
    status: str
    servers: list[str]


@dataclass(frozen=True)
class NativeRun:
    """An execution that is not over, of a recovery plan that DRS has."""

    arn: str
    plan_arn: str
    plan_name: str
    mode: str
    status: str

    @property
    def words(self) -> str:
        """For people: which one it is."""
        return f"the recovery plan “{self.plan_name}” of DRS ({self.mode.lower()}, {self.status.lower()})"


@dataclass(frozen=True)
class Reading:
    """What DRS runs in a region, or why it did not tell. `began`, on the monotonic clock, is when it was asked."""

    region: str
    account: str
    runs: list[Kept] = field(default_factory=list)
    error: DrsError | None = None
    began: float = field(default_factory=time.monotonic)


def fetch(region: str, account: str, reading: Literal["poller", "guard"] = "poller") -> Reading:
    """Ask DRS what of its own runs there. Touches no database, so it may run in a thread."""
    began, drs = time.monotonic(), NativePlans(region, account, reading=reading)
    try:
        runs = [kept for each in drs.running() if (kept := _kept(drs, each))]
    except DrsError as error:
        silent = None if error.trouble is Trouble.NOT_INITIALIZED else error  # set up never: nothing can run
        return Reading(region, account, error=silent, began=began)
    return Reading(region, account, runs, began=began)


def _kept(drs: NativePlans, run: ExecutionInDrs) -> Kept | None:
    """With all servers that it has launched or may launch; None for one that is gone by now."""
    try:
        servers = drs.servers_of(run.arn)
        name = drs.plan(run.plan_arn).name
    except DrsError as error:
        if error.trouble is Trouble.NOT_FOUND:
            return None
        raise
    return Kept(
        arn=run.arn, planArn=run.plan_arn, planName=name, mode=run.mode, status=run.status, servers=sorted(servers)
    )


def keep(reading: Reading) -> None:
    """Write down what DRS told; after no answer what was known stays, with its age and the reason."""
    row = RegionInventory.objects.filter(region=reading.region, way=way_of(reading.account))
    if reading.error is not None:
        row.update(native_error=storable(f"{reading.error.code}: {reading.error.message}"))
        return
    as_of = db_clock() - timedelta(seconds=time.monotonic() - reading.began)
    later = Q(native_as_of=None) | Q(native_as_of__lte=as_of)
    row.filter(later).update(native_runs=storable(reading.runs), native_as_of=as_of, native_error="")


def by_server(kept: Iterable[Kept]) -> dict[str, NativeRun]:
    """The run that has each server."""
    found = dict[str, NativeRun]()
    for each in kept:
        run = NativeRun(each["arn"], each["planArn"], each["planName"], each["mode"], each["status"])
        found |= dict.fromkeys(each["servers"], run)
    return found


def running(server_ids: Iterable[str], now: datetime, within: timedelta = BELIEVED) -> Mapping[str, NativeRun]:
    """Those of these servers that DRS's own plans have, as it told `within` that time, by default the last minute."""
    wanted = set(server_ids)
    return {server: run for server, run in running_anywhere(now, within).items() if server in wanted}


def running_anywhere(now: datetime, within: timedelta = BELIEVED) -> Mapping[str, NativeRun]:
    """All of them. One query."""
    found = dict[str, NativeRun]()
    rows = RegionInventory.objects.filter(native_as_of__gte=now - within).exclude(native_runs=[])
    for kept in rows.values_list("native_runs", flat=True):
        found |= by_server(kept or ())
    return found
