"""Did it really come up: status checks, post-launch actions, and what a wave's success means."""

import json
from typing import Any

import pytest
from django.test import Client

from audit.actor import SYSTEM
from audit.models import AuditEntry
from drsorch_verify import archive, came_up
from drsorch_verify.check import JOURNAL, REPORT, problems
from executions.models import Execution, ServerRun
from executions.states import Kind
from executions.terminating.terminate import terminate
from plans.fields import WaveSpec
from plans.models import RecoveryPlan
from plans.services import create_plan
from reports import services as reports
from tests.support.api_client import Api, answer
from tests.support.packs import found_wrong
from tests.support.still import StillStage


def planned(still: StillStage, *tiers: str, means: str = "LAUNCHED", minutes: int = 15, **more: Any) -> RecoveryPlan:
    waves = [
        WaveSpec(
            name=f"Tier {number + 1}",
            group_ids=[still.group(hostnames).pk],
            server_ids=still.ids(hostnames),
            success_means=means if number == 0 else "LAUNCHED",
            check_timeout_minutes=minutes,
            depends_on=[0] if number else [],
            **more,
        )
        for number, hostnames in enumerate(tiers)
    ]
    return create_plan(actor=SYSTEM, name="Proven", waves=waves)


def shown(admin: Api, run: Execution, hostname: str = "app-01") -> dict[str, Any]:
    waves = answer(admin.get(f"/executions/{run.pk}"))["waves"]
    return next(each for wave in waves for each in wave["serverStatuses"] if each["hostname"] == hostname)


def row(hostname: str = "app-01") -> ServerRun:
    return ServerRun.objects.get(hostname=hostname)


@pytest.mark.both
@pytest.mark.field("A8")
def test_a_wave_waits_until_status_checks_have_passed(still: StillStage, admin: Api) -> None:
    run = still.start(planned(still, "app-01", "web-01", means="STATUS_CHECKS"))
    still.wait(lambda: row().launch_status == "LAUNCHED", run, step=15)
    still.advance(15)
    still.look()
    told = shown(admin, run)
    assert (told["statusChecks"], told["usableTime"]) == ({"system": "PENDING", "instance": "PENDING"}, None)
    assert [wave.status for wave in still.waves(run)] == ["LAUNCHING", "PENDING"]
    assert len(still.launches()) == 1
    run = still.until(run, "COMPLETED", step=15)
    told = shown(admin, run)
    assert told["statusChecks"] == {"system": "OK", "instance": "OK"}
    assert 150 <= told["usableTime"] - told["launchTime"] <= 210
    assert 0 <= told["usableObservedLate"] <= 60
    wave = answer(admin.get(f"/executions/{run.pk}"))["waves"][0]
    assert (wave["successMeans"], wave["checkTimeoutMinutes"]) == ("STATUS_CHECKS", 15)
    still.wait(lambda: still.fresh(run).next_step_at is None, run, step=60)
    made = reports.evidence(actor=SYSTEM, execution_id=run.pk, clock=still.clock)
    report = json.loads(archive.read(made)[REPORT])
    assert (problems(made), report["measured"]["complete"]) == ([], True)
    servers = [each for wave in report["waves"] for each in wave["servers"]]
    reference = report["measured"]["referenceTime"]
    assert report["measured"]["usableRto"]["seconds"] == max(each["usableTime"] for each in servers) - reference
    assert report["measured"]["usableRto"]["seconds"] > report["measured"]["rto"]["seconds"]
    entries = [link["entry"] for link in json.loads(archive.read(made)[JOURNAL])["links"] if "entry" in link]
    servers[0]["usableTime"] -= 1
    assert came_up.of_usable(report["waves"][0], entries) == [
        "app-01 is usable since another time than the journal says"
    ]


