"""What is said of a server when DRS says less, more or something else than it should."""

from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.urls import reverse

from drs.client import Drs
from drs.shapes import JobLogItem
from executions.models import Execution, JobEvent, LaunchJob, ServerRun
from executions.observing import drs_answers
from executions.observing.server_outcome import CAUSE_READING, CAUSE_UNREAD, NO_REASON
from tests.support.api_client import Api
from tests.support.still import StillStage


def server(hostname: str = "app-01") -> ServerRun:
    return ServerRun.objects.get(hostname=hostname)


def shown(admin: Api, run: Execution, hostname: str = "app-01") -> dict[str, Any]:
    waves = admin.get(f"/executions/{run.pk}").json()["waves"]
    return next(each for wave in waves for each in wave["serverStatuses"] if each["hostname"] == hostname)


def page(admin: Api, run: Execution) -> str:
    admin.client.force_login(admin.user)
    answer = admin.client.get(reverse("execution", args=[run.pk]))
    assert answer.status_code == 200
    return unescape(answer.content.decode())


@pytest.mark.field("A8")
@pytest.mark.parametrize("state", ["TERMINATED", "STOPPED", "NOT_FOUND"])
def test_an_instance_that_is_gone_or_stopped_at_once_is_not_up(still: StillStage, admin: Api, state: str) -> None:
    still.simulator.scenario("dies_at_once", servers=["app-01"], state=state)
    run = still.until(still.start(still.plan("app-01 app-02", "web-01")), "PARTIAL", step=60)
    assert still.picture(run) == ("PARTIAL", ["FAILED", "SKIPPED"])
    assert len(still.launches()) == 1
    told = shown(admin, run)
    assert (told["launchStatus"], told["errorCode"], told["instanceState"]) == ("FAILED", "NOT_USABLE", state)
    assert (told["launchTime"], state in told["error"]) == (None, True)
    assert told["recoveryInstanceId"].startswith("i-")
    assert shown(admin, run, "app-02")["instanceState"] in ("PENDING", "RUNNING")
    still.advance(900)
    still.look()
    assert server().launch_status == "FAILED"
    assert "its instance did not come up" in page(admin, run)


@pytest.mark.field("A8")
def test_a_stopped_instance_that_is_not_usable_can_be_ended(still: StillStage, admin: Api) -> None:
    still.simulator.scenario("dies_at_once", servers=["app-01"], state="STOPPED")
    run = still.until(still.start(still.plan("app-01")), "FAILED", step=60)
    still.wait(lambda: LaunchJob.objects.get().status == "COMPLETED", run, step=60)
    assert admin.get(f"/executions/{run.pk}").json()["actions"]["terminate"]["allowed"]
    answer = admin.post(f"/executions/{run.pk}/terminate-instances").json()
    assert answer["terminated"] == [server().recovery_instance_id]
    still.wait(lambda: server().launch_status == "TERMINATED", run, step=60)
    assert server().error_code == "NOT_USABLE"


@pytest.mark.field("A8")
def test_what_shall_be_stopped_is_as_it_should_be(still: StillStage, admin: Api) -> None:
    still.simulator.scenario("dies_at_once", servers=["app-01"], state="STOPPED")
    still.simulator.scenario("launch_disposition", servers=["app-01"], disposition="STOPPED")
    run = still.until(still.start(still.plan("app-01 app-02", "web-01")), "COMPLETED", step=60)
    told = shown(admin, run)
    assert (told["launchStatus"], told["instanceState"], told["errorCode"]) == ("LAUNCHED", "STOPPED", None)


@pytest.mark.field("A8")
def test_what_ends_after_its_wave_has_been_up(still: StillStage) -> None:
    run = still.until(still.start(still.plan("app-01", "web-01", pause={1})), "PAUSED", step=15)
    assert server().instance_state == "PENDING", "it was just launched"
    still.simulator.scenario("ec2_terminated", servers=["app-01"])
    still.advance(60)
    still.look()
    assert (server().launch_status, server().instance_state) == ("LAUNCHED", "TERMINATED")
    assert still.waves(run)[0].status == "COMPLETED"


@pytest.mark.field("A8")
def test_a_stopped_instance_that_starts_after_all_is_up(still: StillStage) -> None:
    still.simulator.scenario("dies_at_once", servers=["app-01"], state="STOPPED")
    still.simulator.scenario("slow_server", servers=["app-02"])
    run = still.start(still.plan("app-01 app-02"))
    still.wait(lambda: server().launch_status == "FAILED", run, step=15)
    server_row = ServerRun.objects.get(hostname="app-01")
    assert server_row.error_code == "NOT_USABLE"


