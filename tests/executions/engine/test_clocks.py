"""Hosts whose clocks are wrong, on one database: leases and deadlines are the database's, so nobody cares."""

import shutil
from contextlib import ExitStack

import pytest

from executions.models import LaunchJob
from tests.support.processes import eventually, running_engine
from tests.support.stage import Stage

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]


def test_engines_with_wrong_clocks_launch_once_and_finish(stage: Stage) -> None:
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not installed: apt-get install faketime")
    stage.simulator.set_speed(300)
    plans = [stage.plan(*names.split()) for names in ("app-01 web-01", "app-02 web-02", "app-03 sso-01")]
    with ExitStack() as engines:
        for shift in ("+90s", "-45s"):
            engines.enter_context(running_engine(["faketime", "-f", shift], DRSORCH_WORKERS="2"))
        runs = [stage.start(plan) for plan in plans]
        for run in runs:
            eventually(lambda run=run: stage.fresh(run).status == "COMPLETED", 180, what="the end")  # type: ignore[misc]
    assert len(stage.launches()) == 6
    assert set(LaunchJob.objects.values_list("attempt", flat=True)) == {1}
