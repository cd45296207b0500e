"""Terminating a finished run's instances: asked for once, followed to the end, whatever happens on the way."""

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest
from django.db import IntegrityError, transaction

from audit.actor import SYSTEM
from audit.models import AuditEntry
from contract.errors import BadRequest
from drs.client import Drs
from drs.errors import DrsError
from executions.commands import control
from executions.engine import save_answers
from executions.models import Execution, LaunchJob, ServerRun, TerminationJob
from executions.observing.drs_answers import JobChanges
from executions.runs.aws_calls import run_inline
from executions.terminating.follow_up import find_unconfirmed, send_waiting
from executions.terminating.outcome import result
from executions.terminating.send import NO_ROOM
from plans.models import RecoveryPlan
from tests.executions.launching.test_many_servers import bulk, plan_of, wave_of
from tests.support.api_client import Api, answer, make_user
from tests.support.stage import Stage
from tests.support.still import StillStage


def finished(stage: Stage, *tiers: str) -> Execution:
    run = stage.until(stage.start(stage.plan(*tiers or ("app-01 app-02",))), "COMPLETED")
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)
    return run


def terminate(stage: Stage, run: Execution) -> control.TerminationResult:
    return control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)


def calls(stage: Stage) -> int:
    return len(stage.simulator.journal("TerminateRecoveryInstances"))


def ended(stage: Stage, run: Execution, status: str) -> Execution:
    return stage.wait(lambda: stage.fresh(run).termination_status == status, run)


def test_it_terminates_all_instances_and_says_so_only_when_they_are_gone(stage: Stage) -> None:
    run = finished(stage, "app-01 app-02", "web-01")
    result = terminate(stage, run)
    instances = set(ServerRun.objects.values_list("recovery_instance_id", flat=True))
    assert set(result.terminated) == instances
    assert stage.fresh(run).termination_status == "IN_PROGRESS"
    ended(stage, run, "COMPLETED")
    assert set(ServerRun.objects.values_list("launch_status", flat=True)) == {"TERMINATED"}
    assert stage.simulator.state()["instances"] == []
    assert stage.fresh(run).status == "COMPLETED"
    again = terminate(stage, run)
    assert (set(again.terminated), again.failed, calls(stage)) == (instances, [], 1)
    asked, repeated = AuditEntry.objects.filter(verb="execution.terminate", outcome="ok").order_by("id")
    assert (repeated.detail, repeated.before == repeated.after) == (
        {"changed": False, "instances": []},
        True,
    )
    assert (asked.before, asked.after) == ({"terminationStatus": "NOT_STARTED"}, {"terminationStatus": "IN_PROGRESS"})
    assert AuditEntry.objects.filter(verb="terminate.ended").count() == 1
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)


def test_it_asks_once_while_it_is_under_way(stage: Stage) -> None:
    run = finished(stage)
    terminate(stage, run)
    terminate(stage, run)
    assert calls(stage) == 1


def test_what_drs_has_no_room_for_waits_and_is_asked_for_again(stage: Stage) -> None:
    run = finished(stage)
    stage.simulator.scenario("quota_exceeded", operation="TerminateRecoveryInstances", times=3)
    told = terminate(stage, run)
    assert (told.taken, len(told.waiting), told.failed) == (0, 2, [])
    [job] = TerminationJob.objects.all()
    assert job.waits_for == NO_ROOM
    ended(stage, run, "COMPLETED")
    assert (calls(stage), stage.simulator.state()["instances"]) == (4, [])
    assert AuditEntry.objects.filter(verb="terminate.waits").count() == 1
    assert TerminationJob.objects.get().error_message == ""


def test_it_does_not_wait_for_room_for_ever(stage: Stage) -> None:
    run = finished(stage)
    stage.simulator.scenario("quota_exceeded", operation="TerminateRecoveryInstances")
    terminate(stage, run)
    stage.wait(lambda: stage.fresh(run).termination_status == "PARTIAL", run, step=1_800, limit=7 * 3_600)
    failed = result(run).failed
    assert {each.code for each in failed} == {"ServiceQuotaExceededException"}
    stage.simulator.clear_scenarios()
    terminate(stage, run)
    ended(stage, run, "COMPLETED")


