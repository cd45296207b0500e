"""Dry runs: walked by the real engine, found wanting where a launch would be, and nothing at AWS is changed."""

from datetime import timedelta
from typing import Any

import pytest

from audit.actor import SYSTEM
from audit.models import AuditEntry
from contract.errors import BadRequest
from executions.commands import control
from executions.engine import advance
from executions.models import Execution, ServerHold, ServerRun
from executions.states import Kind
from plans.models import RecoveryPlan
from plans.services import update_plan
from protection.inventory import launch_details
from protection.models import SourceServer
from tests.executions.launching.test_many_servers import bulk, plan_of, wave_of
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.processes import eventually
from tests.support.stage import Stage
from tests.support.still import StillStage

READS = {
    "DescribeSourceServers", "DescribeJobs", "DescribeRecoverySnapshots", "GetLaunchConfiguration", "GetCallerIdentity",
    "DescribeLaunchTemplateVersions", "ListRecoveryPlanExecutions",
}  # fmt: skip


def rehearse(stage: Stage, plan: RecoveryPlan, kind: Kind = Kind.DRILL) -> Execution:
    return control.start(actor=SYSTEM, plan_id=plan.pk, kind=kind, dry_run=True, clock=stage.clock)


def done(stage: Stage, plan: RecoveryPlan, *statuses: str) -> Execution:
    since = max((int(each["id"]) for each in stage.simulator.journal()), default=0)  # type: ignore[call-overload]
    run = stage.until(rehearse(stage, plan), *(statuses or ("COMPLETED",)), step=1, limit=120)
    assert {each["operation"] for each in stage.simulator.journal(since=since)} <= READS
    return run


def codes(run: Execution) -> dict[str, list[str]]:
    rows = ServerRun.objects.filter(wave__execution=run).order_by("wave__number", "position")
    return {row.hostname: [each["code"] for each in row.findings] for row in rows}


def test_it_walks_every_wave_past_the_pauses_and_changes_nothing(stage: Stage) -> None:
    plan = stage.plan("app-01 app-02", "web-01", pause={1})
    run = done(stage, plan)
    assert stage.picture(run) == ("COMPLETED", ["COMPLETED", "COMPLETED"])
    assert codes(run) == {"app-01": [], "app-02": [], "web-01": []}
    assert set(ServerRun.objects.values_list("launch_status", "recovery_instance_id")) == {("PENDING", "")}
    messages = [wave.status_message for wave in stage.waves(run)]
    assert messages[0] == "2 servers checked, nothing was launched: 0 would fail, 0 with warnings."
    assert messages[1].endswith("A run pauses before it.")
    state = stage.simulator.state()
    assert (state["jobs"], state["instances"]) == ([], [])
    assert stage.fresh(run).next_step_at is None
    verbs = list(AuditEntry.objects.filter(subject_id=str(run.pk)).order_by("id").values_list("verb", flat=True))
    assert verbs == ["execution.start", "wave.completed", "wave.completed", "execution.ended"]


def test_it_asks_drs_itself_and_says_what_would_fail(stage: Stage) -> None:
    needs = {2: (0,), 3: (2,)}
    plan = stage.plan("app-01 app-02", "web-01", "web-02", "sso-01", depends_on=needs, on_failure={0: "CONTINUE"})
    stage.simulator.scenario("no_launch_settings", servers=["app-02"])
    stage.simulator.scenario("foreign_job", servers=["web-01"], region="us-east-1")
    run = done(stage, plan, "FAILED")
    found = {"app-01": [], "app-02": ["NO_LAUNCH_SETTINGS"], "web-01": ["BUSY_AT_DRS"], "web-02": [], "sso-01": []}
    assert codes(run) == found
    assert stage.picture(run)[1] == ["FAILED", "COMPLETED", "COMPLETED", "COMPLETED"]
    assert "It would be skipped: it depends on wave 1" in stage.waves(run)[2].status_message
    assert "It would be skipped: it depends on wave 3" in stage.waves(run)[3].status_message
    assert stage.fresh(run).error_message == "1 of 5 servers would not launch. Nothing was launched."
    assert ServerRun.objects.get(hostname="app-02").launch_status == "FAILED"


def test_a_server_that_is_gone_or_behind_is_found_although_the_inventory_is_old(stage: Stage) -> None:
    plan = stage.plan("app-01 app-02")
    update_plan(actor=SYSTEM, plan_id=plan.pk, rpo_minutes=5)
    first, second = stage.ids("app-01 app-02")
    fleet: dict[str, Any] = {
        "regions": ["us-east-1"],
        "servers": [
            {"id": second, "region": "us-east-1", "hostname": "app-02", "state": "BACKLOG", "lag_seconds": 900}
        ],
    }
    stage.simulator.load_fleet(fleet)
    assert SourceServer.objects.get(pk=second).replication_state == "CONTINUOUS"
    run = done(stage, plan, "FAILED")
    assert codes(run) == {"app-01": ["SERVER_GONE"], "app-02": ["LAGGING", "RPO_EXCEEDED"]}
    assert first not in [row.source_server_id for row in ServerRun.objects.filter(error="")]


def test_it_holds_nothing_and_runs_beside_a_real_run_which_it_names(stage: Stage) -> None:
    plan = stage.plan("app-01", "web-01", pause={1})
    real = stage.until(stage.start(plan), "PAUSED")
    run = stage.until(rehearse(stage, plan), "FAILED", step=1)
    assert codes(run)["web-01"] == ["SERVER_CONFLICT"]
    rehearsal = stage.fresh(run).rehearsal
    assert rehearsal is not None
    assert [each["code"] for each in rehearsal["findings"]] == ["PLAN_ALREADY_EXECUTING"]
    assert set(ServerHold.objects.values_list("execution", flat=True)) == {real.pk}
    control.cancel(actor=SYSTEM, execution_id=real.pk, clock=stage.clock)
    again = rehearse(stage, plan)
    assert not ServerHold.objects.exists()
    assert stage.start(plan).pk != again.pk  # a dry run is in nobody's way


