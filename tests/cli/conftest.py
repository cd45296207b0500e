"""A real server on the simulated DRS, and `drsorch` beside it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_django.live_server_helper import LiveServer

from audit.actor import SYSTEM
from drs_simulator.testing import RunningSimulator
from identity.programs import service_tokens
from tests.cli.program import Program
from tests.support.stage import Stage

Programs = Callable[[str], Program]


@pytest.fixture
def stage(transactional_db: None, simulator: RunningSimulator) -> Iterator[Stage]:
    made = Stage(simulator)
    yield made
    made.sweep.close()


@pytest.fixture
def programs(stage: Stage, live_server: LiveServer, tmp_path: Path) -> Programs:
    """`programs("operator")` is the program of a new service principal in that role."""

    def make(role: str) -> Program:
        token = service_tokens.create(actor=SYSTEM, name=f"test-{role}", role=role, days=1).token
        return Program(tmp_path, live_server.url, token)

    return make
