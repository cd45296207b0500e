"""The end of a drill's lease while AWS refuses, while one of two accounts cannot be entered, while others act."""

import time
from datetime import timedelta

import pytest

from accounts import services as account_services
from accounts.services import Wanted
from audit.actor import SYSTEM
from audit.models import AuditEntry
from drs.roles import STILL_REFUSED
from executions.commands import control
from executions.models import Installation, ServerHold, ServerRun
from executions.runs.aws_calls import CallPool, run_inline
from executions.states import Kind
from executions.terminating import follow_up, leases
from plans.models import RecoveryPlan
from tests.console import world
from tests.executions.launching.test_two_accounts import plan_of_both
from tests.executions.terminating.test_leases import (
    HOUR,
    launch_statuses,
    leased,
    notices,
    pass_hours,
    running_now,
    verbs,
)
from tests.executions.terminating.test_replicated_back import replicate_back
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.credentials import EXTERNAL_ID, OURS, ROLE, SECOND, two_accounts
from tests.support.stage import Stage

pytestmark = pytest.mark.both


@pytest.fixture
def two(stage: Stage) -> Stage:
    two_accounts(stage.simulator)
    wanted = Wanted("Branch offices", ROLE, EXTERNAL_ID, ["us-east-1"])
    account_services.create(actor=SYSTEM, account_id=SECOND, wanted=wanted)
    return stage


@pytest.mark.parametrize("trouble", ["throttle", "expired_token", "conflict", "internal_error_before"])
def test_what_aws_refuses_for_now_is_asked_for_again(stage: Stage, trouble: str) -> None:
    run = leased(stage)
    pass_hours(stage, 4.2)
    stage.simulator.scenario(trouble, operation="TerminateRecoveryInstances")
    pass_hours(stage, 1)
    assert verbs(run) == ["lease.warned", "lease.ended"]
    stage.advance(1800)
    stage.look()
    assert launch_statuses(run) == {"app-01": "LAUNCHED", "app-02": "LAUNCHED"}
    assert stage.fresh(run).termination_status == "IN_PROGRESS"
    stage.simulator.clear_scenarios()
    stage.wait(lambda: stage.fresh(run).termination_status == "COMPLETED", run)
    assert running_now(stage) == []
    asked = [each["job_id"] for each in stage.simulator.journal("TerminateRecoveryInstances") if each["job_id"]]
    assert len(asked) == (2 if trouble == "conflict" else 1)  # whose conflict it was DRS did not say


def test_what_became_of_it_meanwhile_is_looked_at_before_it_is_asked_for_again(stage: Stage) -> None:
    run = leased(stage)
    pass_hours(stage, 4.2)
    stage.simulator.scenario("throttle", operation="TerminateRecoveryInstances")
    pass_hours(stage, 1)
    replicate_back(stage, "app-01")
    stage.simulator.clear_scenarios("throttle")
    stage.wait(lambda: launch_statuses(run)["app-02"] == "TERMINATED", run)
    stage.advance(1800)
    stage.look()
    assert launch_statuses(run)["app-01"] == "LAUNCHED"
    assert [each["sourceServerID"] for each in running_now(stage)] == stage.ids("app-01")
    told = control.terminate(actor=SYSTEM, execution_id=run.pk, only=[], clock=stage.clock)
    assert [each.code for each in told.failed] == ["LEFT_ALONE"]


def test_an_account_that_cannot_be_entered_keeps_no_other_ones_instances(two: Stage) -> None:
    world.subscription(events=["LEASE"])
    plan = plan_of_both()
    RecoveryPlan.objects.filter(pk=plan.pk).update(drill_lease_hours=5, drill_lease_ends="TERMINATE")
    run = two.until(two.start(plan), "COMPLETED")
    two.wait(lambda: not run.waves.filter(jobs__watched=True).exists(), run)
    pass_hours(two, 4.2)
    two_accounts(two.simulator)  # nobody has credentials of the second any more
    two.simulator.scenario("assume_role_denied", account=SECOND)
    pass_hours(two, 1)

    def standing(account: str) -> int:
        return ServerRun.objects.filter(job__account_id=account, launch_status="LAUNCHED").count()

    two.wait(lambda: standing(OURS) == 0, run)
    assert standing(SECOND) == 2
    assert verbs(run) == ["lease.warned", "lease.ended"]
    for _ in range(3):
        pass_hours(two, 0.1)
    assert verbs(run) == ["lease.warned", "lease.ended"]
    two.simulator.clear_scenarios()
    time.sleep(STILL_REFUSED)  # by the real clock
    pass_hours(two, 0.1)
    two.wait(lambda: standing(SECOND) == 0, run)
    assert verbs(run) == ["lease.warned", "lease.ended", "lease.ended"]
    assert [len(each.detail["instances"]) for each in AuditEntry.objects.filter(verb="lease.ended")] == [2, 2]
    assert "AWS does not say what 2 of them are" in notices()[1]


