"""Terminating what may look gone and is not: credentials of another AWS account, rows that were read a while ago."""

from dataclasses import replace
from datetime import timedelta

import pytest

from audit.actor import SYSTEM
from audit.models import AuditEntry
from contract.errors import DomainError
from drs.client import Drs, SendWindow
from drs.shapes import Job
from executions.commands import control
from executions.models import Execution, LaunchJob, ServerRun, TerminationJob
from executions.terminating import send
from executions.terminating import terminate as termination
from plans.models import RecoveryPlan
from tests.executions.launching.test_many_servers import bulk, plan_of, wave_of
from tests.support.stage import Stage

OTHERS = "999999999999"


def finished(stage: Stage, plan: RecoveryPlan) -> Execution:
    """A run that ended ten minutes ago, longer than an instance takes to be listed."""
    run = stage.until(stage.start(plan), "COMPLETED")
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)
    stage.advance(600)
    return run


def terminate(stage: Stage, run: Execution) -> control.TerminationResult:
    return control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)


@pytest.mark.field("A17")
def test_nothing_is_taken_for_gone_and_both_accounts_are_named(stage: Stage) -> None:
    run = finished(stage, stage.plan("app-01 app-02"))
    ours = LaunchJob.objects.get().account_id
    stage.simulator.load_fleet({"regions": ["us-east-1"], "servers": []})  # that account has never seen them
    stage.simulator.reset()
    LaunchJob.objects.update(account_id=OTHERS)
    with pytest.raises(DomainError) as refused:
        terminate(stage, run)
    assert refused.value.code == "DRS_ACCESS_DENIED"
    assert OTHERS in refused.value.message
    assert ours in refused.value.message
    assert set(ServerRun.objects.values_list("launch_status", flat=True)) == {"LAUNCHED"}
    assert stage.fresh(run).termination_status == "NOT_STARTED"
    assert not stage.simulator.journal("TerminateRecoveryInstances")


def test_it_terminates_in_the_region_whose_account_is_ours(stage: Stage) -> None:
    run = finished(stage, plan_of(wave_of(bulk(stage, us_east_1=1, us_west_2=1))))
    LaunchJob.objects.filter(region="us-west-2").update(account_id=OTHERS)
    (failed,) = terminate(stage, run).failed
    assert (failed.code, OTHERS in failed.message) == ("DRS_ACCESS_DENIED", True)
    stage.wait(lambda: stage.fresh(run).termination_status == "PARTIAL", run)
    states = ServerRun.objects.values_list("job__region", "launch_status")
    assert dict(states) == {"us-east-1": "TERMINATED", "us-west-2": "LAUNCHED"}


def test_the_journal_names_what_was_found_gone(stage: Stage) -> None:
    run = finished(stage, stage.plan("app-01 app-02"))
    gone = ServerRun.objects.get(hostname="app-01").recovery_instance_id
    stage.simulator.client().terminate_recovery_instances(recoveryInstanceIDs=[gone])
    stage.advance(600)
    terminate(stage, run)
    entry = AuditEntry.objects.get(verb="terminate.found_gone")
    assert (entry.detail["region"], entry.detail["instances"]) == ("us-east-1", [gone])


def test_the_status_is_that_of_the_row_and_not_of_what_was_read_before_aws_was_asked(stage: Stage) -> None:
    run = finished(stage, stage.plan("app-01 app-02"))
    run.termination_status = "IN_PROGRESS"  # as it was then; it ended meanwhile, and not all were terminated
    Execution.objects.update(termination_status="PARTIAL")
    (job,) = termination.record_intents(SYSTEM, run, "", stage.clock, set())
    assert stage.fresh(run).termination_status == "IN_PROGRESS"
    run.termination_status = "PARTIAL"
    send.refuse(run, job, "ThrottlingException", "Slow down.", stage.clock())
    assert stage.fresh(run).termination_status == "PARTIAL"


@pytest.mark.parametrize("status", ["PAUSED_BY_AWS", "REJECTED", ""])
def test_a_job_in_a_state_that_nobody_knows_was_accepted(stage: Stage, status: str) -> None:
    run = finished(stage, stage.plan("app-01"))
    job = TerminationJob.objects.create(
        execution=run, region="us-east-1", status="INITIATED", intent_at=stage.clock() - timedelta(seconds=1)
    )
    found = replace(_terminate_job(stage), status=status)
    send.confirm(run, job, found, stage.clock())
    job.refresh_from_db()
    assert (job.job_id, job.status, job.watched) == (found.job_id, "PENDING", True)


def _terminate_job(stage: Stage) -> Job:
    server = ServerRun.objects.get()
    return Drs("us-east-1").terminate([server.recovery_instance_id], window=SendWindow(30))


def test_an_instance_that_a_launch_removed_is_gone_although_that_launch_failed(stage: Stage) -> None:
    """DRS removes what stands before it launches: the log alone tells, as nothing comes up in its place."""
    first = finished(stage, stage.plan("app-01 app-02"))
    stage.simulator.scenario("launch_failed", servers=stage.ids("app-02"))
    second = stage.start(RecoveryPlan.objects.get())
    stage.wait(lambda: not stage.simulator.state()["instances"], second, step=15)
    stage.wait(
        lambda: not ServerRun.objects.filter(wave__execution=first, launch_status="LAUNCHED").exists(), second, 30
    )
    assert stage.fresh(second).ended_at is None, "told while the launch goes on"
    told = AuditEntry.objects.filter(verb="instances.replaced", subject_id=str(first.pk))
    assert sum(len(each.detail["instances"]) for each in told) == 2
    assert {each.detail["byExecution"] for each in told} == {str(second.pk)}
    stage.until(second, "FAILED", "PARTIAL")
    assert stage.fresh(first).termination_status == "COMPLETED"
