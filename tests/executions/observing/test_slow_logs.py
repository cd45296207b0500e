"""AWS is slow to hand out job logs: runs go on as if nothing was wrong, and the logs come bit by bit."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from drs.client import Drs
from drs.errors import DrsError, Trouble
from drs.shapes import JobLogItem
from executions.engine.poll import Poll, Poller
from executions.models import JobEvent, LaunchJob, Place, ServerRun
from executions.observing import drs_answers
from executions.runs.aws_calls import CallPool
from tests.executions.launching.test_many_servers import bulk, plan_of, wave_of
from tests.support.stage import Stage
from tests.support.still import StillStage


def test_no_wave_waits_for_logs(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01", "web-01"))
    stage.look()
    stage.simulator.scenario("hang", operation="DescribeJobLogItems", seconds=20)
    began = time.monotonic()
    while stage.fresh(run).status != "COMPLETED" and time.monotonic() < began + 18:
        stage.advance(300)
        for _ in range(5):  # a launch asks more than once, all in one lease
            stage.sweep.once()
            time.sleep(0.05)
    assert (stage.picture(run), time.monotonic() - began < 18) == (("COMPLETED", ["COMPLETED", "COMPLETED"]), True)
    stage.simulator.clear_scenarios()
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)
    assert JobEvent.objects.filter(event="JOB_END").count() == 2
    assert all(ServerRun.objects.values_list("point_in_time", flat=True))


def test_it_keeps_what_it_could_read_in_time_and_goes_on_at_the_next_poll(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drs_answers, "READING_SECONDS", -1.0)
    run = stage.until(stage.start(plan_of(wave_of(bulk(stage, us_east_1=1, us_west_2=1)))), "COMPLETED")
    assert set(LaunchJob.objects.values_list("events_seen", flat=True)) == {0}
    assert stage.simulator.journal("DescribeJobLogItems") == []
    monkeypatch.undo()
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)
    assert all(LaunchJob.objects.values_list("events_seen", flat=True))


@pytest.mark.django_db
@pytest.mark.parametrize(("jobs", "at_once"), [(7, 7), (20, 20), (70, 20), (130, 33), (500, 125)])
def test_each_log_is_read_within_a_minute_however_many_jobs_run(jobs: int, at_once: int) -> None:
    """Phases on pages are told by logs alone."""
    place, poller = Place(account_id="1" * 12, region="us-east-1"), Poller(CallPool())
    running = [LaunchJob(job_id=f"drsjob-{number:017x}") for number in range(jobs)]
    now = datetime(2026, 11, 29, 3, tzinfo=UTC)
    slots = [now + timedelta(seconds=15 * slot) for slot in range(40)]
    read = [poller._question(Poll(place, each, running, [])).logs for each in slots]
    assert {len(each) for each in read} == {at_once}
    for first, *others in zip(read, read[1:], read[2:], read[3:], strict=False):
        assert len(first.union(*others)) == jobs


def test_a_launch_is_dated_by_its_log_although_that_comes_later(still: StillStage) -> None:
    still.simulator.scenario("launch_end_event")
    still.simulator.scenario("throttle", operation="DescribeJobLogItems")
    run = still.until(still.start(still.plan("app-01")), "COMPLETED", step=45)
    seen = ServerRun.objects.get().launched_at
    assert JobEvent.objects.get().derived
    still.simulator.clear_scenarios("throttle")
    still.wait(lambda: still.fresh(run).next_step_at is None, run)
    told = JobEvent.objects.get(event="LAUNCH_END")
    assert (told.derived, ServerRun.objects.get().launched_at) == (False, told.at)
    assert told.at != seen


@pytest.mark.parametrize(
    "trouble",
    [
        DrsError(Trouble.UNCERTAIN, code="InternalServerException", message="", region="", operation=""),
        RuntimeError("nobody expected this"),
    ],
)
def test_a_log_that_cannot_be_read_hides_no_other_and_is_given_up_after_a_day(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, trouble: Exception
) -> None:
    first = stage.start(stage.plan("app-01"))
    stage.look()
    bad, read = LaunchJob.objects.get().job_id, Drs.job_log

    def job_log(drs: Drs, job_id: str) -> list[JobLogItem]:
        if job_id == bad:
            raise trouble
        return read(drs, job_id)

    monkeypatch.setattr(Drs, "job_log", job_log)
    stage.until(first, "COMPLETED")
    second = stage.start(stage.plan("web-01"))
    stage.wait(lambda: ServerRun.objects.get(hostname="web-01").phase == "SNAPSHOT", second, step=15, limit=600)
    stage.until(second, "COMPLETED")
    assert stage.fresh(first).next_step_at is not None
    stage.advance(24 * 3600)
    stage.wait(lambda: stage.fresh(first).next_step_at is None, first)
    assert (LaunchJob.objects.get(job_id=bad).watched, f"Giving up on the log of DRS job {bad}" in caplog.text) == (
        False,
        True,
    )
