"""One bad server never keeps the others of its job down: it alone fails or waits, and each good one launches once."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from math import log2

import pytest
from django.db import connection
from django.test import Client, override_settings

from audit.actor import SYSTEM
from audit.models import AuditEntry
from drs_simulator.testing import RunningSimulator
from drs_simulator.world.fleet import generate_fleet
from executions.commands import control
from executions.launching import restored_runs
from executions.models import Execution, LaunchJob, ServerRun, WaveRun
from executions.states import Kind
from plans.fields import WaveSpec
from plans.services import create_plan
from protection.inventory.source_servers import read_region
from protection.models import SourceServer
from protection.services import create_group
from reports.services import report
from tests.support.api_client import make_user
from tests.support.failpoints import SPLITS
from tests.support.processes import child_at, free_leases
from tests.support.stage import Stage
from tests.support.still import StillStage

pytestmark = pytest.mark.slow

APPS = "app-01 app-02 app-03"


def launched(simulator: RunningSimulator) -> Counter[str]:
    """How often each server was launched, by the simulator's own journal."""
    calls = [call for call in simulator.journal("StartRecovery") if call["job_id"]]
    return Counter(each["sourceServerID"] for call in calls for each in call["params"]["sourceServers"])  # type: ignore[index]


def fates(run: Execution) -> dict[str, str]:
    return dict(ServerRun.objects.filter(wave__execution=run).values_list("hostname", "launch_status"))


def error_of(hostname: str) -> str:
    return ServerRun.objects.get(hostname=hostname).error


def calls(stage: Stage) -> int:
    return len(stage.simulator.journal("StartRecovery"))


def occupy(stage: Stage, hostname: str, factor: float = 1e6) -> None:
    """A server is in somebody else's job, by default for ever."""
    stage.simulator.scenario("slow_server", servers=[hostname], factor=factor)
    stage.simulator.scenario("foreign_job", servers=[hostname], region="us-east-1")
    stage.simulator.clear_scenarios("slow_server")


@pytest.mark.field("A1")
def test_a_server_that_is_gone_from_drs_fails_alone_before_the_send(stage: Stage) -> None:
    run = stage.start(stage.plan(APPS, "web-01", on_failure={0: "CONTINUE"}))
    stage.simulator.delete_servers("app-02")
    run = stage.until(run, "PARTIAL")
    assert fates(run) == {"app-01": "LAUNCHED", "app-02": "FAILED", "app-03": "LAUNCHED", "web-01": "LAUNCHED"}
    assert error_of("app-02").startswith("It is no longer in DRS")
    assert error_of("app-01") == ""
    assert [each.error_code for each in ServerRun.objects.filter(wave__number=0)] == ["", "SERVER_GONE", ""]
    assert stage.picture(run)[1] == ["FAILED", "COMPLETED"]
    assert (run.error_code, calls(stage)) == ("SERVER_GONE", 2)
    assert run.error_message.startswith("1 of 3 servers did not launch. It is no longer in DRS")
    assert set(launched(stage.simulator)) == set(stage.ids("app-01 app-03 web-01"))


@pytest.mark.field("A1")
def test_a_server_that_one_answer_leaves_out_is_launched(stage: Stage) -> None:
    run = stage.start(stage.plan(APPS))
    stage.simulator.scenario("unlisted_servers", servers=["app-02"], times=1)
    stage.until(run, "COMPLETED")
    assert launched(stage.simulator) == Counter(stage.ids(APPS))
    again = stage.start(stage.plan("web-01 web-02"))
    stage.simulator.scenario("unlisted_servers", servers=["web-02"])
    stage.until(again, "PARTIAL")
    assert ServerRun.objects.get(hostname="web-02").error_code == "SERVER_GONE", "left out twice"


