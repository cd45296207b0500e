"""A restored run of which one region cannot be asked: what the others know is recorded, and a person can end it."""

from pathlib import Path

import pytest
from django.core.management import call_command

from audit.actor import SYSTEM
from audit.models import AuditEntry
from contract.errors import DomainError
from executions.commands import control
from executions.commands.abandon import abandon
from executions.models import Execution, LaunchJob, ServerHold, ServerRun
from tests.executions.launching.test_many_servers import bulk, plan_of, wave_of
from tests.support.stage import Stage

FIRST, SECOND = "us-east-1", "us-west-2"


def job(region: str) -> LaunchJob:
    return LaunchJob.objects.get(region=region)


def restored(stage: Stage, kept: Path, *, sent: int = 2) -> Execution:
    """A run of one wave in two regions, read from a backup of before its launches."""
    run = stage.start(plan_of(wave_of(bulk(stage, us_east_1=1, us_west_2=1))))
    call_command("backup", str(kept))
    stage.wait(lambda: LaunchJob.objects.exclude(job_id="").count() == sent, run, step=5)
    call_command("restore", str(kept), "--force")
    return run


def wait(stage: Stage, minutes: int) -> None:
    for _ in range(minutes):
        stage.advance(60)
        stage.look()


def refused(stage: Stage, run: Execution) -> str:
    with pytest.raises(DomainError) as refusal:
        abandon(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    return refusal.value.message


@pytest.mark.parametrize("fault", ["internal_error_before", "access_denied", "throttle"])
def test_what_the_other_region_launched_is_taken_over_and_followed(stage: Stage, tmp_path: Path, fault: str) -> None:
    run = restored(stage, tmp_path / "copy")
    launched = {call["region"]: call["job_id"] for call in stage.launches()}
    stage.simulator.scenario(fault, operation="DescribeJobs", region=FIRST)
    stage.look()
    assert (job(FIRST).job_id, job(SECOND).job_id) == ("", launched[SECOND])
    assert FIRST in stage.fresh(run).aws_error
    late = ServerRun.objects.get(job=job(SECOND))
    stage.wait(lambda: ServerRun.objects.get(pk=late.pk).launch_status == "LAUNCHED", run, step=30)
    assert job(FIRST).job_id == ""
    stage.simulator.clear_scenarios()
    stage.until(run, "COMPLETED")
    assert job(FIRST).job_id == launched[FIRST]
    assert len(stage.launches()) == 2
    assert not AuditEntry.objects.filter(verb="launch.doubled").exists()


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_person_ends_it_and_what_turns_up_later_is_recorded(stage: Stage, tmp_path: Path, cancelled: bool) -> None:
    run = restored(stage, tmp_path / "copy")
    stage.simulator.scenario("internal_error_before", operation="DescribeJobs", region=FIRST)
    stage.look()
    if cancelled:
        control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.look()
    assert "less than 10 minutes" in refused(stage, run)
    stage.wait(lambda: not job(SECOND).watched, run)
    wait(stage, 16)  # asked every five minutes or so by now
    abandon(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    assert stage.picture(run) == ("CANCELLED" if cancelled else "PARTIAL", ["FAILED"])
    assert AuditEntry.objects.get(verb="execution.abandon", outcome="ok").detail["regions"] == [FIRST]
    assert ServerHold.objects.count() == 0
    assert control.hide_finished(actor=SYSTEM).hidden == 0
    stage.simulator.clear_scenarios()
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)
    assert ServerRun.objects.filter(launch_status="LAUNCHED").count() == 2
    assert len(stage.launches()) == 2


def test_it_can_be_ended_while_the_other_region_is_polled(stage: Stage, tmp_path: Path) -> None:
    """The region that answers does not make the silent one answer."""
    stage.simulator.scenario("slow_server", factor=20)
    run = restored(stage, tmp_path / "copy")
    stage.simulator.scenario("internal_error_before", operation="DescribeJobs", region=FIRST)
    wait(stage, 12)
    assert job(SECOND).watched
    abandon(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    assert stage.fresh(run).state.is_final


def test_it_can_be_ended_where_no_region_answers_and_no_wave_has_begun(stage: Stage, tmp_path: Path) -> None:
    run = stage.start(stage.plan("app-01", "web-01"))
    call_command("backup", str(tmp_path / "copy"))
    stage.look()
    call_command("restore", str(tmp_path / "copy"), "--force")
    stage.simulator.scenario("throttle", operation="DescribeJobs")
    wait(stage, 14)
    abandon(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    assert stage.picture(run) == ("FAILED", ["FAILED", "SKIPPED"])
    stage.simulator.clear_scenarios()
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)
    assert list(LaunchJob.objects.order_by("wave").values_list("status", flat=True)) == ["COMPLETED", "WITHDRAWN"]
    assert ServerRun.objects.get(wave__number=0).recovery_instance_id
    assert len(stage.launches()) == 1


def test_a_launch_of_the_last_second_is_not_given_up_before_it_must_have_landed(stage: Stage, tmp_path: Path) -> None:
    """The lost database's engine sent it just before the restore, and DRS shows it only after the run was given up."""
    run = stage.start(stage.plan("app-01"))
    call_command("backup", str(tmp_path / "copy"))
    stage.simulator.scenario("visibility_delay", seconds=640, times=1)
    stage.look()
    call_command("restore", str(tmp_path / "copy"), "--force")
    stage.simulator.scenario("throttle", operation="DescribeJobs")
    for _ in range(61):
        stage.advance(10)
        stage.look(1)
    abandon(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.simulator.clear_scenarios("throttle")
    stage.look()
    assert LaunchJob.objects.get().status == "INITIATED"
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)
    assert ServerRun.objects.get().recovery_instance_id


def test_a_region_that_was_never_set_up_has_launched_nothing(stage: Stage, tmp_path: Path) -> None:
    run = restored(stage, tmp_path / "copy")
    stage.simulator.scenario("uninitialized", operation="DescribeJobs", region=FIRST)
    stage.simulator.scenario("uninitialized", operation="DescribeJobs", region=SECOND)
    stage.look()
    assert stage.fresh(run).status == "PAUSED"
    assert set(LaunchJob.objects.values_list("status", flat=True)) == {"QUEUED"}


def test_a_later_wave_in_a_silent_region_is_named(stage: Stage, tmp_path: Path) -> None:
    ids = bulk(stage, us_east_1=1, us_west_2=1)
    run = stage.start(plan_of(wave_of({SECOND: ids[SECOND]}), wave_of({FIRST: ids[FIRST]}, "Second")))
    call_command("backup", str(tmp_path / "copy"))
    stage.look()
    call_command("restore", str(tmp_path / "copy"), "--force")
    stage.simulator.scenario("internal_error_before", operation="DescribeJobs", region=FIRST)
    stage.look()
    stage.wait(lambda: not job(SECOND).watched, run)
    wait(stage, 16)
    abandon(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    assert stage.fresh(run).error_message.startswith(f"DRS in {FIRST} has not answered")
    assert stage.fresh(run).status == "PARTIAL"
    assert len(stage.launches()) == 1
