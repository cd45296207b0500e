"""A drill replaces what an earlier recovery launched: only who may terminate that may start one, and knowingly."""

from collections.abc import Callable

import pytest
from django.test import Client

from audit.actor import SYSTEM
from audit.models import AuditEntry
from executions.commands.abandon import abandon
from executions.models import Execution, LaunchJob, ServerRun
from executions.states import Kind
from plans.models import RecoveryPlan
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import Stage


def recovered(stage: Stage, hostnames: str = "app-01 app-02") -> RecoveryPlan:
    """A plan whose recovery is over, and whose instances run."""
    plan = stage.plan(hostnames)
    run = stage.until(stage.start(plan, Kind.RECOVERY), "COMPLETED")
    stage.wait(lambda: not run.waves.filter(jobs__watched=True).exists(), run)
    return plan


def instances(plan: RecoveryPlan) -> list[str]:
    rows = ServerRun.objects.filter(wave__execution__plan=plan, wave__execution__kind=Kind.RECOVERY).order_by("pk")
    return list(rows.values_list("recovery_instance_id", flat=True))


def drill(plan: RecoveryPlan, **body: object) -> dict[str, object]:
    return {"planId": str(plan.pk), "executionType": "DRILL", **body}


@pytest.mark.field("B1")
def test_an_operator_cannot_end_a_recovery_by_a_drill(stage: Stage) -> None:
    plan = recovered(stage)
    told = Api(make_user("operator")).post("/executions", drill(plan))
    refusal(told, 403, "FORBIDDEN")
    assert "AWS would first terminate 2 running recovery instances" in told.json()["message"]
    assert Execution.objects.count() == 1
    assert answer(Api(make_user("operator")).post("/executions", {**drill(plan), "dryRun": True}), 202)


def test_a_recovery_manager_can_and_the_journal_says_which_went(stage: Stage) -> None:
    plan = recovered(stage)
    manager = Api(make_user("recovery-manager"))
    named = refusal(manager.post("/executions", drill(plan)), 409, "PRODUCTION_RUNNING")["instances"]
    assert [each["recoveryInstanceId"] for each in named] == instances(plan)
    answer(manager.post("/executions", drill(plan, replaceProduction=True)), 202)
    entry = AuditEntry.objects.filter(verb="execution.start", outcome="ok").latest("id")
    assert entry.detail["endsRecoveryInstances"] == instances(plan)


@pytest.mark.parametrize(
    ("role", "says"), [("operator", "disabled>Start drill"), ("recovery-manager", 'name="confirm"')]
)
def test_the_console_names_them_and_has_the_plan_typed(stage: Stage, role: str, says: str) -> None:
    plan = recovered(stage)
    client = Client()
    client.force_login(make_user(role))
    page = client.get(f"/recovery-plans/{plan.pk}/start-drill").content.decode()
    assert "Production may run here." in page
    assert "Production is not touched" not in page
    assert all(each in page for each in instances(plan))
    assert says in page
    refused = client.post(f"/recovery-plans/{plan.pk}/start-drill", {"confirm": "no"})
    assert refused.status_code in (422, 403, 200)
    assert Execution.objects.count() == 1
    client.post(f"/recovery-plans/{plan.pk}/start-drill", {"confirm": plan.name})
    assert Execution.objects.count() == (2 if role == "recovery-manager" else 1)


def test_the_recovery_says_that_its_instances_are_gone_as_soon_as_they_are(stage: Stage) -> None:
    plan = recovered(stage)
    recovery = plan.executions.get()
    again = stage.until(stage.start(plan, replace_production=True), "COMPLETED")
    rows = ServerRun.objects.filter(wave__execution=recovery)
    assert {(row.launch_status, row.terminated_at is not None) for row in rows} == {("TERMINATED", True)}
    recovery.refresh_from_db()
    assert (recovery.status, recovery.termination_status) == ("COMPLETED", "COMPLETED")
    entries = AuditEntry.objects.filter(verb="instances.replaced", subject_id=str(recovery.pk))
    assert sorted(each for entry in entries for each in entry.detail["instances"]) == sorted(instances(plan))
    assert {entry.detail["byExecution"] for entry in entries} == {str(again.pk)}
    assert set(ServerRun.objects.filter(wave__execution=again).values_list("launch_status", flat=True)) == {"LAUNCHED"}


