"""A drill replaces what an earlier recovery launched: only who may terminate that may start one, and knowingly."""

import pytest
from django.test import Client

from audit.models import AuditEntry
from executions.models import Execution, ServerRun
from executions.states import Kind
from plans.models import RecoveryPlan
from tests.api_client import Api, answer, make_user, refusal
from tests.stage import Stage


def recovered(stage: Stage) -> RecoveryPlan:
    """A plan whose recovery is over, and whose instances run."""
    plan = stage.plan("app-01 app-02")
    run = stage.until(stage.start(plan, Kind.RECOVERY), "COMPLETED")
    stage.wait(lambda: not run.waves.filter(jobs__watched=True).exists(), run)
    return plan


def instances(plan: RecoveryPlan) -> list[str]:
    rows = ServerRun.objects.filter(wave__execution__plan=plan, wave__execution__kind=Kind.RECOVERY).order_by("pk")
    return list(rows.values_list("recovery_instance_id", flat=True))


def drill(plan: RecoveryPlan) -> dict[str, str]:
    return {"planId": str(plan.pk), "executionType": "DRILL"}


def test_an_operator_cannot_end_a_recovery_by_a_drill(stage: Stage) -> None:
    plan = recovered(stage)
    told = Api(make_user("operator")).post("/executions", drill(plan))
    refusal(told, 403, "FORBIDDEN")
    assert "AWS would first terminate 2 running recovery instances" in told.json()["message"]
    assert Execution.objects.count() == 1
    assert answer(Api(make_user("operator")).post("/executions", {**drill(plan), "dryRun": True}), 202)


def test_a_recovery_manager_can_and_the_journal_says_which_went(stage: Stage) -> None:
    plan = recovered(stage)
    answer(Api(make_user("recovery-manager")).post("/executions", drill(plan)), 202)
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
    again = stage.until(stage.start(plan), "COMPLETED")
    rows = ServerRun.objects.filter(wave__execution=recovery)
    assert {(row.launch_status, row.terminated_at is not None) for row in rows} == {("TERMINATED", True)}
    recovery.refresh_from_db()
    assert (recovery.status, recovery.termination_status) == ("COMPLETED", "COMPLETED")
    entries = AuditEntry.objects.filter(verb="instances.replaced", subject_id=str(recovery.pk))
    assert sorted(each for entry in entries for each in entry.detail["instances"]) == sorted(instances(plan))
    assert {entry.detail["byExecution"] for entry in entries} == {str(again.pk)}
    assert set(ServerRun.objects.filter(wave__execution=again).values_list("launch_status", flat=True)) == {"LAUNCHED"}
