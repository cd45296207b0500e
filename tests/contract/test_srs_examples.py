"""The specification's own requests, word for word but for the ids, get the answers that it shows."""

from typing import Any

import pytest

from contract.rest.examples import SRS, with_ids
from drs_simulator.testing import RunningSimulator
from drs_simulator.world.demo import demo_server_ids
from executions.models import Execution, LaunchJob
from executions.states import ExecutionStatus
from tests.console import world
from tests.support.api_client import Api, answer
from tests.support.stage import Stage

IDS = demo_server_ids()


def request(operation: str, title: str, **ids: str) -> Any:
    """A request of the specification with our ids for its own; `pg_uuid_1` stands for pg-uuid-1."""
    return _with_ids(SRS[operation]["requests"][title], ids)


def response(operation: str, **ids: str) -> Any:
    """The answer that the specification shows, with our ids."""
    return _with_ids(SRS[operation]["response"], ids)


def _with_ids(example: Any, ids: dict[str, str]) -> Any:
    return with_ids(example, {name.replace("_", "-"): value for name, value in ids.items()})


@pytest.fixture
def stage(simulator: RunningSimulator, db: None) -> Stage:
    return Stage(simulator)


def same_kind(shown: Any, found: Any) -> bool:
    """Whether `found` has at least the members of `shown`, each of the same type."""
    if isinstance(shown, dict):
        return isinstance(found, dict) and all(same_kind(value, found.get(name)) for name, value in shown.items())
    if isinstance(shown, list):
        return isinstance(found, list) and (not shown or same_kind(shown[0], found[0]))
    return shown is None or type(shown) is type(found)


WAVE = {
    "waveNumber": 0,
    "waveName": "Database Tier",
    "status": "COMPLETED",
    "jobId": "drsjob-xxx",
    "startTime": 1702656000,
    "endTime": 1702656300,
    "serverStatuses": [{"sourceServerId": "s-xxx", "launchStatus": "LAUNCHED", "recoveryInstanceId": "i-xxx"}],
}
EXECUTION = {"executionId": "", "planId": "", "status": "COMPLETED", "waves": [WAVE], "startTime": 1702656000}
EXECUTION |= {"endTime": 1702656300, "duration": 300, "currentWave": 0, "totalWaves": 1, "instancesTerminated": False}
# What the requirements say of answers outside the examples; `None` may be anything.
SAID: list[tuple[str, str, Any]] = [
    ("GET", "/protection-groups", {"groups": [{"groupId": "", "serverDetails": []}], "count": 1}),
    ("GET", "/recovery-plans", {"plans": [{"planId": "", "waves": []}], "count": 1}),
    ("GET", "/executions", {"items": [{"executionId": ""}], "nextToken": None}),
    ("GET", "/executions/{run}", EXECUTION),
    ("GET", "/executions/{run}/job-logs", {"jobLogs": [{"waveNumber": 0, "jobId": "drsjob-xxx", "events": []}]}),
    ("DELETE", "/executions", {"deletedCount": 1, "totalScanned": 1}),
    ("GET", "/executions/nothing", {"error": "ERROR_CODE", "message": "", "details": {}}),
]


@pytest.mark.parametrize(("method", "path", "said"), SAID)
def test_answers_have_the_members_that_the_requirements_name(
    admin: Api, simulator: RunningSimulator, method: str, path: str, said: Any
) -> None:
    run = world.ended(ExecutionStatus.COMPLETED)
    found = admin.send(method, path.format(run=run.pk)).json()
    assert same_kind(said, found), found


def test_create_a_group(admin: Api, simulator: RunningSimulator) -> None:
    ids = {"s_1234567890abcdef0": IDS["db-primary-01"], "s_0987654321fedcba0": IDS["db-replica-01"]}
    body = answer(admin.post("/protection-groups", request("createProtectionGroup", "A group", **ids)), 201)
    fixed = {"groupId": body["groupId"], "createdDate": body["createdDate"]}
    fixed["lastModifiedDate"] = body["lastModifiedDate"]
    expected = response("createProtectionGroup", **ids) | fixed
    assert {name: body[name] for name in expected} == expected
    assert same_kind(response("createProtectionGroup"), body)
    listed = answer(admin.get("/protection-groups"))
    assert set(listed) == {"groups", "count"}


