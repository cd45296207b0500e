"""What DRS says of a server in a way that must not be believed: two rows of one server, words that say nothing of its
launch, listings that leave an instance out."""

import pytest

from audit.actor import SYSTEM
from drs.shapes import Job
from executions.commands import control
from executions.models import Execution, LaunchJob, ServerRun
from executions.states import Kind
from plans.models import RecoveryPlan
from tests.executions.commands.test_production import launched_outside
from tests.executions.terminating.test_outside_changes import round_of_inventory, states, told, up
from tests.support.packs import found_wrong
from tests.support.stage import Stage
from tests.support.still import StillStage


def told_at_the_end(still: StillStage) -> Execution:
    """A run of two, at whose jobs nobody has looked before they ended."""
    run = still.start(still.plan("app-01 app-02"))
    still.look()
    still.advance(1200)
    return still.until(run, "COMPLETED", "PARTIAL", "FAILED", step=15)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("status", ["FAILED", "TERMINATED"])
@pytest.mark.field("A29")
def test_of_two_rows_of_a_server_the_one_that_was_launched_is_believed(
    still: StillStage, status: str, first: bool
) -> None:
    still.simulator.scenario("double_rows", servers=["app-01"], status=status, first=first)
    run = still.until(still.start(still.plan("app-01 app-02")), "COMPLETED", "PARTIAL", "FAILED", step=15)
    server = ServerRun.objects.get(hostname="app-01")
    assert (run.status, server.launch_status) == ("COMPLETED", "LAUNCHED")
    assert server.recovery_instance_id


def test_while_a_job_lasts_no_row_of_two_makes_a_failure() -> None:
    def job(status: str, *rows: str) -> list[str]:
        servers = [{"sourceServerID": "s-1", "launchStatus": each} for each in rows]
        told = Job.read({"jobID": "drsjob-1", "status": status, "participatingServers": servers})
        return [each.launch_status for each in told.participants]

    assert job("STARTED", "FAILED", "IN_PROGRESS") == job("STARTED", "IN_PROGRESS", "FAILED") == ["IN_PROGRESS"]
    assert job("COMPLETED", "FAILED", "PENDING") == job("COMPLETED", "PENDING", "FAILED") == ["FAILED"]
    assert job("COMPLETED", "TERMINATED", "PENDING") == job("COMPLETED", "PENDING", "TERMINATED") == ["PENDING"]


@pytest.mark.field("A29")
def test_a_launch_that_drs_calls_terminated_is_looked_up(still: StillStage) -> None:
    still.simulator.scenario("row_status", servers=["app-01"], status="TERMINATED")
    run = told_at_the_end(still)
    server = ServerRun.objects.get(hostname="app-01")
    assert (run.status, server.launch_status) == ("COMPLETED", "LAUNCHED"), "its instance runs"
    assert server.recovery_instance_id


@pytest.mark.parametrize("status", ["TERMINATED", "SKIPPED"])
@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.field("A29")
def test_what_ended_before_anybody_looked_did_not_come_up(still: StillStage, status: str, listed: bool) -> None:
    still.simulator.scenario("row_status", servers=["app-01"], status=status)
    run = still.start(still.plan("app-01 app-02"))
    still.look()
    still.advance(1200)
    still.simulator.scenario("ec2_terminated" if listed else "left_drs", servers=["app-01"])
    run = still.until(run, "PARTIAL", step=15)
    server = ServerRun.objects.get(hostname="app-01")
    assert server.launch_status == "FAILED"
    word = f"DRS ended the job and calls this server {status}, which does not say whether it was launched."
    listed_as = f"DRS launched {server.recovery_instance_id}. EC2 shows it as TERMINATED, so it is not up."
    assert server.error == (listed_as if listed else f"{word} It lists no instance of it.")
    assert found_wrong(Execution.objects.get(pk=run.pk), still.clock()) == []


# Instances that are left out of a listing


def rested(stage: Stage, run: Execution) -> Execution:
    run = stage.wait(lambda: not run.waves.filter(jobs__watched=True).exists(), run)
    stage.advance(600)
    return run


@pytest.fixture
def protected(stage: Stage) -> tuple[RecoveryPlan, Execution]:
    """A run whose instance nobody can terminate: a later launch comes up beside it."""
    stage.simulator.scenario("termination_protection", servers=["app-01"], goes_on=True)
    plan = stage.plan("app-01")
    return plan, rested(stage, stage.until(stage.start(plan), "COMPLETED"))