@pytest.mark.field("A1")
def test_a_server_that_somebody_disconnects_between_waves_fails_alone(still: StillStage) -> None:
    """DRS goes on listing it, and has no data of it any more."""
    run = still.until(still.start(still.plan("app-01", "app-02 web-01", pause={1})), "PAUSED", step=60)
    standing, leaving = still.ids("app-01 app-02")
    drs = still.simulator.client()
    with pytest.raises(drs.exceptions.ConflictException):
        drs.disconnect_source_server(sourceServerID=standing)
    with pytest.raises(drs.exceptions.ConflictException):
        drs.delete_source_server(sourceServerID=leaving)
    drs.disconnect_source_server(sourceServerID=leaving)
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=still.clock)
    run = still.until(run, "PARTIAL", step=60)
    assert fates(run) == {"app-01": "LAUNCHED", "app-02": "FAILED", "web-01": "LAUNCHED"}
    (told,) = report(run.pk, still.clock())["failures"]
    assert told["where"] == "app-02"
    assert "disconnects a server from DRS" in told["advice"]
    drs.delete_source_server(sourceServerID=leaving)
    control.terminate(actor=SYSTEM, execution_id=run.pk, clock=still.clock)
    still.until(run, "PARTIAL", step=60)
    still.wait(lambda: still.fresh(run).termination_status == "COMPLETED", run, step=60)