def test_create_a_plan(admin: Api, stage: Stage) -> None:
    ids = {
        "pg_uuid_1": str(stage.group("db-primary-01").pk),
        "pg_uuid_2": str(stage.group("app-01").pk),
        "s_xxx": IDS["db-primary-01"],
        "s_yyy": IDS["app-01"],
    }
    body = answer(admin.post("/recovery-plans", request("createRecoveryPlan", "A plan", **ids)), 201)
    assert (body["planName"], body["waveCount"]) == ("3-Tier Application Recovery", 2)
    assert body["waves"][1]["dependencies"] == [{"dependsOnWaveId": "wave-0"}]
    assert body["waves"][1]["pauseBeforeWave"] is True
    assert set(answer(admin.get("/recovery-plans"))) == {"plans", "count"}


@pytest.mark.parametrize("title", ["A wave in the short dialect", "A wave as it is stored"])
def test_either_wave(admin: Api, stage: Stage, title: str) -> None:
    both = str(stage.group("db-primary-01 app-01").pk)
    other = str(stage.group("web-01").pk)
    ids = {"s_xxx": IDS["db-primary-01"], "s_yyy": IDS["app-01"]}
    given = request("createRecoveryPlan", title, pg_uuid_1=both, pg_uuid_2=other, pg_uuid=both, **ids)
    body = answer(admin.post("/recovery-plans", given), 201)
    assert body["waves"][0]["waveDescription"] == "Primary databases"
    assert body["waves"][0]["serverIds"] == [ids["s_xxx"], ids["s_yyy"]]


def test_start_a_run(admin: Api, stage: Stage) -> None:
    plan = stage.plan("web-01")
    body = answer(admin.post("/executions", request("startExecution", "A drill", plan_uuid=str(plan.pk))), 202)
    expected = response("startExecution", exec_uuid=body["executionId"])
    assert body == expected | {"statusUrl": f"/api/v1{expected['statusUrl']}"}
    assert answer(admin.get(body["statusUrl"]))["initiatedBy"] == "admin@example.com"


def test_resume_and_terminate(admin: Api, transactional_db: None, simulator: RunningSimulator) -> None:
    stage = Stage(simulator)
    run = stage.start(stage.plan("web-01", "web-02", pause={1}))
    stage.until(run, "PAUSED")
    resumed = answer(admin.post(f"/executions/{run.pk}/resume"))
    assert resumed == response("resumeExecution", exec_uuid=str(run.pk))
    stage.until(run, "COMPLETED")
    # DRS refuses a termination while the launch job has not ended, a moment after its last server is up.
    stage.wait(lambda: not LaunchJob.objects.exclude(status="COMPLETED").exists(), run)
    asked = answer(admin.post(f"/executions/{run.pk}/terminate-instances"))
    assert (Execution.objects.get().termination_status, len(asked["terminated"])) == ("IN_PROGRESS", 2)
    stage.wait(lambda: Execution.objects.get().termination_status == "COMPLETED", run)
    stage.sweep.close()
    ended = answer(admin.post(f"/executions/{run.pk}/terminate-instances"))
    expected = response("terminateRecoveryInstances", exec_uuid=str(run.pk)) | {"terminated": ended["terminated"]}
    assert {name: ended[name] for name in expected} == expected
    assert ended["terminated"] == asked["terminated"]


def test_discover_servers(admin: Api, simulator: RunningSimulator) -> None:
    body = answer(admin.get("/drs/source-servers?region=us-east-1"))
    assert same_kind(response("discoverSourceServers"), body)
    assert set(body["servers"][0]) == set(response("discoverSourceServers")["servers"][0])
    assert body["totalCount"] == body["availableCount"] + body["assignedCount"]
