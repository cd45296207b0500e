"""Real engines as processes: a drill from start to end, and what becomes of it when they are killed."""

import os
import signal
from datetime import timedelta
from pathlib import Path

from django.db.models import F

from audit.actor import SYSTEM
from executions import services
from executions.models import Execution, LaunchJob
from tests.processes import eventually, running_engine
from tests.stage import Stage


def free_leases() -> None:
    """Let a killed engine's leases end now, instead of in a minute."""
    Execution.objects.exclude(claim=None).update(next_step_at=F("next_step_at") - timedelta(seconds=60))


def test_it_completes_a_drill_although_the_whole_engine_is_killed_in_a_wave(stage: Stage) -> None:
    stage.simulator.set_speed(120)
    run = stage.start(stage.plan(pause={2}))
    with running_engine() as engine:
        eventually(lambda: stage.fresh(run).status == "LAUNCHING", what="the first wave")
        engine.kill_tree()
    free_leases()
    with running_engine() as engine:
        eventually(lambda: stage.fresh(run).status == "PAUSED", what="the pause")
        services.resume(actor=SYSTEM, execution_id=run.pk)
        eventually(lambda: stage.fresh(run).status == "COMPLETED", what="the end")
        assert engine.stop() == 0
    assert len(stage.launches()) == 3
    assert LaunchJob.objects.filter(wave__execution=run, attempt=1).count() == 3


def test_it_leaves_with_an_error_when_a_child_is_killed_and_nothing_of_it_lives_on(stage: Stage) -> None:
    with running_engine() as engine:
        eventually(lambda: len(engine.tree()) >= 6, what="the tree")
        tree = engine.tree()
        os.kill(tree[-1], signal.SIGKILL)
        assert engine.process.wait(15) == 70
        eventually(lambda: not any(_alive(pid) for pid in tree), what="the end of the tree")
    with running_engine():
        run = stage.start(stage.plan("app-01"))
        eventually(lambda: len(stage.launches()) == 1, 15, what="the launch")
        assert stage.fresh(run).status in ("RUNNING", "POLLING", "LAUNCHING")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False
