"""The last look before each StartRecovery: what came up since the start no drill ends, and a recovery knowingly."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from django.test import Client

from audit.actor import SYSTEM
from audit.models import AuditEntry
from executions.commands import control
from executions.console.live_page.page_content import Live
from executions.models import Execution, LaunchJob, ServerRun
from executions.states import Kind
from tests.executions.commands.test_production import WHOLE_JOB, asked, launched_outside, running
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.credentials import OTHER_KEY, know_two_accounts
from tests.support.stage import Stage


def by_operator(stage: Stage, *tiers: str, **options: Any) -> Execution:
    """A drill that an operator has started, and of which nothing was sent yet."""
    plan = stage.plan(*tiers, **options)
    begun = answer(Api(make_user("operator")).post("/executions", asked(plan)), 202)
    return Execution.objects.get(pk=begun["executionId"])


def servers(run: Execution) -> dict[str, tuple[str, str]]:
    """Launch status and the code of the launch, by host name."""
    rows = ServerRun.objects.filter(wave__execution=run).select_related("job")
    return {each.hostname: (each.launch_status, each.job.error_code) for each in rows}


def noted(run: Execution, verb: str) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(verb=verb, subject_id=str(run.pk)).order_by("id"))


@pytest.mark.both
@pytest.mark.field("B1")
def test_launched_outside_between_the_start_and_its_send(stage: Stage) -> None:
    run = by_operator(stage, "app-01 app-02 app-03")
    launched_outside(stage, "app-02")
    (production,) = running(stage, "app-02")
    stage.until(run, "PARTIAL")
    assert running(stage, "app-02") == [production]
    assert servers(run) == {
        "app-01": ("LAUNCHED", ""),
        "app-02": ("FAILED", "PRODUCTION_RUNNING"),
        "app-03": ("LAUNCHED", ""),
    }
    row = ServerRun.objects.get(hostname="app-02")
    assert f"AWS would first have terminated {production}" in row.error
    (entry,) = noted(run, "launch.left_out")
    assert (entry.outcome, entry.detail["servers"]) == ("PRODUCTION_RUNNING", [row.source_server_id])
    shown = Live(Execution.objects.with_waves().get(pk=run.pk))
    (problem,) = [each for each in shown.problems if each.what == "app-02"]
    assert (problem.code, production in problem.text) == ("PRODUCTION_RUNNING", True)


@pytest.mark.field("B1")
def test_launched_outside_between_the_start_and_wave_2(stage: Stage) -> None:
    run = by_operator(stage, "web-01", "app-01 app-02", pause={1})
    stage.until(run, "PAUSED")
    launched_outside(stage, "app-01 app-02")
    production = running(stage, "app-01 app-02")
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.until(run, "PARTIAL")
    assert running(stage, "app-01 app-02") == production
    assert {name: status for name, (status, _) in servers(run).items()} == {
        "web-01": "LAUNCHED",
        "app-01": "FAILED",
        "app-02": "FAILED",
    }
    assert len(stage.launches()) == 2, "the drill's first wave, and what was launched outside"
    told = {each.hostname: each.error for each in ServerRun.objects.filter(launch_status="FAILED")}
    assert [each in told[name] for name, each in zip(("app-01", "app-02"), production, strict=True)] == [True, True]


ROLE_KEY = "AKIAROLEINTHISACCOUNT"  # of a role here that somebody of another account has assumed


@pytest.mark.field("B1")
def test_by_an_operator_of_another_account(stage: Stage) -> None:
    """With their own credentials these servers are not theirs to launch. With those of a role in this account they are,
    and DRS tells the job and no name: it is DRS's word that counts, between question and start, and after the start."""
    know_two_accounts(stage.simulator)
    plan, (server,) = stage.plan("app-01"), stage.ids("app-01")
    wanted: Any = {"sourceServers": [{"sourceServerID": server}], "isDrill": False}
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        stage.simulator.client(access_key=OTHER_KEY).start_recovery(**wanted)
    browser = Client()
    browser.force_login(make_user("operator"))
    question = browser.get(f"/recovery-plans/{plan.pk}/start-drill")
    assert (question.status_code, "AWS would first terminate" in question.content.decode()) == (200, False)
    run = by_operator(stage, "app-02")  # another plan's drill, not sent yet
    (mine,) = stage.ids("app-02")
    role = stage.simulator.client(access_key=ROLE_KEY)
    for each in (server, mine):
        role.start_recovery(sourceServers=[{"sourceServerID": each}], isDrill=False)
    stage.advance(WHOLE_JOB)
    production = running(stage, "app-01 app-02")
    told = Api(make_user("operator")).post("/executions", asked(plan))
    (named,) = refusal(told, 403, "FORBIDDEN")["instances"]
    assert named["recoveryInstanceId"] == production[0]
    stage.until(run, "FAILED", step=600, limit=7200)
    assert servers(run) == {"app-02": ("FAILED", "PRODUCTION_RUNNING")}
    assert running(stage, "app-01 app-02") == production
    assert {each["isDrill"] for each in _listed(stage)} == {False}
    told = Api(make_user("operator")).post(f"/executions/{run.pk}/retry", {})
    assert refusal(told, 403, "FORBIDDEN")["instances"][0]["hostname"] == "app-02"


