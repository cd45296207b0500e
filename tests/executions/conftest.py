"""The stage for tests of runs."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from drs_simulator.testing import RunningSimulator
from executions.launching import adopt
from executions.terminating import follow_up
from tests.support.stage import Stage
from tests.support.still import StillStage, still_stage


def _hurry(connection: BaseDatabaseWrapper, **_: object) -> None:
    """No test pulls the plug: the disk need not be waited for (nor is it by script/with-postgres)."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=OFF")


connection_created.connect(_hurry)


@pytest.fixture
def stage(transactional_db: None, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    # The stage's clock runs ahead of the one that dates the simulator's jobs, by more than any real difference.
    monkeypatch.setattr(adopt, "LOOK_BACK", timedelta(days=3650))
    monkeypatch.setattr(adopt, "CLOCKS_DIFFER", timedelta(days=3650))
    monkeypatch.setattr(follow_up, "CLOCKS_DIFFER", timedelta(days=3650))
    made = Stage(simulator)
    yield made
    made.sweep.close()


@pytest.fixture
def still(transactional_db: None, simulator: RunningSimulator) -> Iterator[StillStage]:
    """A stage whose clock, and DRS's, moves only when the test says so."""
    simulator.scenario("steady_times")
    with still_stage(simulator) as made:
        yield made
