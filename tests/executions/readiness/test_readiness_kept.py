"""Readiness from end to end: an engine reads what it rests on, requests never do."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.actor import SYSTEM
from bench.seed import seed
from contract.clock import db_clock
from executions.commands import control
from executions.models import PlanReadiness
from executions.readiness import facts as readiness_facts
from executions.readiness import stored_verdicts
from executions.readiness.facts import facts_of, readiness_of
from executions.states import Kind, Verdict
from plans.models import RecoveryPlan
from plans.services import update_plan
from protection.inventory import launch_details
from protection.models import RegionInventory, SourceServer
from tests.console import world
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import Stage


@pytest.fixture
def viewer(stage: Stage) -> Api:
    return Api(make_user("viewer"))


def read_anew(stage: Stage) -> None:
    """Have the engine's next round come."""
    RegionInventory.objects.update(tried_at=db_clock() - timedelta(minutes=2))
    stage.sweep.next_inventory_check = None
    stage.look()


def readiness(viewer: Api, plan: RecoveryPlan) -> dict[str, Any]:
    world.beat()  # the stage's engine is in this process, and has no pacemaker
    body: dict[str, Any] = answer(viewer.get(f"/recovery-plans/{plan.pk}/readiness"))
    return body


def codes(viewer: Api, plan: RecoveryPlan) -> list[str]:
    return [each["code"] for each in readiness(viewer, plan)["reasons"]]


def drilled(stage: Stage, plan: RecoveryPlan) -> None:
    run = stage.until(stage.start(plan), "COMPLETED")
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)
    control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.wait(lambda: stage.fresh(run).termination_status == "COMPLETED", run)


def test_a_plan_becomes_ready_once_an_engine_has_read_everything(stage: Stage, viewer: Api) -> None:
    plan = stage.plan("app-01 app-02")
    shown = readiness(viewer, plan)
    assert shown["verdict"] == "UNKNOWN"
    assert {"DETAILS_UNKNOWN", "QUOTA_UNKNOWN", "NEVER_DRILLED"} == {each["code"] for each in shown["reasons"]}
    assert shown["expiresAt"] is None
    calls = len(stage.simulator.journal())
    assert readiness(viewer, plan)["verdict"] == "UNKNOWN"
    assert len(stage.simulator.journal()) == calls  # a request asks our database alone
    read_anew(stage)
    shown = readiness(viewer, plan)
    assert [each["code"] for each in shown["reasons"]] == ["NEVER_DRILLED"]
    assert shown["verdict"] == "READY_WITH_WARNINGS"
    assert shown["expiresAt"] - shown["inventory"][0]["asOf"] == 300
    drilled(stage, plan)
    read_anew(stage)
    shown = readiness(viewer, plan)
    assert (shown["verdict"], shown["reasons"]) == ("READY", [])
    assert shown["lastDrill"]["daysAgo"] == 0
    RegionInventory.objects.update(as_of=db_clock() - timedelta(minutes=6))
    assert readiness(viewer, plan)["verdict"] == "UNKNOWN"


def test_it_reads_the_details_of_a_few_servers_a_round_and_of_none_twice(stage: Stage) -> None:
    stage.plan("app-01 app-02 app-03")
    before = len(stage.simulator.journal("GetLaunchConfiguration"))
    read_anew(stage)
    read_anew(stage)
    assert len(stage.simulator.journal("GetLaunchConfiguration")) - before == 3  # grouped servers only
    SourceServer.objects.update(details_as_of=None)
    limit, launch_details.SERVERS_A_ROUND = launch_details.SERVERS_A_ROUND, 2
    try:
        read_anew(stage)
    finally:
        launch_details.SERVERS_A_ROUND = limit
    assert len(stage.simulator.journal("GetLaunchConfiguration")) - before == 5
    assert SourceServer.objects.exclude(details_as_of=None).count() == 2


def test_it_finds_what_is_missing_at_drs_and_who_else_works_there(stage: Stage, viewer: Api) -> None:
    plan = stage.plan("app-01 app-02", "web-01")
    stage.simulator.scenario("no_launch_settings", servers=["app-02"])
    stage.simulator.scenario("foreign_job", servers=["web-01"], region="us-east-1")
    read_anew(stage)
    found = {each["code"]: each for each in readiness(viewer, plan)["reasons"]}
    assert set(found) == {"NO_LAUNCH_SETTINGS", "BUSY_AT_DRS", "NEVER_DRILLED"}
    assert found["NO_LAUNCH_SETTINGS"]["severity"] == "BLOCKING"
    assert found["NO_LAUNCH_SETTINGS"]["serverIds"] == stage.ids("app-02")
    assert found["BUSY_AT_DRS"]["serverIds"] == stage.ids("web-01")