def test_while_drs_does_not_say_what_they_are_the_page_promises_no_end(stage: Stage) -> None:
    run = leased(stage)
    pass_hours(stage, 4.2)
    stage.simulator.scenario("throttle", operation="DescribeRecoveryInstances", retry_after="40")
    pass_hours(stage, 2)
    operator = Api(make_user("operator"))
    operator.client.force_login(operator.user)
    page = operator.client.get(f"/executions/{run.pk}").content.decode()
    assert "then its instances are terminated, once DRS calls them a drill’s" in page
    told = operator.post("/executions", {"planId": str(run.plan_id), "executionType": "DRILL"})
    assert (told.status_code, told.json()["error"], told.headers["Retry-After"]) == (503, "DRS_THROTTLED", "40")


def test_of_two_who_extend_at_once_neither_gets_less_than_was_promised(stage: Stage) -> None:
    run = leased(stage)
    pass_hours(stage, 4.9)
    one, other = Api(make_user("operator")), Api(make_user("operator"))
    path = f"/executions/{run.pk}/lease"
    answer(one.post(path, {"hours": 48, "comment": "The auditors come"}))
    promised = answer(one.get(f"/executions/{run.pk}"))["leaseEndsTime"]
    told = other.post(path, {"hours": 2, "comment": "One test more"})
    refusal(told, 400, "LEASE_NOT_EXTENDABLE")
    assert "already longer" in told.json()["message"]
    assert answer(other.get(f"/executions/{run.pk}"))["leaseEndsTime"] == promised


def test_a_lease_whose_instances_are_being_terminated_is_not_extended(stage: Stage) -> None:
    run = leased(stage)
    pass_hours(stage, 4.2)
    pass_hours(stage, 1)
    assert stage.fresh(run).termination_status == "IN_PROGRESS"
    told = Api(make_user("operator")).post(f"/executions/{run.pk}/lease", {"hours": 48, "comment": "Wait!"})
    refusal(told, 400, "LEASE_NOT_EXTENDABLE")
    assert "being terminated" in told.json()["message"]


def test_an_installation_that_was_taken_over_says_nothing_of_leases(stage: Stage) -> None:
    run = leased(stage)
    pass_hours(stage, 4.2)
    Installation.objects.update(superseded_by="2:line:key", superseded_at=stage.clock() - timedelta(minutes=1))
    pass_hours(stage, 1)
    assert verbs(run) == ["lease.warned"]
    assert len(notices()) == 1
    assert len(running_now(stage)) == 2


def test_an_engine_asks_no_more_often_than_aws_asks_it_to(stage: Stage) -> None:
    run = leased(stage)
    pass_hours(stage, 4.2)
    stage.simulator.scenario("throttle", operation="TerminateRecoveryInstances", retry_after="280")
    pass_hours(stage, 1)
    for _ in range(40):
        stage.advance(15)
        stage.look()
    assert len(stage.simulator.journal("TerminateRecoveryInstances")) == 3  # in ten minutes
    assert verbs(run) == ["lease.warned", "lease.ended"]


def test_a_lease_that_ends_late_keeps_no_launch_waiting(stage: Stage) -> None:
    run = leased(stage)
    pass_hours(stage, 4.2)
    stage.simulator.scenario("throttle", operation="TerminateRecoveryInstances")
    pass_hours(stage, 1)
    stage.simulator.clear_scenarios()
    again = stage.start(RecoveryPlan.objects.get(executions=run.pk), Kind.RECOVERY)
    ServerHold.objects.filter(assignment__source_server_id__in=stage.ids("app-02")).delete()
    stage.advance(400)
    run_inline(follow_up.follow_up_finished(stage.fresh(run), stage.clock))
    asked = [each["job_id"] for each in stage.simulator.journal("TerminateRecoveryInstances")]
    assert [each for each in asked if each] == asked[-1:]
    assert [each.server_ids for each in run.terminations.filter(job_id=asked[-1])] == [stage.ids("app-02")]
    stage.until(again, "COMPLETED")
    stage.wait(lambda: stage.fresh(run).termination_status == "COMPLETED", run)


def test_of_two_engines_one_ends_what_it_can_while_a_place_is_silent(two: Stage) -> None:
    plan = plan_of_both()
    RecoveryPlan.objects.filter(pk=plan.pk).update(drill_lease_hours=5, drill_lease_ends="TERMINATE")
    run = two.until(two.start(plan), "COMPLETED")
    two.wait(lambda: not run.waves.filter(jobs__watched=True).exists(), run)
    pass_hours(two, 4.2)
    two_accounts(two.simulator)
    two.simulator.scenario("assume_role_denied", account=SECOND)
    two.advance(HOUR)
    one, other = CallPool(), CallPool()
    one.start(leases.look(two.fresh(run), two.clock))
    other.start(leases.look(two.fresh(run), two.clock))
    for _ in range(50):
        one.collect(0.1, 1.0)
        other.collect(0.1, 1.0)
        if not (one.under_way or other.under_way):
            break
    assert verbs(run) == ["lease.warned", "lease.ended"]
