"""What DRS runs of its own recovery plans: in the way of our starts while it runs, production or a drill afterwards."""

from typing import Any

import pytest

from audit.actor import SYSTEM
from audit.models import AuditEntry
from executions.commands import control
from executions.commands.standing import standing
from executions.models import Execution, ServerRun
from executions.states import Kind
from plans.models import RecoveryPlan
from plans.views import plan_rows
from protection.inventory import native_runs
from protection.models import ProtectionGroup
from tests.native_plans.what_drs_has import made_in_drs
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import Stage

pytestmark = pytest.mark.slow


def runs(stage: Stage, mode: str, *steps: "list[str] | int") -> str:
    """An execution of a recovery plan that is not ours."""
    arn = made_in_drs(stage.simulator, f"Storage {mode}", *steps)
    started: Any = stage.simulator.client().start_recovery_plan_execution(recoveryPlanArn=arn, mode=mode)  # type: ignore[arg-type]
    return str(started["recoveryPlanExecution"]["recoveryPlanExecutionArn"])


def read(stage: Stage) -> None:
    """As engines do once a minute."""
    group = ProtectionGroup.objects.all()[0]
    native_runs.keep(native_runs.fetch(group.region, group.account_id))


def reasons(plan: RecoveryPlan) -> dict[str, dict[str, Any]]:
    shown = answer(Api(make_user("viewer")).get(f"/recovery-plans/{plan.pk}/readiness"))
    return {each["code"]: each for each in shown["reasons"]}


def start(plan: RecoveryPlan, **body: Any) -> Any:
    return Api(make_user("admin")).post("/executions", {"planId": str(plan.pk), "executionType": "DRILL", **body})


def test_it_is_in_the_way_by_its_name_while_it_runs(stage: Stage) -> None:
    plan, (server,) = stage.plan("app-01 app-02", "web-01"), stage.ids("web-01")
    arn = runs(stage, "DRILL", 5, [server])
    refused = refusal(start(plan), 409, "SERVER_CONFLICT")
    (conflict,) = refused["conflicts"]
    assert (conflict["serverId"], conflict["waveNumber"], conflict["native"]) == (server, 1, True)
    assert (conflict["nativePlanName"], conflict["nativeExecutionArn"], conflict["mode"]) == (
        "Storage DRILL",
        arn,
        "DRILL",
    )
    assert not Execution.objects.active().exists()
    shown = answer(Api(make_user("viewer")).get(f"/recovery-plans/{plan.pk}"))
    assert shown["conflicts"] == [
        {"serverId": server, "executionId": None, "planName": "Storage DRILL", "status": "IN_PROGRESS", "native": True}
    ]
    assert (shown["canExecute"], "“Storage DRILL” of DRS" in shown["blockedReason"]) == (False, True)
    (listed,) = plan_rows([plan], SYSTEM)
    assert listed.blocked == shown["blockedReason"]
    found = reasons(plan)["SERVER_CONFLICT"]
    assert found["serverIds"] == [server]
    assert "“Storage DRILL” of DRS (drill, in_progress)" in found["message"]
    dry = stage.until(stage.start(plan, dry_run=True), "FAILED", step=30)
    told = {
        row.source_server_id: [each["code"] for each in row.findings or ()]
        for wave in dry.waves.all()
        for row in wave.servers.all()
    }
    assert "SERVER_CONFLICT" in told[server]
    assert "SERVER_CONFLICT" not in told[stage.ids("app-01")[0]]
    stage.simulator.advance(20_000)
    assert "warnings" not in answer(start(plan), 202), "it is over"
    read(stage)
    assert "SERVER_CONFLICT" not in reasons(plan)


def test_a_retry_meets_it_as_a_start_does(stage: Stage) -> None:
    plan = stage.plan("app-01 app-02", "web-01")
    stage.simulator.scenario("launch_failed", servers=["app-01"], raw_error="No room", times=1)
    run = stage.until(stage.start(plan), "PARTIAL")
    runs(stage, "DRILL", 5, stage.ids("web-01"))
    retried = Api(make_user("admin")).post(f"/executions/{run.pk}/retry", {})
    assert refusal(retried, 409, "SERVER_CONFLICT")["conflicts"][0]["native"]


@pytest.mark.parametrize(("mode", "then"), [("RECOVERY", "FAILED"), ("DRILL", "LAUNCHED")])
def test_a_drill_leaves_it_the_servers_of_one_that_began_while_it_paused(stage: Stage, mode: str, then: str) -> None:
    plan, (held, free) = stage.plan("app-01", "web-01 web-02"), stage.ids("web-01 web-02")
    run = stage.start(plan)
    stage.look()
    control.pause(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.until(run, "PAUSED")
    runs(stage, mode, 5, [held])
    read(stage)
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.advance(60)
    stage.look()
    sent = [[server["sourceServerID"] for server in each["params"]["sourceServers"]] for each in stage.launches()]
    assert sent == [stage.ids("app-01"), [free]]
    told = f"Waiting for the recovery plan “Storage {mode}” of DRS ({mode.lower()}, in_progress) to end"
    assert stage.waves(run)[1].status_message.startswith(told)
    (entry,) = AuditEntry.objects.filter(verb="launch.held")
    assert (entry.detail["servers"], entry.outcome) == ([held], "SERVER_CONFLICT")
    read(stage)
    stage.until(run, "PARTIAL" if then == "FAILED" else "COMPLETED")
    rows = ServerRun.objects.filter(wave__execution=run, source_server_id=held).select_related("job")
    assert [(each.launch_status, each.job.error_code) for each in rows] == [
        (then, "PRODUCTION_RUNNING" if then == "FAILED" else "")
    ], "what the real recovery has launched is left alone"


def test_where_drs_does_not_tell_it_is_said(stage: Stage) -> None:
    plan = stage.plan("app-01")
    assert "NATIVE_RUNS_NOT_CHECKED" not in reasons(plan)
    stage.simulator.scenario("access_denied", operation="ListRecoveryPlanExecutions")
    (warning,) = answer(start(plan), 202)["warnings"]
    assert (warning["code"], warning["region"]) == ("NATIVE_RUNS_NOT_CHECKED", "us-east-1")
    entry = AuditEntry.objects.get(verb="execution.start")
    assert list(entry.detail["nativeNotChecked"]) == ["us-east-1"]
    found = reasons(plan)["NATIVE_RUNS_NOT_CHECKED"]
    assert found["message"].startswith("Not checked in us-east-1: whether DRS runs recovery plans of its own (Access")
    stage.simulator.clear_scenarios()
    read(stage)
    assert "NATIVE_RUNS_NOT_CHECKED" not in reasons(plan)


def test_what_it_launched_is_production_or_a_drill_by_its_word(stage: Stage) -> None:
    drilled, recovered = stage.plan("app-01"), stage.plan("web-01")
    runs(stage, "DRILL", stage.ids("app-01"))
    runs(stage, "RECOVERY", stage.ids("web-01"))
    stage.simulator.advance(20_000)
    refused = refusal(start(recovered), 409, "PRODUCTION_RUNNING")
    assert [each["sourceServerId"] for each in refused["instances"]] == stage.ids("web-01")
    kinds = {each.source_server_id: (each.kind, each.execution_id) for each in standing()}
    assert kinds == {stage.ids("app-01")[0]: (Kind.DRILL, None), stage.ids("web-01")[0]: (Kind.RECOVERY, None)}
    answer(start(drilled), 202)
