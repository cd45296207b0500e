"""The beat goes on while a region of AWS hangs, also where only one worker is there to do everything."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.core.management import call_command
from django_q.models import OrmQ

from contract.clock import SteadyClock, db_clock
from executions import pacemaker, queue
from executions.engine.beat import HOLDER, RENEW_SECONDS, STANDBY_SECONDS, SWEEP_SECONDS, Beat
from executions.models import LaunchJob, Pacemaker
from plans.models import RecoveryPlan
from protection.inventory.recovery_instances import InstancesKnown
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


@contextmanager
def beating() -> Iterator[Beat]:
    """A beat in a thread of its own; at the end it stops, and has finished what was under way."""
    beat = Beat(SteadyClock(), uuid.uuid4())
    thread = Thread(target=beat.run)
    thread.start()
    try:
        yield beat
    finally:
        beat.stopping.set()
        thread.join(30)
    assert not thread.is_alive()


def test_one_worker_launches_in_one_region_while_another_hangs(stage: Stage, east_and_west: list[RecoveryPlan]) -> None:
    east, west = east_and_west
    stage.simulator.scenario("hang", region="us-east-1", seconds=20)
    with running_engine(DRSORCH_WORKERS="1"):
        eventually(pacemaker.is_alive, what="the first beat")
        began, ages = time.monotonic(), []
        stage.start(east, looked=InstancesKnown())
        eventually(lambda: time.monotonic() - began > 3, what="the worker's wait for the region that hangs")
        assert not sent_in("us-east-1")
        stage.start(west)
        eventually(lambda: sent_in("us-west-2"), 12, what="the launch in the region that answers")
        while time.monotonic() - began < 12:
            ages.append(db_clock() - (pacemaker.last_beat() or db_clock()))
            time.sleep(0.2)
        assert max(ages) < timedelta(seconds=8)
        call_command("engine", "--check")
        assert OrmQ.objects.count() <= 4, "no steps pile up behind the one that waits"


def test_a_beat_sweeps_on_while_a_region_hangs_and_finishes_what_is_under_way_when_it_stops(
    stage: Stage, east_and_west: list[RecoveryPlan]
) -> None:
    stage.simulator.scenario("hang", operation="StartRecovery", region="us-east-1", seconds=8)
    east, west = east_and_west
    stage.start(east)
    with beating():
        eventually(lambda: bool(stage.simulator.journal("StartRecovery")), what="the request")
        stage.start(west)
        eventually(lambda: sent_in("us-west-2"), 6, what="the launch in the region that answers")
        assert not sent_in("us-east-1")
    assert sent_in("us-east-1")
    assert Pacemaker.objects.get().until is None, "it has handed its turn over"


def test_a_second_beat_stands_by_until_the_first_one_stops(stage: Stage) -> None:
    with beating() as second:
        with beating() as first:
            eventually(lambda: first.rounds > 2 and second.rounds > 2, what="some rounds of both")
            (holder,) = Pacemaker.objects.values_list("holder", flat=True)
            assert holder in (first.holder, second.holder)
        eventually(
            lambda: Pacemaker.objects.get().holder == second.holder, STANDBY_SECONDS + 15, what="the second one's turn"
        )


def test_it_asks_for_its_turn_less_often_than_it_looks_and_loses_it_all_the_same(
    stage: Stage, django_assert_num_queries: Any
) -> None:
    """Asking is a write; at rest it would be the dearest of all that a beat does."""
    beat = Beat(SteadyClock(), uuid.uuid4())
    assert beat._has_turn()
    with django_assert_num_queries(0):
        assert beat._has_turn()
    Pacemaker.objects.update(holder=uuid.uuid4())
    time.sleep(RENEW_SECONDS)
    assert not beat._has_turn(), "another engine has it"
    assert pacemaker.TURN.total_seconds() / 2 > RENEW_SECONDS + SWEEP_SECONDS


def test_what_no_worker_takes_is_done_at_the_next_look(stage: Stage) -> None:
    """There is no worker at all; nor is anything offered twice."""
    run = stage.start(stage.plan("app-01"))
    OrmQ.objects.all().delete()
    with beating():
        eventually(lambda: bool(OrmQ.objects.count()), 30, what="the offer")
        eventually(lambda: stage.fresh(run).status == "POLLING", 30, what="the launch")
    assert OrmQ.objects.count() == 1
    assert queue.queued() == 1


def test_one_engine_beats_and_another_takes_over_from_a_silent_or_mistaken_one(stage: Stage) -> None:
    now, other = db_clock(), uuid.uuid4()
    assert pacemaker.take(HOLDER, now)
    assert not pacemaker.take(other, now)
    assert pacemaker.take(HOLDER, now + timedelta(seconds=4)), "it goes on"
    assert not pacemaker.take(other, now + timedelta(seconds=8))
    assert pacemaker.take(other, now + timedelta(seconds=10))
    Pacemaker.objects.update(until=now + timedelta(minutes=20))  # by a clock that had jumped
    assert pacemaker.take(HOLDER, now)
