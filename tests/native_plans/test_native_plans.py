"""Plans as recovery plans of DRS: written, repaired, compared, and executed there like here."""

from contextlib import suppress
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from audit.actor import SYSTEM
from audit.models import AuditEntry
from contract.errors import DomainError
from executions.readiness.facts import readiness_of
from native_plans import services
from native_plans.compiled import MOST_SERVERS, MOST_STEPS, compiled
from native_plans.models import Mirror
from plans.models import RecoveryPlan, Wave
from plans.services import update_plan
from tests.native_plans.what_drs_has import in_drs
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import Stage

pytestmark = pytest.mark.slow


def order(stage: Stage) -> list[list[str]]:
    """The servers of each job that launched, in the order of the jobs."""
    jobs = [each for each in stage.simulator.state()["jobs"] if each["type"] == "LAUNCH"]  # type: ignore[attr-defined]
    return [sorted(server["sourceServerID"] for server in each["participatingServers"]) for each in jobs]


def codes(plan: RecoveryPlan) -> list[str]:
    return [str(each.code) for each in readiness_of([plan.pk], timezone.now())[plan.pk].reasons]


def test_the_same_servers_in_the_same_order_both_ways(stage: Stage) -> None:
    plan = stage.plan("db-primary-01 db-replica-01", "app-01 app-02", "web-01")
    Wave.objects.filter(plan=plan, number=1).update(wait_minutes_before=130)
    api = Api(make_user("admin"))
    shown = answer(api.post(f"/recovery-plans/{plan.pk}/native", {}))
    assert [each["name"] for each in shown["plans"][0]["steps"]] == [
        "Wave 1 Tier 1",
        "Wait before wave 2",
        "Wait before wave 2 part 2",
        "Wave 2 Tier 2",
        "Wave 3 Tier 3",
    ]
    (copy,) = shown["inDrs"]
    assert (copy["differs"], copy["digest"], copy["status"]) == ([], shown["plans"][0]["digest"], "ACTIVE")
    client = stage.simulator.client()
    client.start_recovery_plan_execution(recoveryPlanArn=copy["arn"], mode="DRILL")
    (listed,) = answer(api.get("/native-plans?region=us-east-1"))["plans"]
    assert (listed["planId"], listed["executionStatus"], listed["executionMode"]) == (
        str(plan.pk),
        "IN_PROGRESS",
        "DRILL",
    )
    nobodys = refusal(api.get("/native-plans?region=us-east-1&accountId=999999999999"), 400, "VALIDATION_ERROR")
    assert list(nobodys["fields"]) == ["accountId"]
    stage.simulator.advance(20_000)
    assert client.list_recovery_plan_executions()["recoveryPlanExecutions"][0]["status"] == "COMPLETED"
    by_drs = order(stage)
    stage.simulator.reset()
    Wave.objects.filter(plan=plan).update(wait_minutes_before=0)
    stage.until(stage.start(plan), "COMPLETED")
    assert order(stage) == by_drs


def test_a_change_here_or_there_is_seen_and_written_over(stage: Stage) -> None:
    plan = stage.plan("app-01 app-02", "web-01")
    assert "NATIVE_PLAN_DIFFERS" not in codes(plan)
    services.write(actor=SYSTEM, plan_id=plan.pk)
    assert AuditEntry.objects.filter(verb="plan.native").count() == 1
    services.write(actor=SYSTEM, plan_id=plan.pk)
    assert AuditEntry.objects.filter(verb="plan.native").count() == 1, "nothing was to be written"
    assert "NATIVE_PLAN_DIFFERS" not in codes(plan)
    update_plan(actor=SYSTEM, plan_id=plan.pk, rto_minutes=10)
    assert "NATIVE_PLAN_DIFFERS" not in codes(plan), "DRS knows nothing of targets"
    update_plan(actor=SYSTEM, plan_id=plan.pk, name="Renamed")
    assert "NATIVE_PLAN_DIFFERS" in codes(plan)
    services.write(actor=SYSTEM, plan_id=plan.pk)
    (made,) = in_drs(stage.simulator)
    assert made["name"].startswith("Renamed ")
    stage.simulator.client().delete_recovery_plan_step(recoveryPlanStepArn=made["steps"][0]["recoveryPlanStepArn"])
    call_command("native_plans")
    assert "NATIVE_PLAN_DIFFERS" in codes(plan)
    (copy,) = services.look(plan.pk)[1]
    assert any("instead of 2" in each for each in copy.differs)
    services.write(actor=SYSTEM, plan_id=plan.pk)
    assert services.look(plan.pk)[1][0].differs == []
    assert "NATIVE_PLAN_DIFFERS" not in codes(plan)


