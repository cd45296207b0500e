"""The stage for plans that are run by hand."""

from collections.abc import Iterator

import pytest

from drs_simulator.testing import RunningSimulator
from tests.support.stage import Stage


@pytest.fixture
def stage(transactional_db: None, simulator: RunningSimulator) -> Iterator[Stage]:
    made = Stage(simulator)
    yield made
    made.sweep.close()
