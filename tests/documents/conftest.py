"""A world for documents."""

import pytest

from drs_simulator.testing import RunningSimulator
from tests.support.stage import Stage


@pytest.fixture
def stage(simulator: RunningSimulator, db: None) -> Stage:
    return Stage(simulator)