def test_it_refuses_while_the_run_goes_on(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01"))
    stage.look()
    with pytest.raises(BadRequest) as refused:
        terminate(stage, run)
    assert refused.value.code == "EXECUTION_STILL_RUNNING"


def test_it_tries_only_failed_instances_again(stage: Stage) -> None:
    run = finished(stage)
    stage.simulator.scenario("terminate_fails", servers=["app-01"])
    terminate(stage, run)
    ended(stage, run, "PARTIAL")
    stage.simulator.clear_scenarios()
    result = terminate(stage, run)
    assert len(result.terminated) == 2
    ended(stage, run, "COMPLETED")
    first, second = stage.simulator.journal("TerminateRecoveryInstances")
    assert len(first["params"]["recoveryInstanceIDs"]) == 2  # type: ignore[index]
    assert len(second["params"]["recoveryInstanceIDs"]) == 1  # type: ignore[index]


@pytest.mark.parametrize("fault", ["conflict", "throttle", "access_denied"])
def test_it_reports_a_refusal_and_a_person_tries_again(stage: Stage, fault: str) -> None:
    run = finished(stage)
    stage.simulator.scenario(fault, operation="TerminateRecoveryInstances")
    result = terminate(stage, run)
    assert len(result.failed) == 2
    assert stage.fresh(run).termination_status == "PARTIAL"
    stage.simulator.clear_scenarios()
    terminate(stage, run)
    ended(stage, run, "COMPLETED")


@pytest.mark.parametrize("fault", ["drop_connection_after_effect", "internal_error_after_effect"])
def test_it_finds_a_termination_whose_answer_was_lost(stage: Stage, fault: str) -> None:
    run = finished(stage)
    stage.simulator.scenario(fault, operation="TerminateRecoveryInstances", times=1)
    told = terminate(stage, run)
    assert TerminationJob.objects.get().status == "INITIATED"
    assert (told.taken, told.unconfirmed) == (0, told.terminated), "nobody knows yet that AWS has accepted it"
    said = answer(Api(make_user("operator")).post(f"/executions/{run.pk}/terminate-instances"))["message"]
    assert said.startswith("0 instances accepted by DRS, 2 asked for, without a clear answer from DRS yet")
    ended(stage, run, "COMPLETED")
    assert calls(stage) == 1
    assert TerminationJob.objects.get().job_id


def test_it_lets_a_person_try_again_when_a_request_never_arrived(stage: Stage) -> None:
    run = finished(stage)
    stage.simulator.scenario("drop_connection_before", operation="TerminateRecoveryInstances", times=1)
    terminate(stage, run)
    ended(stage, run, "PARTIAL")
    assert {each.code for each in control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock).failed} <= {
        "NOT_CONFIRMED"
    }
    ended(stage, run, "COMPLETED")
    assert calls(stage) == 2


def test_an_instance_that_comes_late_is_still_standing(stage: Stage) -> None:
    stage.simulator.scenario("slow_server", servers=["app-01"], factor=12)
    run = stage.until(stage.start(stage.plan("app-01", "app-02", on_failure={0: "CONTINUE"})), "PARTIAL")
    stage.simulator.clear_scenarios()
    stage.wait(lambda: LaunchJob.objects.get(wave__number=1).status == "COMPLETED", run)  # DRS lets its server go
    terminate(stage, run)
    ended(stage, run, "COMPLETED")
    assert ServerRun.objects.get(hostname="app-01").launch_status == "PENDING"
    late = LaunchJob.objects.filter(wave__number=0, status="COMPLETED")
    stage.wait(lambda: late.exists(), run, step=120, limit=20_000)
    assert ServerRun.objects.get(hostname="app-01").launch_status == "LAUNCHED"
    assert stage.fresh(run).termination_status == "PARTIAL"
    terminate(stage, run)
    ended(stage, run, "COMPLETED")
    assert stage.simulator.state()["instances"] == []


def test_it_forgets_instances_that_a_later_run_replaced(stage: Stage) -> None:
    first = finished(stage, "app-01")
    second = stage.start(RecoveryPlan.objects.get())
    stage.until(second, "COMPLETED")  # its launch replaced the first run's instance
    stage.wait(lambda: stage.fresh(second).next_step_at is None, second)
    terminate(stage, first)
    assert (calls(stage), stage.fresh(first).termination_status) == (0, "COMPLETED")
    terminate(stage, second)
    assert calls(stage) == 1
    ended(stage, second, "COMPLETED")


def test_it_has_nothing_to_do_where_nothing_launched(stage: Stage) -> None:
    stage.simulator.scenario("launch_failed")
    run = stage.until(stage.start(stage.plan("app-01")), "FAILED")
    result = terminate(stage, run)
    assert (result.terminated, result.failed, result.jobs, calls(stage)) == ([], [], [], 0)


