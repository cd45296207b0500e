"""A world to measure in: a simulator, a database, engines, and plans of one server each."""

import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import django

from bench.measures import cpu_seconds, percentile
from tests import environment

__all__ = ["World", "cpu_seconds", "engine", "percentile", "world"]

ROOT = Path(__file__).resolve().parent.parent
environment.RESERVED.close()
worlds: list[str] = []  # that this process has made


@dataclass
class World:
    """What a benchmark needs. `plans` are ids of plans, `servers` source server ids, both in the same order."""

    simulator: "object"
    plans: list[object]
    servers: list[str]
    vendor: str


@contextmanager
def world(
    waves: int = 1, plans: int = 200, regions: tuple[str, ...] = ("us-east-1",), speed: float = 1.0
) -> Iterator[World]:
    """Everything but the engine: `plans` plans of `waves` waves of one server each, spread over the regions."""
    from drs_simulator.testing import simulator_process

    django.setup()
    logging.disable(logging.CRITICAL)
    from django.core.management import call_command
    from django.db import connection

    from audit.actor import SYSTEM
    from drs_simulator.world.fleet import Fleet, generate_fleet
    from plans.fields import WaveSpec
    from plans.models import RecoveryPlan
    from plans.services import create_plan
    from protection.inventory.source_servers import read_region
    from protection.models import SourceServer
    from protection.services import create_group
    from tests.support.emptying import empty_database

    call_command("migrate", verbosity=0)
    if worlds:  # the first was ours, too
        empty_database()
    elif RecoveryPlan.objects.exists():
        raise SystemExit("DATABASE_URL names a database with plans in it; a benchmark wants an empty one.")
    worlds.append(connection.vendor)
    with tempfile.TemporaryDirectory(prefix="drsorch-bench-") as scratch:
        state = Path(scratch) / "state.sqlite3"
        with simulator_process(state, speed=speed, port=environment.SIMULATOR_PORT) as simulator:
            simulator.settings(page_size=100, max_jobs=10_000, max_servers_in_jobs=10_000)
            a_region = -(-plans // len(regions))
            fleets = [generate_fleet(a_region * waves, region) for region in regions]
            simulator.load_fleet(Fleet(tuple(server for fleet in fleets for server in fleet.servers), regions))
            made: list[object] = []
            servers: list[str] = []
            for region in regions:
                read_region(region)
                ids = list(SourceServer.objects.filter(region=region).order_by("hostname").values_list("pk", flat=True))
                group = create_group(actor=SYSTEM, name=region, region=region, source_server_ids=ids)
                for at in range(0, len(ids), waves):
                    tiers = [
                        WaveSpec(name=each, group_ids=[group.pk], server_ids=[each]) for each in ids[at : at + waves]
                    ]
                    made.append(create_plan(actor=SYSTEM, name=f"{region} {at}", waves=tiers).pk)
                servers += ids
            yield World(simulator, made, servers, connection.vendor)


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