@pytest.mark.field("A1")
def test_a_job_all_of_whose_servers_are_gone_is_rejected_without_a_call(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01 app-02", "web-01", on_failure={0: "CONTINUE"}))
    stage.simulator.delete_servers("app-01", "app-02")
    run = stage.until(run, "PARTIAL")
    assert stage.picture(run)[1] == ["FAILED", "COMPLETED"]
    assert calls(stage) == 1
    assert LaunchJob.objects.filter(status="REJECTED").get().error_code == "SERVER_GONE"


def test_a_look_that_is_not_answered_keeps_no_launch_from_being_sent(stage: Stage) -> None:
    run = stage.start(stage.plan(APPS))
    stage.simulator.scenario("throttle", operation="DescribeSourceServers")
    stage.until(run, "COMPLETED")
    assert calls(stage) == 1


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("code", ["ResourceNotFoundException", "ValidationException"])
@pytest.mark.field("A1")
def test_a_server_that_goes_between_look_and_send_fails_with_awss_words(stage: Stage, code: str, named: bool) -> None:
    run = stage.start(stage.plan(APPS))
    stage.simulator.scenario("throttle", operation="DescribeSourceServers", times=1)
    stage.simulator.scenario("refusal_style", code=code, named=named)
    stage.simulator.delete_servers("app-02")
    run = stage.until(run, "PARTIAL")
    assert fates(run) == {"app-01": "LAUNCHED", "app-02": "FAILED", "app-03": "LAUNCHED"}
    assert error_of("app-02").startswith(f"{code}: ")
    assert set(launched(stage.simulator).values()) == {1}
    assert calls(stage) == 2
    refused = AuditEntry.objects.get(verb="launch.split")
    assert (refused.outcome, len(refused.detail["parts"])) == (code, 2)


@pytest.mark.parametrize(
    ("code", "named", "ours"),
    [
        ("TagPolicyException", True, "LAUNCH_REJECTED"),
        ("TagPolicyException", False, "LAUNCH_REJECTED"),
        ("AccessDeniedException", True, "DRS_ACCESS_DENIED"),  # a right may hang on a server's tags
    ],
)
@pytest.mark.field("A13")
def test_a_refusal_that_may_be_everybodys_has_awss_words_and_fails_whom_it_names(
    stage: Stage, code: str, named: bool, ours: str
) -> None:
    """Only a server that it names is taken out: nothing says that it lies in one of them."""
    stage.simulator.scenario("server_refused", servers=["app-02"], code=code, named=named)
    run = stage.until(stage.start(stage.plan(APPS)), "PARTIAL", "FAILED")
    failed = [hostname for hostname, status in fates(run).items() if status == "FAILED"]
    assert set(ServerRun.objects.exclude(error="").values_list("error_code", flat=True)) == {ours}
    assert failed == (["app-02"] if named else APPS.split())
    assert all(error_of(each).startswith(f"{code}: ") for each in failed)
    assert calls(stage) == (2 if named else 1)


@pytest.mark.field("A2")
def test_only_the_free_ones_go_at_once_when_one_is_in_somebodys_stuck_job(stage: Stage) -> None:
    occupy(stage, "app-02")
    run = stage.start(stage.plan(APPS))
    stage.look()
    assert set(launched(stage.simulator)) >= set(stage.ids("app-01 app-03"))
    busy = LaunchJob.objects.get(servers__hostname="app-02")
    assert (busy.status, busy.servers.count()) == ("QUEUED", 1)
    assert "Waiting for another DRS job to end" in WaveRun.objects.get().status_message
    began = stage.clock()
    run = stage.until(run, "PARTIAL", step=60, limit=7200)
    assert 1800 <= (stage.clock() - began).total_seconds() < 2600
    assert fates(run) == {"app-01": "LAUNCHED", "app-02": "FAILED", "app-03": "LAUNCHED"}
    assert error_of("app-02").startswith("ConflictException: Another DRS job did not end in time: s-")


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.field("A2")
def test_a_busy_server_is_launched_when_it_is_free(stage: Stage, named: bool) -> None:
    stage.simulator.scenario("refusal_style", named=named)
    occupy(stage, "app-02", factor=2)
    run = stage.until(stage.start(stage.plan(APPS)), "COMPLETED", step=120)
    assert set(fates(run).values()) == {"LAUNCHED"}
    ours = [call for call in stage.launches() if "drsorch:launch" in call["params"].get("tags", {})]
    assert sorted(len(call["params"]["sourceServers"]) for call in ours) == [1, 2]


@pytest.mark.field("A2")
def test_a_quota_of_one_server_keeps_no_other_waiting(stage: Stage) -> None:
    """DRS counts the jobs of a server as a quota, too (L-DD6D028C): nobody knows which of its refusals it sends."""
    stage.simulator.scenario("refusal_style", busy="ServiceQuotaExceededException", named=False)
    occupy(stage, "app-02")
    stage.start(stage.plan(APPS))
    stage.look()
    assert set(launched(stage.simulator)) >= set(stage.ids("app-01 app-03"))
    assert "Waiting for another DRS job to end" in WaveRun.objects.get().status_message
    assert not LaunchJob.objects.exclude(queued_at=None).exists(), "nobody waits for room, nor behind it"


def test_a_launch_that_is_given_up_for_a_quota_has_the_advice_of_that_quota(stage: Stage, client: Client) -> None:
    stage.simulator.scenario("refusal_style", busy="ServiceQuotaExceededException", named=False)
    occupy(stage, "app-02", factor=40)
    run = stage.until(stage.start(stage.plan("app-02")), "FAILED", step=120)
    client.force_login(make_user("viewer"))
    for page in (f"/executions/{run.pk}", f"/executions/{run.pk}/report"):
        told = client.get(page).content.decode()
        assert "one job a source server at a time" in told
        assert "at most 20 jobs" not in told


def test_a_job_that_is_too_large_for_its_quota_is_halved(stage: Stage) -> None:
    """L-B827C881: no job that ends makes room for it."""
    stage.simulator.settings(max_servers_per_job=2)
    run = stage.until(stage.start(stage.plan(APPS)), "COMPLETED")
    assert set(fates(run).values()) == {"LAUNCHED"}
    assert calls(stage) == 3


@pytest.mark.field("A3")
def test_a_server_in_a_job_of_ours_is_waited_for_as_long_as_that_job_runs(stage: Stage) -> None:
    stage.simulator.scenario("slow_server", servers=["app-02"], factor=16)
    plan = stage.plan("app-02", name="Slow drill")
    drill = stage.start(plan)
    stage.look()
    stage.simulator.clear_scenarios()
    stage.until(drill, "FAILED", limit=4000)  # timed out; its job runs on
    run = stage.start(plan, Kind.RECOVERY)
    stage.look()
    job = LaunchJob.objects.get(wave__execution=run)
    began = stage.clock()
    while LaunchJob.objects.filter(wave__execution=drill).exclude(status="COMPLETED").exists():
        job.refresh_from_db()
        assert (job.status, job.refused_since) == ("QUEUED", None)
        assert "of our run of Slow drill" in WaveRun.objects.get(execution=run).status_message
        stage.advance(300)
        stage.look()
    assert (stage.clock() - began).total_seconds() > 2000
    stage.until(run, "COMPLETED")


@pytest.mark.parametrize("point", SPLITS)
def test_it_survives_a_kill_at_each_step(stage: Stage, point: str) -> None:
    stage.simulator.set_speed(1000)
    if "leaving" not in point:
        stage.simulator.scenario("server_refused", servers=["app-02"], named=True)
    run = stage.start(stage.plan(APPS))
    if "leaving" in point:
        stage.simulator.delete_servers("app-02")
    with override_settings(LAUNCH_QUARANTINE_SECONDS=60):
        with child_at(point):
            pass
        stage.simulator.set_speed(1)
        free_leases()
        run = stage.until(run, "PARTIAL")
    assert fates(run) == {"app-01": "LAUNCHED", "app-02": "FAILED", "app-03": "LAUNCHED"}
    assert launched(stage.simulator) == dict.fromkeys(stage.ids("app-01 app-03"), 1)
    assert not AuditEntry.objects.filter(verb="launch.doubled").exists()


def hundred(stage: Stage) -> Sequence[str]:
    stage.simulator.load_fleet(generate_fleet(100))
    read_region("us-east-1")
    return list(SourceServer.objects.order_by("hostname").values_list("pk", flat=True))


def start_all(ids: Sequence[str]) -> Execution:
    group = create_group(actor=SYSTEM, name="All", region="us-east-1", source_server_ids=list(ids))
    plan = create_plan(actor=SYSTEM, name="All", waves=[WaveSpec("All", [group.pk], list(ids))])
    return control.start(actor=SYSTEM, plan_id=plan.pk, kind=Kind.DRILL)


def bad_ones(ids: Sequence[str], count: int) -> list[str]:
    return list(ids[99 :: -(100 // count)][:count]) if count > 1 else [ids[63]]


LISTED, NAMELESS, UNSHOWN = "listed, refused by name", "listed, refused without a name", "conflict nobody shows"
REST = [(LISTED, 3), (NAMELESS, 1), (NAMELESS, 50), (UNSHOWN, 3), (UNSHOWN, 50)]


@pytest.mark.parametrize(
    ("how", "count"),
    [
        (LISTED, 1),
        (LISTED, 50),
        (NAMELESS, 3),
        (UNSHOWN, 1),
        *(pytest.param(how, count, marks=pytest.mark.long) for how, count in REST),
    ],
)
def test_each_good_one_of_a_hundred_launches_once(stage: Stage, how: str, count: int) -> None:
    ids = hundred(stage)
    bad = bad_ones(ids, count)
    code = "ConflictException" if "conflict" in how else "ValidationException"
    stage.simulator.scenario("server_refused", servers=bad, code=code, named="by name" in how)
    stage.simulator.settings(max_jobs=200)
    run = start_all(ids)
    for _ in range(200):
        stage.look()
        if sum(launched(stage.simulator).values()) == 100 - count:
            break
        stage.advance(60)
    assert launched(stage.simulator) == dict.fromkeys(set(ids) - set(bad), 1)
    refused = [call for call in stage.simulator.journal("StartRecovery") if not call["job_id"]]
    many = [call for call in refused if len(call["params"]["sourceServers"]) > 1]  # type: ignore[index]
    limit = 2 * count * log2(100) + 2
    assert len(many) + len(stage.launches()) + count <= limit
    if "conflict" not in how:
        run = stage.until(run, "PARTIAL", limit=7200)
        told = ServerRun.objects.filter(wave__execution=run, launch_status="FAILED")
        assert set(told.values_list("source_server_id", flat=True)) == set(bad)
        assert all(each.error.startswith("ValidationException: ") for each in told)


@pytest.mark.parametrize("count", [1, pytest.param(3, marks=pytest.mark.long), 50])
def test_a_hundred_with_some_gone_take_one_call(stage: Stage, count: int) -> None:
    ids = hundred(stage)
    bad = bad_ones(ids, count)
    run = start_all(ids)
    stage.simulator.delete_servers(*bad)
    stage.look()
    assert launched(stage.simulator) == dict.fromkeys(set(ids) - set(bad), 1)
    assert calls(stage) == 1
    assert stage.until(run, "PARTIAL").error_message.startswith(f"{count} of 100 servers did not launch.")


def test_a_conflict_that_may_be_with_this_very_launch_splits_nothing(stage: Stage) -> None:
    """The answer was lost, the quarantine is over, the job still invisible: the rows must stay where its tag is."""
    stage.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
    stage.simulator.scenario("visibility_delay", seconds=120, times=1)
    stage.simulator.scenario("slow_server", factor=10)
    with override_settings(LAUNCH_QUARANTINE_SECONDS=30):
        run = stage.start(stage.plan(APPS))
        stage.look()
        for _ in range(20):  # the waits between tries are partly by chance
            stage.advance(15)
            stage.look()
    assert LaunchJob.objects.get().job_id == stage.launches()[0]["job_id"]
    assert not AuditEntry.objects.filter(verb="launch.split").exists()
    assert len(stage.launches()) == 1
    assert stage.fresh(run).status in ("POLLING", "LAUNCHING")


def test_parts_made_after_a_backup_are_found_again(stage: Stage) -> None:
    """The backup knows one job of three servers; two of them were launched since, as a job that it does not know."""
    run = stage.start(stage.plan(APPS))
    before = list(LaunchJob.objects.values()), list(ServerRun.objects.values("pk", "job_id"))
    stage.simulator.scenario("server_refused", servers=["app-02"], named=True)
    stage.look()
    assert set(launched(stage.simulator)) == set(stage.ids("app-01 app-03"))
    for each in before[1]:
        ServerRun.objects.filter(pk=each["pk"]).update(job=before[0][0]["id"], launch_status="PENDING", error="")
    LaunchJob.objects.exclude(pk=before[0][0]["id"]).delete()
    LaunchJob.objects.update(**before[0][0])
    WaveRun.objects.update(status="PENDING", started_at=None, deadline_at=None)
    Execution.objects.update(status="RUNNING", claim=None)
    restored_runs.prepare_for_recount(stage.clock)
    stage.packs.touched = True  # the journal of here was not read from the backup
    stage.simulator.clear_scenarios()
    stage.look()
    assert LaunchJob.objects.get(servers__hostname="app-01").job_id == stage.launches()[0]["job_id"]
    assert LaunchJob.objects.get(servers__hostname="app-02").status == "QUEUED"
    stage.wait(lambda: stage.fresh(run).status == "PAUSED", run)
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.offset += timedelta(seconds=700)
    stage.until(run, "COMPLETED")
    assert launched(stage.simulator) == dict.fromkeys(stage.ids(APPS), 1)


@pytest.mark.both
def test_the_split_holds_on_either_database(stage: Stage) -> None:
    """Positions stay unique however often a job is split."""
    stage.simulator.scenario("server_refused", servers=["app-01", "app-03"])
    run = stage.until(stage.start(stage.plan(APPS)), "PARTIAL")
    positions = list(LaunchJob.objects.filter(wave__execution=run).values_list("position", flat=True))
    assert positions == list(range(len(positions))), connection.vendor
    assert launched(stage.simulator) == dict.fromkeys(stage.ids("app-02"), 1)
