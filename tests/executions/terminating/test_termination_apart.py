"""Terminating several instances of which one is another matter: gone elsewhere, not in DRS any more, refused, untold.

The numbers are those of the field's list of cases: A5, A6 and A7.
"""

from typing import Any, cast

import pytest
from django.test import Client

from audit.models import AuditEntry
from executions.models import Execution, ServerRun, TerminationJob
from executions.terminating.outcome import result
from plans.models import RecoveryPlan
from reports.report_data import record
from tests.executions.launching.test_many_servers import bulk, plan_of, wave_of
from tests.executions.terminating.test_termination import calls, ended, finished, terminate
from tests.support.api_client import Api, answer, make_user
from tests.support.stage import Stage

WEB = "app-01 app-02 app-03"


def long_finished(stage: Stage, *tiers: str) -> Execution:
    """A run that ended longer ago than an instance takes to be listed."""
    run = finished(stage, *tiers or (WEB,))
    stage.advance(600)
    return run


def instance(hostname: str) -> str:
    return ServerRun.objects.get(hostname=hostname).recovery_instance_id


def states() -> dict[str, str]:
    return dict(ServerRun.objects.values_list("hostname", "launch_status"))


def asked(stage: Stage) -> list[list[str]]:
    """The instances of each request, in the order sent."""
    entries = stage.simulator.journal("TerminateRecoveryInstances")
    return [cast("Any", each["params"])["recoveryInstanceIDs"] for each in entries]


def sent(stage: Stage) -> set[str]:
    """The instances that DRS has accepted, each once."""
    entries = [each for each in stage.simulator.journal("TerminateRecoveryInstances") if each["job_id"]]
    ids = [one for each in entries for one in cast("Any", each["params"])["recoveryInstanceIDs"]]
    assert len(ids) == len(set(ids))
    return set(ids)


# A6: one was terminated elsewhere


@pytest.mark.field("A6")
def test_one_that_drs_names_terminated_is_gone_already_and_the_others_go(stage: Stage) -> None:
    run = long_finished(stage)
    stage.simulator.scenario("ec2_terminated", servers=["app-01"])
    stage.simulator.scenario("refuses_instance", servers=["app-01"])  # as it may well do
    told = terminate(stage, run)
    assert told.already_gone == [instance("app-01")]
    assert set(told.terminated) == {instance("app-02"), instance("app-03")} == sent(stage)
    assert (told.failed, told.unknown, calls(stage)) == ([], [], 1)
    assert states()["app-01"] == "TERMINATED"
    ended(stage, run, "COMPLETED")
    again = terminate(stage, run)
    assert (again.already_gone, len(again.terminated), calls(stage)) == (told.already_gone, 2, 1)


@pytest.mark.parametrize(
    ("error", "named"),
    [
        *((each, True) for each in ("ValidationException", "ResourceNotFoundException", "ConflictException")),
        *((each, False) for each in ("ValidationException", "ResourceNotFoundException", "ConflictException")),
        ("AccessDeniedException", True),  # a right may hang on an instance's tags
    ],
)
@pytest.mark.field("A6")
def test_one_that_drs_refuses_keeps_no_other(stage: Stage, error: str, named: bool) -> None:
    run = long_finished(stage)
    refused, others = instance("app-02"), {instance("app-01"), instance("app-03")}
    stage.simulator.scenario("refuses_instance", servers=["app-02"], error=error, named=named)
    told = terminate(stage, run)
    (failure,) = told.failed
    assert (failure.recovery_instance_id, failure.code) == (refused, error)
    assert "cannot be terminated in its present state" in failure.message
    assert set(told.terminated) == others == sent(stage)
    assert stage.fresh(run).termination_status == "IN_PROGRESS"
    ended(stage, run, "PARTIAL")
    assert states() == {"app-01": "TERMINATED", "app-02": "LAUNCHED", "app-03": "TERMINATED"}
    stage.simulator.clear_scenarios()
    assert terminate(stage, run).failed == []
    assert asked(stage)[-1] == [refused]
    ended(stage, run, "COMPLETED")


