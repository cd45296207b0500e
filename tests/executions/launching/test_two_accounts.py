"""Two accounts with the same region and the same host names: one wave launches in both, each with credentials of its
own, and what befalls one is not a second of the other's."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import services as account_services
from accounts.services import Wanted
from audit.actor import SYSTEM
from contract.errors import Conflict, Invalid
from drs_simulator.world.demo import demo_fleet
from executions.commands import control
from executions.commands.retry import retry
from executions.console.live_page.page_content import Live
from executions.models import Execution, LaunchJob, Place, ServerRun, TerminationJob
from executions.states import Kind
from plans.fields import WaveSpec
from plans.models import RecoveryPlan
from plans.services import create_plan, update_plan
from protection.inventory.source_servers import Reading, claim_due_places, fetch, keep, read_region
from protection.models import ProtectionGroup, RegionInventory, ServerAssignment, SourceServer
from protection.services import create_group
from tests.console.test_pages import words
from tests.support.api_client import Api, answer, make_user, sign_in
from tests.support.credentials import EXTERNAL_ID, OURS, ROLE, SECOND, second_server, two_accounts
from tests.support.stage import Stage

REGION = "us-east-1"
HOSTS = ("app-01", "app-02")


@pytest.fixture
def stage(stage: Stage) -> Iterator[Stage]:
    two_accounts(stage.simulator)
    wanted = Wanted("Branch offices", ROLE, EXTERNAL_ID, [REGION])
    account_services.create(actor=SYSTEM, account_id=SECOND, wanted=wanted)
    yield stage
    misdirected = [each for each in stage.simulator.journal() if not is_of_its_account(each)]
    assert misdirected == [], "a request carried credentials of another account than its row's"


def servers_of(account: str) -> list[str]:
    if account == SECOND:
        return [second_server(each) for each in HOSTS]
    ours = SourceServer.objects.filter(hostname__in=HOSTS, account_id=OURS).order_by("pk")
    return list(ours.values_list("pk", flat=True))


def is_of_its_account(call: dict[str, Any]) -> bool:
    """Whatever a call names, server, job or instance, belongs to the account whose credentials it carried."""
    text = json.dumps(call["params"])
    theirs = {*servers_of(SECOND), *_of(SECOND)}
    ours = {*servers_of(OURS), *_of(OURS)}
    named = {each for each in theirs | ours if each and each in text}
    return named <= (theirs if call["account"] == SECOND else ours)


def _of(account: str) -> set[str]:
    jobs = set(LaunchJob.objects.filter(account_id=account).values_list("job_id", flat=True))
    jobs |= set(TerminationJob.objects.filter(account_id=account).values_list("job_id", flat=True))
    instances = ServerRun.objects.filter(job__account_id=account).values_list("recovery_instance_id", flat=True)
    return jobs | set(instances)


def group_of(account: str) -> ProtectionGroup:
    known = ProtectionGroup.objects.filter(account_id=account).first()
    if known is not None:
        return known
    if account == OURS:
        read_region(REGION)
    ids = servers_of(account)
    name = "Head office" if account == OURS else "Branches"
    return create_group(
        actor=SYSTEM, name=name, region=REGION, source_server_ids=ids, account_id="" if account == OURS else account
    )


def plan_of_both() -> RecoveryPlan:
    """One wave over both accounts."""
    groups = [group_of(OURS), group_of(SECOND)]
    ids = [*servers_of(OURS), *servers_of(SECOND)]
    return create_plan(actor=SYSTEM, name="Both", waves=[WaveSpec("All", [each.pk for each in groups], ids)])


def launched(run: Execution, account: str) -> int:
    return ServerRun.objects.filter(wave__execution=run, job__account_id=account, launch_status="LAUNCHED").count()


def sent(stage: Stage) -> list[str]:
    return [each["account"] for each in stage.launches()]


@pytest.mark.both
def test_one_wave_launches_and_ends_in_both(stage: Stage) -> None:
    run = stage.until(stage.start(plan_of_both(), Kind.RECOVERY), "COMPLETED")
    assert sorted(sent(stage)) == [OURS, SECOND], "one job an account and region"
    assert (launched(run, OURS), launched(run, SECOND)) == (2, 2)
    assert set(Place.objects.values_list("account_id", "region")) == {(OURS, REGION), (SECOND, REGION)}
    control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.wait(lambda: stage.fresh(run).termination_status == "COMPLETED", run)
    calls = [each for each in stage.simulator.journal("TerminateRecoveryInstances") if each["job_id"]]
    ended = [str(each["account"]) for each in calls]
    assert sorted(ended) == [OURS, SECOND]
    assert stage.simulator.state()["instances"] == []
    console = Client()
    console.force_login(make_user("viewer"))
    page = console.get(f"/executions/{run.pk}").content.decode()
    assert f"{REGION} of Branch offices" in page
    of_second = console.get(f"/executions?account={SECOND}").content.decode()
    assert str(run.pk) in of_second
    LaunchJob.objects.filter(account_id=SECOND).update(account_id="999988887777")
    assert str(run.pk) not in console.get(f"/executions?account={SECOND}").content.decode()


@pytest.mark.parametrize("outage", ["assume_role_denied", "account_suspended"])
def test_what_befalls_one_account_leaves_the_other_alone(stage: Stage, outage: str) -> None:
    """In mid-run: what was sent is followed up once the account answers again; the other's servers are up meanwhile."""
    run = stage.start(plan_of_both())
    stage.wait(lambda: len(sent(stage)) == 2, run, step=5)
    two_accounts(stage.simulator)  # nobody has credentials of the second any more
    stage.simulator.scenario(outage, account=SECOND)
    stage.wait(lambda: launched(run, OURS) == 2, run, step=60)
    assert stage.fresh(run).ended_at is None
    assert launched(run, SECOND) == 0
    [place] = Place.objects.filter(failing_since__isnull=False)
    assert place.account_id == SECOND
    told = Live(Execution.objects.with_waves().get(pk=run.pk))
    assert SECOND in told.aws_words, "which account it waits for, and why"
    shown = answer(Api(make_user("viewer")).get(f"/executions/{run.pk}"))
    assert shown["awsTrouble"]["message"] == told.aws_words
    stage.simulator.clear_scenarios()
    stage.until(run, "COMPLETED", step=60)
    assert sorted(sent(stage)) == [OURS, SECOND], "nothing was sent again"


