"""Credentials of another AWS account, by a restart or a renewal: nothing is sent with them, nothing is concluded."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from audit.actor import SYSTEM
from audit.models import AuditEntry
from drs import account
from drs.client import Drs, SendWindow
from drs.errors import DrsError, Trouble
from executions.commands import control
from executions.console.live_page.page_content import Live
from executions.models import Execution, LaunchJob, ServerRun, TerminationJob
from executions.runs.aws_calls import run_inline
from executions.states import Kind
from executions.terminating.follow_up import find_unconfirmed
from protection.inventory.source_servers import fetch, keep
from protection.models import RegionInventory, SourceServer
from tests.support.credentials import OTHER_ACCOUNT, OTHER_KEY, know_two_accounts, restarted_as
from tests.support.stage import Stage

OURS = "111122223333"


@pytest.fixture
def stage(stage: Stage) -> Stage:
    know_two_accounts(stage.simulator)
    return stage


def as_other(stage: Stage, since: int = 0) -> list[dict[str, Any]]:
    """What was asked of AWS as the other account, beside who that is."""
    calls = stage.simulator.journal(since=since)
    return [each for each in calls if each["account"] == OTHER_ACCOUNT and each["operation"] != "GetCallerIdentity"]


def live(run: Execution) -> Live:
    return Live(Execution.objects.with_waves().get(pk=run.pk))


def shows_both_accounts(run: Execution) -> None:
    shown = live(run)
    assert shown.silence == "The engine's AWS credentials have been for another account since"
    assert f"for account {OTHER_ACCOUNT}; these servers are in account {OURS}" in shown.aws_words
    assert "Nothing is sent or concluded" in shown.aws_words
    assert shown.trouble == "An administrator must give the engine credentials for this run's account."


def pass_hours(stage: Stage, hours: float = 2) -> None:
    for _ in range(int(hours * 12)):
        stage.advance(300)
        stage.look()


def not_sent_yet(stage: Stage) -> Execution:
    """Started, and no engine has looked at it."""
    return stage.start(stage.plan("app-01 app-02"))


def under_way(stage: Stage) -> Execution:
    run = stage.start(stage.plan("app-01 app-02", "web-01"))
    return stage.until(run, "POLLING", "LAUNCHING", step=5)


def answer_lost(stage: Stage) -> Execution:
    stage.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
    run = stage.start(stage.plan("app-01 app-02"))
    stage.look()
    assert AuditEntry.objects.filter(verb="launch.unclear").exists()
    return run


def never_arrived(stage: Stage) -> Execution:
    stage.simulator.scenario("drop_connection_before", operation="StartRecovery", times=1)
    run = stage.start(stage.plan("app-01 app-02"))
    stage.look()
    return run


@pytest.mark.parametrize("begun", [not_sent_yet, under_way, answer_lost, never_arrived])
@pytest.mark.field("A17")
def test_a_run_waits_for_credentials_of_its_account_and_goes_on_by_itself(
    stage: Stage, begun: Callable[[Stage], Execution]
) -> None:
    run = begun(stage)
    sent = len(stage.launches())
    with restarted_as(OTHER_KEY):
        pass_hours(stage)
        assert as_other(stage) == []
        shows_both_accounts(run)
        assert stage.fresh(run).ended_at is None
        assert set(ServerRun.objects.values_list("launch_status", flat=True)) <= {"PENDING", "IN_PROGRESS"}
        assert not LaunchJob.objects.filter(status__in=["REJECTED", "COMPLETED"]).exists()
    run = stage.until(run, "COMPLETED", "FAILED", "PARTIAL", step=300)
    assert ServerRun.objects.filter(launch_status="LAUNCHED", wave__number=0).count() == 2
    assert len(stage.launches()) == max(sent, 1) + (1 if run.total_waves == 2 and run.status == "COMPLETED" else 0)
    assert {each["account"] for each in stage.launches()} == {OURS}
    assert (run.failing_since, run.aws_error) == (None, "")


def test_a_run_that_was_not_sent_can_be_cancelled_meanwhile(stage: Stage) -> None:
    run = not_sent_yet(stage)
    with restarted_as(OTHER_KEY):
        stage.look()
        assert LaunchJob.objects.get().attempt == 0, "nothing was intended"
        control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
        stage.look()
    assert (stage.fresh(run).status, stage.launches()) == ("CANCELLED", [])


@pytest.mark.field("A17")
def test_a_dry_run_finds_nothing_wanting_in_another_account(stage: Stage) -> None:
    plan = stage.plan("app-01 app-02")
    run = control.start(actor=SYSTEM, plan_id=plan.pk, kind=Kind.DRILL, dry_run=True, clock=stage.clock)
    with restarted_as(OTHER_KEY):
        pass_hours(stage, 0.5)
        assert (as_other(stage), stage.fresh(run).ended_at) == ([], None)
        shows_both_accounts(run)
    assert stage.until(run, "COMPLETED", "FAILED", step=60).status == "COMPLETED"


@pytest.mark.field("A17")
def test_a_termination_that_is_under_way_waits_too(stage: Stage) -> None:
    run = stage.until(stage.start(stage.plan("app-01 app-02")), "COMPLETED")
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)
    stage.simulator.scenario("drop_connection_after_effect", operation="TerminateRecoveryInstances", times=1)
    control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    with restarted_as(OTHER_KEY):
        pass_hours(stage, 0.5)
        run_inline(find_unconfirmed(run, stage.clock))
        assert as_other(stage) == []
        assert TerminationJob.objects.get().status == "INITIATED", "not taken for lost"
        assert set(ServerRun.objects.values_list("launch_status", flat=True)) == {"LAUNCHED"}
    stage.wait(lambda: stage.fresh(run).termination_status == "COMPLETED", run)


@pytest.mark.field("A17")
def test_a_region_keeps_its_servers_whatever_another_account_reads(stage: Stage) -> None:
    stage.plan("app-01 app-02")
    before = list(SourceServer.objects.order_by("pk").values())
    with restarted_as(OTHER_KEY):
        error = keep(fetch("us-east-1"))
    assert error is not None
    assert error.trouble is Trouble.OTHER_ACCOUNT
    row = RegionInventory.objects.get(region="us-east-1")
    assert (row.account_id, row.initialized, row.error_code) == (OURS, True, "OtherAccount")
    assert OTHER_ACCOUNT in row.error_message
    assert list(SourceServer.objects.order_by("pk").values()) == before
    assert keep(fetch("us-east-1")) is None
    assert RegionInventory.objects.get(region="us-east-1").error_code == ""


def test_a_region_where_the_other_account_never_set_up_drs_stays_set_up(stage: Stage) -> None:
    stage.plan("app-01")
    stage.simulator.scenario("uninitialized", operation="DescribeSourceServers")
    with restarted_as(OTHER_KEY):
        keep(fetch("us-east-1"))
    assert RegionInventory.objects.get(region="us-east-1").initialized


def test_a_region_without_groups_is_whoevers_reads_it(stage: Stage) -> None:
    keep(fetch("us-east-1"))
    assert SourceServer.objects.filter(region="us-east-1").exists()
    with restarted_as(OTHER_KEY):
        assert keep(fetch("us-east-1")) is None
    assert not SourceServer.objects.filter(region="us-east-1").exists()
    assert RegionInventory.objects.get(region="us-east-1").account_id == OTHER_ACCOUNT


def identities(stage: Stage) -> int:
    return len(stage.simulator.journal("GetCallerIdentity"))


def test_sts_is_asked_once_for_a_set_of_credentials(stage: Stage) -> None:
    with restarted_as("AKIAASKEDONCEASKED00"):
        for region in ("us-east-1", "us-west-2", "us-east-1"):
            Drs(region, OURS).jobs(["drsjob-30000000000000000"])
        assert identities(stage) == 1
        stage.simulator.scenario("internal_error_before", operation="GetCallerIdentity")
        Drs("us-east-1", OURS).jobs(["drsjob-30000000000000000"])
        assert identities(stage) == 1, "what is known stays known, whatever becomes of STS"


def test_nothing_is_sent_while_nobody_knows_whose_the_credentials_are(stage: Stage) -> None:
    run = not_sent_yet(stage)
    stage.simulator.scenario("access_denied", operation="GetCallerIdentity")
    with restarted_as("AKIANOBODYKNOWS00000"):
        for _ in range(6):
            stage.advance(60)
            stage.look()
            account._failed.clear()
        assert stage.launches() == []
        assert (stage.fresh(run).status, live(run).silence) == ("RUNNING", "AWS has refused requests since")
        stage.simulator.clear_scenarios()
        stage.until(run, "COMPLETED", step=120)
    assert len(stage.launches()) == 1


@pytest.mark.field("A17")
def test_credentials_renewed_as_another_accounts_between_look_and_send_send_nothing(stage: Stage) -> None:
    """A role's credentials are renewed in place, by botocore, at any moment."""
    run = under_way(stage)
    ours = os.environ["AWS_ACCESS_KEY_ID"]
    with restarted_as(ours):
        credentials: Any = account.session(os.getpid()).get_credentials()
        renewing = Drs("us-east-1", OURS)
        before = len(stage.simulator.journal())

        def renew(**_: object) -> None:
            credentials.access_key = OTHER_KEY

        renewing._reader.meta.events.register_first("before-sign.drs", renew)
        with pytest.raises(DrsError) as held_back:
            renewing.jobs(list(LaunchJob.objects.exclude(job_id="").values_list("job_id", flat=True)))
        assert held_back.value.trouble is Trouble.CREDENTIALS
        assert len(stage.simulator.journal()) == before
        with pytest.raises(DrsError) as other:
            Drs("us-east-1", OURS).start_recovery(["s-30000000000000000"], is_drill=True, tags={}, window=SendWindow())
        assert other.value.trouble is Trouble.OTHER_ACCOUNT
    stage.until(run, "COMPLETED")
