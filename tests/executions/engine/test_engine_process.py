"""Real engines as processes: a drill from start to end, and what becomes of it when they are killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import override_settings

from audit.actor import SYSTEM
from executions import pacemaker
from executions.commands import control
from executions.engine.beat import HOLDER
from executions.management.commands.engine import HEARTBEAT_FILE_SECONDS, heartbeat_file
from executions.models import LaunchJob, Pacemaker
from tests.support.processes import ROOT, eventually, free_leases, running_engine, state_of
from tests.support.stage import Stage

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]


def test_it_completes_a_drill_although_the_whole_engine_is_killed_in_a_wave(stage: Stage) -> None:
    stage.simulator.set_speed(300)
    run = stage.start(stage.plan(pause={2}))
    with running_engine() as engine:
        eventually(lambda: stage.fresh(run).status == "LAUNCHING", what="the first wave")
        engine.kill_tree()
    free_leases()
    with running_engine() as engine:
        eventually(lambda: stage.fresh(run).status == "PAUSED", what="the pause")
        control.resume(actor=SYSTEM, execution_id=run.pk)
        eventually(lambda: stage.fresh(run).status == "COMPLETED", what="the end")
        assert engine.stop() == 0
    assert len(stage.launches()) == 3
    assert LaunchJob.objects.filter(wave__execution=run, attempt=1).count() == 3


def test_a_new_engine_serves_what_the_killed_one_could_not(stage: Stage) -> None:
    """Stock django-q2 wedges for good when an idle worker is killed."""
    with running_engine() as engine:
        eventually(lambda: len(engine.tree()) >= 6, what="the tree")
        os.kill(engine.tree()[2], signal.SIGKILL)
        assert engine.process.wait(60) == 70
    with running_engine():
        run = stage.start(stage.plan("app-01"))
        eventually(lambda: len(stage.launches()) == 1, what="the launch")
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
        assert engine.process.wait(60) != 0
        eventually(lambda: all(state_of(pid) in ("", "Z") for pid in (main, sentinel, *below)), what="the end")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A directory for what the engines of this host write, in place of the checkout's."""
    with override_settings(CACHE_DIR=tmp_path):
        yield tmp_path


def test_its_check_tells_whether_an_engine_beats(stage: Stage, state: Path) -> None:
    with pytest.raises(CommandError, match="no engine has ever run"):
        call_command("engine", "--check")
    pacemaker.take(HOLDER, stage.clock())
    call_command("engine", "--check")
    Pacemaker.objects.update(beat_at=stage.clock() - timedelta(seconds=31))
    with pytest.raises(CommandError, match="no engine has sent a heartbeat for 31 s"):
        call_command("engine", "--check")


def test_its_check_sees_an_engine_that_hangs_although_one_beats(stage: Stage, state: Path) -> None:
    sign, old = heartbeat_file(), time.time() - HEARTBEAT_FILE_SECONDS - 5
    with running_engine(DRSORCH_CACHE_DIR=str(state)) as engine:
        eventually(lambda: sign.exists() and pacemaker.last_beat() is not None, what="heartbeat")
        call_command("engine", "--check")
        sentinel = engine.tree()[1]
        os.kill(sentinel, signal.SIGSTOP)
        eventually(lambda: time.time() - sign.stat().st_mtime > 5, what="silence")
        os.utime(sign, (old, old))  # as if a minute had passed
        with pytest.raises(
            CommandError, match=r"an engine is running, but this host's has sent no heartbeat for \d\d s"
        ):
            call_command("engine", "--check")
        os.kill(sentinel, signal.SIGCONT)
        eventually(lambda: sign.exists() and time.time() - sign.stat().st_mtime < 5, what="the next sign")
        call_command("engine", "--check")
        assert engine.stop() == 0
    assert not sign.exists()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite gives a lock up after 20 s, and says so")
def test_it_ends_with_an_error_when_a_part_hangs_at_a_lock(stage: Stage, capfd: pytest.CaptureFixture[str]) -> None:
    with running_engine(DRSORCH_LEASE_SECONDS="1") as engine:
        eventually(lambda: pacemaker.last_beat() is not None, what="the first beat")
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE executions_pacemaker IN ACCESS EXCLUSIVE MODE")
            assert engine.process.wait(60) == 70
    told = capfd.readouterr().err
    assert "The beat has got no further for 3 s (" in told
    assert "exiting so that a supervisor can restart the engine." in told


STUCK = """
import multiprocessing, os, signal, django
django.setup()
from executions.management.watchdog import Watchdog
stop = multiprocessing.Event()
if (child := os.fork()) == 0:
    stop._cond.acquire()
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(child, 0)
watchdog = Watchdog(stop_seconds=0.3)
watchdog.start()
watchdog.stopping.set()
stop.set()
"""


@pytest.mark.skipif(connection.vendor != "sqlite", reason="asks no database")
def test_it_ends_although_a_child_was_killed_with_the_lock_that_its_stop_waits_for() -> None:
    """As when a signal for the whole process group meets the sentinel where it asks whether to stop."""
    done = subprocess.run([sys.executable, "-c", STUCK], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 70, done.stderr
    assert "The engine did not stop within 0 s (" in done.stderr
    assert "synchronize.py" in done.stderr


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite's commits are made durable by our settings")
def test_it_does_not_start_on_a_database_that_may_forget(transactional_db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    try:
        with pytest.raises(CommandError, match="Set it to on"):
            call_command("engine")
    finally:
        connection.close()
