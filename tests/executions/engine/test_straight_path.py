"""A run whose AWS behaves: order, pause, resume, completion, and what DRS was really asked."""

from datetime import timedelta

import pytest

from audit.actor import SYSTEM, Actor
from audit.models import AuditEntry
from contract.errors import BadRequest, Conflict, NotFound
from executions.commands import control
from executions.models import JobEvent, LaunchJob, ServerHold, ServerRun
from executions.states import Kind
from tests.support.stage import PAYMENTS, Stage


@pytest.mark.both
def test_it_runs_three_waves_in_order_with_a_pause(stage: Stage) -> None:
    plan = stage.plan(pause={2})
    run = stage.start(plan)
    assert run.status == "PENDING"
    stage.look()
    assert stage.picture(run) == ("POLLING", ["POLLING", "PENDING", "PENDING"])

    run = stage.until(run, "PAUSED")
    assert stage.picture(run) == ("PAUSED", ["COMPLETED", "COMPLETED", "PAUSED"])
    assert len(stage.launches()) == 2
    stage.advance(3 * 24 * 3600)
    stage.look()
    assert stage.fresh(run).status == "PAUSED"

    control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    run = stage.until(run, "COMPLETED")
    assert stage.picture(run) == ("COMPLETED", ["COMPLETED"] * 3)
    assert [call["params"]["sourceServers"] for call in stage.launches()] == [
        [{"sourceServerID": each} for each in stage.ids(tier)] for tier in PAYMENTS
    ]
    servers = ServerRun.objects.filter(wave__execution=run)
    assert {server.launch_status for server in servers} == {"LAUNCHED"}
    assert {server.phase for server in servers} == {"DONE"}
    assert all(server.recovery_instance_id.startswith("i-") for server in servers)
    assert not ServerHold.objects.exists()
    assert run.ended_at is not None
    assert run.error_code == ""


@pytest.mark.parametrize(("kind", "is_drill"), [(Kind.DRILL, True), (Kind.RECOVERY, False)])
def test_it_says_drill_or_recovery_explicitly_and_tags_the_job(stage: Stage, kind: Kind, is_drill: bool) -> None:
    run = stage.start(stage.plan("app-01"), kind)
    stage.look()
    (call,) = stage.launches()
    assert call["params"]["isDrill"] is is_drill
    job = LaunchJob.objects.get(wave__execution=run)
    assert call["params"]["tags"] == {"drsorch:launch": str(job.pk), "drsorch:execution": str(run.pk)}
    assert job.job_id == call["job_id"]
    assert job.status == "PENDING"


def test_it_polls_every_run_on_one_grid_with_one_call(stage: Stage) -> None:
    runs = [stage.start(stage.plan(name)) for name in ("app-01", "app-02", "web-01")]
    stage.look()
    before = len(stage.simulator.journal("DescribeJobs"))
    assert all((stage.fresh(run).next_step_at or stage.clock()) > stage.clock() + timedelta(minutes=4) for run in runs)
    stage.advance(15)
    stage.look()
    calls = stage.simulator.journal("DescribeJobs")[before:]
    assert len(calls) == 1
    assert len(calls[0]["params"]["filters"]["jobIDs"]) == 3  # type: ignore[index]


def test_it_reads_phases_and_the_whole_log(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01"))
    seen = set()
    while stage.fresh(run).status != "COMPLETED":
        stage.advance(15)
        stage.look()
        seen |= set(ServerRun.objects.filter(wave__execution=run).values_list("phase", flat=True))
    assert {"QUEUED", "SNAPSHOT", "CONVERSION", "DONE"} <= seen
    stage.advance(15)
    stage.look()
    events = list(JobEvent.objects.filter(job__wave__execution=run).values_list("event", flat=True))
    for event in (
        "JOB_START",
        "SNAPSHOT_START",
        "SNAPSHOT_END",
        "CONVERSION_END",
        "LAUNCH_START",
        "LAUNCH_END",
        "JOB_END",
    ):
        assert events.count(event) == 1
    assert JobEvent.objects.get(event="LAUNCH_END").derived
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)


@pytest.mark.both
def test_it_takes_the_plan_as_it_was_and_names_one_winner(stage: Stage) -> None:
    plan = stage.plan("app-01", "web-01")
    run = stage.start(plan)
    with pytest.raises(Conflict) as second:
        stage.start(plan)
    assert second.value.code == "PLAN_ALREADY_EXECUTING"
    assert second.value.details["executionId"] == str(run.pk)
    assert run.plan_copy["waves"][1]["serverIds"] == stage.ids("web-01")


def test_it_refuses_to_resume_what_is_not_paused(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01"))
    with pytest.raises(BadRequest) as error:
        control.resume(actor=SYSTEM, execution_id=run.pk)
    assert error.value.code == "EXECUTION_NOT_PAUSED"
    with pytest.raises(NotFound):
        control.start(actor=SYSTEM, plan_id=run.pk, kind=Kind.DRILL)


@pytest.mark.both
def test_it_journals_who_did_what_and_what_the_engine_did(stage: Stage) -> None:
    operator = Actor("ops@example.com", kind="system")
    plan = stage.plan("app-01", "web-01", pause={1})
    run = control.start(actor=operator, plan_id=plan.pk, kind=Kind.DRILL, clock=stage.clock)
    stage.until(run, "PAUSED")
    control.resume(actor=operator, execution_id=run.pk, comment="database is up", clock=stage.clock)
    stage.until(run, "COMPLETED")
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)
    entries = AuditEntry.objects.filter(subject_id=str(run.pk)).order_by("id")
    assert entries.filter(verb="launch.ended").count() == 2  # each when DRS has no more news of it
    told = entries.exclude(verb__in=["launch.ended", "launch.news"])  # DRS names instances when it likes
    assert [(entry.actor, entry.verb) for entry in told] == [
        ("ops@example.com", "execution.start"),
        ("engine", "wave.started"),
        ("engine", "launch.intent"),
        ("engine", "launch.sent"),
        ("engine", "wave.completed"),
        ("engine", "execution.paused"),
        ("ops@example.com", "execution.resume"),
        ("engine", "wave.started"),
        ("engine", "launch.intent"),
        ("engine", "launch.sent"),
        ("engine", "wave.completed"),
        ("engine", "execution.ended"),
    ]
    assert entries.get(verb="execution.resume").detail["comment"] == "database is up"


def test_it_reports_failed_servers_in_awss_words(stage: Stage) -> None:
    stage.simulator.scenario("launch_failed", servers=["app-02"], raw_error="no capacity left")
    run = stage.until(stage.start(stage.plan("app-01 app-02", "web-01")), "PARTIAL")
    assert stage.picture(run) == ("PARTIAL", ["FAILED", "SKIPPED"])
    failed = ServerRun.objects.get(wave__execution=run, hostname="app-02")
    assert failed.launch_status == "FAILED"
    assert "no capacity left" in failed.error
    assert ServerRun.objects.get(hostname="app-01").launch_status == "LAUNCHED"
    assert run.error_code == "SERVER_LAUNCH_FAILED"
    assert len(stage.launches()) == 1
