"""Somebody stops or terminates an instance that had come up while its wave still goes on: that is told, and a wave that
asks for EC2's checks does not complete over it."""

import pytest

from executions.commands import new_run
from executions.console.live_page.event_feed import feed
from executions.console.live_page.page_content import Live
from executions.models import Execution
from tests.executions.observing.test_did_it_come_up import planned, row
from tests.executions.terminating.test_outside_changes import round_of_inventory
from tests.support.packs import found_wrong
from tests.support.still import StillStage

pytestmark = pytest.mark.field("A8")


def passed_first(still: StillStage, minutes: int = 15) -> Execution:
    """app-01 has passed its checks and is usable, and app-02 has just come up."""
    still.simulator.scenario("slow_server", servers=["app-02"], factor=3)
    run = still.start(planned(still, "app-01 app-02", "web-01", means="STATUS_CHECKS", minutes=minutes))
    still.wait(lambda: row().usable_at is not None, run, step=15)
    assert row("app-02").checks_passed_at is None
    return run


@pytest.mark.both
@pytest.mark.parametrize(("what", "state"), [("ec2_stopped", "STOPPED"), ("ec2_terminated", "TERMINATED")])
def test_a_wave_that_asks_for_checks_does_not_complete_over_it(still: StillStage, what: str, state: str) -> None:
    run = passed_first(still)
    still.simulator.scenario(what, servers=["app-01"])
    round_of_inventory(still)
    run = still.until(run, "COMPLETED", "PARTIAL", "FAILED", step=30)
    assert still.picture(run) == ("PARTIAL", ["FAILED", "SKIPPED"])
    assert (row().launch_status, row().error_code) == ("FAILED", "NOT_USABLE")
    assert f"EC2 shows it as {state}" in row().error
    assert len(still.launches()) == 1


def test_while_its_checks_are_waited_for_the_page_says_so(still: StillStage) -> None:
    run = still.start(planned(still, "app-01 app-02", "web-01", means="STATUS_CHECKS", minutes=10))
    still.wait(lambda: row().instance_state == "RUNNING", run, step=15)
    launched = row().launched_at
    assert launched is not None
    still.simulator.scenario("ec2_stopped", servers=["app-01"])
    round_of_inventory(still)
    live = Live(Execution.objects.with_waves().get(pk=run.pk))
    assert "1 was stopped since" in live.banner.after
    assert any("stopped" in line.text and "app-01" in line.text for line in feed(run))
    run = still.until(run, "COMPLETED", "PARTIAL", "FAILED", step=30)
    assert (row().launch_status, row().error_code) == ("FAILED", "NOT_USABLE")
    assert "EC2 shows it as STOPPED" in row().error
    assert (still.now - launched).total_seconds() < 12 * 60, "no longer than the plan gives it"


def test_one_that_runs_again_before_its_time_is_over_passes(still: StillStage) -> None:
    run = still.start(planned(still, "app-01 app-02", "web-01", means="STATUS_CHECKS"))
    still.wait(lambda: row().instance_state == "RUNNING", run, step=15)
    still.simulator.scenario("instance_state", servers=["app-01"], state="STOPPED")
    still.simulator.scenario("status_checks", servers=["app-01"], system="not-applicable", instance="not-applicable")
    round_of_inventory(still)
    assert row().standing_state == "STOPPED"
    still.simulator.clear_scenarios("instance_state")
    still.simulator.clear_scenarios("status_checks")
    round_of_inventory(still)
    run = still.until(run, "COMPLETED", "PARTIAL", "FAILED", step=30)
    assert (run.status, row().launch_status, row().standing_state) == ("COMPLETED", "LAUNCHED", "")


@pytest.mark.both
@pytest.mark.parametrize("recovers", [True, False])
def test_checks_that_fail_again_while_the_wave_waits_for_others_are_not_passed(
    still: StillStage, recovers: bool
) -> None:
    run = passed_first(still, minutes=60)
    first = row().usable_at
    assert first is not None
    still.simulator.scenario("status_checks", servers=["app-01"], system="ok", instance="impaired")
    still.wait(lambda: row("app-02").usable_at is not None, run, step=15)
    assert (row().usable_at, still.waves(run)[0].status) == (None, "LAUNCHING")
    assert len(still.launches()) == 1, "the next wave is not launched on top"
    if recovers:
        still.simulator.clear_scenarios("status_checks")
    run = still.until(run, "COMPLETED", "PARTIAL", step=30, limit=7200)
    usable = row().usable_at
    if recovers:
        assert (run.status, usable is not None and usable > first) == ("COMPLETED", True)
    else:
        assert (run.status, row().error_code, usable) == ("PARTIAL", "NOT_USABLE", None)
        assert "have not passed for good within 60 min" in row().error