def timed_out(stage: Stage) -> RecoveryPlan:
    """A plan whose recovery is over because its server is late; that one is still coming up."""
    stage.simulator.scenario("slow_server", servers=["app-02"], factor=6, times=1)
    plan = stage.plan("app-02")
    stage.until(stage.start(plan, Kind.RECOVERY), "FAILED")
    return plan


def given_up(stage: Stage) -> RecoveryPlan:
    """A plan whose recovery did not wait for a server that DRS's job had left open; DRS is asked for it on."""
    stage.simulator.scenario("never_settles", servers=["app-02"], times=1)
    plan = stage.plan("app-02")
    run = stage.until(stage.start(plan, Kind.RECOVERY), "FAILED")
    assert run.waves.get().servers.get().launch_status == "FAILED"
    return plan


def in_doubt(stage: Stage) -> RecoveryPlan:
    """A plan whose recovery was given up before AWS said whether its launch arrived; it did."""
    stage.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
    stage.simulator.scenario("throttle", operation="DescribeJobs")
    plan = stage.plan("app-02")
    run = stage.start(plan, Kind.RECOVERY)
    for _ in range(35):
        stage.advance(60)
        stage.look()
    abandon(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    return plan


def nameless(stage: Stage) -> RecoveryPlan:
    """A plan whose recovery is over and of whose instances DRS has not told the ids."""
    plan = recovered(stage, "app-02")
    ServerRun.objects.update(recovery_instance_id="")
    return plan


@pytest.mark.parametrize("is_listed", [False, True])
@pytest.mark.parametrize("left", [timed_out, given_up, in_doubt, nameless])
def test_an_operator_cannot_end_what_is_coming_up_or_has_no_name_yet(
    stage: Stage, left: Callable[[Stage], RecoveryPlan], is_listed: bool
) -> None:
    """By our own rows while DRS does not list it, then by what it lists."""
    plan, (server,) = left(stage), stage.ids("app-02")
    if not is_listed:
        stage.simulator.scenario("throttle", operation="DescribeRecoveryInstances")
    told = Api(make_user("operator")).post("/executions", drill(plan))
    (named,) = refusal(told, 403, "FORBIDDEN")["instances"]
    assert named["sourceServerId"] == server
    unlisted = left in (timed_out, given_up)
    up = is_listed and not unlisted
    assert bool(named["recoveryInstanceId"]) is up
    running = "1 running recovery instance" if up or left is nameless else "1 recovery instance that may still launch"
    ended = named["recoveryInstanceId"] or server
    assert f"AWS would first terminate {running} (app-02 {ended})." in told.json()["message"]
    client = Client()
    client.force_login(make_user("recovery-manager"))
    page = client.get(f"/recovery-plans/{plan.pk}/start-drill").content.decode()
    assert "Production may run here." in page
    assert ended in page
    assert 'name="confirm"' in page
    assert Execution.objects.count() == 1
    stage.simulator.clear_scenarios()
    answer(Api(make_user("recovery-manager")).post("/executions", drill(plan, replaceProduction=True)), 202)
    entry = AuditEntry.objects.filter(verb="execution.start", outcome="ok").latest("id")
    (noted,) = entry.detail["endsRecoveryInstances"]
    assert noted.startswith("s-" if unlisted else "i-")


def test_a_launch_that_never_was_ends_nothing(stage: Stage) -> None:
    """What DRS has refused, and what was withdrawn, can come up no more."""
    stage.simulator.scenario("access_denied", operation="StartRecovery", times=1)
    plan = stage.plan("app-01", "app-02")
    stage.until(stage.start(plan, Kind.RECOVERY), "FAILED")
    assert set(LaunchJob.objects.values_list("status", flat=True)) == {"REJECTED", "QUEUED"}
    answer(Api(make_user("operator")).post("/executions", drill(plan)), 202)
