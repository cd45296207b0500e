"""A world to measure in: a simulator, a database, engines, and plans."""

import logging
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import django

from bench.measures import cpu_seconds, percentile
from tests import environment

__all__ = ["ROOT", "OneClock", "World", "cpu_seconds", "engine", "percentile", "world"]

ROOT = Path(__file__).resolve().parent.parent
environment.RESERVED.close()
SPAWN = multiprocessing.get_context("spawn")  # nothing of the database may be open over a fork
worlds: list[str] = []  # that this process has made


@dataclass
class World:
    """What a benchmark needs. `plans` are ids of plans, `servers` source server ids, both in the same order."""

    simulator: Any
    plans: list[Any]
    servers: list[str]
    vendor: str


@dataclass
class OneClock:
    """The time of the product and of the simulated DRS, which only `advance` moves: what a run costs does not depend on
    how slow the machine is."""

    seconds: "Synchronized[float]" = field(default_factory=lambda: SPAWN.Value("d", float(int(time.time()))))

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(self.seconds.value, UTC)

    def advance(self, seconds: float) -> None:
        with self.seconds.get_lock():
            self.seconds.value += seconds


def _serve(state: Path, port: int, seconds: "Synchronized[float]", ready: Any) -> None:
    """A simulated DRS in a process of its own, until it is ended."""
    from drs_simulator.testing import running_simulator

    wall = lambda: float(seconds.value)  # noqa: E731
    with running_simulator(None, state=state, port=port, wall=wall) as running:
        ready.send(running.url)
        threading.Event().wait()


@contextmanager
def _simulator(state: Path, speed: float, clock: OneClock | None) -> Iterator[Any]:
    from drs_simulator.testing import RunningSimulator, simulator_process

    if clock is None:
        with simulator_process(state, speed=speed, port=environment.SIMULATOR_PORT) as running:
            yield running
        return
    ours, theirs = SPAWN.Pipe()
    port = environment.SIMULATOR_PORT
    process = SPAWN.Process(target=_serve, args=[state, port, clock.seconds, theirs], daemon=True)
    process.start()
    try:
        simulator = RunningSimulator(ours.recv())
        simulator.settings(signature_max_age_seconds=1e9)  # requests are signed with the real time
        yield simulator
    finally:
        process.kill()
        process.join()


@contextmanager
def world(
    waves: int = 1,
    plans: int = 200,
    regions: tuple[str, ...] = ("us-east-1",),
    speed: float = 1.0,
    servers: int = 1,
    clock: OneClock | None = None,
) -> Iterator[World]:
    """Everything but the engine: `plans` plans of `waves` waves of so many servers each, spread over the regions."""
    django.setup()
    logging.disable(logging.CRITICAL)
    from django.core.management import call_command
    from django.db import connection

    from plans.models import RecoveryPlan
    from tests.support.emptying import empty_database

    call_command("migrate", verbosity=0)
    if worlds:  # the first was ours, too
        empty_database()
    elif RecoveryPlan.objects.exists():
        raise SystemExit("DATABASE_URL names a database with plans in it; a benchmark wants an empty one.")
    worlds.append(connection.vendor)
    with (
        tempfile.TemporaryDirectory(prefix="drsorch-bench-") as scratch,
        _simulator(Path(scratch) / "state.sqlite3", speed, clock) as simulator,
    ):
        simulator.settings(page_size=100, max_jobs=10_000, max_servers_in_jobs=10_000)
        made = World(simulator, [], [], connection.vendor)
        _fill(made, waves, -(-plans // len(regions)), regions, servers)
        yield made


def _fill(made: World, waves: int, plans: int, regions: tuple[str, ...], servers: int) -> None:
    """So many plans in each region, of servers of their own."""
    from audit.actor import SYSTEM
    from drs_simulator.world.fleet import Fleet, generate_fleet
    from plans.fields import WaveSpec
    from plans.services import create_plan
    from protection.inventory.source_servers import read_region
    from protection.models import SourceServer
    from protection.services import create_group

    fleets = [generate_fleet(plans * waves * servers, region) for region in regions]
    made.simulator.load_fleet(Fleet(tuple(server for fleet in fleets for server in fleet.servers), regions))
    for region in regions:
        read_region(region)
        ids = list(SourceServer.objects.filter(region=region).order_by("hostname").values_list("pk", flat=True))
        group = create_group(actor=SYSTEM, name=region, region=region, source_server_ids=ids)
        tiers = [
            WaveSpec(name=ids[at], group_ids=[group.pk], server_ids=ids[at : at + servers])
            for at in range(0, len(ids), servers)
        ]
        for at in range(0, len(tiers), waves):
            plan = create_plan(actor=SYSTEM, name=f"{region} {at}", waves=tiers[at : at + waves])
            made.plans.append(plan.pk)
        made.servers += ids


@contextmanager
def engine(**more: str) -> Iterator[int]:
    """A running engine with four workers; yields its pid."""
    command = [sys.executable, "manage.py", "engine"]
    settings = {"DRSORCH_WORKERS": "4", **more}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            assert process.stdout is not None
            assert "Engine running" in process.stdout.readline()
            time.sleep(3)
            yield process.pid
        finally:
            process.terminate()
            process.wait(60)
            assert process.stdout is not None
            process.stdout.close()
