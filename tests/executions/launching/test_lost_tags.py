"""A launch whose answer was lost, where the tags of DRS's jobs do not come back: it is known by its servers."""

from typing import Any, cast

import pytest
from django.test import override_settings

from audit.actor import SYSTEM
from audit.models import AuditEntry
from executions.commands.abandon import abandon
from executions.models import Execution, LaunchJob, ServerRun
from executions.states import Kind
from tests.support.stage import Stage
from tests.support.still import StillStage

pytestmark = pytest.mark.slow

APPS = "app-01 app-02"


def adopted() -> list[object]:
    return [each.detail.get("foundBy") for each in AuditEntry.objects.filter(verb="launch.adopted")]


@pytest.mark.field("A12")
@pytest.mark.parametrize("visible_after", [0, 45])
def test_a_job_of_the_same_servers_is_the_launch(still: StillStage, visible_after: int) -> None:
    still.simulator.scenario("tags_lost")
    still.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
    if visible_after:
        still.simulator.scenario("visibility_delay", seconds=visible_after, times=1)
    run = still.until(still.start(still.plan(APPS)), "COMPLETED", step=15)
    assert len(still.simulator.journal("StartRecovery")) == 1
    assert LaunchJob.objects.get().job_id == still.launches()[0]["job_id"]
    assert adopted() == ["servers"]
    assert run.status == "COMPLETED"


@pytest.mark.field("A12")
def test_it_is_found_behind_the_conflict_when_it_showed_too_late(still: StillStage) -> None:
    still.simulator.scenario("tags_lost")
    still.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
    still.simulator.scenario("visibility_delay", seconds=100, times=1)
    still.simulator.scenario("slow_server", factor=10)
    with override_settings(LAUNCH_QUARANTINE_SECONDS=30):
        run = still.start(still.plan(APPS))
        for _ in range(12):
            still.look()
            still.advance(15)
    assert len(still.launches()) == 1
    assert LaunchJob.objects.get().job_id == still.launches()[0]["job_id"]
    assert still.fresh(run).status == "LAUNCHING"


@pytest.mark.field("A12", "A4")
def test_an_ended_job_that_forgot_its_servers_is_known_by_their_instances(still: StillStage) -> None:
    still.simulator.scenario("tags_lost")
    still.simulator.scenario("untold_launches")
    still.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
    still.simulator.scenario("visibility_delay", seconds=100, times=1)
    with override_settings(LAUNCH_QUARANTINE_SECONDS=1200):
        run = still.start(still.plan(APPS))
        still.look()
        still.advance(1100)  # nobody looks until it has ended
        still.until(run, "COMPLETED", step=30)
    assert len(still.simulator.journal("StartRecovery")) == 1
    assert set(ServerRun.objects.values_list("launch_status", flat=True)) == {"LAUNCHED"}


@pytest.mark.parametrize("seconds", [-900, 900])
def test_whatever_time_aws_tells_the_launch_is_found_and_no_older_one_taken_for_it(
    still: StillStage, seconds: int
) -> None:
    """The first request has its effect and no answer; that of the second run never arrived, and somebody else launched
    the same servers ten minutes before it."""
    still.simulator.scenario("tags_lost")
    still.simulator.scenario("clock_skew", seconds=seconds)
    still.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
    plan = still.plan(APPS)
    still.until(still.start(plan), "COMPLETED", step=15)
    assert len(still.launches()) == len(still.simulator.journal("StartRecovery")) == 1
    assert adopted() == ["servers"]
    still.advance(7_200)
    still.simulator.scenario("slow_server", factor=0.2)
    still.simulator.scenario("foreign_job", servers=APPS.split(), region="us-east-1", initiated_by="START_DRILL")
    still.advance(600)
    still.simulator.scenario("drop_connection_before", operation="StartRecovery", times=1)
    still.until(still.start(plan), "COMPLETED", step=15)
    assert len(still.launches()) == 2
    assert adopted() == ["servers"]


OTHERS: dict[str, dict[str, Any]] = {
    "of another kind": {"kind": Kind.RECOVERY},
    "of fewer servers": {"servers": ["app-01"]},
    "of long before": {"before": 400},
}


@pytest.mark.field("A12")
@pytest.mark.parametrize("which", OTHERS)
def test_what_is_not_the_launch_is_never_taken_for_it(still: StillStage, which: str) -> None:
    """Our request was lost on its way; somebody else launched something similar, which has ended meanwhile."""
    job: dict[str, Any] = {
        "servers": APPS.split(),
        "region": "us-east-1",
        "initiated_by": "START_DRILL",
        **OTHERS[which],
    }
    before, kind = job.pop("before", 0), job.pop("kind", Kind.DRILL)
    still.simulator.scenario("tags_lost")
    still.simulator.scenario("drop_connection_before", operation="StartRecovery", times=1)
    plan = still.plan(APPS)
    if before:
        still.simulator.scenario("foreign_job", **job)
        still.advance(400)
    run = still.start(plan, kind)
    still.look()
    if not before:
        still.simulator.scenario("foreign_job", **job)
    still.until(run, "COMPLETED", step=30)
    assert adopted() == []
    assert len(still.simulator.journal("StartRecovery")) == 2


