"""Left running: every recovery instance that is there, of a run or launched outside, and ending some of them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from audit.actor import SYSTEM
from audit.models import AuditEntry
from executions.commands import end_instances
from executions.commands.standing import LeftRunning, left_running, standing
from executions.models import Execution, OutsideTermination, ServerRun
from executions.querysets import STANDING
from executions.states import ExecutionStatus, Kind
from executions.terminating import outside_instances
from protection.models import RecoveryInstance
from tests.console import world
from tests.executions.commands.test_production import launched_outside, running
from tests.executions.terminating.test_outside_changes import round_of_inventory, up
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import Stage
from tests.support.still import StillStage


@pytest.fixture
def prices() -> Iterator[None]:
    with override_settings(MONTHLY_PRICES={"m5.xlarge": 70.0}):
        yield


def listed(api: Api, query: str = "") -> dict[str, Any]:
    return {each["hostname"]: each for each in answer(api.get(f"/recovery-instances{query}"))["items"]}


@pytest.fixture
def full(stage: Stage) -> Stage:
    """A drill's instance, a recovery's, one of a drill launched outside, and one of a recovery launched outside."""
    up(stage, "app-01")
    up(stage, "app-02", Kind.RECOVERY)
    launched_outside(stage, "web-01", is_drill=True)
    launched_outside(stage, "web-02")
    round_of_inventory(stage)
    return stage


@pytest.mark.both
def test_all_that_runs_is_listed_whoever_launched_it(full: Stage, prices: None) -> None:
    viewer = Api(make_user("viewer"))
    found = listed(viewer)
    assert {name: (each["executionType"], bool(each["executionId"])) for name, each in found.items()} == {
        "app-01": ("DRILL", True),
        "app-02": ("RECOVERY", True),
        "web-01": ("DRILL", False),
        "web-02": ("RECOVERY", False),
    }
    assert {each["state"] for each in found.values()} == {"RUNNING"}
    assert found["web-02"]["launchedBy"].startswith("outside this product, DRS job drsjob-")
    assert all(each["launchTime"] for each in found.values())
    assert {each["monthlyCost"] for each in found.values()} <= {70.0, None}
    assert any(each["monthlyCost"] == 70.0 for each in found.values())
    assert set(listed(viewer, "?executionType=DRILL")) == {"app-01", "web-01"}
    assert not any(each["terminate"]["allowed"] for each in found.values())
    operator = listed(Api(make_user("operator")))
    assert {name: each["terminate"]["allowed"] for name, each in operator.items()} == {
        "app-01": True,
        "app-02": False,
        "web-01": True,
        "web-02": False,
    }
    (region,) = [each for each in answer(viewer.get("/recovery-instances"))["regions"] if each["asOfTime"]]
    assert (region["region"], region["error"]) == ("us-east-1", None)


def test_some_are_terminated_with_the_right_for_each_kind(full: Stage) -> None:
    ids = dict(zip(("app-01", "app-02", "web-01", "web-02"), running(full, "app-01 app-02 web-01 web-02"), strict=True))
    path, operator = "/recovery-instances/terminate", Api(make_user("operator"))
    both = {"recoveryInstanceIds": [ids["web-01"], ids["web-02"]]}
    assert refusal(operator.post(path, both), 403, "FORBIDDEN")["right"] == "executions.terminate_recovery"
    done = answer(operator.post(path, {"recoveryInstanceIds": [ids["app-01"], ids["web-01"], "i-00000000000000000"]}))
    assert (done["requested"], done["accepted"]) == ([ids["web-01"]], [ids["app-01"]])
    again = answer(operator.post(path, {"recoveryInstanceIds": [ids["web-01"]]}))
    assert again["message"] == "1 requested: an engine asks DRS within seconds"
    assert listed(operator)["web-01"]["termination"].startswith("termination requested by ")
    full.advance(3)
    full.look()
    assert "accepted by DRS as drsjob-" in listed(operator)["web-01"]["termination"]
    assert [(each["recoveryInstanceId"], each["code"]) for each in done["unknown"]] == [
        ("i-00000000000000000", "UNKNOWN_TO_DRS")
    ]
    assert done["failed"] == []
    full.advance(3600)
    full.look()
    round_of_inventory(full)
    full.advance(30)
    full.look()
    assert set(listed(operator)) == {"app-02", "web-02"}
    intent, sent, over = AuditEntry.objects.filter(subject_kind="recovery-instance").order_by("id")
    assert (intent.verb, intent.detail["instances"]) == ("instance.terminate", [ids["web-01"]])
    assert sent.detail["jobId"].startswith("drsjob-")
    assert (over.verb, over.outcome) == ("instance.terminate.ended", "ok")
    asked = list(full.simulator.journal("TerminateRecoveryInstances"))
    assert len(asked) == 2
    assert answer(operator.post(path, {"recoveryInstanceIds": [ids["web-01"]]}))["unknown"]
    assert ServerRun.objects.get(hostname="app-02").launch_status == "LAUNCHED"


def test_what_drs_says_now_counts_and_not_what_it_said(full: Stage) -> None:
    """Since the page was read, somebody launched a recovery over the drill's instance."""
    (old,) = running(full, "web-01")
    launched_outside(full, "web-01")
    (new,) = running(full, "web-01")
    RecoveryInstance.objects.filter(pk=old).update(recovery_instance_id=new)
    RecoveryInstance.objects.filter(pk=old).delete()
    done = answer(Api(make_user("operator")).post("/recovery-instances/terminate", {"recoveryInstanceIds": [new]}))
    assert done["requested"] == [new]
    full.advance(3)
    full.look()
    told = listed(Api(make_user("viewer")))["web-01"]
    assert (told["termination"], told["lastTerminationError"]) == (None, f"DRS says that {new} is not a drill's.")
    assert running(full, "web-01") == [new]


