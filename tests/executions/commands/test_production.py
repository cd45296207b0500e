"""What DRS launched outside of this product's runs may be production, too: no start ends it unless it is agreed to."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from audit.actor import SYSTEM
from audit.models import AuditEntry
from drs.client import Drs
from executions.commands import control, retry
from executions.models import Execution, ServerRun
from executions.states import Kind
from plans.models import RecoveryPlan
from protection.inventory import recovery_instances
from protection.inventory.source_servers import read_region
from protection.models import RecoveryInstance, RegionInventory, SourceServer
from tests.console.world import ACCOUNT
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import Stage

WHOLE_JOB = 3600


def launched_outside(stage: Stage, hostnames: str, *, is_drill: bool = False) -> str:
    """As somebody does in DRS's console, or a native plan: no run of ours knows of it. Answers the DRS job."""
    servers: Any = [{"sourceServerID": each} for each in stage.ids(hostnames)]
    job = stage.simulator.client().start_recovery(sourceServers=servers, isDrill=is_drill)["job"]["jobID"]
    stage.advance(WHOLE_JOB)
    return job


def running(stage: Stage, hostnames: str) -> list[str]:
    listed = Drs("us-east-1").recovery_instances(stage.ids(hostnames))
    by_server = {each.source_server_id: each.recovery_instance_id for each in listed}
    return [by_server[each] for each in stage.ids(hostnames)]


def asked(plan: RecoveryPlan, kind: str = "DRILL", **body: object) -> dict[str, object]:
    return {"planId": str(plan.pk), "executionType": kind, **body}


def noted() -> dict[str, Any]:
    entry = AuditEntry.objects.filter(verb__in=["execution.start", "execution.retry"], outcome="ok").latest("id")
    return dict(entry.detail)


@pytest.mark.parametrize("kind", ["DRILL", "RECOVERY"])
@pytest.mark.field("B1")
def test_what_was_launched_outside_is_ended_by_nobody_unasked(stage: Stage, kind: str) -> None:
    plan = stage.plan("app-01 app-02")
    job = launched_outside(stage, "app-01")
    (instance,), (server, _) = running(stage, "app-01"), stage.ids("app-01 app-02")
    starter = make_user("operator")
    starter.user_permissions.add(Permission.objects.get(codename="start_recovery"))
    told = Api(starter).post("/executions", asked(plan, kind, replaceProduction=True))
    details = refusal(told, 403, "FORBIDDEN")
    (named,) = details["instances"]
    assert details["right"] == "executions.terminate_recovery"
    assert named["recoveryInstanceId"] == instance
    assert (named["launchedBy"].split(" (")[0], bool(named["since"])) == (f"outside this product, DRS job {job}", True)
    assert (named["sourceServerId"], named["hostname"]) == (server, SourceServer.objects.get(pk=server).name)
    assert f"1 running recovery instance ({named['hostname']} {instance})" in told.json()["message"]
    manager = Api(make_user("recovery-manager"))
    assert refusal(manager.post("/executions", asked(plan, kind)), 409, "PRODUCTION_RUNNING")["instances"] == [named]
    assert Execution.objects.count() == 0
    assert {each.recovery_instance_id for each in RecoveryInstance.objects.production()} == {instance}
    begun = answer(manager.post("/executions", asked(plan, kind, replaceProduction=True)), 202)
    assert "warnings" not in begun
    assert (noted()["endsRecoveryInstances"], noted()["replaceProduction"]) == ([instance], True)


def test_it_is_told_who_launched_it_and_when(stage: Stage) -> None:
    plan = stage.plan("app-01")
    job = launched_outside(stage, "app-01")
    stage.sweep.next_inventory_check = None
    RegionInventory.objects.update(tried_at="2020-01-01T00:00Z")
    stage.look()
    (named,) = refusal(Api(make_user("operator")).post("/executions", asked(plan)), 403, "FORBIDDEN")["instances"]
    assert named["launchedBy"] == f"outside this product, DRS job {job} (START_RECOVERY)"
    (made,) = Drs("us-east-1").jobs([job])
    assert named["since"] == int(made.created_at.timestamp())


def test_a_drill_that_was_launched_outside_is_replaced_as_before(stage: Stage) -> None:
    plan = stage.plan("app-01 app-02")
    launched_outside(stage, "app-01", is_drill=True)
    answer(Api(make_user("operator")).post("/executions", asked(plan)), 202)
    assert RecoveryInstance.objects.get().is_drill is True
    assert "endsRecoveryInstances" not in noted()