@pytest.mark.both
@pytest.mark.field("A6")
def test_two_nameless_ones_of_many_are_found_by_halving(stage: Stage) -> None:
    run = stage.start(plan_of(wave_of(bulk(stage, us_east_1=16))))
    stage.until(run, "COMPLETED", "PARTIAL", step=60)
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)
    stage.advance(600)
    up = list(ServerRun.objects.filter(launch_status="LAUNCHED").order_by("position"))
    bad = {up[2].recovery_instance_id, up[-1].recovery_instance_id}
    ids = [up[2].source_server_id, up[-1].source_server_id]
    stage.simulator.scenario("refuses_instance", servers=ids, named=False)
    told = terminate(stage, run)
    assert {each.recovery_instance_id for each in told.failed} == bad
    assert sent(stage) == {each.recovery_instance_id for each in up} - bad
    assert calls(stage) <= 16
    ended(stage, run, "PARTIAL")


def test_an_engine_goes_on_with_the_parts_that_a_killed_request_has_left(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = long_finished(stage)
    stage.simulator.scenario("refuses_instance", servers=["app-02"], named=False)
    monkeypatch.setattr("executions.terminating.send.SECONDS", 0.0)  # the request ends after the first refusal
    told = terminate(stage, run)
    assert (calls(stage), sent(stage), len(told.waiting)) == (1, set(), 3)
    assert stage.fresh(run).termination_status == "IN_PROGRESS"
    ended(stage, run, "PARTIAL")
    assert sent(stage) == {instance("app-01"), instance("app-03")}
    assert states() == {"app-01": "TERMINATED", "app-02": "LAUNCHED", "app-03": "TERMINATED"}


def test_what_is_not_one_instances_fault_is_refused_at_once(stage: Stage) -> None:
    run = long_finished(stage)
    stage.simulator.scenario("throttle", operation="TerminateRecoveryInstances", times=1)
    assert (len(terminate(stage, run).failed), calls(stage)) == (3, 1)


# A7: not in DRS any more


@pytest.mark.field("A7")
def test_one_that_drs_does_not_know_is_left_out_and_told_apart(stage: Stage) -> None:
    run = long_finished(stage)
    stage.simulator.scenario("left_drs", servers=["app-01"])
    lost = instance("app-01")
    terminate(stage, run)
    body = answer(Api(make_user("operator")).post(f"/executions/{run.pk}/terminate-instances", {}), 200)
    assert [each["recoveryInstanceId"] for each in body["unknown"]] == [lost]
    assert f"unknown to DRS, may run in EC2: {lost}" in body["message"]
    assert "2 instances accepted by DRS for termination" in body["message"]
    assert (body["failed"], body["alreadyGone"], lost in sent(stage)) == ([], [], False)
    ended(stage, run, "PARTIAL")
    server = ServerRun.objects.get(hostname="app-01")
    assert (server.launch_status, server.recovery_instance_state, server.terminated_at) == ("LAUNCHED", "UNKNOWN", None)
    shown = answer(Api(make_user("viewer")).get(f"/executions/{run.pk}"), 200)
    told = {each["hostname"]: each["recoveryInstanceState"] for each in shown["waves"][0]["serverStatuses"]}
    assert told == {"app-01": "UNKNOWN", "app-02": None, "app-03": None}
    assert (shown["terminationStatus"], shown["instancesTerminated"]) == ("PARTIAL", False)
    entry = AuditEntry.objects.get(verb="terminate.unknown")
    assert entry.detail["instances"] == [lost]


@pytest.mark.field("A7")
def test_page_and_report_never_say_that_nothing_runs(stage: Stage) -> None:
    run = long_finished(stage)
    stage.simulator.scenario("left_drs", servers=WEB.split())
    told = terminate(stage, run)
    assert (len(told.unknown), told.terminated, told.failed, calls(stage)) == (3, [], [], 0)
    assert stage.fresh(run).termination_status == "NOT_STARTED"
    client = Client()
    client.force_login(make_user("operator"))
    page = client.get(f"/executions/{run.pk}").content.decode()
    assert "3 instances unknown to DRS may still run in EC2" in page
    assert "None of its instances is running" not in page
    assert all(f"Unknown to DRS, may still run in EC2: {instance(name)}" in page for name in WEB.split())
    cleanup = record(stage.fresh(run), stage.clock())["cleanup"]
    assert cleanup["stillRunning"] == 0
    assert set(cleanup["unknownToDrs"]) == {instance(name) for name in WEB.split()}


def test_what_drs_lists_again_can_be_terminated(stage: Stage) -> None:
    run = long_finished(stage, "app-01")
    ServerRun.objects.update(recovery_instance_state="UNKNOWN")
    told = terminate(stage, run)
    assert (told.unknown, told.terminated) == ([], [instance("app-01")])
    ended(stage, run, "COMPLETED")


def test_one_that_somebody_terminated_by_drs_is_gone(stage: Stage) -> None:
    run = long_finished(stage, "app-01 app-02")
    stage.simulator.client().terminate_recovery_instances(recoveryInstanceIDs=[instance("app-01")])
    stage.advance(600)
    told = terminate(stage, run)
    assert (told.already_gone, told.unknown) == ([instance("app-01")], [])
    ended(stage, run, "COMPLETED")


def test_the_end_of_a_later_instance_says_nothing_of_one_that_left_drs(stage: Stage) -> None:
    run = long_finished(stage, "app-01")
    stage.simulator.scenario("left_drs", servers=["app-01"])
    client = stage.simulator.client()
    (server,) = stage.ids("app-01")
    client.start_recovery(sourceServers=[{"sourceServerID": server}], isDrill=True)
    stage.advance(1800)
    (other,) = client.describe_recovery_instances()["items"]
    client.terminate_recovery_instances(recoveryInstanceIDs=[other["recoveryInstanceID"]])
    stage.advance(600)
    told = terminate(stage, run)
    assert ([each.recovery_instance_id for each in told.unknown], told.already_gone) == ([instance("app-01")], [])


def test_a_later_launch_does_not_end_what_drs_does_not_know(stage: Stage) -> None:
    first = long_finished(stage, "app-01")
    stage.simulator.scenario("left_drs", servers=["app-01"])
    assert len(terminate(stage, first).unknown) == 1
    second = stage.until(stage.start(RecoveryPlan.objects.get()), "COMPLETED")
    stage.wait(lambda: stage.fresh(second).next_step_at is None, second)
    row = ServerRun.objects.get(wave__execution=first)
    assert (row.launch_status, row.recovery_instance_state) == ("LAUNCHED", "UNKNOWN")


# A5: the TERMINATE job ends and does not say what became of the instances


@pytest.mark.parametrize("emptied", [True, False], ids=["emptied", "pending"])
@pytest.mark.field("A5")
def test_untold_instances_are_looked_at_before_anything_is_said(stage: Stage, emptied: bool) -> None:
    run = long_finished(stage)
    stage.simulator.scenario("terminate_untold", emptied=emptied)
    terminate(stage, run)
    ended(stage, run, "COMPLETED")
    assert set(states().values()) == {"TERMINATED"}
    assert TerminationJob.objects.get().failures == {}
    assert terminate(stage, run).failed == []


@pytest.mark.parametrize("untold", [{"emptied": True}, {"emptied": False}, None], ids=["emptied", "pending", "told"])
@pytest.mark.field("A5")
def test_one_that_stands_has_failed_with_awss_words_and_its_name(stage: Stage, untold: dict[str, bool] | None) -> None:
    run = long_finished(stage)
    stage.simulator.scenario("terminate_fails", servers=["app-02"])
    if untold is not None:
        stage.simulator.scenario("terminate_untold", **untold)
    terminate(stage, run)
    ended(stage, run, "PARTIAL")
    assert states() == {"app-01": "TERMINATED", "app-02": "LAUNCHED", "app-03": "TERMINATED"}
    (failure,) = result(run).failed
    assert (failure.code, failure.recovery_instance_id) == ("TERMINATION_FAILED", instance("app-02"))
    assert failure.message.startswith("app-02: CLEANUP_FAIL: An error occurred (OperationNotPermitted)")
    (reason,) = result(run).reasons
    assert reason.startswith("The instance could not be removed: it may be protected from termination.")


@pytest.mark.field("A5")
def test_nothing_is_said_while_drs_does_not_answer(stage: Stage) -> None:
    run = long_finished(stage)
    stage.simulator.scenario("terminate_untold")
    terminate(stage, run)
    stage.simulator.scenario("throttle", operation="DescribeRecoveryInstances")
    for _ in range(20):
        stage.advance(60)
        stage.look()
    assert (stage.fresh(run).termination_status, set(states().values())) == ("IN_PROGRESS", {"LAUNCHED"})
    stage.simulator.clear_scenarios("throttle")
    ended(stage, run, "COMPLETED")
