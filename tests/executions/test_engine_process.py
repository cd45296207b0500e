"""Real engines as processes: a drill from start to end, and what becomes of it when they are killed."""

import os
import signal

from audit.actor import SYSTEM
from executions import services
from executions.models import LaunchJob
from tests.processes import eventually, free_leases, running_engine, state_of
from tests.stage import Stage


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
        eventually(lambda: all(state_of(pid) in ("", "Z") for pid in tree), what="the end of the tree")
    with running_engine():
        run = stage.start(stage.plan("app-01"))
        eventually(lambda: len(stage.launches()) == 1, 15, what="the launch")
        assert stage.fresh(run).status in ("RUNNING", "POLLING", "LAUNCHING")
