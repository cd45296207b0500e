"""The beat goes on while a region of AWS hangs, also where only one worker is there to do everything."""

import time
from datetime import timedelta
from threading import Thread

import pytest
from django.core.management import call_command
from django.db import connection
from django_q.models import OrmQ

from contract.clock import db_clock
from executions import pacemaker, queue, tasks
from executions.models import Execution, LaunchJob
from plans.models import RecoveryPlan
from tests.executions.launching.test_many_servers import bulk, plan_of, wave_of
from tests.support.processes import eventually, running_engine
from tests.support.stage import Stage

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]


@pytest.fixture
def east_and_west(stage: Stage) -> list[RecoveryPlan]:
    """A plan in each of two regions."""
    ids = bulk(stage, us_east_1=2, us_west_2=2)
    return [plan_of(wave_of({region: ids[region]}, name=region), name=region) for region in ids]


def sent_in(region: str) -> bool:
    return LaunchJob.objects.filter(region=region).exclude(job_id="").exists()


def test_one_worker_launches_in_one_region_while_another_hangs(stage: Stage, east_and_west: list[RecoveryPlan]) -> None:
    east, west = east_and_west
    stage.simulator.scenario("hang", region="us-east-1", seconds=20)
    with running_engine(DRSORCH_WORKERS="1"):
        eventually(lambda: not pacemaker.is_silent(db_clock()), what="the first beat")
        began, ages = time.monotonic(), []
        stage.start(east)
        eventually(lambda: time.monotonic() - began > 11, what="the end of the first beat")
        assert not sent_in("us-east-1")
        stage.start(west)
        eventually(lambda: sent_in("us-west-2"), 5, what="the launch in the region that answers")
        while time.monotonic() - began < 26:
            ages.append(db_clock() - (pacemaker.last_beat() or db_clock()))
            time.sleep(0.2)
        assert max(ages) < timedelta(seconds=5)
        call_command("engine", "--check")
        assert OrmQ.objects.count() <= 5, "no beats pile up behind the one that goes on, and two steps"


def test_a_beat_sweeps_on_while_a_region_hangs(
    stage: Stage, east_and_west: list[RecoveryPlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "BEAT_SECONDS", 0.1)
    stage.simulator.scenario("hang", operation="StartRecovery", region="us-east-1", seconds=4)
    east, west = east_and_west
    stage.start(east)
    beat = Thread(target=_beat)
    beat.start()
    time.sleep(1)
    stage.start(west)
    eventually(lambda: sent_in("us-west-2"), 2.5, what="the launch in the region that answers")
    assert not sent_in("us-east-1")
    beat.join(20)
    assert sent_in("us-east-1")
    assert pacemaker.is_silent(db_clock()), "it has passed its turn on"


def test_it_keeps_the_turn_if_a_step_was_nudged_right_before_the_next_beat(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes that step may hang in it, with the beat behind it in the queue."""
    plan = stage.plan("app-01")
    stage.simulator.scenario("hang", operation="StartRecovery", seconds=2)
    sweep, enqueue, runs = stage.sweep, queue.enqueue, list[Execution]()

    def start_first(task: str, *args: str, **options: int) -> bool:
        if not runs and task.endswith("beat"):
            runs.append(stage.start(plan))
        return enqueue(task, *args, **options)

    monkeypatch.setattr(tasks, "enqueue", start_first)
    assert pacemaker.take(tasks.HOLDER, db_clock())
    assert not tasks._pass_on(sweep, time.monotonic() + 60)
    assert sweep.is_busy
    assert not pacemaker.is_silent(db_clock())
    sweep.drain()
    assert tasks._pass_on(sweep, time.monotonic() + 60)
    assert pacemaker.is_silent(db_clock())


def test_an_engine_that_stops_begins_no_beat_and_ends_a_busy_one(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "STOPPING", bytearray(1))
    monkeypatch.setattr(tasks, "BEAT_SECONDS", 0.1)
    stage.simulator.scenario("hang", operation="StartRecovery", seconds=3)
    stage.start(stage.plan("app-01"))
    beat = Thread(target=_beat)
    beat.start()
    eventually(lambda: bool(stage.simulator.journal("StartRecovery")), 5, what="the request")
    tasks.stop_beating()
    beat.join(10)
    assert LaunchJob.objects.get().job_id, "what is under way is finished"
    queued = OrmQ.objects.count()
    tasks.beat()
    assert OrmQ.objects.count() == queued
    assert pacemaker.is_silent(db_clock())


def _beat() -> None:
    try:
        tasks.beat()
    finally:
        connection.close()