def test_a_launch_waits_for_its_account_and_the_others_are_sent_at_once(stage: Stage) -> None:
    plan = plan_of_both()
    two_accounts(stage.simulator)
    stage.simulator.scenario("assume_role_denied", account=SECOND)
    run = stage.start(plan, Kind.RECOVERY)  # a drill is refused while nobody knows what it would end
    for _ in range(4):
        stage.advance(16)
        stage.look()
    assert sent(stage) == [OURS]
    job = LaunchJob.objects.get(account_id=SECOND)
    assert (job.status, job.attempt) == ("QUEUED", 0), "nothing was even intended"
    told = Live(Execution.objects.with_waves().get(pk=run.pk))
    assert f"The role {ROLE} of account {SECOND} cannot be assumed" in told.aws_words
    stage.simulator.clear_scenarios()
    run = stage.until(run, "COMPLETED", step=60)
    assert sorted(sent(stage)) == [OURS, SECOND]
    assert (run.aws_error, run.failing_since) == ("", None)


def test_an_account_that_is_first_in_its_wave_keeps_none_behind_it_waiting(stage: Stage) -> None:
    plan = plan_of_both()
    two_accounts(stage.simulator)
    stage.simulator.scenario("assume_role_denied", account=SECOND)
    stage.start(plan, Kind.RECOVERY)
    for account, position in ((OURS, 9), (SECOND, 0)):
        LaunchJob.objects.filter(account_id=account).update(position=position)
    for _ in range(4):
        stage.advance(16)
        stage.look()
    assert sent(stage) == [OURS]