def up(stage: Stage) -> Execution:
    """A run that is over while DRS still works on the job that launched one of its two instances."""
    stage.simulator.scenario("slow_server", servers=["app-01"], factor=12)
    run = stage.until(stage.start(stage.plan("app-01 app-02")), "PARTIAL", step=300)
    stage.simulator.clear_scenarios()
    assert LaunchJob.objects.get().watched
    return run


def sent(stage: Stage) -> list[object]:
    """The DRS jobs that came of requests to terminate."""
    return [call["job_id"] for call in stage.simulator.journal("TerminateRecoveryInstances") if call["job_id"]]


def test_it_waits_for_the_launch_job_to_end_and_asks_again(stage: Stage) -> None:
    run = up(stage)
    result = terminate(stage, run)
    assert (len(result.waiting), result.taken, result.failed, calls(stage)) == (1, 0, [], 1)
    assert stage.fresh(run).termination_status == "IN_PROGRESS"
    job = TerminationJob.objects.get()
    assert (job.status, LaunchJob.objects.get().job_id in job.waits_for) == ("QUEUED", True)
    assert len(terminate(stage, run).waiting) == 1
    assert calls(stage) == 1, "a second request has nothing to ask for"
    cleared = control.hide_finished(actor=SYSTEM)
    assert (cleared.hidden, [each.reason for each in cleared.kept]) == (0, ["AWS is terminating its instances."])
    gone = ServerRun.objects.filter(hostname="app-02", launch_status="TERMINATED")
    stage.wait(gone.exists, run, step=300, limit=20_000)
    job.refresh_from_db()
    assert sent(stage) == [job.job_id]
    assert job.error_message == ""
    assert stage.fresh(run).termination_status == "PARTIAL", "the slow one came up meanwhile"
    terminate(stage, run)
    ended(stage, run, "COMPLETED")
    assert (len(sent(stage)), stage.simulator.state()["instances"]) == (2, [])


def test_one_of_two_engines_sends_what_waited(stage: Stage) -> None:
    run = up(stage)
    terminate(stage, run)
    LaunchJob.objects.update(status="COMPLETED")  # and DRS is not done with it all the same
    one, other = (send_waiting(stage.fresh(run), stage.clock) for _ in range(2))
    call = next(one)
    assert next(other, None) is None
    with pytest.raises(DrsError) as busy:
        call()
    with pytest.raises(StopIteration):
        one.throw(busy.value)
    assert TerminationJob.objects.get().waits_for, "DRS is still busy"
    assert (calls(stage), sent(stage)) == (2, [])


def test_a_waiting_request_that_is_lost_is_left_to_a_person(stage: Stage) -> None:
    run = up(stage)
    terminate(stage, run)
    stage.simulator.scenario("drop_connection_before", operation="TerminateRecoveryInstances", times=1)
    job = TerminationJob.objects.filter(error_code="NOT_CONFIRMED")
    stage.wait(job.exists, run, step=300, limit=20_000)
    assert (stage.fresh(run).termination_status, sent(stage)) == ("PARTIAL", [])
    terminate(stage, run)
    ended(stage, run, "COMPLETED")


@pytest.fixture
def two_regions(stage: Stage) -> Execution:
    """A finished run with an instance in each of two regions."""
    run = stage.start(plan_of(wave_of(bulk(stage, us_east_1=1, us_west_2=1))))
    stage.until(run, "COMPLETED", step=15)
    return stage.wait(lambda: stage.fresh(run).next_step_at is None, run, step=15)


def test_it_never_takes_the_job_of_an_earlier_termination(stage: Stage) -> None:
    """The same server, launched again and terminated again within minutes; the second request is lost."""
    first = finished(stage, "app-01")
    terminate(stage, first)
    ended(stage, first, "COMPLETED")
    second = stage.until(stage.start(RecoveryPlan.objects.get()), "COMPLETED")
    stage.wait(lambda: stage.fresh(second).next_step_at is None, second)
    stage.simulator.scenario("drop_connection_before", operation="TerminateRecoveryInstances", times=1)
    terminate(stage, second)
    ended(stage, second, "PARTIAL")
    assert [each.job_id != "" for each in TerminationJob.objects.order_by("pk")] == [True, False]
    assert ServerRun.objects.get(wave__execution=second).launch_status == "LAUNCHED"
    assert len(cast("list[object]", stage.simulator.state()["instances"])) == 1
    with pytest.raises(IntegrityError):
        TerminationJob.objects.update(job_id="drsjob-3ffffffffffffffff")


