"""A process killed with SIGKILL at every point that matters: each wave is launched once, and every run ends."""

from collections.abc import Iterator

import pytest
from django.test import override_settings

from audit.models import AuditEntry
from executions.models import LaunchJob
from tests.support.failpoints import POINTS
from tests.support.processes import child_at, eventually, free_leases, running_engine
from tests.support.stage import Stage

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]

# Where the killed process may have left a launch in doubt: the intent stands, and DRS has nothing.
IN_DOUBT = {"before signing", "before sending"}


@pytest.fixture(autouse=True)
def short_quarantine() -> Iterator[None]:
    with override_settings(LAUNCH_QUARANTINE_SECONDS=60):
        yield


@pytest.mark.parametrize("point", POINTS)
def test_it_survives_a_kill(stage: Stage, point: str) -> None:
    stage.simulator.set_speed(1000)
    run = stage.start(stage.plan("app-01", "web-01"))
    with child_at(point):
        pass
    stage.simulator.set_speed(1)
    free_leases()
    stage.until(run, "COMPLETED")
    assert len(stage.launches()) == 2
    assert [call["params"]["sourceServers"][0]["sourceServerID"] for call in stage.launches()] == stage.ids(
        "app-01 web-01"
    )
    assert len(stage.simulator.journal("StartRecovery")) == 2
    assert LaunchJob.objects.filter(attempt=2).count() == (point in IN_DOUBT)
    assert AuditEntry.objects.filter(verb="execution.ended").count() == 1
    assert AuditEntry.objects.filter(verb="wave.completed").count() == 2
    assert not AuditEntry.objects.filter(verb="launch.doubled").exists()


def test_it_survives_a_kill_while_the_request_is_at_aws(stage: Stage) -> None:
    """The request has arrived, its effect comes only when the client is dead."""
    stage.simulator.scenario("hang", operation="StartRecovery", seconds=1.5, when="before", times=1)
    run = stage.start(stage.plan("app-01"))
    with running_engine() as engine:
        eventually(lambda: bool(stage.simulator.journal("StartRecovery")), what="the request")
        engine.kill_tree()
    assert stage.launches() == []
    free_leases()
    stage.look()
    assert stage.picture(run) == ("RUNNING", ["INITIATED"])
    eventually(lambda: bool(stage.launches()), what="the late effect")
    stage.until(run, "COMPLETED")
    assert len(stage.simulator.journal("StartRecovery")) == 1