def test_a_copy_that_somebody_renamed_in_drs_is_found_and_becomes_no_second_one(stage: Stage) -> None:
    plan, client = stage.plan("app-01", "web-01"), stage.simulator.client()
    client.create_recovery_plan(name="Of others")
    services.write(actor=SYSTEM, plan_id=plan.pk)
    mine = next(each for each in in_drs(stage.simulator) if each["name"] != "Of others")
    for name in ("Not ours 1 of 1", "Payments emergency"):
        client.update_recovery_plan(recoveryPlanArn=mine["arn"], name=name)
        (copy,) = services.look(plan.pk)[1]
        assert name in " ".join(copy.differs)
        services.write(actor=SYSTEM, plan_id=plan.pk)
        made = {each["name"] for each in in_drs(stage.simulator)}
        assert made == {"Of others", mine["name"]}
        mine = next(each for each in in_drs(stage.simulator) if each["name"] != "Of others")


@pytest.mark.parametrize("calls", range(1, 7))
def test_a_write_that_is_cut_off_anywhere_is_finished_by_an_engine(stage: Stage, calls: int) -> None:
    plan = stage.plan("app-01 app-02", "web-01", "db-primary-01")
    writes = ["CreateRecoveryPlan", "CreateRecoveryPlanStep", "TagResource", "DescribeSourceServers"]
    stage.simulator.scenario("drop_connection_before", operation=writes, after=calls - 1)
    with suppress(DomainError):
        services.write(actor=SYSTEM, plan_id=plan.pk)
    stage.simulator.clear_scenarios()
    if calls < 6:
        assert "NATIVE_PLAN_DIFFERS" in codes(plan)
        # A process that was killed has released nothing.
        Mirror.objects.update(writing_since=timezone.now() - timedelta(minutes=3))
    stage.look()
    (made,) = in_drs(stage.simulator)
    assert [each["stepOrder"] for each in made["steps"]] == [1, 2, 3]
    assert made["tags"]["drsorch:digest"] == compiled(plan).plans[0].digest
    assert "NATIVE_PLAN_DIFFERS" not in codes(plan)


def test_it_says_what_drs_cannot_and_keeps_to_its_limits(stage: Stage) -> None:
    plan = stage.plan("app-01", "web-01", "db-primary-01", pause={1}, depends_on={2: (0,)}, on_failure={0: "CONTINUE"})
    Wave.objects.filter(plan=plan, number=2).update(success_means="STATUS_CHECKS", wait_minutes_before=1440)
    Wave.objects.filter(plan=plan, number=1).update(wait_minutes_before=1200)
    made = compiled(plan)
    assert {each.what for each in made.not_expressed} == {"GATE", "DEPENDENCY", "ON_FAILURE", "SUCCESS_MEANS", "PARTS"}
    assert [each.name.split()[-3:] for each in made.plans] == [["1", "of", "2"], ["2", "of", "2"]]
    assert all(len(each.steps) <= MOST_STEPS for each in made.plans)
    assert all(sum(len(step.servers) for step in each.steps) <= MOST_SERVERS for each in made.plans)
    services.write(actor=SYSTEM, plan_id=plan.pk)
    Wave.objects.filter(plan=plan).update(wait_minutes_before=0)
    services.write(actor=SYSTEM, plan_id=plan.pk)
    assert len(in_drs(stage.simulator)) == 1, "a part that is not needed any more is deleted"


def test_who_may_write_it_and_what_is_refused(stage: Stage) -> None:
    plan = stage.plan("app-01")
    address = f"/recovery-plans/{plan.pk}/native"
    refusal(Api(make_user("viewer")).post(address, {}), 403, "FORBIDDEN")
    Mirror.objects.create(plan=plan, writing_since=timezone.now())
    refusal(Api(make_user("admin")).post(address, {}), 409, "NATIVE_PLAN_BUSY")
    stage.simulator.scenario("access_denied", operation="ListRecoveryPlans")
    refusal(Api(make_user("viewer")).get(address), 502, "DRS_ACCESS_DENIED")
    stage.simulator.clear_scenarios()
    client = Client()
    client.force_login(make_user("admin"))
    page = f"/recovery-plans/{plan.pk}/in-drs"
    Mirror.objects.update(writing_since=None)
    assert "Nothing is launched." in client.get(f"{page}?write=1").content.decode()
    assert "was written to DRS, as it is now." in client.post(page, follow=True).content.decode()
    text = client.get(f"{page}?ask=1").content.decode()
    assert "as the plan is now" in text
    assert "arn:aws:drs:" in text
