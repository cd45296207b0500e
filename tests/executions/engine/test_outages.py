"""PostgreSQL is restarted in immediate mode three times in a run: nothing doubled, all complete."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from django.db import OperationalError, connection

from executions.models import Execution
from tests.support.processes import eventually, running_engine
from tests.support.stage import Stage

pytestmark = [pytest.mark.postgresql, pytest.mark.alone, pytest.mark.slow]

needs_own_server = pytest.mark.skipif(
    "POSTGRES_DATA" not in os.environ, reason="restarts the PostgreSQL server of script/with-postgres; this is SQLite"
)


def restart() -> None:
    command = [f"{os.environ['POSTGRES_BIN']}/pg_ctl", "--silent", "--wait", "--mode", "immediate", "restart"]
    command += ["--pgdata", os.environ["POSTGRES_DATA"], "--log", f"{os.environ['POSTGRES_DATA']}/../log"]
    owner = Path(os.environ["POSTGRES_DATA"]).owner()
    as_owner = ["runuser", "-u", owner, "--"] if os.geteuid() == 0 else []
    subprocess.run([*as_owner, *command], check=True, cwd="/", stdout=subprocess.DEVNULL)
    connection.close()


def status_of(run: Execution) -> str:
    try:
        return Execution.objects.values_list("status", flat=True).get(pk=run.pk)
    except OperationalError:
        connection.close()
        return ""


@needs_own_server
def test_runs_survive_three_restarts_of_the_database(stage: Stage) -> None:
    stage.simulator.set_speed(100)
    plans = [stage.plan(*names.split()) for names in ("app-01 web-01 grafana-01", "app-02 web-02", "app-03 sso-01")]
    with running_engine(DRSORCH_LEASE_SECONDS="5", DRSORCH_LAUNCH_QUARANTINE_SECONDS="40"):
        runs = []
        for plan in plans:
            runs.append(stage.start(plan))
            time.sleep(1)
            restart()
        for run in runs:
            eventually(lambda run=run: status_of(run) == "COMPLETED", 240, what="the end")  # type: ignore[misc]
    assert len(stage.launches()) == 7
    tags = [call["params"]["tags"]["drsorch:launch"] for call in stage.launches()]
    assert len(set(tags)) == 7