@pytest.mark.both
def test_a_retry_launches_the_rest_where_it_failed(stage: Stage) -> None:
    stage.simulator.scenario("launch_failed", servers=[second_server("app-01")], times=1)
    run = stage.until(stage.start(plan_of_both()), "COMPLETED", "PARTIAL", "FAILED")
    assert (launched(run, OURS), launched(run, SECOND)) == (2, 1)
    stage.wait(lambda: not LaunchJob.objects.filter(watched=True).exists(), run, step=120)
    again = retry(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.until(again, "COMPLETED")
    assert sent(stage)[2:] == [SECOND]


def test_a_group_stays_in_its_account_which_must_be_known(stage: Stage) -> None:
    with pytest.raises(Invalid) as unknown:
        create_group(
            actor=SYSTEM, name="X", region=REGION, source_server_ids=servers_of(SECOND), account_id="999988887777"
        )
    assert "accountId" in unknown.value.fields
    assert group_of(SECOND).account_id == SECOND
    with pytest.raises(Conflict) as in_use:
        account_services.delete(actor=SYSTEM, account_id=SECOND)
    assert in_use.value.code == "ACCOUNT_IN_USE"
    assert "Branches" in in_use.value.message


def test_an_account_that_goes_takes_along_what_was_read_there_and_no_more(stage: Stage) -> None:
    read_region(REGION)
    read_region(REGION, SECOND)
    assert SourceServer.objects.filter(hostname="app-01").count() == 2
    account_services.delete(actor=SYSTEM, account_id=SECOND)
    assert list(SourceServer.objects.filter(hostname="app-01").values_list("account_id", flat=True)) == [OURS]
    assert list(RegionInventory.objects.values_list("way", "account_id")) == [("", OURS)]


def test_each_account_is_read_by_itself_and_an_outage_is_of_one(stage: Stage) -> None:
    group_of(OURS), group_of(SECOND)
    RegionInventory.objects.update(tried_at="2020-01-01T00:00Z")
    due = claim_due_places(stage.clock(), every=timedelta(seconds=30))
    assert set(due) >= {("", REGION), (SECOND, REGION)}
    two_accounts(stage.simulator)
    stage.simulator.scenario("assume_role_denied", account=SECOND)
    assert keep(fetch(REGION)) is None
    error = keep(fetch(REGION, SECOND))
    assert error is not None
    rows = {row.way: row for row in RegionInventory.objects.filter(region=REGION)}
    assert (rows[""].error_code, rows[SECOND].error_code) == ("", "AccessDenied")
    assert ROLE in rows[SECOND].error_message
    assert SourceServer.objects.present().filter(account_id=SECOND).exists(), "nothing is concluded from silence"


def test_the_same_id_in_two_accounts_is_kept_apart_and_told(stage: Stage) -> None:
    """DRS's ids are unlikely to be the same anywhere; if they are, whoever was read first has it."""
    read_region(REGION)
    reading = fetch(REGION, SECOND)
    ours = fetch(REGION).servers[0]
    twice = Reading(REGION, SECOND, [*reading.servers, ours], way=SECOND)
    assert keep(twice) is None
    assert SourceServer.objects.get(pk=ours.source_server_id).account_id == OURS
    assert RegionInventory.objects.get(way=SECOND, region=REGION).left_out == [ours.source_server_id]


def test_an_account_in_which_instances_stand_is_not_forgotten(stage: Stage) -> None:
    run = stage.until(stage.start(plan_of_both()), "COMPLETED")
    plan = run.plan
    assert plan is not None
    plan.delete()
    ProtectionGroup.objects.all().delete()
    with pytest.raises(Conflict) as standing:
        account_services.delete(actor=SYSTEM, account_id=SECOND)
    assert "a run of “Both”" in standing.value.message


@pytest.mark.both
def test_a_restored_run_looks_in_each_account_and_sends_nothing_again(stage: Stage, tmp_path: Path) -> None:
    run = stage.start(plan_of_both())
    call_command("backup", str(tmp_path / "copy"))  # nothing was sent yet
    stage.wait(lambda: len(sent(stage)) == 2, run, step=5)
    call_command("restore", str(tmp_path / "copy"), "--force")
    two_accounts(stage.simulator)
    stage.simulator.scenario("assume_role_denied", account=SECOND)
    stage.advance(60)
    stage.look()
    assert list(LaunchJob.objects.exclude(job_id="").values_list("account_id", flat=True)) == [OURS]
    assert SECOND in stage.fresh(run).aws_error
    stage.simulator.clear_scenarios()
    stage.until(run, "COMPLETED", "PAUSED", step=60)
    assert sorted(sent(stage)) == [OURS, SECOND]
    assert LaunchJob.objects.exclude(job_id="").count() == 2


@pytest.mark.both
@pytest.mark.django_db
def test_a_process_of_the_version_before_goes_on_writing_rows_by_region() -> None:
    old: dict[str, Any] = {
        "region": REGION,
        "account_id": OURS,
        "initialized": True,
        "tried_at": "2026-01-01T00:00:00Z",
    }
    old |= {"error_code": "", "error_message": "", "running_jobs": "[]", "details_error": ""}
    marks = ", ".join(["%s"] * len(old))
    with connection.cursor() as cursor:
        sql = f"INSERT INTO protection_regioninventory ({', '.join(old)}) VALUES ({marks})"
        cursor.execute(sql, list(old.values()))
        cursor.execute("UPDATE protection_regioninventory SET error_code = 'X' WHERE region = %s", [REGION])
    assert RegionInventory.objects.of(OURS, REGION).get().error_code == "X"


def test_a_role_that_is_deleted_in_mid_run_keeps_only_its_own_waiting(stage: Stage) -> None:
    run = stage.start(plan_of_both())
    stage.wait(lambda: len(sent(stage)) == 2, run, step=5)
    stage.simulator.roles({ROLE: None})  # its sessions are refused, too
    stage.wait(lambda: launched(run, OURS) == 2, run, step=60)
    assert (launched(run, SECOND), stage.fresh(run).ended_at) == (0, None)
    assert SECOND in stage.fresh(run).aws_error
    stage.simulator.roles({ROLE: {"externalId": EXTERNAL_ID}})
    two_accounts(stage.simulator)
    stage.until(run, "COMPLETED", step=60)
    assert sorted(sent(stage)) == [OURS, SECOND]


def test_a_service_control_policy_fails_its_account_s_servers_in_its_words(stage: Stage) -> None:
    stage.simulator.scenario("scp_denied", account=SECOND, operation="StartRecovery")
    run = stage.until(stage.start(plan_of_both()), "PARTIAL", "FAILED")
    assert (launched(run, OURS), launched(run, SECOND)) == (2, 0)
    told = set(ServerRun.objects.filter(job__account_id=SECOND).values_list("launch_status", "error_code"))
    assert told == {("FAILED", "DRS_ACCESS_DENIED")}
    assert "service control policy" in ServerRun.objects.filter(job__account_id=SECOND)[0].error


@pytest.mark.both
def test_credentials_that_expire_all_the_time_double_and_lose_nothing(stage: Stage) -> None:
    stage.simulator.scenario("short_credentials", seconds=0.4)
    two_accounts(stage.simulator)
    stage.simulator.scenario("hang", operation="StartRecovery", account=SECOND, seconds=0.6)  # they expire meanwhile
    run = stage.until(stage.start(plan_of_both()), "COMPLETED", step=20)
    assert sorted(sent(stage)) == [OURS, SECOND]
    assert (launched(run, OURS), launched(run, SECOND)) == (2, 2)
    assert len(stage.simulator.journal("AssumeRole")) > 2


def says_it_where_people_choose(ours: str, theirs: str) -> None:
    """The list of servers, the page of each, and the editor of either's group, which the other one's group has."""
    console = sign_in(Client(), make_user("admin"))
    for each, other, account in ((ours, theirs, "Branch offices"), (theirs, ours, OURS)):
        group = ServerAssignment.objects.get(source_server_id=other).group
        warned = (
            f"The same machine as app-01 ({other}) in account {account}, which group {group.name} has: recover only"
        )
        mine = ServerAssignment.objects.get(source_server_id=each).group
        for page in ("/source-servers", f"/source-servers/{each}", f"/protection-groups/{mine.pk}/edit"):
            assert warned in words(console.get(page).content.decode()).replace(" ,", ","), page
        other_one = SourceServer.objects.get(hostname="app-02", account_id=mine.account_id)
        assert "The same machine" not in console.get(f"/source-servers/{other_one.pk}").content.decode()
    SourceServer.objects.filter(pk=ours).update(gone_at=timezone.now())
    told = words(console.get(f"/source-servers/{theirs}").content.decode())
    assert f"The same machine as {ours} in account {OURS}: recover only" in told, "not in the inventory"
    SourceServer.objects.filter(pk=ours).update(gone_at=None)


@pytest.mark.both
def test_an_original_and_its_extension_are_told_as_one_machine(stage: Stage) -> None:
    """The second account's app-01 extends ours: a run of both would start the same machine twice."""
    fleet, theirs = demo_fleet(2), second_server("app-01")
    [ours] = [each.id for each in fleet.servers if (each.account, each.hostname) == (OURS, "app-01")]
    extended = [
        replace(each, staging_account=OURS, staging_server=ours) if each.id == theirs else each
        for each in fleet.servers
    ]
    stage.simulator.load_fleet(replace(fleet, servers=tuple(extended)))
    plan, viewer = plan_of_both(), Api(make_user("viewer"))
    assert SourceServer.objects.get(pk=theirs).extended_of == ours
    reasons = {each["code"]: each for each in answer(viewer.get(f"/recovery-plans/{plan.pk}/readiness"))["reasons"]}
    told = reasons["SAME_MACHINE"]
    assert (set(told["serverIds"]), told["severity"]) == ({ours, theirs}, "WARNING")
    assert "us-east-1 of Branch offices" in told["message"]
    says_it_where_people_choose(ours, theirs)
    update_plan(
        actor=SYSTEM, plan_id=plan.pk, waves=[WaveSpec("All", [group_of(OURS).pk], servers_of(OURS))], expected=None
    )
    codes = [each["code"] for each in answer(viewer.get(f"/recovery-plans/{plan.pk}/readiness"))["reasons"]]
    assert "SAME_MACHINE" not in codes
