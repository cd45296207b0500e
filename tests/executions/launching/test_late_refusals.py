"""A refusal is certain whoever has the run by then: it is kept, and no launch waits as if its answer had been lost."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import override_settings

from audit.actor import SYSTEM
from audit.models import AuditEntry
from drs.errors import BY_CODE, DrsError
from executions.commands import control
from executions.engine import advance
from executions.launching import launch
from executions.models import Execution, LaunchJob, ServerRun, WaveRun
from executions.runs.aws_calls import AwsCalls
from executions.runs.claim import claim, load
from tests.support.stage import Stage, at_the_send


def refusal(code: str) -> DrsError:
    return DrsError(BY_CODE[code], code=code, message="No.", region="us-east-1", operation="StartRecovery")


def throw(calls: AwsCalls[None], code: str) -> None:
    with pytest.raises(StopIteration):
        calls.throw(refusal(code))


def sent_soon(stage: Stage) -> bool:
    """Within four minutes: nothing of ours has to end first, so it is tried again every two."""
    for _ in range(24):
        stage.look()
        stage.advance(10)
    return len(stage.simulator.journal("StartRecovery")) == 1  # the first was refused without asking the simulator


def message(run: Execution) -> str:
    return WaveRun.objects.get(execution=run, number=0).status_message


def pause(stage: Stage, run: Execution) -> None:
    control.pause(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)


def pause_and_look(stage: Stage, run: Execution) -> None:
    """Another engine has taken the run over by the time the answer comes, and looks for the launch."""
    pause(stage, run)
    stage.look()
    assert "answer to a launch was lost" in message(run)


@pytest.mark.parametrize("meanwhile", [pause, pause_and_look])
@pytest.mark.parametrize(
    ("code", "says"), [("ThrottlingException", "throttling"), ("ExpiredTokenException", "credentials")]
)
def test_a_refusal_is_kept_when_somebody_has_taken_the_run(
    stage: Stage, meanwhile: Callable[[Stage, Execution], None], code: str, says: str
) -> None:
    run = stage.start(stage.plan("app-01", "web-01"))
    calls = advance.step_calls(run.pk, stage.clock)
    at_the_send(calls)
    meanwhile(stage, run)
    throw(calls, code)
    assert LaunchJob.objects.get(wave__number=0).status == "QUEUED"
    assert says in message(run)
    assert sent_soon(stage)
    stage.until(run, "PAUSED")
    assert len(stage.launches()) == 1


def test_a_full_quota_is_kept_when_somebody_has_taken_the_run(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01", "web-01"))
    calls = advance.step_calls(run.pk, stage.clock)
    at_the_send(calls)
    pause(stage, run)
    with pytest.raises(StopIteration):  # a certain refusal needs no look-up
        calls.throw(refusal("ServiceQuotaExceededException"))
    assert sent_soon(stage)


def test_a_full_quota_is_no_lost_answer_when_aws_does_not_say_who_fills_it(stage: Stage) -> None:
    stage.simulator.scenario("quota_exceeded", operation="StartRecovery", times=1)
    stage.simulator.scenario("throttle", operation="DescribeJobs", times=1)
    run = stage.start(stage.plan("app-01"))
    stage.look()
    assert "A DRS quota in us-east-1 is used up." in message(run)
    for _ in range(24):
        stage.advance(10)
        stage.look()
    assert len(stage.launches()) == 1
    assert not AuditEntry.objects.filter(verb="launch.unclear").exists()


def test_a_conflict_that_may_be_with_this_very_launch_is_looked_into_before_anything_is_sent_again(
    stage: Stage,
) -> None:
    """An attempt before got no clear answer, so nothing is concluded before AWS has listed its jobs."""
    stage.simulator.scenario("drop_connection_before", operation="StartRecovery", times=1)
    run = stage.start(stage.plan("app-01"))
    stage.look()
    LaunchJob.objects.update(status="QUEUED", cleared_at=stage.clock(), not_before=None)
    stage.simulator.scenario("conflict", operation="StartRecovery", times=1)
    stage.simulator.scenario("throttle", operation="DescribeJobs", after=1, times=1)
    stage.advance(16)
    stage.look()
    assert LaunchJob.objects.get().status == "INITIATED"
    assert AuditEntry.objects.filter(verb="launch.unclear", outcome="ConflictException").count() == 1
    with override_settings(LAUNCH_QUARANTINE_SECONDS=30):
        stage.until(run, "COMPLETED")
    assert len(stage.launches()) == 1


def test_what_can_never_work_fails_at_once_when_somebody_has_taken_the_run(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01", "web-01"))
    calls = advance.step_calls(run.pk, stage.clock)
    at_the_send(calls)
    pause(stage, run)
    throw(calls, "AccessDeniedException")
    stage.look()
    ended = stage.fresh(run)
    assert (ended.status, ended.error_code) == ("FAILED", "DRS_ACCESS_DENIED")
    assert stage.simulator.journal("StartRecovery") == []


@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException"])
def test_a_cancel_waits_for_no_launch_that_was_refused(stage: Stage, code: str) -> None:
    run = stage.start(stage.plan("app-01", "web-01"))
    calls = advance.step_calls(run.pk, stage.clock)
    at_the_send(calls)
    control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    throw(calls, code)
    stage.look()
    assert stage.fresh(run).status == "CANCELLED"
    assert stage.simulator.journal("StartRecovery") == []


@pytest.mark.parametrize(
    ("code", "status"), [("ThrottlingException", "WITHDRAWN"), ("AccessDeniedException", "REJECTED")]
)
def test_a_refusal_after_the_end_settles_the_launch_and_changes_no_verdict(
    stage: Stage, code: str, status: str
) -> None:
    run = stage.start(stage.plan("app-01", "web-01"))
    calls = advance.step_calls(run.pk, stage.clock)
    at_the_send(calls)
    now, stage.packs.touched = stage.clock(), True
    WaveRun.objects.filter(execution=run).update(status="FAILED", ended_at=now, status_message="Given up.")
    Execution.objects.update(status="FAILED", ended_at=now, claim=None, next_step_at=now)
    throw(calls, code)
    assert LaunchJob.objects.get(wave__number=0).status == status
    assert (stage.fresh(run).status, message(run)) == ("FAILED", "Given up.")
    stage.look()
    assert stage.fresh(run).next_step_at is None
    assert stage.simulator.journal("StartRecovery") == []


def test_an_old_refusal_says_nothing_of_a_newer_attempt(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01"))
    calls = advance.step_calls(run.pk, stage.clock)
    at_the_send(calls)
    LaunchJob.objects.update(attempt=2)
    Execution.objects.update(claim=None)
    throw(calls, "AccessDeniedException")
    assert LaunchJob.objects.get().status == "INITIATED"
    assert ServerRun.objects.get().launch_status == "PENDING"


def test_a_run_read_from_a_backup_believes_no_answer_of_before(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01"))
    calls = advance.step_calls(run.pk, stage.clock)
    at_the_send(calls)
    Execution.objects.update(restored_at=stage.clock(), claim=None)
    throw(calls, "ThrottlingException")
    assert LaunchJob.objects.get().status == "INITIATED"


def frozen_after_listing(stage: Stage, run: Execution, calls: AwsCalls[None]) -> None:
    """AWS lists its jobs just before the quarantine ends; the process goes on only long after it."""
    answer = next(calls)()
    stage.advance(120)
    with pytest.raises(StopIteration):
        calls.send(answer)


def just_before_the_quarantine_ends(stage: Stage) -> Execution:
    stage.simulator.scenario("drop_connection_before", operation="StartRecovery", times=1)
    run = stage.start(stage.plan("app-01"))
    stage.look()
    stage.advance(600)
    LaunchJob.objects.update(not_before=None)
    return run


def test_a_list_of_before_the_quarantine_clears_nothing(stage: Stage) -> None:
    run = just_before_the_quarantine_ends(stage)
    Execution.objects.update(claim=None, next_step_at=stage.clock())
    token = claim(run.pk, stage.clock())
    assert token is not None
    held = load(run.pk, token)
    frozen_after_listing(stage, run, launch.reconcile(held, held.waves[0], LaunchJob.objects.get().pk, stage.clock))
    assert LaunchJob.objects.get().status == "INITIATED"
    stage.until(run, "COMPLETED")
    assert len(stage.launches()) == 1


def test_a_list_of_before_the_quarantine_withdraws_nothing(stage: Stage) -> None:
    run = just_before_the_quarantine_ends(stage)
    token = claim(run.pk, stage.clock() + timedelta(hours=1))
    assert token is not None
    frozen_after_listing(stage, run, launch.adopt_late(load(run.pk, token), stage.clock))
    assert LaunchJob.objects.get().status == "INITIATED"
