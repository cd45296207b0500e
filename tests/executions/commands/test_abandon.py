"""A region stays silent for good: a person ends the run, and what AWS launched all the same is recorded."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.actor import SYSTEM
from audit.models import AuditEntry
from contract.errors import DomainError
from executions.commands import control, hide_finished
from executions.commands.abandon import abandon
from executions.models import Execution, LaunchJob, ServerHold, ServerRun
from tests.executions.launching.test_many_servers import bulk, plan_of, wave_of
from tests.support.stage import Stage


def refused(stage: Stage, run: Execution) -> str:
    with pytest.raises(DomainError) as refusal:
        abandon(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    assert refusal.value.code == "EXECUTION_NOT_ABANDONABLE"
    return refusal.value.message


@pytest.fixture
def silent(stage: Stage) -> Execution:
    """One wave in two regions, of which one has just fallen silent; a second wave is to come."""
    ids = bulk(stage, us_east_1=2, us_west_2=1)
    first = {"us-east-1": ids["us-east-1"][:1], "us-west-2": ids["us-west-2"]}
    run = stage.start(plan_of(wave_of(first), wave_of({"us-east-1": ids["us-east-1"][1:]}, "Second")))
    stage.wait(lambda: LaunchJob.objects.exclude(job_id="").count() == 2, run, step=5)
    stage.simulator.scenario("internal_error_before", operation="DescribeJobs", region="us-west-2")
    return run


def wait(stage: Stage, minutes: int) -> None:
    for _ in range(minutes):
        stage.advance(60)
        stage.look()


def test_a_person_ends_a_run_whose_region_never_answers(stage: Stage, silent: Execution) -> None:
    assert refused(stage, silent) == "No silence of AWS has been noticed. Cancel the run instead."
    wait(stage, 5)
    assert "less than 10 minutes" in refused(stage, silent)
    wait(stage, 30)
    assert stage.picture(silent) == ("LAUNCHING", ["LAUNCHING", "PENDING"])
    abandon(actor=SYSTEM, execution_id=silent.pk, comment="AWS's status page says hours.", clock=stage.clock)
    run = stage.fresh(silent)
    assert stage.picture(run) == ("PARTIAL", ["FAILED", "SKIPPED"])
    assert run.error_code == "AWS_NOT_ANSWERING"
    assert run.error_message.startswith("DRS in us-west-2 has not answered since 20")
    assert "AWS may still launch servers" in run.error_message
    assert ServerHold.objects.count() == 0
    entry = AuditEntry.objects.get(verb="execution.abandon", outcome="ok")
    assert (entry.detail["regions"], entry.before) == (["us-west-2"], {"status": "LAUNCHING"})
    assert refused(stage, run) == "The run is over."
    late = ServerRun.objects.get(job__region="us-west-2")
    wait(stage, 10)
    late.refresh_from_db()
    assert (late.launch_status, stage.fresh(run).next_step_at is None) == ("PENDING", False)
    stage.simulator.clear_scenarios()
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)
    late.refresh_from_db()
    assert (late.launch_status, late.recovery_instance_id[:2]) == ("LAUNCHED", "i-")
    assert stage.fresh(run).status == "PARTIAL"


def test_a_cancel_that_waits_for_silence_is_given_up_before_the_deadline(stage: Stage, silent: Execution) -> None:
    control.cancel(actor=SYSTEM, execution_id=silent.pk, clock=stage.clock)
    wait(stage, 12)
    assert stage.picture(silent)[0] == "CANCELLING"
    abandon(actor=SYSTEM, execution_id=silent.pk, clock=stage.clock)
    assert stage.picture(silent) == ("CANCELLED", ["FAILED", "SKIPPED"])
    assert ServerHold.objects.count() == 0


def test_a_launch_in_doubt_is_taken_over_if_it_turns_up_after_all(stage: Stage) -> None:
    stage.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
    stage.simulator.scenario("throttle", operation="DescribeJobs")
    run = stage.start(stage.plan("app-01"))
    wait(stage, 35)
    assert LaunchJob.objects.get().job_id == ""
    abandon(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    assert stage.picture(run) == ("FAILED", ["FAILED"])
    wait(stage, 3)
    stage.simulator.clear_scenarios()
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)
    assert ServerRun.objects.get().recovery_instance_id.startswith("i-")
    assert len(stage.simulator.journal("StartRecovery")) == 1


def test_the_console_offers_it_then_and_has_it_typed(stage: Stage, silent: Execution, admin_client: Client) -> None:
    page, question = reverse("execution", args=[silent.pk]), reverse("abandon-execution", args=[silent.pk])
    assert question not in admin_client.get(page).content.decode()
    long_ago = timezone.now() - timedelta(hours=1)
    Execution.objects.update(failing_since=long_ago, cancel_requested_at=long_ago, status="CANCELLING")
    LaunchJob.objects.filter(region="us-west-2").update(seen_at=None, recorded_at=long_ago)
    LaunchJob.objects.filter(region="us-east-1").update(seen_at=timezone.now())
    assert question in admin_client.get(page).content.decode()
    asked = admin_client.get(question).content.decode()
    assert "DRS in us-west-2 has not answered since" in asked
    assert "AWS may still launch servers" in asked
    assert admin_client.post(question, {"confirm": "yes"}).status_code == 422
    assert stage.picture(silent)[0] == "CANCELLING"
    assert admin_client.post(question, {"confirm": "Give up"}).status_code == 302
    assert stage.picture(silent)[0] == "CANCELLED"


def test_a_launch_in_doubt_keeps_its_run_from_being_deleted(stage: Stage) -> None:
    stage.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
    stage.simulator.scenario("throttle", operation="DescribeJobs")
    run = stage.start(stage.plan("app-01"))
    wait(stage, 35)
    abandon(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    owed = hide_finished.Kept(run.pk, "AWS has not said yet what became of all its launches.")
    assert control.hide_finished(actor=SYSTEM) == hide_finished.Hidden(0, 1, [owed])
    with transaction.atomic():
        assert hide_finished._hide(SYSTEM, [run.pk], stage.clock()) == 0  # it was clear when the list was made
    stage.simulator.clear_scenarios()
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)
    assert ServerRun.objects.get().recovery_instance_id.startswith("i-")
    up = hide_finished.Kept(run.pk, "1 instance still stands. Terminate first, then hide.")
    assert control.hide_finished(actor=SYSTEM) == hide_finished.Hidden(0, 1, [up])