def _listed(stage: Stage) -> list[Any]:
    return list(stage.simulator.client().describe_recovery_instances(filters={})["items"])


def test_a_drill_that_was_launched_outside_is_in_no_ones_way(stage: Stage) -> None:
    run = by_operator(stage, "app-01")
    launched_outside(stage, "app-01", is_drill=True)
    stage.until(run, "COMPLETED")


def test_what_was_agreed_to_goes_and_what_came_since_stays(stage: Stage) -> None:
    plan = stage.plan("app-01 app-02")
    launched_outside(stage, "app-01")
    (agreed,) = running(stage, "app-01")
    manager = Api(make_user("recovery-manager"))
    begun = answer(manager.post("/executions", asked(plan, replaceProduction=True)), 202)
    launched_outside(stage, "app-02")
    (since,) = running(stage, "app-02")
    run = Execution.objects.get(pk=begun["executionId"])
    assert run.agreed_instances == [agreed]
    stage.until(run, "PARTIAL")
    assert servers(run) == {"app-01": ("LAUNCHED", ""), "app-02": ("FAILED", "PRODUCTION_RUNNING")}
    assert running(stage, "app-02") == [since]


def test_a_recovery_goes_on_and_says_what_it_replaces(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01"), Kind.RECOVERY)
    launched_outside(stage, "app-01")
    (instance,) = running(stage, "app-01")
    stage.until(run, "COMPLETED")
    (entry,) = noted(run, "launch.replaces")
    assert entry.detail["instances"] == [instance]
    assert running(stage, "app-01") != [instance]


@pytest.mark.both
@pytest.mark.field("B1")
def test_a_drill_waits_while_drs_does_not_say_what_runs(stage: Stage) -> None:
    run = by_operator(stage, "app-01")
    stage.simulator.scenario("throttle", operation="DescribeRecoveryInstances")
    for _ in range(20):
        stage.advance(300)
        stage.look()
    assert LaunchJob.objects.get().status == "QUEUED"
    shown = Live(Execution.objects.with_waves().get(pk=run.pk))
    assert shown.silence == "AWS has not answered since"
    assert "DescribeRecoveryInstances" in shown.aws_words
    stage.simulator.clear_scenarios()
    stage.until(run, "COMPLETED")
    assert Execution.objects.get().aws_error == ""


@pytest.mark.field("B1")
def test_a_wave_that_waits_for_that_says_so_all_the_time_while_the_jobs_before_it_are_polled(stage: Stage) -> None:
    run = stage.until(stage.start(stage.plan("app-01", "web-01")), "POLLING", "LAUNCHING", step=5)
    stage.simulator.scenario("access_denied", operation="DescribeRecoveryInstances")
    stage.wait(lambda: Execution.objects.get().aws_error != "", run, step=15)
    since = Execution.objects.get().failing_since
    for _ in range(12):
        stage.advance(15)
        stage.look()
        told = Execution.objects.get()
        assert ("DescribeRecoveryInstances" in told.aws_error, told.failing_since) == (True, since)
    assert len(stage.launches()) == 1
    stage.simulator.clear_scenarios()
    stage.wait(lambda: len(stage.launches()) == 2, run, step=15)
    told = Execution.objects.get()
    assert (told.aws_error, told.failing_since) == ("", None)


def test_a_drill_that_waits_for_that_can_be_cancelled(stage: Stage) -> None:
    run = by_operator(stage, "app-01")
    stage.simulator.scenario("throttle", operation="DescribeRecoveryInstances")
    stage.look()
    control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.until(run, "CANCELLED")
    assert stage.launches() == []


def test_a_recovery_goes_on_without_an_answer_and_says_so(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01"), Kind.RECOVERY)
    stage.simulator.scenario("throttle", operation="DescribeRecoveryInstances", times=1)
    stage.until(run, "COMPLETED")
    (entry,) = noted(run, "launch.unchecked")
    assert (entry.outcome, "ThrottlingException" in entry.detail["text"]) == ("PRODUCTION_NOT_CHECKED", True)


def test_what_aws_did_not_tell_is_forgotten_when_it_tells_though_nothing_is_sent(stage: Stage) -> None:
    run = by_operator(stage, "app-01", "web-01", pause={1}, on_failure={0: "CONTINUE"})
    launched_outside(stage, "app-01")
    stage.simulator.scenario("access_denied", operation="DescribeRecoveryInstances")
    stage.wait(lambda: "DescribeRecoveryInstances" in stage.fresh(run).aws_error, run)
    stage.simulator.clear_scenarios()
    run = stage.until(run, "PAUSED")
    assert (servers(run)["app-01"], run.aws_error) == (("FAILED", "PRODUCTION_RUNNING"), "")
