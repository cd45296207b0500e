"""A clean-up that AWS never answered and that did happen is ours, or nobody knows whose: never somebody else's."""

import pytest

from audit.actor import SYSTEM
from audit.models import AuditEntry
from executions.commands import control
from executions.console.live_page.event_feed import feed
from executions.models import Execution, ServerRun, TerminationJob
from executions.terminating.outcome import result
from reports.report_data import record
from reports.sentences import ending
from tests.executions.terminating.test_outside_changes import holds, round_of_inventory, up
from tests.support.stage import Stage
from tests.support.still import StillStage


def unanswered(stage: Stage, fault: str, visible_after: int = 0) -> Execution:
    """A run whose clean-up had no answer, and whose job DRS does not show while it is looked for."""
    run = up(stage, "app-01 app-02")
    if visible_after:
        stage.simulator.scenario("visibility_delay", seconds=visible_after)
    stage.simulator.scenario(fault, operation="TerminateRecoveryInstances", times=1)
    control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    lost = TerminationJob.objects.filter(error_code="NOT_CONFIRMED")
    stage.wait(lost.exists, run, step=15)
    assert stage.fresh(run).termination_status == "PARTIAL"
    return run


def verbs(run: Execution) -> list[str]:
    entries = AuditEntry.objects.filter(subject_id=str(run.pk)).order_by("id")
    return [each.verb for each in entries if each.verb.startswith(("instance", "terminate.s", "terminate.e"))]


def shown(run: Execution, stage: Stage) -> list[list[str]]:
    return ending(record(Execution.objects.with_waves().get(pk=run.pk), stage.clock()))


@pytest.mark.both
@pytest.mark.parametrize("how", ["drop_connection_after_effect", "internal_error_after_effect"])
def test_its_job_is_found_however_late_drs_shows_it(still: StillStage, how: str) -> None:
    run = unanswered(still, how, visible_after=300)
    still.advance(900)
    for _ in range(3):
        round_of_inventory(still)
    still.wait(lambda: still.fresh(run).termination_status == "COMPLETED", run)
    assert verbs(run) == ["terminate.sent", "terminate.ended"]
    told = result(still.fresh(run))
    assert (len(told.terminated), told.failed, told.already_gone) == (2, [], [])
    assert set(ServerRun.objects.values_list("launch_status", flat=True)) == {"TERMINATED"}
    holds(run, still)


@pytest.mark.parametrize("seconds", [-900, 900])
def test_its_job_is_found_whatever_time_aws_tells(still: StillStage, seconds: int) -> None:
    run = up(still, "app-01 app-02")
    still.simulator.scenario("clock_skew", seconds=seconds)
    still.simulator.scenario("drop_connection_after_effect", operation="TerminateRecoveryInstances", times=1)
    control.terminate(actor=SYSTEM, execution_id=run.pk, clock=still.clock)
    still.wait(lambda: still.fresh(run).termination_status == "COMPLETED", run, step=15)
    assert verbs(run) == ["terminate.sent", "terminate.ended"]
    assert TerminationJob.objects.get().error_code == ""


@pytest.mark.both
def test_ended_in_ec2_after_it_nobody_knows_by_whom(stage: Stage) -> None:
    run = unanswered(stage, "drop_connection_before")
    stage.simulator.scenario("ec2_terminated", servers=["app-02"])
    round_of_inventory(stage)
    assert verbs(run) == ["instance.terminated"]
    (line,) = [each.text for each in feed(run) if "terminated 1 instance" in each.text]
    assert line.startswith("Somebody else, or this run's own request of ")
    assert ", which AWS never answered, terminated 1 instance in us-east-1: app-02" in line
    rows = dict(shown(run, stage))
    assert "Ended without a request" not in rows
    assert (
        rows["Ended without a request that AWS confirmed"]
        == ServerRun.objects.get(hostname="app-02").recovery_instance_id
    )
    assert "1 ended without a request that AWS confirmed" in result(stage.fresh(run)).summary
    holds(run, stage)


def test_a_job_of_much_later_is_not_taken_for_it(still: StillStage) -> None:
    """Somebody ended them with AWS's console half an hour later: perhaps; the request was lost, and perhaps not."""
    run = unanswered(still, "drop_connection_before")
    still.advance(1800)
    ids = list(ServerRun.objects.values_list("recovery_instance_id", flat=True))
    still.simulator.client().terminate_recovery_instances(recoveryInstanceIDs=ids)
    still.advance(900)
    for _ in range(2):
        round_of_inventory(still)
    assert verbs(run) == ["instance.terminated"]
    assert any("Somebody else, or this run's own request" in each.text for each in feed(run))
    holds(run, still)