@pytest.mark.field("A30")
def test_nothing_is_replaced_while_drs_does_not_list_what_stands(
    stage: Stage, protected: tuple[RecoveryPlan, Execution]
) -> None:
    plan, old = protected
    new = stage.start(plan)
    stage.look()
    for operation in ("DescribeRecoveryInstances", "DescribeJobLogItems"):
        stage.simulator.scenario("throttle", operation=operation)
    stage.until(new, "COMPLETED")
    assert states(old) == {"app-01": ("LAUNCHED", "")}
    stage.simulator.clear_scenarios("throttle")
    rested(stage, new)
    assert states(old) == states(new) == {"app-01": ("LAUNCHED", "")}


@pytest.mark.field("A30")
def test_an_earlier_launchs_instance_replaces_none(stage: Stage, protected: tuple[RecoveryPlan, Execution]) -> None:
    plan, old = protected
    new = rested(stage, stage.until(stage.start(plan), "COMPLETED"))
    mine = ServerRun.objects.get(wave__execution=new).recovery_instance_id
    stage.simulator.scenario("unlisted_instances", instances=[mine], seconds=-1)
    round_of_inventory(stage)
    assert states(new) == {"app-01": ("LAUNCHED", "")}, "it was left out of one answer"
    stage.simulator.clear_scenarios("unlisted_instances")
    round_of_inventory(stage)
    assert (told(old), told(new)) == ([], [])


@pytest.mark.field("A7")
def test_a_launch_anew_does_not_end_what_left_drs(stage: Stage) -> None:
    run = up(stage, "app-01", kind=Kind.RECOVERY)
    stage.simulator.scenario("left_drs", servers=["app-01"])
    round_of_inventory(stage)
    round_of_inventory(stage)
    launched_outside(stage, "app-01")
    stage.advance(1200)
    round_of_inventory(stage)
    assert states(run) == {"app-01": ("LAUNCHED", "UNKNOWN")}, "it runs on in EC2"


@pytest.mark.field("A4")
def test_an_instance_that_is_listed_an_hour_late_is_the_runs(still: StillStage) -> None:
    still.simulator.scenario("untold_launches", how="PENDING")
    still.simulator.scenario("unlisted_instances", servers=["app-01"], seconds=3600)
    run = told_at_the_end(still)
    assert (run.status, ServerRun.objects.get(hostname="app-01").launch_status) == ("PARTIAL", "FAILED")
    still.wait(lambda: not run.waves.filter(jobs__watched=True).exists(), run)
    still.advance(3600)
    round_of_inventory(still)
    still.advance(15)
    still.look()
    server = ServerRun.objects.get(hostname="app-01")
    assert (server.launch_status, server.error) == ("LAUNCHED", "")
    assert server.recovery_instance_id
    assert len(still.launches()) == 1
    assert not run.waves.filter(jobs__watched=True).exists()
    assert found_wrong(Execution.objects.get(pk=run.pk), still.clock()) == []


# States of instances


@pytest.mark.parametrize("state", ["", "PENDING", "HIBERNATING"])
@pytest.mark.field("A31")
def test_what_was_stopped_runs_when_drs_says_so(stage: Stage, state: str) -> None:
    run = up(stage, "app-01")
    stage.simulator.scenario("ec2_stopped")
    round_of_inventory(stage)
    stage.simulator.scenario("instance_state", state=state)
    round_of_inventory(stage)
    assert told(run) == [("instance.stopped", ["app-01"])]
    stage.simulator.clear_scenarios("instance_state")
    stage.simulator.scenario("instance_state", state="RUNNING")
    round_of_inventory(stage)
    assert [verb for verb, _ in told(run)] == ["instance.stopped", "instance.running"]
    assert ServerRun.objects.get().instance_state == "RUNNING"


@pytest.mark.field("A31")
def test_a_termination_that_is_refused_lets_nothing_run_again(stage: Stage) -> None:
    run = up(stage, "app-01")
    stage.simulator.scenario("ec2_stopped")
    round_of_inventory(stage)
    stage.simulator.scenario("throttle", operation="TerminateRecoveryInstances")
    control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    assert states(run) == {"app-01": ("LAUNCHED", "STOPPED")}
    assert ServerRun.objects.get().instance_state == "STOPPED"


# Jobs


def test_a_job_that_only_converts_is_no_launch(stage: Stage) -> None:
    """Of extended servers DRS makes a job of its own; whether that has the launch's tags is not known."""
    stage.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
    run = stage.start(stage.plan("app-01"))
    stage.simulator.scenario("job_type")
    stage.look()
    stage.advance(60)
    stage.look()
    assert LaunchJob.objects.get().job_id == ""
    stage.simulator.clear_scenarios("job_type")
    stage.until(run, "COMPLETED", step=15)
    assert len(stage.launches()) == 1


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_a_time_that_there_is_not_is_none(text: str) -> None:
    assert not Job.read({"jobID": "drsjob-1", "creationDateTime": text}).dated
