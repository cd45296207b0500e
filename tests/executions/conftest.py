"""The stage for tests of runs."""

from collections.abc import Iterator

import pytest

from drs.simulator.testing import RunningSimulator
from tests.stage import Stage


@pytest.fixture
def stage(transactional_db: None, simulator: RunningSimulator) -> Iterator[Stage]:
    made = Stage(simulator)
    yield made
    made.sweep.close()