def test_a_refused_reading_is_told_and_stops_nothing(stage: Stage, viewer: Api) -> None:
    plan = stage.plan("app-01")
    stage.simulator.scenario("access_denied", operation="DescribeRecoverySnapshots")
    read_anew(stage)
    found = {each["code"]: each["message"] for each in readiness(viewer, plan)["reasons"]}
    assert "AccessDenied" in found["INVENTORY_FAILING"]
    assert "DETAILS_UNKNOWN" in found
    assert stage.until(stage.start(plan), "COMPLETED").error_code == ""


def test_it_tells_of_instances_and_runs_that_are_in_the_way(stage: Stage, viewer: Api) -> None:
    plan, other = stage.plan("app-01"), stage.plan("app-02")
    update_plan(actor=SYSTEM, plan_id=other.pk, rpo_minutes=1)
    stage.until(stage.start(plan), "COMPLETED")
    stage.start(other, Kind.RECOVERY)
    read_anew(stage)
    assert codes(viewer, plan) == ["DRILL_INSTANCE_RUNS"]
    assert "PLAN_ALREADY_EXECUTING" in codes(viewer, other)


def test_it_is_shown_to_readers_and_an_unknown_plan_is_not_found(viewer: Api) -> None:
    refusal(viewer.get("/recovery-plans/0b0e7a52-0000-4000-8000-000000000000/readiness"), 404, "NOT_FOUND")


def counted(plans: list[RecoveryPlan]) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert len(readiness_of([plan.pk for plan in plans], db_clock())) == len(plans)
    return len(queries)


@pytest.mark.slow
def test_five_hundred_plans_cost_as_many_queries_as_one(db: None) -> None:
    """How long that takes is in bench/readiness.py."""
    world.region()
    run = world.ended("COMPLETED")  # type: ignore[arg-type]  # a status by its value
    assert run.plan
    SourceServer.objects.update(recovery_instance_id="i-1")
    RegionInventory.objects.update(running_jobs=[{"jobId": "drsjob-1", "servers": []}])
    one = counted([run.plan])
    world.paused()
    world.paused()
    seed(groups=500, servers=2, plans=497, executions=600)
    plans = list(RecoveryPlan.objects.all())
    assert len(plans) == 500
    assert counted(plans) == one <= 14


def test_an_engine_keeps_the_verdict_on_every_plan_a_few_at_a_time(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    world.region(jobs_as_of=db_clock())
    plans = [world.plan() for _ in range(3)]
    now = db_clock()
    monkeypatch.setattr(stored_verdicts, "PLANS_A_ROUND", 2)
    assert [stored_verdicts.refresh(now) for _ in range(3)] == [2, 1, 0]
    assert stored_verdicts.overview(now, 5, engine_alive=True).counts[Verdict.UNKNOWN] == 3  # no snapshot was read yet
    SourceServer.objects.update(details_as_of=now, latest_snapshot_at=now, launch_template_id="lt-1")
    update_plan(actor=SYSTEM, plan_id=plans[0].pk, description="changed")
    assert stored_verdicts.refresh(now) == 1
    counts = stored_verdicts.overview(now, 5, engine_alive=True).counts
    assert (counts[Verdict.READY_WITH_WARNINGS], counts[Verdict.UNKNOWN]) == (1, 2)
    later = now + timedelta(minutes=3)
    assert stored_verdicts.refresh(later) == 2
    SourceServer.objects.filter(pk=plans[1].servers.all()[0].source_server_id).update(gone_at=now)
    for _ in range(2):  # in any order; what is as it was is not weighed
        stored_verdicts.refresh(later + timedelta(minutes=3))
    overview = stored_verdicts.overview(now, 5, engine_alive=True)
    assert [plan for plan, _, _ in overview.worst] == [plans[1]]
    assert overview.worst_left_out == 0
    assert stored_verdicts.overview(now, 0, engine_alive=True).worst_left_out == 1
    assert stored_verdicts.overview(now, 0, engine_alive=False).worst_left_out == 0
    assert "No longer in DRS" in overview.worst[0][2]
    assert (
        stored_verdicts.overview(now + timedelta(minutes=10), 5, engine_alive=True).counts[Verdict.UNKNOWN] == 3
    )  # all too old
    assert PlanReadiness.objects.count() == 3


def test_a_server_that_another_run_holds_is_named(db: None) -> None:
    world.region(jobs_as_of=db_clock())
    first = world.plan("First")
    world.start(first)
    found = readiness_of([first.pk], db_clock())[first.pk]
    assert "SERVER_CONFLICT" not in [each.code for each in found.reasons]  # its own run
    assert "PLAN_ALREADY_EXECUTING" in [each.code for each in found.reasons]
    facts = facts_of([first.pk])[0]
    assert len(list(facts.servers)) == 4
    assert readiness_facts.believed_for() == timedelta(seconds=300)
