"""What happens at one place, an account in a region, stays there: silence, odd answers, a quota, other credentials."""

import time
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from executions.engine.poll import Poller
from executions.models import Execution, LaunchJob, Place, ServerRun, WaveRun
from tests.executions.engine.test_beat import beating
from tests.executions.launching.test_many_servers import bulk, plan_of, wave_of
from tests.support.credentials import OTHER_KEY, know_two_accounts, restarted_as
from tests.support.processes import eventually
from tests.support.stage import Stage


def one_server_runs(stage: Stage, ids: list[str], region: str = "us-east-1") -> list[Execution]:
    """A run for each of these servers."""
    return [stage.start(plan_of(wave_of({region: [each]}, name=each), name=each)) for each in ids]


def polls(stage: Stage) -> list[dict[str, Any]]:
    """Questions for jobs by their ids."""
    return [call for call in stage.simulator.journal("DescribeJobs") if "jobIDs" in call["params"]["filters"]]  # type: ignore[index]


@pytest.mark.field("A16")
@pytest.mark.parametrize("named", [True, False])
def test_one_id_that_drs_refuses_keeps_no_other_job_from_being_read(stage: Stage, *, named: bool) -> None:
    runs = {name: stage.start(stage.plan(name)) for name in ("app-01", "app-02", "web-01", "web-02")}
    stage.look()
    stage.simulator.scenario("poison_id", servers=["web-01"], named=named)
    bad = runs.pop("web-01")
    for run in runs.values():
        assert stage.until(run, "COMPLETED", "FAILED", step=60).status == "COMPLETED"
    other = stage.start(stage.plan("app-03"))
    stage.look()
    before = len(polls(stage))
    stage.advance(15)
    stage.look()
    assert len(polls(stage)) - before == 2, "the one is known by now, and asked for alone"
    assert Place.objects.get().failing_since is None
    assert not Execution.objects.filter(failing_since__isnull=False).exists()
    assert stage.fresh(bad).status in ("POLLING", "LAUNCHING", "COMPLETED"), "nothing is concluded but what stands"
    stage.simulator.clear_scenarios()
    for run in (bad, other):
        stage.until(run, "COMPLETED", step=60)


def test_a_place_that_refuses_every_question_is_in_trouble_after_a_few(stage: Stage) -> None:
    runs = [stage.start(stage.plan(name)) for name in ("app-01", "app-02", "app-03", "web-01", "web-02", "grafana-01")]
    stage.look()
    stage.simulator.scenario("poison_id", servers=[])
    before = len(stage.simulator.journal("DescribeJobs"))
    stage.advance(15)
    stage.look()
    assert len(stage.simulator.journal("DescribeJobs")) - before <= 12
    assert not ServerRun.objects.exclude(launch_status="PENDING").exists()
    stage.simulator.clear_scenarios()
    for run in runs:
        stage.until(run, "COMPLETED")


@pytest.mark.field("A17")
def test_what_another_account_answers_is_trouble_of_the_place_and_of_every_run_there(stage: Stage) -> None:
    know_two_accounts(stage.simulator)
    there = [stage.start(stage.plan(name)) for name in ("app-01", "web-01")]
    there.append(stage.start(stage.plan("app-02", "web-02", pause={1})))
    stage.look()
    facts = list(LaunchJob.objects.order_by("pk").values("status", "job_id", "seen_at"))
    answered = Place.objects.filter(region="us-east-1").values_list("answered_at", flat=True).first()
    with restarted_as(OTHER_KEY):
        for _ in range(4):
            stage.advance(60)
            stage.look()
        place = Place.objects.get(region="us-east-1")
        assert (place.failing_since is not None, place.answered_at) == (True, answered)
        assert "OtherAccount" in place.error
        assert list(LaunchJob.objects.order_by("pk").values("status", "job_id", "seen_at")) == facts
        for run in there:
            shown = stage.fresh(run)
            assert (shown.failing_since, shown.aws_error) == (place.failing_since, place.error)
    for run in there:
        stage.until(run, "COMPLETED", "PAUSED")
    place.refresh_from_db()
    assert (place.failing_since, place.error, place.failures) == (None, "", 0)
    assert not Execution.objects.filter(failing_since__isnull=False).exists()


@pytest.mark.field("A18")
def test_launches_wait_for_a_slot_in_their_order_and_are_sent_twice_at_most(stage: Stage) -> None:
    stage.packs.touched = True
    stage.simulator.settings(max_jobs=4)
    runs = one_server_runs(stage, bulk(stage, us_east_1=12)["us-east-1"])
    began = stage.clock()
    stage.look()
    assert LaunchJob.objects.exclude(job_id="").count() == 4
    waiting = WaveRun.objects.filter(jobs__job_id="")
    stage.advance(15)
    stage.look()
    assert {each.split(" (")[0] for each in waiting.values_list("status_message", flat=True)} == {
        "A DRS quota in us-east-1 is used up: 4 jobs with 4 servers run there. Waiting for one to end."
    }
    while stage.clock() - began < timedelta(minutes=20):
        stage.advance(15)
        stage.look()
    minutes = (stage.clock() - began).total_seconds() / 60
    assert len(stage.simulator.journal("DescribeJobs")) / minutes <= 6
    while Execution.objects.active().exists():
        stage.advance(60)
        stage.look()
        assert stage.clock() - began < timedelta(hours=4)
    assert {stage.fresh(run).status for run in runs} == {"COMPLETED"}
    tried = stage.simulator.journal("StartRecovery")
    sends = Counter(call["params"]["tags"]["drsorch:launch"] for call in tried)  # type: ignore[index]
    assert max(sends.values()) <= 2
    line = list(LaunchJob.objects.filter(queued_at__isnull=False).order_by("queued_at"))
    assert len(line) == 8
    assert all((a.created_at or began) <= (b.created_at or began) for a, b in zip(line, line[4:], strict=False))