@pytest.mark.field("A12", "A11")
def test_of_two_alike_the_one_made_at_the_send_is_the_launch(still: StillStage) -> None:
    """Somebody else drilled the same servers a few minutes before."""
    still.simulator.scenario("tags_lost")
    still.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
    still.simulator.scenario("slow_server", factor=0.1)
    plan = still.plan(APPS)
    still.simulator.scenario("foreign_job", servers=APPS.split(), region="us-east-1", initiated_by="START_DRILL")
    still.advance(200)
    still.until(still.start(plan), "COMPLETED", step=15)
    assert adopted() == ["servers"]
    assert LaunchJob.objects.get().job_id == still.launches()[-1]["job_id"]


@pytest.mark.field("A12")
def test_a_job_of_another_run_of_ours_is_never_taken_for_it(still: StillStage) -> None:
    still.simulator.scenario("tags_lost")
    plan = still.plan(APPS)
    first = still.until(still.start(plan), "COMPLETED", step=120)
    still.simulator.scenario("drop_connection_before", operation="StartRecovery", times=1)
    second = still.start(plan)
    still.until(second, "COMPLETED", step=30)
    ids = [LaunchJob.objects.get(wave__execution=each).job_id for each in (first, second)]
    assert len(set(ids)) == 2
    assert adopted() == []


@pytest.mark.field("A12")
def test_it_is_found_after_the_run_was_given_up(still: StillStage) -> None:
    still.simulator.scenario("tags_lost")
    still.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
    still.simulator.scenario("internal_error_before", operation="DescribeJobs")
    run = still.start(still.plan(APPS))
    for _ in range(40):
        still.look()
        still.advance(60)
    abandon(actor=SYSTEM, execution_id=run.pk, clock=still.clock)
    still.simulator.clear_scenarios("internal_error_before")
    still.wait(lambda: not Execution.objects.filter(next_step_at__isnull=False).exists(), run, step=60)
    assert adopted() == ["servers"]
    assert set(ServerRun.objects.values_list("launch_status", flat=True)) == {"LAUNCHED"}


@pytest.mark.field("A14")
def test_what_aws_certainly_refused_is_sent_again_without_a_look(stage: Stage) -> None:
    stage.simulator.scenario("throttle", operation="StartRecovery", times=2)
    stage.simulator.scenario("throttle", operation="DescribeJobs")
    run = stage.start(stage.plan(APPS))
    stage.wait(lambda: LaunchJob.objects.exclude(job_id="").exists(), run, step=15, limit=120)
    assert len(stage.simulator.journal("StartRecovery")) == 3
    assert stage.simulator.journal("DescribeJobs") == []


@pytest.mark.field("A14")
def test_a_conflict_is_sent_again_while_drs_does_not_say_who_is_busy(stage: Stage) -> None:
    """A refusal is no lost answer: nothing needs to be looked up, however long DescribeJobs is throttled."""
    stage.simulator.scenario("conflict", operation="StartRecovery", times=2)
    stage.simulator.scenario("throttle", operation="DescribeJobs")
    run = stage.start(stage.plan(APPS))
    stage.wait(lambda: LaunchJob.objects.exclude(job_id="").exists(), run, step=15, limit=180)
    assert len(stage.launches()) == 1
    assert not AuditEntry.objects.filter(verb="launch.unclear").exists()


@pytest.mark.parametrize("is_refused", [False, True])
@pytest.mark.parametrize("kind", [Kind.DRILL, Kind.RECOVERY])
def test_a_launch_whose_job_was_deleted_before_anybody_saw_it_is_not_sent_again(
    still: StillStage, kind: Kind, is_refused: bool
) -> None:
    """`is_refused`: DRS does not leave the id of such a job out, but refuses who asks for it."""
    still.look()
    still.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
    still.simulator.scenario("visibility_delay", seconds=100_000, times=1)
    run = still.start(still.plan(APPS), kind)
    still.look()
    still.advance(1_500)
    still.simulator.scenario("jobs_deleted")
    if is_refused:
        still.simulator.scenario("poison_id")
    still.until(run, "FAILED", step=60, limit=7_200)
    assert len(still.launches()) == 1
    job = LaunchJob.objects.get()
    assert job.status == "REJECTED"
    assert "Nothing was sent again" in job.error_message
    standing = cast("list[dict[str, Any]]", still.simulator.state()["instances"])
    assert all(each["id"] in job.error_message for each in standing)