@pytest.mark.field("A8")
def test_a_server_whose_checks_do_not_pass_is_not_usable_and_can_be_terminated(still: StillStage, admin: Api) -> None:
    still.simulator.scenario("status_checks", servers=["app-01"], instance="impaired")
    run = still.start(planned(still, "app-01 app-02", "web-01", means="STATUS_CHECKS", minutes=10))
    run = still.until(run, "PARTIAL", "FAILED", "COMPLETED", step=60)
    assert still.picture(run) == ("PARTIAL", ["FAILED", "SKIPPED"])
    told, fine = shown(admin, run), shown(admin, run, "app-02")
    assert (told["launchStatus"], told["errorCode"], told["usableTime"]) == ("FAILED", "NOT_USABLE", None)
    assert told["statusChecks"] == {"system": "OK", "instance": "IMPAIRED"}
    assert "within 10 min" in told["error"]
    assert (fine["launchStatus"], fine["usableTime"] is not None) == ("LAUNCHED", True)
    instance = told["recoveryInstanceId"]
    assert instance
    still.advance(900)
    still.look()
    assert row().launch_status == "FAILED", "DRS goes on calling it launched"
    terminate(actor=SYSTEM, execution_id=run.pk, clock=still.clock)
    still.wait(lambda: still.fresh(run).termination_status == "COMPLETED", run, step=60)
    calls: list[dict[str, Any]] = still.simulator.journal("TerminateRecoveryInstances")
    ended = {each for call in calls for each in call["params"]["recoveryInstanceIDs"]}
    assert {instance, fine["recoveryInstanceId"]} == ended


@pytest.mark.field("A8")
def test_a_server_that_did_not_come_up_is_launched_again_by_a_retry_of_its_wave(still: StillStage, admin: Api) -> None:
    still.simulator.scenario("status_checks", servers=["app-01"], system="impaired", instance="ok")
    plan = planned(still, "app-01 app-02", means="STATUS_CHECKS", minutes=5, on_failure="PAUSE")
    run = still.until(still.start(plan), "PAUSED", step=60)
    first = row()
    assert (first.error_code, first.launched_at) == ("NOT_USABLE", None)
    still.simulator.clear_scenarios("status_checks")
    answer(admin.post(f"/executions/{run.pk}/waves/0/retry"))
    run = still.until(run, "COMPLETED", "PARTIAL", "PAUSED", step=60)
    again = row()
    assert (run.status, again.launch_status, again.error) == ("COMPLETED", "LAUNCHED", "")
    assert again.recovery_instance_id != first.recovery_instance_id
    assert again.usable_at is not None
    assert [len(call["params"]["sourceServers"]) for call in still.launches()] == [2, 1]
    (earlier,) = answer(admin.get(f"/executions/{run.pk}"))["earlierInstances"]
    assert (earlier["recoveryInstanceId"], earlier["launchStatus"]) == (first.recovery_instance_id, "TERMINATED")
    replaced = AuditEntry.objects.get(verb="instances.replaced")
    assert (replaced.subject_id, replaced.detail["instances"]) == (str(run.pk), [first.recovery_instance_id])


@pytest.mark.field("A8")
def test_its_instance_stays_the_runs_until_it_is_terminated(still: StillStage, admin: Api) -> None:
    """DRS refuses the launch of the wave's retry, so that nothing replaces what the first one brought up."""
    still.simulator.scenario("status_checks", servers=["app-01"], system="impaired", instance="ok")
    plan = planned(still, "app-01 app-02", means="STATUS_CHECKS", minutes=5, on_failure="PAUSE")
    run = still.until(still.start(plan), "PAUSED", step=60)
    first = row()
    still.simulator.scenario("server_refused", servers=["app-01"], code="ValidationException", named=True)
    answer(admin.post(f"/executions/{run.pk}/waves/0/retry"))
    still.until(run, "PAUSED", step=60)
    answer(admin.post(f"/executions/{run.pk}/resume"))
    run = still.until(run, "PARTIAL", step=60)
    assert row().recovery_instance_id == ""
    admin_page = Client()
    admin_page.force_login(admin.user)
    page = admin_page.get(f"/executions/{run.pk}").content.decode()
    assert f'<code>{first.recovery_instance_id}</code> <span class="bad">did not come up' in page
    assert "1 instance not up as the wave asks may still run and cost money." in page
    question = admin_page.get(f"/executions/{run.pk}/terminate").content.decode()
    assert ("Terminate 2 instances" in question, first.recovery_instance_id in question) == (True, True)
    report = answer(admin.get(f"/executions/{run.pk}/report"))
    assert report["cleanup"]["stillRunning"] == 2
    terminate(actor=SYSTEM, execution_id=run.pk, clock=still.clock)
    still.wait(lambda: still.fresh(run).termination_status == "COMPLETED", run, step=60)
    assert still.simulator.state()["instances"] == []
    made = reports.evidence(actor=SYSTEM, execution_id=run.pk, clock=still.clock)
    shown = json.loads(archive.read(made)[REPORT])["cleanup"]
    assert (problems(made), first.recovery_instance_id in shown["accepted"]) == ([], True)
    (earlier,) = shown["earlierInstances"]
    assert (earlier["recoveryInstanceId"], earlier["launchStatus"]) == (first.recovery_instance_id, "TERMINATED")
    ServerRun.launches.filter(superseded=True).update(recovery_instance_id="i-00000000000000000")
    still.packs.touched = True
    assert any("launches before a retry are others" in each for each in found_wrong(run, still.clock()))


