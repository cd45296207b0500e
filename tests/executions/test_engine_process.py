"""Real engines as processes: a drill from start to end, and what becomes of it when they are killed."""

import os
import signal
import time
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from audit.actor import SYSTEM
from executions import pacemaker, services, tasks
from executions.models import LaunchJob, Pacemaker
from tests.processes import eventually, free_leases, running_engine, state_of
from tests.stage import Stage


def test_it_completes_a_drill_although_the_whole_engine_is_killed_in_a_wave(stage: Stage) -> None:
    stage.simulator.set_speed(300)
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


def test_a_new_engine_serves_what_the_killed_one_could_not(stage: Stage) -> None:
    """Stock django-q2 wedges for good when an idle worker is killed."""
    with running_engine() as engine:
        eventually(lambda: len(engine.tree()) >= 6, what="the tree")
        os.kill(engine.tree()[2], signal.SIGKILL)
        assert engine.process.wait(15) == 70
    with running_engine():
        run = stage.start(stage.plan("app-01"))
        eventually(lambda: len(stage.launches()) == 1, 15, what="the launch")
        eventually(lambda: stage.fresh(run).status in ("POLLING", "LAUNCHING"), what="the record")


def test_it_lets_a_step_in_flight_finish_when_it_is_told_to_stop(stage: Stage) -> None:
    plan = stage.plan("app-01")
    stage.simulator.scenario("hang", operation="StartRecovery", seconds=2, when="after", times=1)
    with running_engine() as engine:
        run = stage.start(plan)
        eventually(lambda: bool(stage.simulator.journal("StartRecovery")), what="the request")
        began = time.monotonic()
        assert engine.stop() == 0
        assert time.monotonic() - began < 20
    assert LaunchJob.objects.get().job_id == stage.launches()[0]["job_id"]
    assert stage.fresh(run).status == "POLLING"
    assert len(stage.simulator.journal("StartRecovery")) == 1


@pytest.mark.parametrize("role", ["main", "sentinel", "worker", "helper"])
def test_whichever_process_is_killed_the_tree_ends_with_an_error(stage: Stage, role: str) -> None:
    with running_engine() as engine:
        eventually(lambda: len(engine.tree()) >= 6, what="the tree")
        main, sentinel, *below = engine.tree()
        victim = {"main": main, "sentinel": sentinel, "worker": below[0], "helper": below[-1]}[role]
        os.kill(victim, signal.SIGKILL)
        assert engine.process.wait(15) != 0
        eventually(lambda: all(state_of(pid) in ("", "Z") for pid in (main, sentinel, *below)), what="the end")


def test_its_check_tells_whether_an_engine_beats(stage: Stage) -> None:
    with pytest.raises(CommandError, match="no engine has ever run"):
        call_command("engine", "--check")
    pacemaker.take(tasks.HOLDER, stage.clock())
    call_command("engine", "--check")
    Pacemaker.objects.update(beat_at=stage.clock() - timedelta(seconds=31))
    with pytest.raises(CommandError, match="has beaten for 31 s"):
        call_command("engine", "--check")


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite's commits are made durable by our settings")
def test_it_does_not_start_on_a_database_that_may_forget(transactional_db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    try:
        with pytest.raises(CommandError, match="Set it to on"):
            call_command("engine")
    finally:
        connection.close()