@pytest.mark.both
@pytest.mark.parametrize("how", ["ec2", "drs"])
@pytest.mark.parametrize("means", ["LAUNCHED", "STATUS_CHECKS"])
def test_one_that_is_terminated_after_its_jobs_last_news_is_told_while_the_wave_goes_on(
    still: StillStage, monkeypatch: pytest.MonkeyPatch, means: str, how: str
) -> None:
    """A wave of two jobs: of the first nothing more is expected, the second takes its time."""
    monkeypatch.setattr(new_run, "SERVERS_PER_JOB", 1)
    still.simulator.scenario("slow_server", servers=["app-02"], factor=20)
    run = still.start(planned(still, "app-01 app-02", "web-01", means=means))
    still.wait(lambda: row().job_id is not None and not row().job.watched and bool(row().launched_at), run, step=30)
    if how == "ec2":
        still.simulator.scenario("ec2_terminated", servers=["app-01"])
    else:
        still.simulator.client().terminate_recovery_instances(recoveryInstanceIDs=[row().recovery_instance_id])
        still.advance(300)
        round_of_inventory(still)
    round_of_inventory(still)
    assert still.waves(run)[0].status == "LAUNCHING"
    assert any("terminated" in line.text and "app-01" in line.text for line in feed(run))
    live = Live(Execution.objects.with_waves().get(pk=run.pk))
    assert live.up == 0
    if means == "LAUNCHED":
        assert "1 was terminated since" in live.banner.after
    run = still.until(run, "COMPLETED", "PARTIAL", "FAILED", step=300, limit=30_000)
    expected = ("COMPLETED", "TERMINATED", "") if means == "LAUNCHED" else ("PARTIAL", "FAILED", "NOT_USABLE")
    assert (run.status, row().launch_status, row().error_code) == expected
    assert len(still.launches()) == (3 if means == "LAUNCHED" else 2)


def test_what_somebody_terminates_by_drs_while_checks_of_others_are_waited_for_is_not_up(still: StillStage) -> None:
    """DRS lists it no more, and its ended job goes on calling it launched."""
    still.simulator.scenario("status_checks", servers=["app-02"], system="initializing", instance="initializing")
    run = still.start(planned(still, "app-01 app-02", "web-01", means="STATUS_CHECKS", minutes=40))
    still.wait(lambda: row().usable_at is not None, run, step=15)
    assert row().job.watched
    still.simulator.client().terminate_recovery_instances(recoveryInstanceIDs=[row().recovery_instance_id])
    still.advance(360)
    for _ in range(2):
        round_of_inventory(still)
    assert (row().launch_status, row().error_code) == ("FAILED", "NOT_USABLE")
    still.simulator.clear_scenarios("status_checks")
    run = still.until(run, "COMPLETED", "PARTIAL", "FAILED", step=30)
    assert (run.status, row().launch_status, len(still.launches())) == ("PARTIAL", "FAILED", 1)


def test_what_somebody_terminates_while_its_job_launches_others_is_told_at_once(still: StillStage) -> None:
    still.simulator.scenario("slow_server", servers=["app-02"], factor=3)
    run = still.start(planned(still, "app-01 app-02", "web-01", means="STATUS_CHECKS", minutes=30))
    still.wait(lambda: row().job_id is not None and bool(row().launched_at), run, step=30)
    still.simulator.scenario("ec2_terminated", servers=["app-01"])
    for _ in range(2):
        round_of_inventory(still)
    assert row().job.status == "STARTED"
    assert (row().launch_status, row().error_code) == ("FAILED", "NOT_USABLE")
    assert any("terminated" in line.text and "app-01" in line.text for line in feed(run))
    run = still.until(run, "COMPLETED", "PARTIAL", "FAILED", step=30)
    assert still.picture(run) == ("PARTIAL", ["FAILED", "SKIPPED"])
    assert found_wrong(still.fresh(run), still.clock()) == []