@pytest.mark.field("B1")
def test_what_drs_does_not_call_a_drill_counts_as_production(stage: Stage) -> None:
    plan = stage.plan("app-01 app-02")
    launched_outside(stage, "app-01", is_drill=True)
    stage.simulator.scenario("no_is_drill", servers=["app-01"])
    refusal(Api(make_user("operator")).post("/executions", asked(plan)), 403, "FORBIDDEN")
    assert RecoveryInstance.objects.get().is_drill is None


@pytest.mark.field("B1")
def test_what_a_forgotten_run_launched_is_known_by_the_inventory(stage: Stage) -> None:
    plan = stage.plan("app-01")
    run = stage.until(stage.start(plan, Kind.RECOVERY), "COMPLETED")
    Execution.objects.filter(pk=run.pk).delete()
    (named,) = refusal(Api(make_user("operator")).post("/executions", asked(plan)), 403, "FORBIDDEN")["instances"]
    assert [named["recoveryInstanceId"]] == running(stage, "app-01")


@pytest.mark.field("B1")
def test_our_own_rows_guard_also_where_the_inventory_knows_nothing(stage: Stage) -> None:
    plan = stage.plan("app-01")
    run = stage.until(stage.start(plan, Kind.RECOVERY), "COMPLETED")
    assert not RecoveryInstance.objects.exists(), "the inventory is older than the launch"
    stage.simulator.scenario("throttle", operation="DescribeRecoveryInstances")
    for kind in ("DRILL", "RECOVERY"):
        details = refusal(
            Api(make_user("recovery-manager")).post("/executions", asked(plan, kind)), 409, "PRODUCTION_RUNNING"
        )
        (named,) = details["instances"]
        assert named["launchedBy"] == f"Recovery of {plan.name}, run {run.number}"


def test_what_a_run_has_terminated_since_the_inventory_was_read_is_no_production(stage: Stage) -> None:
    plan = stage.plan("app-01")
    run = stage.until(stage.start(plan, Kind.RECOVERY), "COMPLETED")
    read_region("us-east-1")
    assert RecoveryInstance.objects.production().count() == 1
    stage.wait(lambda: not run.waves.filter(jobs__watched=True).exists(), run)
    control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.wait(lambda: ServerRun.objects.get().launch_status == "TERMINATED", run)
    assert RecoveryInstance.objects.production().count() == 1, "not read again"
    stage.start(plan)


# DRS does not answer


def silence(stage: Stage) -> None:
    """DRS tells no recovery instances, and what it told is too old to be believed."""
    stage.simulator.scenario("throttle", operation="DescribeRecoveryInstances")
    RegionInventory.objects.update(instances_as_of="2020-01-01T00:00Z")


@pytest.mark.field("B1")
def test_a_drill_that_could_not_be_checked_does_not_start(stage: Stage) -> None:
    plan = stage.plan("app-01")
    silence(stage)
    told = Api(make_user("operator")).post("/executions", asked(plan))
    assert refusal(told, 503, "DRS_THROTTLED")["region"] == "us-east-1"
    assert told.headers["Retry-After"]
    assert Execution.objects.count() == 0
    answer(Api(make_user("operator")).post("/executions", asked(plan, dryRun=True)), 202)


def test_a_recovery_that_could_not_be_checked_starts_and_says_so(stage: Stage) -> None:
    plan = stage.plan("app-01")
    silence(stage)
    begun = answer(Api(make_user("recovery-manager")).post("/executions", asked(plan, "RECOVERY")), 202)
    (warning,) = begun["warnings"]
    assert (warning["code"], warning["region"]) == ("PRODUCTION_NOT_CHECKED", "us-east-1")
    assert warning["message"].startswith("The run was started. AWS did not list the recovery instances in us-east-1")
    assert "ThrottlingException" in warning["message"]
    assert "Nothing was changed" not in warning["message"]
    assert list(noted()["productionNotChecked"]) == ["us-east-1"]


def test_the_first_answer_is_told_again_although_drs_is_silent(stage: Stage) -> None:
    plan, api = stage.plan("app-01"), Api(make_user("operator"))
    first = answer(api.post("/executions", asked(plan), Idempotency_Key="once"), 202)
    silence(stage)
    assert answer(api.post("/executions", asked(plan), Idempotency_Key="once"), 202) == first


def test_that_drs_tells_no_instances_leaves_those_that_were_known(stage: Stage) -> None:
    stage.plan("app-01")
    launched_outside(stage, "app-01")
    read_region("us-east-1")
    before = RegionInventory.objects.get()
    stage.simulator.scenario("throttle", operation="DescribeRecoveryInstances")
    read_region("us-east-1")
    after = RegionInventory.objects.get()
    assert (after.instances_as_of, after.instances_error[:10]) == (before.instances_as_of, "Throttling")
    assert (after.as_of is not None, after.error_code) == (True, "")
    assert RecoveryInstance.objects.production().count() == 1
    stage.simulator.clear_scenarios()
    stage.simulator.scenario("short_pages", size=1, operation="DescribeRecoveryInstances")
    launched_outside(stage, "app-02 app-03")
    read_region("us-east-1")
    assert RecoveryInstance.objects.count() == 3
    assert RegionInventory.objects.get().instances_error == ""