@pytest.mark.field("A15")
def test_a_job_that_was_deleted_is_known_by_its_instances(still: StillStage, admin: Api) -> None:
    run = still.start(still.plan("app-01 app-02", "web-01"))
    still.look()
    still.simulator.scenario("jobs_deleted", running=True, region="us-east-1")
    still.wait(lambda: still.picture(run)[1][0] == "COMPLETED", run, step=15, limit=900)
    told = shown(admin, run)
    assert (told["launchStatus"], told["recoveryInstanceId"][:2], told["observedLate"] > 0) == ("LAUNCHED", "i-", True)
    still.until(run, "COMPLETED", step=15)
    assert len(still.launches()) == 2


@pytest.mark.field("A15")
def test_nothing_is_said_to_have_failed_before_drs_was_asked_for_its_instances(still: StillStage) -> None:
    still.simulator.scenario("never_settles", servers=["app-01"])
    run = still.start(still.plan("app-01"))
    still.look()
    still.simulator.scenario("jobs_deleted", running=True, region="us-east-1")
    still.simulator.scenario("throttle", operation="DescribeRecoveryInstances")
    for _ in range(30):
        still.advance(3600)
        still.look(1)
    assert server().launch_status == "PENDING"
    still.simulator.clear_scenarios("throttle")
    drs_answers.quiet.clear()  # a minute of this machine's has not passed
    still.until(run, "FAILED", step=600)
    assert "has not shown the job" in server().error


@pytest.mark.field("A9")
@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("template_gone", "UPDATE_LAUNCH_TEMPLATE_FAILED: the reason"),
        ("network_recovery_fails", "NETWORK_RECOVERY_FAIL: the reason"),
    ],
)
def test_what_is_no_launch_failure_is_told_in_awss_words(
    still: StillStage, admin: Api, scenario: str, words: str
) -> None:
    still.simulator.scenario(scenario, servers=["app-01", "app-02"], raw_error="the reason")
    run = still.until(still.start(still.plan("app-01 app-02 app-03")), "PARTIAL", step=60)
    assert [shown(admin, run, name)["error"] for name in ("app-01", "app-02", "app-03")] == [words, words, None]
    assert shown(admin, run)["errorCode"] == "SERVER_LAUNCH_FAILED"
    assert "the reason" in page(admin, run)


@pytest.mark.field("A9")
@pytest.mark.parametrize("goes_on", [False, True])
def test_an_instance_that_cannot_be_removed_fails_the_launch_or_stays_beside_it(
    still: StillStage, goes_on: bool
) -> None:
    plan = still.plan("app-01")
    first = still.until(still.start(plan), "COMPLETED", step=60)
    still.wait(lambda: still.fresh(first).next_step_at is None, first, step=60)
    still.simulator.scenario("termination_protection", goes_on=goes_on)
    run = still.until(still.start(plan), "COMPLETED" if goes_on else "FAILED", step=60)
    still.wait(lambda: still.fresh(run).next_step_at is None, run, step=60)
    told, earlier = ServerRun.objects.get(wave__execution=run), ServerRun.objects.get(wave__execution=first)
    assert ("disableApiTermination" in told.error) is not goes_on
    assert earlier.launch_status == "LAUNCHED", "it stands"


@pytest.mark.field("A10")
def test_a_conversion_that_is_tried_again_is_no_end(still: StillStage, admin: Api) -> None:
    still.simulator.scenario("conversion_retried", servers=["app-01"])
    run = still.start(still.plan("app-01"))
    still.wait(lambda: JobEvent.objects.filter(event="CONVERSION_FAIL").exists(), run, step=5)
    told = shown(admin, run)
    assert (told["launchStatus"], told["phase"], told["phaseNote"]) == ("PENDING", "CONVERSION", "attempt 2 of 3")
    assert "attempt 2 of 3" in page(admin, run)
    still.until(run, "COMPLETED", step=60)
    told = shown(admin, run)
    assert (told["launchStatus"], told["phase"], told["phaseNote"]) == ("LAUNCHED", "DONE", None)


@pytest.mark.field("A20")
def test_where_only_a_bound_of_the_time_is_known_it_is_said(still: StillStage, admin: Api) -> None:
    run = still.start(still.plan("app-01"))
    still.look()
    still.advance(3 * 3600)
    still.until(run, "COMPLETED", step=15)
    told, line = shown(admin, run), JobEvent.objects.get(event="LAUNCH_START")
    assert told["observedLate"] > 15
    assert abs(told["launchTime"] - told["observedLate"] - line.at.timestamp()) <= 1, "the log says when it began"