def outsiders(stage: Stage, hosts: str) -> list[str]:
    """Drill instances launched outside, asked for, and not sent yet."""
    launched_outside(stage, hosts, is_drill=True)
    round_of_inventory(stage)
    ids = running(stage, hosts)
    asked = end_instances.end_instances(actor=SYSTEM, instance_ids=ids, clock=stage.clock)
    assert sorted(asked.requested) == sorted(ids)
    assert stage.simulator.journal("TerminateRecoveryInstances") == []
    return ids


def test_a_request_that_a_killed_process_sent_is_found_and_not_sent_twice(still: StillStage) -> None:
    stage = still
    (sent, unsent) = outsiders(stage, "web-01 web-02")
    (place, rows), *_ = outside_instances.start_due(stage.clock())
    first = [each for each in rows if each.instance_id == sent]
    calls = outside_instances.go_on(place, first, stage.clock)
    listing = next(calls)
    request = calls.send(listing())
    request()  # DRS has it, and the process dies before it writes that down
    for seconds in (70, 330, 30):  # the unconfirmed one is looked up, the claim of the other ends, and it is sent
        stage.advance(seconds)
        stage.look()
    rows = list(OutsideTermination.objects.order_by("pk"))
    assert {each.instance_id for each in rows if each.job_id} == {sent, unsent}
    assert len(stage.simulator.journal("TerminateRecoveryInstances")) == len({each.job_id for each in rows}) == 2
    stage.advance(3600)
    round_of_inventory(stage)
    stage.advance(30)
    stage.look()
    assert set(OutsideTermination.objects.values_list("status", "next_look_at", "error_code")) == {
        ("COMPLETED", None, "")
    }


def test_one_that_drs_refuses_keeps_no_other_and_silence_is_waited_out(still: StillStage) -> None:
    stage = still
    ids = outsiders(stage, "web-01 web-02")
    stage.simulator.scenario("throttle", operation="DescribeRecoveryInstances")
    stage.advance(3)
    stage.look()
    told = listed(Api(make_user("viewer")))["web-01"]["termination"]
    assert "it is asked again: ThrottlingException" in told
    stage.simulator.clear_scenarios()
    stage.simulator.scenario("refuses_instance", servers=["web-01"], named=False)
    stage.advance(30)
    stage.look()
    found = listed(Api(make_user("viewer")))
    assert (found["web-01"]["termination"], bool(found["web-01"]["lastTerminationError"])) == (None, True)
    assert "accepted by DRS" in found["web-02"]["termination"]
    assert OutsideTermination.objects.filter(instance_id__in=ids).count() == 2