def test_it_counts_the_quotas_live(stage: Stage) -> None:
    plan = stage.plan("app-01")
    others = list(SourceServer.objects.filter(region="us-east-1").values_list("hostname", flat=True))
    stage.simulator.settings(max_jobs=40)
    for name in [each for each in others if each != "app-01"][:20]:
        stage.simulator.scenario("foreign_job", servers=[name], region="us-east-1")
    run = done(stage, plan)
    rehearsal = stage.fresh(run).rehearsal
    assert rehearsal is not None
    assert [each["code"] for each in rehearsal["findings"]] == ["QUOTA_JOBS"]


def test_it_is_not_paused_and_ends_when_cancelled(stage: Stage) -> None:
    run = rehearse(stage, stage.plan("app-01"))
    with pytest.raises(BadRequest) as refused:
        control.pause(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    assert refused.value.code == "EXECUTION_NOT_PAUSABLE"
    stage.simulator.scenario("throttle", operation="DescribeSourceServers", times=1)
    stage.look(1)
    assert stage.fresh(run).status == "RUNNING"
    control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    assert stage.until(run, "CANCELLED", step=1).ended_at is not None
    assert stage.picture(run)[1] == ["SKIPPED"]


def test_it_waits_for_aws_and_never_takes_silence_for_consent(stage: Stage) -> None:
    plan = stage.plan("app-01")
    stage.simulator.scenario("throttle", operation="GetLaunchConfiguration", times=1)
    assert codes(done(stage, plan)) == {"app-01": []}
    stage.simulator.scenario("access_denied", operation="DescribeRecoverySnapshots")
    run = done(stage, plan, "FAILED")
    assert codes(run) == {"app-01": ["NOT_CHECKED"]}
    assert "AccessDeniedException" in ServerRun.objects.get(wave__execution=run).error


def test_it_foretells_from_what_launches_took_here(still: StillStage) -> None:
    plan = still.plan("app-01 app-02 app-03", "web-01 web-02")
    run = done(still, plan)
    rehearsal = still.fresh(run).rehearsal
    assert rehearsal is not None
    assert rehearsal["predictedDuration"] is None
    assert "Only 0 of the 5 launches" in rehearsal["basis"]
    real = still.until(still.start(plan), "COMPLETED", step=15)
    still.wait(lambda: still.fresh(real).next_step_at is None, real)  # else its polls are among the dry run's calls
    rehearsal = still.fresh(done(still, plan)).rehearsal
    assert rehearsal is not None
    took = (real.ended_at - real.started_at).total_seconds() if real.ended_at else 0
    assert rehearsal["predictedEarliest"] <= rehearsal["predictedDuration"] <= rehearsal["predictedLatest"]
    assert abs(rehearsal["predictedDuration"] - took) < 0.25 * took
    assert rehearsal["basis"] == "From 5 launches of 1 run measured here, 5 of them of these servers; without pauses."


def test_an_operator_may_rehearse_a_recovery_and_it_is_told_apart(stage: Stage) -> None:
    plan = stage.plan("app-01")
    operator, planner = Api(make_user("operator")), Api(make_user("planner"))
    body = {"PlanId": str(plan.pk), "ExecutionType": "RECOVERY", "DryRun": True}
    refusal(planner.post("/executions", body), 403, "FORBIDDEN")
    made = answer(operator.post("/executions", body), 202)
    refusal(operator.post("/executions", body | {"DryRun": False}), 403, "FORBIDDEN")
    run = Execution.objects.get(pk=made["executionId"])
    stage.until(run, "COMPLETED", step=1)
    shown = answer(operator.get(f"/executions/{run.pk}"))
    assert (shown["dryRun"], shown["executionType"], shown["actions"]["retry"]["allowed"]) == (True, "RECOVERY", False)
    assert shown["waves"][0]["serverStatuses"][0]["findings"] == []
    assert shown["dryRunResult"]["launches"] == 0
    assert not shown["actions"]["terminate"]["allowed"]
    assert [each["executionId"] for each in answer(operator.get("/executions?dryRun=true"))["items"]] == [str(run.pk)]
    assert answer(operator.get("/executions?dryRun=false"))["items"] == []
    listed = answer(operator.get(f"/recovery-plans/{plan.pk}"))
    assert listed["lastExecutionId"] is None  # the plan itself was never run


def test_it_ends_although_a_look_at_its_servers_lasts_longer_than_a_lease(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("executions.runs.claim.LEASE", timedelta(seconds=1))
    run = rehearse(stage, plan_of(wave_of(bulk(stage, us_east_1=20))))
    stage.simulator.scenario("hang", operation="GetLaunchConfiguration", seconds=0.12)

    def over() -> bool:
        stage.sweep.once()
        return stage.fresh(run).status == "COMPLETED"

    eventually(over, what="the end")
    assert len(stage.simulator.journal("GetLaunchConfiguration")) == 20, "every server was asked for once"


def test_it_keeps_what_a_turn_had_time_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that takes too long is killed; what it learned must not be lost, or the next one comes no further."""
    run = rehearse(stage, plan_of(wave_of(bulk(stage, us_east_1=3))))
    monkeypatch.setattr(launch_details, "SECONDS_A_ROUND", 0.0)
    looked_at = ServerRun.objects.filter(wave__execution=run, phase="DONE")
    for number in (1, 2, 3):
        advance.step(run.pk, stage.clock)
        assert looked_at.count() == number
    stage.until(run, "COMPLETED", step=1)