@pytest.mark.field("A20")
def test_what_drs_tells_of_a_time_is_no_bound(still: StillStage, admin: Api) -> None:
    still.simulator.scenario("launch_end_event")
    run = still.until(still.start(still.plan("app-01")), "COMPLETED", step=15)
    still.wait(lambda: still.fresh(run).next_step_at is None, run, step=15)
    assert shown(admin, run)["observedLate"] is None
    assert server().launched_at == JobEvent.objects.get(event="LAUNCH_END").at


@pytest.mark.field("A26")
def test_post_launch_actions_are_shown_and_followed_to_their_end(still: StillStage, admin: Api) -> None:
    still.simulator.scenario("launch_actions", servers=["app-01"], seconds=300, optional=False, reason="no answer")
    run = still.until(still.start(still.plan("app-01 app-02")), "COMPLETED", step=60)
    assert [each["status"] for each in shown(admin, run)["launchActions"]] == ["IN_PROGRESS"]
    still.wait(lambda: still.fresh(run).next_step_at is None, run, step=60)
    assert shown(admin, run)["launchActions"] == [
        {
            "name": "Verify HTTP response",
            "category": "VALIDATION",
            "optional": False,
            "status": "FAILED",
            "failureReason": "no answer",
        }
    ]
    assert shown(admin, run, "app-02")["launchActions"] == []
    assert "Post-launch action “Verify HTTP response” failed: no answer." in page(admin, run)


def test_a_failure_is_told_with_its_cause(still: StillStage, admin: Api) -> None:
    """Also in the first answer that knows of it: whoever is told of the wave is told why."""
    still.simulator.scenario("launch_failed", servers=["app-01"], raw_error="no capacity")
    run = still.start(still.plan("app-01 app-02", "web-01"))
    still.look()
    while server().launch_status != "FAILED":
        assert server().error == ""
        still.advance(15)
        still.sweep.once()
        still.sweep.drain()
    assert server().error == "LAUNCH_FAILED: no capacity"
    still.until(run, "PARTIAL")


def test_a_cause_that_is_not_read_yet_is_said_to_be_for_two_polls(still: StillStage, admin: Api) -> None:
    still.simulator.scenario("launch_failed", servers=["app-01"], raw_error="no capacity")
    still.simulator.scenario("throttle", operation="DescribeJobLogItems")
    run = still.start(still.plan("app-01"))
    still.wait(lambda: server().launch_status == "FAILED", run, step=60)
    failed_at = still.now
    assert shown(admin, run)["error"] == CAUSE_READING
    assert CAUSE_READING in page(admin, run)
    while still.now < failed_at + timedelta(seconds=45):
        still.advance(15)
        still.look(1)
    assert shown(admin, run)["error"] == CAUSE_UNREAD
    still.simulator.clear_scenarios("throttle")
    still.wait(lambda: still.fresh(run).next_step_at is None, run, step=15)
    assert shown(admin, run)["error"] == "LAUNCH_FAILED: no capacity"
    assert LaunchJob.objects.get().watched is False


def test_a_cause_that_drs_logs_minutes_after_the_job_is_the_servers(
    still: StillStage, admin: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is as eventually consistent as any listing. It also comes out of order, with lines twice and a line whose
    event has no data: nothing goes back by that."""
    read, began = Drs.job_log, still.now

    def late(drs: Drs, job_id: str) -> list[JobLogItem]:
        lines = [each for each in read(drs, job_id) if each.event != "LAUNCH_FAILED" or logs_all]
        return [*reversed(lines), *lines, JobLogItem(began, "JOB_END", {})]

    logs_all = False
    monkeypatch.setattr(Drs, "job_log", late)
    still.simulator.scenario("launch_failed", servers=["app-01"], raw_error="no capacity")
    run = still.until(still.start(still.plan("app-01 app-02")), "PARTIAL", step=15)
    for _ in range(12):
        still.advance(15)
        still.look(1)
    assert shown(admin, run)["error"] == NO_REASON
    assert (server("app-02").launch_status, server("app-02").phase) == ("LAUNCHED", "DONE")
    logs_all = True
    still.advance(15)
    still.look()
    assert shown(admin, run)["error"] == "LAUNCH_FAILED: no capacity"
    still.wait(lambda: not LaunchJob.objects.get().watched, run, step=60)
    lines = JobEvent.objects.filter(derived=False)
    assert lines.count() == len({(each.at, each.event, each.source_server_id) for each in lines})