def test_many_runs_are_asked_for_at_once_as_long_as_a_person_waits(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(stage, "app-01")
    up(stage, "app-02")
    ids = running(stage, "app-01 app-02")
    monkeypatch.setattr(end_instances, "SECONDS_AT_ONCE", 0.0)
    done = answer(Api(make_user("operator")).post("/recovery-instances/terminate", {"recoveryInstanceIds": ids}))
    assert sorted(done["requested"]) == sorted(ids)
    assert stage.simulator.journal("TerminateRecoveryInstances") == []
    stage.look()
    assert len(stage.simulator.journal("TerminateRecoveryInstances")) == 2
    first, second = Execution.objects.all()
    stage.wait(lambda: stage.fresh(first).termination_status == "COMPLETED", first)
    stage.wait(lambda: stage.fresh(second).termination_status == "COMPLETED", second)


def test_one_of_a_run_that_is_active_stays(stage: Stage) -> None:
    run = stage.until(stage.start(stage.plan("app-01", "web-01", pause={1})), "PAUSED")
    stage.advance(600)
    round_of_inventory(stage)
    (instance,) = running(stage, "app-01")
    done = answer(Api(make_user("operator")).post("/recovery-instances/terminate", {"recoveryInstanceIds": [instance]}))
    assert [each["code"] for each in done["failed"]] == ["EXECUTION_STILL_RUNNING"]
    ending = listed(Api(make_user("operator")))["app-01"]["terminate"]
    assert ending == {"allowed": False, "reason": done["failed"][0]["message"]}
    client = Client()
    client.force_login(make_user("operator"))
    page = client.get("/recovery-instances").content.decode()
    assert 'aria-label="Choose app-01" disabled' in page
    assert "its run is under way" in page
    assert 'data-variant="danger" disabled>Terminate the chosen ones' in page
    assert stage.fresh(run).status == "PAUSED"


def test_only_the_chosen_ones_of_a_run_go(stage: Stage) -> None:
    run = up(stage, "app-01 app-02 app-03")
    (first, *_) = running(stage, "app-01 app-02 app-03")
    done = answer(Api(make_user("operator")).post("/recovery-instances/terminate", {"recoveryInstanceIds": [first]}))
    assert (done["accepted"], done["message"]) == ([first], "1 accepted by DRS for termination")
    stage.wait(lambda: bool(stage.fresh(run).termination_status == "PARTIAL"), run)
    rows = ServerRun.objects.filter(wave__execution=run).order_by("position")
    assert [each.launch_status for each in rows] == ["TERMINATED", "LAUNCHED", "LAUNCHED"]


def test_the_page_has_boxes_by_right_and_asks_by_name(full: Stage, prices: None) -> None:
    client = Client()
    client.force_login(make_user("operator"))
    page = client.get("/recovery-instances").content.decode()
    assert page.count('type="checkbox"') == 4
    assert page.count('aria-label="Choose app-01">') == 1
    assert 'aria-label="Choose app-02" disabled' in page
    assert "a month by your price table" in page
    ids = running(full, "app-01 web-01")
    asked = client.post("/recovery-instances/terminate", {"instance": ids}).content.decode()
    assert "Terminate 2 instances?" in asked
    assert "terminate 2</code> to confirm" in asked
    wrong = client.post("/recovery-instances/terminate", {"instance": ids, "confirm": "yes"})
    assert (wrong.status_code, "Nothing was terminated." in wrong.content.decode()) == (422, True)
    done = client.post("/recovery-instances/terminate", {"instance": ids, "confirm": "terminate 2"}, follow=True)
    assert "Termination of 1 instance requested: an engine asks DRS within seconds, see below; 1 instance acc" in (
        done.content.decode()
    )
    production = running(full, "web-02")
    refused = client.post("/recovery-instances/terminate", {"instance": production}).content.decode()
    assert "which may run production" in refused
    assert "You may not terminate recovery instances." in refused
    assert client.post("/recovery-instances/terminate", {"instance": production, "confirm": "x"}).status_code == 403


def test_the_dashboard_says_how_many_and_for_how_long(full: Stage) -> None:
    client = Client()
    client.force_login(make_user("viewer"))
    page = client.get("/").content.decode()
    assert ">2 drill instances</a> have been running, the oldest for" in page
    assert ">2 recovery instances</a> have been running, the oldest for" in page


def test_why_a_clean_up_failed_is_said(stage: Stage) -> None:
    up(stage, "app-01")
    stage.simulator.scenario("terminate_fails", servers=["app-01"])
    round_of_inventory(stage)
    operator = Api(make_user("operator"))
    run = Execution.objects.get()
    answer(operator.post(f"/executions/{run.pk}/terminate-instances"))
    stage.wait(lambda: bool(stage.fresh(run).termination_status == "PARTIAL"), run)
    told = listed(operator)["app-01"]["lastTerminationError"]
    assert told.startswith("app-01: CLEANUP_FAIL: ")
    assert "OperationNotPermitted" in told


@pytest.mark.both
def test_many_cost_no_more_queries_than_few(db: None) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert standing()
        return len(asked)

    world.ended(ExecutionStatus.COMPLETED)
    few = queries()
    for _ in range(5):
        world.ended(ExecutionStatus.COMPLETED)
    assert queries() == few


@pytest.mark.both
def test_the_dashboard_counts_anew_when_something_has_changed(stage: Stage) -> None:
    """From an index of what stands, and else from what it knew: whatever the history, and at once after news."""
    client = Client()
    client.force_login(make_user("viewer"))
    run = up(stage, "app-01 app-02")
    round_of_inventory(stage)

    def shown() -> tuple[str, int]:
        with CaptureQueriesContext(connection) as asked:
            page = client.get("/").content.decode()
        counts = [each for each in asked if "serverrun" in each["sql"] and "lease_ends_at" in each["sql"]]
        return page.partition(" drill instances</a>")[0].rpartition(">")[2][:9], len(counts)

    assert shown() == ("2", 2)  # of what DRS lists, and of what it does not
    assert shown() == ("2", 0)
    up(stage, "app-03")
    assert shown() == ("3", 2)
    Execution.objects.filter(pk=run.pk).update(hidden_at=stage.clock())
    assert shown()[0] == "3"
    asked = ServerRun.objects.filter(STANDING).order_by().explain()
    names = ("server_run_up", "server_run_not_usable")
    assert connection.vendor != "sqlite" or all(each in asked for each in names), asked


@pytest.mark.both
@pytest.mark.parametrize(
    "leases",
    [(timedelta(hours=-1), timedelta(hours=1), None), (None, timedelta(hours=-1), timedelta(hours=-2)), (None,) * 3],
)
def test_what_is_counted_is_what_is_listed(stage: Stage, leases: tuple[timedelta | None, ...]) -> None:
    """Of instances that DRS lists and that it does not list yet, with leases that are over, go on, or are none."""
    now = stage.clock()
    runs = [up(stage, "app-01")]
    round_of_inventory(stage)
    runs += [up(stage, "app-02"), up(stage, "app-03")]
    for run, lease in zip(runs, leases, strict=True):
        Execution.objects.filter(pk=run.pk).update(lease_ends_at=lease and now + lease)
    each_one = standing()
    (counted,) = left_running("", now)
    assert len(each_one) == 3
    assert counted == LeftRunning(
        Kind.DRILL,
        len(each_one),
        min(each.since for each in each_one if each.since),
        sum(each.lease_ends_at is not None and each.lease_ends_at <= now for each in each_one),
    )


@pytest.mark.parametrize("asked_again", [False, True])
def test_a_request_whose_job_shows_late_is_put_right(still: StillStage, asked_again: bool) -> None:
    """DRS shows the job of a request without an answer after we have said that it was never confirmed."""
    (one,) = outsiders(still, "web-01")
    still.simulator.scenario("drop_connection_after_effect", operation="TerminateRecoveryInstances", times=1)
    still.simulator.scenario("visibility_delay", seconds=200, times=1)
    for _ in range(5):
        still.advance(30)
        still.look()
    told = listed(Api(make_user("viewer")))["web-01"]
    assert "AWS never confirmed the request" in told["lastTerminationError"]
    if asked_again:
        asked = end_instances.end_instances(actor=SYSTEM, instance_ids=[one], clock=still.clock)
        assert asked.requested == [one]
    for _ in range(6):
        still.advance(60)
        still.look()
    round_of_inventory(still)
    still.advance(60)
    still.look()
    said = AuditEntry.objects.filter(verb__startswith="instance.terminate.").order_by("pk")
    verbs = [(each.verb.rpartition(".")[2], each.outcome) for each in said]
    assert verbs[0] == ("ended", "NOT_CONFIRMED")
    assert verbs[-1] == ("ended", "ok")
    assert ("sent", "ok") in verbs
    first = OutsideTermination.objects.order_by("pk")[0]
    assert (first.status, first.error_code, first.next_look_at) == ("COMPLETED", "", None)