def test_one_list_of_jobs_serves_all_launches_that_are_looked_for(stage: Stage) -> None:
    stage.simulator.scenario("drop_connection_after_effect", operation="StartRecovery")
    runs = one_server_runs(stage, bulk(stage, us_east_1=8)["us-east-1"])
    stage.look(1)
    stage.simulator.clear_scenarios()
    before = len(stage.simulator.journal("DescribeJobs"))
    stage.advance(15)
    stage.look()
    assert not LaunchJob.objects.filter(job_id="").exists()
    assert len(stage.simulator.journal("DescribeJobs")) - before <= 2
    assert len(stage.launches()) == len(runs)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.postgresql
@pytest.mark.field("A19")
def test_a_start_is_sent_at_once_beside_a_region_that_hangs(stage: Stage) -> None:
    stage.packs.touched = True
    ids = bulk(stage, us_east_1=60, us_west_2=3)
    plans = [plan_of(wave_of({"us-west-2": [each]}, name=each), name=each) for each in ids["us-west-2"]]
    one_server_runs(stage, ids["us-east-1"])
    stage.simulator.scenario("hang", region="us-east-1", seconds=30)
    waits = []
    with beating():
        eventually(lambda: len(stage.simulator.journal()) > 20, what="the hanging calls")
        for plan in plans:
            time.sleep(0.7)
            began, run = time.monotonic(), stage.start(plan)
            eventually(
                lambda run=run: LaunchJob.objects.filter(wave__execution=run).exclude(job_id="").exists(),  # type: ignore[misc]
                10,
                what="the launch in the region that answers",
            )
            waits.append(time.monotonic() - began)
        stage.simulator.clear_scenarios()
    assert min(waits) < 1.0, "of three, because a busy machine may hold up any one"


def test_two_sweeps_ask_a_place_once(stage: Stage) -> None:
    stage.start(stage.plan("app-01"))
    stage.look()
    stage.advance(15)
    second = Poller(stage.sweep.pool, stage.clock)
    before, now = len(stage.simulator.journal("DescribeJobs")), stage.clock()
    for poller in (stage.sweep.poller, second):
        poller.start(now)
    stage.sweep.drain()
    assert len(stage.simulator.journal("DescribeJobs")) - before == 1
    assert isinstance(Place.objects.get().answered_at, datetime)


def in_the_line(stage: Stage, servers: int) -> list[Execution]:
    """Runs of one server each at a place that runs four jobs at once: four are sent, the others wait."""
    stage.packs.touched = True
    stage.simulator.settings(max_jobs=4)
    runs = one_server_runs(stage, bulk(stage, us_east_1=servers)["us-east-1"])
    stage.look()
    assert unsent() == servers - 4
    return runs


def unsent() -> int:
    return LaunchJob.objects.filter(job_id="").count()


@pytest.mark.field("A18")
def test_a_line_that_nobody_looked_at_while_its_jobs_ended_goes_on_at_once_and_with_every_slot(stage: Stage) -> None:
    in_the_line(stage, 12)
    stage.advance(1500)  # no engine runs, and the four end
    for left in (4, 0):
        stage.look()
        assert unsent() == left
        stage.advance(1500)


@pytest.mark.field("A18")
def test_how_much_room_others_jobs_had_taken_is_found_out_by_trying_more_and_more(stage: Stage) -> None:
    ids = bulk(stage, us_east_1=12)["us-east-1"]
    stage.simulator.settings(max_jobs=4)
    for server in ids[:4]:
        stage.simulator.scenario("foreign_job", servers=[server], region="us-east-1")
    stage.packs.touched = True
    one_server_runs(stage, ids[4:])
    stage.look()
    assert unsent() == 8
    Place.objects.update(quota_jobs=None)
    stage.advance(1500)  # those jobs end unseen
    left = []
    while unsent():
        stage.look()
        left.append(unsent())
        stage.advance(60)
        assert len(left) < 60, left
    assert left.index(4) - left.index(7) <= 2, left


def test_a_launch_that_was_called_by_an_engine_that_died_is_called_again(stage: Stage) -> None:
    in_the_line(stage, 5)
    waiting = LaunchJob.objects.get(job_id="")
    stage.simulator.settings(max_jobs=20)
    LaunchJob.objects.filter(pk=waiting.pk).update(not_before=stage.clock())  # and its run still rests
    stage.advance(15)
    stage.look()
    assert not unsent()