@pytest.mark.field("A26")
@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED"])
def test_a_wave_waits_for_required_actions(still: StillStage, admin: Api, status: str) -> None:
    still.simulator.scenario(
        "launch_actions", servers=["app-01"], seconds=400, optional=False, status=status, reason="no answer"
    )
    run = still.start(planned(still, "app-01 app-02", means="LAUNCH_ACTIONS"))
    still.wait(lambda: row().checks_passed_at is not None, run, step=60)
    assert still.waves(run)[0].status == "LAUNCHING"
    run = still.until(run, "COMPLETED", "PARTIAL", step=60)
    told = shown(admin, run)
    if status == "SUCCEEDED":
        assert (run.status, told["launchStatus"]) == ("COMPLETED", "LAUNCHED")
        assert told["usableTime"] >= told["launchTime"] + 390
    else:
        assert (run.status, told["launchStatus"], told["errorCode"]) == ("PARTIAL", "FAILED", "NOT_USABLE")
        assert "no answer" in told["error"]
        assert "Verify HTTP response" in told["error"]


@pytest.mark.field("A26")
def test_an_optional_action_that_fails_keeps_nobody(still: StillStage) -> None:
    still.simulator.scenario("launch_actions", servers=["app-01"], seconds=30, optional=True, status="FAILED")
    run = still.until(still.start(planned(still, "app-01", means="LAUNCH_ACTIONS")), "COMPLETED", "FAILED", step=60)
    assert run.status == "COMPLETED"


@pytest.mark.field("A8")
def test_without_the_right_checks_are_unknown_and_nothing_is_made_up(still: StillStage, admin: Api) -> None:
    still.simulator.scenario("access_denied", operation="DescribeInstanceStatus")
    run = still.until(still.start(planned(still, "app-01")), "COMPLETED", step=60)
    still.wait(lambda: still.fresh(run).next_step_at is None, run, step=60)
    told = shown(admin, run)
    assert (told["statusChecks"], told["usableTime"]) == ({"system": "UNKNOWN", "instance": "UNKNOWN"}, None)


@pytest.mark.field("A8")
def test_a_server_that_is_launched_stopped_is_never_usable(still: StillStage, admin: Api) -> None:
    still.simulator.scenario("dies_at_once", servers=["app-01"], state="STOPPED")
    still.simulator.scenario("launch_disposition", servers=["app-01"], disposition="STOPPED")
    plan = planned(still, "app-01 app-02", means="STATUS_CHECKS")
    run = still.until(still.start(plan, Kind.DRILL), "PARTIAL", "FAILED", "COMPLETED", step=60)
    told = shown(admin, run)
    assert (told["launchStatus"], told["errorCode"], told["usableTime"]) == ("FAILED", "NOT_USABLE", None)


@pytest.mark.field("A8")
def test_an_engine_that_looks_late_asks_before_it_judges(still: StillStage) -> None:
    """An hour in which nobody looked is no time in which the server did not come up."""
    run = still.start(planned(still, "app-01", means="STATUS_CHECKS", minutes=5))
    still.look()
    still.advance(3600)
    run = still.until(run, "COMPLETED", "FAILED", "PARTIAL", step=15)
    assert run.status == "COMPLETED"


@pytest.mark.parametrize("trouble", ["throttle", "proxy_page"])
@pytest.mark.field("A8")
def test_ec2_that_does_not_answer_proves_nothing_for_a_while(still: StillStage, trouble: str) -> None:
    still.simulator.scenario(trouble, operation="DescribeInstanceStatus")
    run = still.start(planned(still, "app-01", means="STATUS_CHECKS", minutes=5))
    still.wait(lambda: row().launch_status == "LAUNCHED", run, step=15)
    still.advance(400)
    still.look()
    assert row().launch_status == "LAUNCHED"
    run = still.until(run, "COMPLETED", "FAILED", step=60)
    assert (run.status, row().error_code, row().system_check) == ("FAILED", "NOT_USABLE", "")
    assert "UNKNOWN" in row().error