def test_a_reading_that_comes_late_takes_no_newer_one_back(stage: Stage) -> None:
    stage.plan("app-01")
    late = recovery_instances.fetch("us-east-1", ACCOUNT)
    launched_outside(stage, "app-01")
    recovery_instances.keep(recovery_instances.fetch("us-east-1", ACCOUNT))
    recovery_instances.keep(late)
    assert RecoveryInstance.objects.count() == 1


# Trying again


def test_a_retry_asks_as_a_start_does(stage: Stage) -> None:
    stage.simulator.scenario("launch_failed", servers=["app-02"], times=1)
    plan = stage.plan("app-01 app-02")
    run = stage.until(stage.start(plan), "PARTIAL")
    stage.wait(lambda: not run.waves.filter(jobs__watched=True).exists(), run)
    launched_outside(stage, "app-02")
    path = f"/executions/{run.pk}/retry"
    (named,) = refusal(Api(make_user("operator")).post(path, {}), 403, "FORBIDDEN")["instances"]
    assert [named["recoveryInstanceId"]] == running(stage, "app-02")
    manager = Api(make_user("recovery-manager"))
    refusal(manager.post(path, {}), 409, "PRODUCTION_RUNNING")
    answer(manager.post(path, {"replaceProduction": True}), 202)
    assert noted()["endsRecoveryInstances"] == [named["recoveryInstanceId"]]


def test_a_recovery_is_tried_again_beside_what_it_launched_itself(stage: Stage) -> None:
    stage.simulator.scenario("launch_failed", servers=["app-02"], times=1)
    plan = stage.plan("app-01 app-02")
    run = stage.until(stage.start(plan, Kind.RECOVERY), "PARTIAL")
    stage.wait(lambda: not run.waves.filter(jobs__watched=True).exists(), run)
    ServerRun.objects.update(launch_status="FAILED")  # the run never heard that one of them came up
    stage.packs.touched = True
    read_region("us-east-1")
    assert RecoveryInstance.objects.production().count() == 1
    again = retry.retry(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    assert "endsRecoveryInstances" not in noted()
    stage.until(again, "COMPLETED")


# The console


@pytest.mark.parametrize("kind", ["drill", "recovery"])
def test_the_console_names_them_and_has_the_plan_typed(stage: Stage, kind: str) -> None:
    plan, client, address = stage.plan("app-01 app-02"), Client(), f"/recovery-plans/{{}}/start-{kind}"
    client.force_login(make_user("recovery-manager"))
    address = address.format(plan.pk)
    before = client.get(address).content.decode()
    assert "AWS listed no recovery instance of these servers that may be production" in before
    seen = before.split('name="production" value="')[1][:64]
    launched_outside(stage, "app-01")
    (instance,) = running(stage, "app-01")
    stale = client.post(address, {"confirm": plan.name, "production": seen})
    assert stale.status_code == 422
    page = stale.content.decode()
    assert "What would be terminated has changed since you opened this page." in page
    assert "Production may run here." in page
    assert instance in page
    assert "not touched" not in page
    seen = page.split('name="production" value="')[1][:64]
    assert client.post(address, {"confirm": "another", "production": seen}).status_code == 422
    assert Execution.objects.count() == 0
    assert client.post(address, {"confirm": plan.name, "production": seen}).status_code == 302
    assert noted()["endsRecoveryInstances"] == [instance]


def test_the_console_says_what_was_not_looked_at(stage: Stage) -> None:
    plan, client = stage.plan("app-01"), Client()
    client.force_login(make_user("recovery-manager"))
    silence(stage)
    page = client.get(f"/recovery-plans/{plan.pk}/start-drill").content.decode()
    assert "The list of running recovery instances is more than a minute old" in page
    refused = client.post(f"/recovery-plans/{plan.pk}/start-drill")
    assert (refused.status_code, Execution.objects.count()) == (503, 0)
    begun = client.post(f"/recovery-plans/{plan.pk}/start-recovery", {"confirm": plan.name}, follow=True)
    told = begun.content.decode()
    assert "AWS did not list the recovery instances in us-east-1" in told
    shown = re.sub(r"(?s)<template.*?</template>", "", told)  # those are shown where no answer comes
    assert "Nothing was changed" not in shown, "a recovery was started"
