"""What is said of a job that has ended: DRS's own times, and "did not launch" only when it lists no instance of it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import override_settings

from drs.client import Drs
from executions.models import Execution, JobEvent, LaunchJob, ServerRun, WaveRun
from executions.observing.server_outcome import UNSETTLED
from tests.support.api_client import Api, answer
from tests.support.still import StillStage


def shown(api: Api, run: Execution) -> list[dict[str, Any]]:
    """Its servers, as the API shows them."""
    waves = answer(api.get(f"/executions/{run.pk}"))["waves"]
    return [each for wave in waves for each in wave["serverStatuses"]]


def job_end() -> datetime:
    (found,) = Drs("us-east-1").jobs([LaunchJob.objects.get().job_id])
    assert found.ended_at is not None
    return found.ended_at


@pytest.mark.parametrize("away", ["the engine", "DescribeJobs"])
@pytest.mark.parametrize("logged", [True, False])
@pytest.mark.field("A20")
def test_a_launch_is_never_later_than_its_jobs_end(still: StillStage, away: str, logged: bool) -> None:
    if logged:
        still.simulator.scenario("launch_end_event")
    run = still.start(still.plan("app-01 app-02"))
    still.look()
    if away == "DescribeJobs":
        still.simulator.scenario("throttle", operation="DescribeJobs")
        for _ in range(36):
            still.advance(300)
            still.look(1)
        still.simulator.clear_scenarios("throttle")
    else:
        still.advance(3 * 3600)
    run = still.until(run, "COMPLETED", step=15)
    still.advance(15)
    still.look()
    assert (still.clock() - run.started_at) > timedelta(hours=3)
    for server in ServerRun.objects.all():
        assert server.launched_at is not None
        assert run.started_at < server.launched_at <= job_end() < run.started_at + timedelta(minutes=15)
        if logged:
            line = JobEvent.objects.get(event="LAUNCH_END", source_server_id=server.source_server_id)
            assert (server.launched_at, line.derived) == (line.at, False)
    assert all(sum(float(each) for each in spent) < 900 for _, *spent in Execution.objects.get().phase_times)


@pytest.mark.parametrize("how", ["EMPTY", "PENDING"])
@pytest.mark.field("A4")
def test_servers_of_which_an_ended_job_tells_nothing_are_looked_up(still: StillStage, how: str) -> None:
    still.simulator.scenario("untold_launches", how=how)
    still.simulator.scenario("launch_end_event")
    still.simulator.scenario("steady_times")
    run = still.start(still.plan("app-01 app-02"))
    still.look()
    still.advance(1200)  # the rows are gone before anybody has looked
    run = still.until(run, "COMPLETED", step=15)
    for server in ServerRun.objects.all():
        assert (server.launch_status, server.error) == ("LAUNCHED", "")
        assert server.recovery_instance_id.startswith("i-")
        assert server.launched_at is not None
        assert server.launched_at <= job_end()
    assert len(still.launches()) == 1


@pytest.mark.field("A4")
def test_did_not_launch_is_said_after_drs_has_listed_the_instances(still: StillStage) -> None:
    still.simulator.scenario("never_settles", servers=["app-01"])
    run = still.until(still.start(still.plan("app-01 app-02")), "PARTIAL", step=15)
    assert "lists no instance of it" in ServerRun.objects.get(hostname="app-01").error
    job = LaunchJob.objects.get()
    assert job.completed_seen_at is not None
    assert job.instances_seen_at is not None
    assert job.instances_seen_at > job.completed_seen_at + timedelta(minutes=2)
    asked: list[Any] = still.simulator.journal("DescribeRecoveryInstances")
    named = [each for call in asked for each in call["params"].get("filters", {}).get("sourceServerIDs", [])]
    assert still.ids("app-01")[0] in named
    assert run.error_code == "SERVER_LAUNCH_FAILED"


@pytest.mark.parametrize("launched", [True, False])
@pytest.mark.field("A4")
def test_nothing_is_concluded_while_drs_does_not_list_instances(still: StillStage, launched: bool) -> None:
    if launched:
        still.simulator.scenario("untold_launches")
    else:
        still.simulator.scenario("never_settles", servers=["app-01"])
    run = still.start(still.plan("app-01"))
    still.look()  # nothing is launched without asking what it would end
    still.simulator.scenario("throttle", operation="DescribeRecoveryInstances")
    for _ in range(100):
        still.advance(60)
        still.look()
    assert still.picture(run) == ("LAUNCHING", ["LAUNCHING"])
    said = WaveRun.objects.get().status_message
    assert "does not say which instances it launched" in said
    assert "ThrottlingException" in said
    still.simulator.clear_scenarios("throttle")
    run = still.until(run, "COMPLETED", "FAILED", step=15)
    assert run.status == ("COMPLETED" if launched else "FAILED")
    assert ServerRun.objects.get().launch_status == ("LAUNCHED" if launched else "FAILED")


def test_a_server_that_drs_calls_failed_stays_so(still: StillStage) -> None:
    still.simulator.scenario("launch_failed", servers=["app-01"])
    still.until(still.start(still.plan("app-01 app-02")), "PARTIAL", step=15)
    assert ServerRun.objects.get(hostname="app-01").launch_status == "FAILED"
    assert "InsufficientInstanceCapacity" in ServerRun.objects.get(hostname="app-01").error


@pytest.mark.field("A4")
def test_what_stands_of_a_launch_that_drs_calls_failed_is_the_runs_and_can_be_terminated(
    still: StillStage, admin: Api
) -> None:
    """“Did not launch” is said only where DRS lists no instance of the job."""
    still.simulator.scenario("failed_rows", servers=["app-01"])
    run = still.until(still.start(still.plan("app-01 app-02")), "PARTIAL", step=15)
    (server,) = still.ids("app-01")
    told = next(each for each in shown(admin, run) if each["sourceServerId"] == server)
    instances: Any = still.simulator.state()["instances"]
    stands = {each["server_id"]: each["id"] for each in instances}
    assert (told["launchStatus"], told["errorCode"]) == ("FAILED", "NOT_USABLE")
    assert told["recoveryInstanceId"] == stands[server]
    ended = answer(admin.post(f"/executions/{run.pk}/terminate-instances"))
    assert sorted(ended["terminated"]) == sorted(stands.values())
    still.wait(lambda: still.fresh(run).termination_status == "COMPLETED", run, step=30)
    assert still.simulator.state()["instances"] == []
    assert {each["instanceState"] for each in shown(admin, run)} <= {"TERMINATED", "SHUTTING-DOWN"}
    (other,) = still.ids("app-02")
    told = next(each for each in shown(admin, run) if each["sourceServerId"] == other)
    assert (told["launchStatus"], told["instanceState"]) == ("TERMINATED", "TERMINATED")


@pytest.mark.field("A4", "A11")
@pytest.mark.parametrize("stood", [True, False])
def test_an_instance_that_drs_lists_without_its_job_is_known_by_what_stood_before(
    still: StillStage, stood: bool
) -> None:
    plan = still.plan("app-01")
    if stood:
        still.until(still.start(plan), "COMPLETED")
    still.simulator.scenario("untold_launches", how="PENDING")
    still.simulator.scenario("missing_members", members=["jobID"], operation="DescribeRecoveryInstances")
    run = still.until(still.start(plan), "COMPLETED", "FAILED", step=30)
    server = ServerRun.objects.get(wave__execution=run)
    instances: Any = still.simulator.state()["instances"]
    stands = [each["id"] for each in instances]
    assert [server.recovery_instance_id] == stands
    assert server.launch_status == "LAUNCHED"


def test_a_launch_is_not_timed_to_the_second_by_a_clock_that_is_not_ours(still: StillStage) -> None:
    """It was said to be observed 0 s late at most, by lines of a quarter of an hour ahead."""
    still.simulator.scenario("clock_skew", seconds=900)
    still.simulator.scenario("launch_end_event")
    still.until(still.start(still.plan("app-01")), "COMPLETED", step=15)
    launched, job = ServerRun.objects.get(), LaunchJob.objects.get()
    assert launched.launched_at is not None
    assert job.intent_at is not None
    assert launched.observed_late is not None, "LAUNCH_END told when, by another clock"
    earliest = launched.launched_at - timedelta(seconds=launched.observed_late)
    assert job.intent_at <= earliest < launched.launched_at


@pytest.mark.field("A11")
def test_the_words_of_a_line_without_a_time_are_kept_and_time_nothing(still: StillStage, admin: Api) -> None:
    still.simulator.scenario("launch_failed", servers=["app-01"])
    still.simulator.scenario("launch_end_event")
    still.simulator.scenario("missing_members", members=["logDateTime"], operation="DescribeJobLogItems")
    run = still.until(still.start(still.plan("app-01 app-02")), "PARTIAL", step=15)
    for _ in range(3):  # read again: no line is kept twice
        still.advance(15)
        still.look()
    assert "InsufficientInstanceCapacity" in ServerRun.objects.get(hostname="app-01").error
    lines = [(each.event, each.source_server_id) for each in JobEvent.objects.filter(derived=False)]
    assert len(lines) == len(set(lines))
    launched = ServerRun.objects.get(hostname="app-02")
    assert launched.observed_late is not None
    assert launched.launched_at is not None
    assert launched.launched_at <= job_end()
    assert answer(admin.get(f"/executions/{run.pk}/job-logs"))["jobLogs"][0]["events"]


@pytest.mark.field("A4")
def test_what_a_job_never_told_of_a_wave_that_is_over_is_given_up_after_a_day(still: StillStage) -> None:
    still.simulator.scenario("never_settles", servers=["app-02"])
    with override_settings(WAVE_TIMEOUT_SECONDS=60):
        run = still.until(still.start(still.plan("app-01 app-02")), "FAILED", "PARTIAL", step=30)
    server = ServerRun.objects.get(hostname="app-02")
    assert (run.error_code, server.launch_status) == ("WAVE_TIMEOUT", "PENDING")
    for _ in range(8):
        still.advance(4 * 3600)
        still.look()
    server.refresh_from_db()
    assert (server.launch_status, server.error, server.phase) == ("FAILED", UNSETTLED, "DONE")
    assert ServerRun.objects.get(hostname="app-01").launch_status == "LAUNCHED"