def test_it_takes_no_job_that_is_older_than_the_request(still: StillStage) -> None:
    """Somebody else terminated these very servers a while ago, with AWS's console."""
    run = finished(still, "app-01")
    server = ServerRun.objects.get()
    still.simulator.client().terminate_recovery_instances(recoveryInstanceIDs=[server.recovery_instance_id])
    still.advance(180)
    job = TerminationJob.objects.create(
        execution=run,
        region="us-east-1",
        server_ids=[server.source_server_id],
        instance_ids=[server.recovery_instance_id],
        status="INITIATED",
        intent_at=still.clock(),
    )
    still.advance(300)
    run_inline(find_unconfirmed(run, still.clock))
    job.refresh_from_db()
    assert (job.status, job.error_code) == ("REJECTED", "NOT_CONFIRMED")


def test_one_regions_silence_does_not_hold_up_the_other(stage: Stage, two_regions: Execution) -> None:
    stage.simulator.scenario(
        "drop_connection_before", operation="TerminateRecoveryInstances", region="us-east-1", times=1
    )
    terminate(stage, two_regions)
    stage.simulator.scenario("internal_error_before", operation="DescribeJobs", region="us-west-2")
    east = TerminationJob.objects.filter(region="us-east-1")
    stage.wait(east.filter(error_code="NOT_CONFIRMED").exists, two_regions, limit=600)
    west = TerminationJob.objects.get(region="us-west-2")
    assert (west.watched, stage.fresh(two_regions).next_step_at is None) == (True, False)


def test_it_terminates_where_it_can_and_names_the_region_that_does_not_answer(
    stage: Stage, two_regions: Execution
) -> None:
    stage.simulator.scenario("throttle", operation="DescribeRecoveryInstances", region="us-west-2")
    told = terminate(stage, two_regions)
    assert [(each.code, "us-west-2" in each.message) for each in told.failed] == [("DRS_THROTTLED", True)]
    assert len(told.terminated) == len(sent(stage)) == 1
    ended(stage, two_regions, "PARTIAL")
    stage.simulator.clear_scenarios()
    terminate(stage, two_regions)
    ended(stage, two_regions, "COMPLETED")


def test_it_gives_up_a_job_that_drs_no_longer_shows_and_asks_what_stands(stage: Stage) -> None:
    run = finished(stage, "app-01")
    terminate(stage, run)
    TerminationJob.objects.update(job_id="drsjob-3ffffffffffffffff")
    stage.packs.touched = True
    for _ in range(3):
        stage.advance(8 * 3600 - 60)
        stage.look()
    assert stage.fresh(run).termination_status == "IN_PROGRESS"
    ended(stage, run, "PARTIAL")
    assert {each["code"] for each in TerminationJob.objects.get().failures.values()} == {"TERMINATION_LOST"}
    told = terminate(stage, run)  # it had been done
    assert (len(told.terminated), told.failed, stage.fresh(run).termination_status) == (1, [], "COMPLETED")


def test_it_is_not_over_while_a_server_is_up_whose_instance_nobody_knows(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished(stage, "app-01 app-02")
    ServerRun.objects.filter(hostname="app-01").update(recovery_instance_id="")
    told = Drs.recovery_instances
    with monkeypatch.context() as patch:  # DRS does not say which job an instance is of
        patch.setattr(
            Drs, "recovery_instances", lambda self, ids: [replace(each, job_id="") for each in told(self, ids)]
        )
        (nameless,) = terminate(stage, run).failed
        assert (nameless.code, "app-01" in nameless.message) == ("INSTANCE_NOT_KNOWN", True)
        ended(stage, run, "PARTIAL")
    assert terminate(stage, run).failed == []
    ended(stage, run, "COMPLETED")
    assert stage.simulator.state()["instances"] == []


def test_late_news_never_bring_a_terminated_server_back(stage: Stage) -> None:
    finished(stage, "app-01")
    job, server = LaunchJob.objects.select_related("wave__execution").get(), ServerRun.objects.get()
    server.point_in_time = stage.clock()
    ServerRun.objects.update(launch_status="TERMINATED")
    stage.packs.touched = True
    with transaction.atomic():
        save_answers.save([JobChanges(job, [server], {"launch_status", "point_in_time"})], stage.clock())
    assert ServerRun.objects.get().launch_status == "TERMINATED"


def test_an_engine_that_looks_at_the_run_does_not_put_it_to_rest(stage: Stage) -> None:
    run = finished(stage, "app-01")
    token = uuid.uuid4()
    Execution.objects.update(claim=token, next_step_at=stage.clock() + timedelta(seconds=60))
    terminate(stage, run)
    assert Execution.objects.get().claim is None
    assert not Execution.objects.filter(claim=token).update(next_step_at=None)
    ended(stage, run, "COMPLETED")
