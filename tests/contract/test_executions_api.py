"""Runs over HTTP: start, follow, steer, list, clean up. The engine is real, DRS is simulated."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from drs_simulator.testing import RunningSimulator
from drs_simulator.world.demo import demo_server_ids
from executions.models import Execution, LaunchJob
from executions.states import ExecutionStatus
from plans.models import RecoveryPlan
from tests.console import world
from tests.support.api_client import Api, answer, refusal
from tests.support.credentials import OURS
from tests.support.stage import Stage

IDS = demo_server_ids()
NOBODY = "00000000-0000-0000-0000-000000000000"
OTHER_ACCOUNT = "999988887777"


@pytest.fixture
def stage(simulator: RunningSimulator, db: None) -> Stage:
    return Stage(simulator)


@pytest.fixture
def live_stage(simulator: RunningSimulator, transactional_db: None) -> Iterator[Stage]:
    """With real transactions: the engine refuses to call AWS inside one."""
    made = Stage(simulator)
    yield made
    made.sweep.close()


def started(admin: Api, plan: RecoveryPlan, **body: Any) -> dict[str, Any]:
    given = {"PlanId": str(plan.pk), "ExecutionType": "DRILL", **body}
    found: dict[str, Any] = answer(admin.post("/executions", given), 202)
    return found


def test_it_starts_a_run(admin: Api, stage: Stage) -> None:
    plan = stage.plan("web-01", "app-01", pause={1})
    body = started(admin, plan, InitiatedBy="admin@example.com")
    assert set(body) == {"executionId", "status", "message", "statusUrl"}
    assert body["status"] == "PENDING"
    shown = answer(admin.get(body["statusUrl"]))
    assert shown["initiatedBy"] == "admin@example.com"
    assert shown["startedBy"] == admin.user.email
    assert (shown["executionType"], shown["dryRun"], shown["totalWaves"]) == ("DRILL", False, 2)
    assert (shown["currentWave"], shown["pausedBeforeWave"], shown["endTime"]) == (0, None, None)
    (server,) = shown["waves"][1]["serverStatuses"]
    assert (server["sourceServerId"], server["hostname"]) == (IDS["app-01"], "app-01")
    assert (server["launchStatus"], server["phase"], server["findings"]) == ("PENDING", "QUEUED", [])
    later = {"recoveryInstanceId", "recoveryInstanceState", "statusChecks", "launchTime", "usableTime", "error"}
    assert {server[each] for each in later} == {None}


def test_the_principal_is_the_initiator_unless_told(admin: Api, stage: Stage) -> None:
    body = started(admin, stage.plan("web-01"))
    assert answer(admin.get(body["statusUrl"]))["initiatedBy"] == admin.user.email


def test_a_plan_can_be_started_at_its_own_address(admin: Api, stage: Stage) -> None:
    plan = stage.plan("web-01")
    path = f"/recovery-plans/{plan.pk}/execute"
    refusal(admin.post(path, {"ExecutionType": "DRILL", "PlanId": NOBODY}), 400, "VALIDATION_ERROR")
    body = answer(admin.post(path, {"ExecutionType": "RECOVERY"}), 202)
    assert answer(admin.get(body["statusUrl"]))["executionType"] == "RECOVERY"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"ExecutionType": None}, "executionType"),
        ({"ExecutionType": "drill"}, "executionType"),
        ({"ExecutionType": 1}, "executionType"),
        ({"PlanId": None}, "planId"),
        ({"PlanId": 1}, "planId"),
        ({"DryRun": "false"}, "dryRun"),
        ({"InitiatedBy": 1}, "initiatedBy"),
        ({"InitiatedBy": "a" * 255}, "initiatedBy"),
        ({"InitiatedBy": "a\x00"}, "initiatedBy"),
        ({"IsDrill": True}, "IsDrill"),
    ],
)
def test_it_names_what_is_wrong(admin: Api, stage: Stage, body: dict[str, Any], path: str) -> None:
    whole = {"PlanId": str(stage.plan("web-01").pk), "ExecutionType": "DRILL"} | body
    assert list(refusal(admin.post("/executions", whole), 400, "VALIDATION_ERROR")["fields"]) == [path]
    assert not Execution.objects.exists()


@pytest.mark.parametrize("plan_id", [NOBODY, "plan-uuid", ""])
def test_the_plan_must_exist(admin: Api, db: None, plan_id: str) -> None:
    refusal(admin.post("/executions", {"PlanId": plan_id, "ExecutionType": "DRILL"}), 404, "NOT_FOUND")


def test_a_plan_needs_waves(admin: Api, stage: Stage) -> None:
    plan = stage.plan("web-01")
    plan.waves.all().delete()
    body = {"PlanId": str(plan.pk), "ExecutionType": "DRILL"}
    refusal(admin.post("/executions", body), 400, "PLAN_HAS_NO_WAVES")


def test_a_plan_runs_once_at_a_time(admin: Api, stage: Stage) -> None:
    plan = stage.plan("web-01")
    first = started(admin, plan)
    second = admin.post("/executions", {"PlanId": str(plan.pk), "ExecutionType": "RECOVERY"})
    assert refusal(second, 409, "PLAN_ALREADY_EXECUTING")["executionId"] == first["executionId"]


def test_a_server_is_in_one_run_at_a_time(admin: Api, stage: Stage) -> None:
    plan = stage.plan("db-primary-01", "web-01")
    group = plan.waves.get(number=1).groups.get()
    wave = {"name": "Web", "protectionGroupIds": [str(group.pk)], "serverIds": [IDS["web-01"]]}
    other = answer(admin.post("/recovery-plans", {"planName": "Other", "waves": [wave]}), 201)
    first = started(admin, plan)
    second = admin.post("/executions", {"PlanId": other["planId"], "ExecutionType": "DRILL"})
    assert refusal(second, 409, "SERVER_CONFLICT")["conflicts"] == [
        {
            "serverId": IDS["web-01"],
            "waveNumber": 0,
            "executionId": first["executionId"],
            "planId": str(plan.pk),
            "planName": plan.name,
            "status": "PENDING",
        }
    ]


def test_a_drill_from_start_to_clean_up(admin: Api, live_stage: Stage) -> None:
    """Pause, resume, completion, logs, termination: as a client sees them."""
    plan = live_stage.plan("db-primary-01", "web-01 web-02", pause={1})
    path = started(admin, plan)["statusUrl"]
    run = Execution.objects.get()

    refusal(admin.post(f"{path}/resume"), 400, "EXECUTION_NOT_PAUSED")
    live_stage.until(run, "PAUSED")
    shown = answer(admin.get(path))
    assert (shown["status"], shown["currentWave"], shown["pausedBeforeWave"]) == ("PAUSED", 1, 1)
    assert [wave["status"] for wave in shown["waves"]] == ["COMPLETED", "PAUSED"]
    assert {name for name, each in shown["actions"].items() if each["allowed"]} == {"resume", "cancel"}
    refusal(admin.post(f"{path}/terminate-instances"), 400, "EXECUTION_STILL_RUNNING")
    refusal(admin.post(f"{path}/pause"), 400, "EXECUTION_NOT_PAUSABLE")

    resumed = answer(admin.post(f"{path}/resume", {"comment": "checked"}))
    said = {"status": "RUNNING", "message": "Execution resumed successfully"}
    assert resumed == {"executionId": str(run.pk), **said}
    live_stage.until(run, "COMPLETED")
    shown = answer(admin.get(path))
    assert shown["endTime"] - shown["startTime"] == shown["duration"]
    assert shown["currentWave"] == 1
    first = shown["waves"][0]
    assert first["jobId"].startswith("drsjob-")
    where = {"accountId": OURS, "region": "us-east-1"}
    assert first["jobs"] == [{"jobId": first["jobId"], **where, "status": "COMPLETED"}]
    assert first["duration"] == first["endTime"] - first["startTime"]
    server = first["serverStatuses"][0]
    assert (server["launchStatus"], server["phase"], server["recoveryInstanceId"][:2]) == ("LAUNCHED", "DONE", "i-")
    refusal(admin.post(f"{path}/cancel"), 400, "EXECUTION_NOT_CANCELLABLE")

    live_stage.wait(lambda: not LaunchJob.objects.filter(watched=True).exists(), run)  # DRS's last lines come late
    logs = answer(admin.get(f"{path}/job-logs"))["jobLogs"]
    assert [(log["waveNumber"], log["jobId"]) for log in logs] == [
        (wave["waveNumber"], wave["jobId"]) for wave in shown["waves"]
    ]
    events = logs[1]["events"]
    assert [each["logDateTime"] for each in events] == sorted(each["logDateTime"] for each in events)
    assert {"JOB_START", "SNAPSHOT_START", "SNAPSHOT_END", "CONVERSION_END", "LAUNCH_END", "JOB_END"} <= {
        each["event"] for each in events
    }
    assert {each["hostname"] for each in events if each["sourceServerId"]} == {"web-01", "web-02"}

    ended = answer(admin.post(f"{path}/terminate-instances"))
    launched = [each["recoveryInstanceId"] for wave in shown["waves"] for each in wave["serverStatuses"]]
    assert sorted(ended["terminated"]) == sorted(launched)
    assert (ended["failed"], ended["message"]) == ([], "3 instances accepted by DRS for termination")
    assert [job["region"] for job in ended["jobs"]] == ["us-east-1"]
    assert answer(admin.get(path))["terminationStatus"] == "IN_PROGRESS"
    live_stage.wait(lambda: bool(answer(admin.get(path))["instancesTerminated"]), run)
    calls = len(live_stage.simulator.journal("TerminateRecoveryInstances"))
    again = answer(admin.post(f"{path}/terminate-instances"))
    assert (sorted(again["terminated"]), again["message"]) == (sorted(launched), "3 instances terminated successfully")
    assert len(live_stage.simulator.journal("TerminateRecoveryInstances")) == calls
    servers = [each for wave in answer(admin.get(path))["waves"] for each in wave["serverStatuses"]]
    told = {(each["launchStatus"], each["instanceState"], each["statusChecks"]) for each in servers}
    assert told == {("TERMINATED", "TERMINATED", None)}  # and not as they were when they ran
    assert answer(admin.delete("/executions")) == {"deletedCount": 1, "totalScanned": 1, "kept": []}


@pytest.mark.parametrize("way", ["cancel", "delete"])
def test_it_cancels_what_is_idle_at_once(admin: Api, stage: Stage, way: str) -> None:
    path = started(admin, stage.plan("web-01", "app-01"))["statusUrl"]
    body = answer(admin.post(f"{path}/cancel") if way == "cancel" else admin.delete(path))
    assert (body["status"], set(body)) == ("CANCELLED", {"executionId", "status", "message"})
    shown = answer(admin.get(path))
    assert [wave["status"] for wave in shown["waves"]] == ["SKIPPED", "SKIPPED"]
    assert shown["currentWave"] is None
    refusal(admin.delete(path), 400, "EXECUTION_NOT_CANCELLABLE")


def test_a_wave_under_way_ends_before_the_cancel(admin: Api, live_stage: Stage) -> None:
    plan = live_stage.plan("web-01", "app-01")
    path = started(admin, plan)["statusUrl"]
    run = Execution.objects.get()
    live_stage.until(run, "LAUNCHING")
    assert answer(admin.post(f"{path}/cancel", {"comment": "enough"}))["status"] == "CANCELLING"
    assert answer(admin.post(f"{path}/cancel"))["status"] == "CANCELLING"
    live_stage.until(run, "CANCELLED")
    assert [wave["status"] for wave in answer(admin.get(path))["waves"]] == ["COMPLETED", "SKIPPED"]


def test_it_pauses_before_the_next_wave_on_demand(admin: Api, live_stage: Stage) -> None:
    path = started(admin, live_stage.plan("web-01", "app-01"))["statusUrl"]
    run = Execution.objects.get()
    live_stage.until(run, "LAUNCHING")
    assert answer(admin.post(f"{path}/pause"))["pauseRequested"] is True
    shown = answer(admin.get(path))
    assert shown["pauseRequested"] is True
    assert not shown["actions"]["pause"]["allowed"]
    assert shown["actions"]["resume"]["allowed"]
    assert answer(admin.post(f"{path}/resume"))["message"] == "The pause was withdrawn"
    assert answer(admin.get(path))["pauseRequested"] is False
    answer(admin.post(f"{path}/pause"))
    live_stage.until(run, "PAUSED")


@pytest.mark.parametrize("verb", ["resume", "cancel", "pause", "terminate-instances"])
def test_commands_take_a_comment_and_nothing_else(admin: Api, stage: Stage, verb: str) -> None:
    path = started(admin, stage.plan("web-01"))["statusUrl"]
    for body in ({"coment": "x"}, {"comment": 1}, {"comment": "a" * 513}):
        refusal(admin.post(f"{path}/{verb}", body), 400, "VALIDATION_ERROR")
    refusal(admin.post(f"/executions/{NOBODY}/{verb}"), 404, "NOT_FOUND")


# The history


def history(admin: Api, query: str = "") -> list[str]:
    return [each["planName"] for each in answer(admin.get(f"/executions?{query}"))["items"]]


def test_it_lists_newest_first_and_filters(admin: Api, stage: Stage) -> None:
    one, two = stage.plan("web-01", name="One"), stage.plan("app-01", name="Two")
    first = started(admin, one)
    answer(admin.delete(first["statusUrl"]))
    started(admin, two, ExecutionType="RECOVERY")
    started(admin, one)
    assert history(admin) == ["One", "Two", "One"]
    assert history(admin, f"planId={one.pk}") == ["One", "One"]
    assert history(admin, "status=CANCELLED") == ["One"]
    assert history(admin, "ExecutionType=RECOVERY&status=PENDING") == ["Two"]
    LaunchJob.objects.filter(wave__execution__plan=two).update(account_id=OTHER_ACCOUNT)
    assert history(admin, f"accountId={OTHER_ACCOUNT}") == ["Two"]
    assert history(admin, f"accountId={one.waves.get().groups.get().account_id}&planId={one.pk}") == ["One", "One"]
    assert history(admin, f"accountId={OTHER_ACCOUNT}&planId={one.pk}") == []
    item = answer(admin.get("/executions?limit=1"))["items"][0]
    whole = answer(admin.get(f"/executions/{item['executionId']}"))
    assert set(whole) - set(item) == {"waves", "earlierInstances"}
    assert item == {name: whole[name] for name in item} | {"duration": item["duration"]}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=1.0",
        "limit=ten",
        "limit=",
        "limit=%D9%A1",
        "limit=1&limit=2",
        "nextToken=x",
        "nextToken=",
        "nextToken=%00",
        "nextToken=MjAyNi0xMS0yM1QxMjowMDowMHxhYmM",
        "status=DONE",
        "status=completed",
        "executionType=BOTH",
        "staus=FAILED",
    ],
)
def test_it_refuses_bad_questions(admin: Api, db: None, query: str) -> None:
    refusal(admin.get(f"/executions?{query}"), 400, "VALIDATION_ERROR")


def test_bulk_delete_keeps_what_runs(admin: Api, stage: Stage) -> None:
    over = started(admin, stage.plan("web-01"))
    answer(admin.delete(over["statusUrl"]))
    running = started(admin, stage.plan("app-01"))
    assert answer(admin.delete("/executions")) == {"deletedCount": 1, "totalScanned": 2, "kept": []}
    assert answer(admin.get(over["statusUrl"]))["hiddenTime"]
    answer(admin.get(running["statusUrl"]))


def test_a_list_of_runs_reads_no_copies_of_plans_but_of_those_that_are_gone(admin: Api) -> None:
    kept, gone = world.ended(ExecutionStatus.COMPLETED, "Kept"), world.ended(ExecutionStatus.COMPLETED, "Gone")
    with CaptureQueriesContext(connection) as asked:
        before = {each["executionId"]: each["planId"] for each in answer(admin.get("/executions"))["items"]}
    assert not [each for each in asked if "plan_copy" in each["sql"] or "phase_times" in each["sql"]]
    RecoveryPlan.objects.get(name="Gone").delete()
    with CaptureQueriesContext(connection) as more:
        after = {each["executionId"]: each["planId"] for each in answer(admin.get("/executions"))["items"]}
    assert before == after == {str(kept.pk): str(kept.plan_id), str(gone.pk): str(gone.plan_id)}
    assert len([each for each in more if "plan_copy" in each["sql"]]) == 1
