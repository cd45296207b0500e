"""Recovery plans over HTTP, in both dialects."""

from typing import Any

import pytest

from drs_simulator.testing import RunningSimulator
from drs_simulator.world.demo import demo_server_ids
from executions.commands import control as runs
from executions.models import Execution
from plans.models import RecoveryPlan
from tests.support.api_client import Api, answer, refusal
from tests.support.stage import Stage

IDS = demo_server_ids()
REPLICA = IDS["db-replica-01"]
DB, APP, WEB = IDS["db-primary-01"], IDS["app-01"], IDS["web-01"]


@pytest.fixture
def stage(simulator: RunningSimulator, db: None) -> Stage:
    return Stage(simulator)


@pytest.fixture
def groups(stage: Stage) -> dict[str, str]:
    """Group ids: databases, application, and a region away the ERP."""
    return {
        "db": str(stage.group("db-primary-01 db-replica-01").pk),
        "app": str(stage.group("app-01 app-02 web-01").pk),
        "erp": str(stage.group("erp-db-01 erp-db-02", "us-west-2").pk),
    }


def short(groups: dict[str, str]) -> list[dict[str, Any]]:
    """Two waves in the dialect of FR-2.1."""
    return [
        {"waveNumber": 0, "name": "Databases", "protectionGroupIds": [groups["db"]], "serverIds": [DB]},
        {
            "waveNumber": 1,
            "name": "Application",
            "description": "Behind the load balancer",
            "protectionGroupIds": [groups["app"]],
            "serverIds": [APP],
            "dependsOnWaves": [0],
            "pauseBeforeWave": True,
        },
    ]


def long(groups: dict[str, str]) -> list[dict[str, Any]]:
    """The same waves in the dialect of the API section."""
    return [
        {
            "WaveId": "first",
            "WaveName": "Databases",
            "ExecutionOrder": 0,
            "ProtectionGroupId": groups["db"],
            "ServerIds": [DB],
            "PauseBeforeWave": False,
            "Dependencies": [],
        },
        {
            "WaveId": "second",
            "WaveName": "Application",
            "WaveDescription": "Behind the load balancer",
            "ProtectionGroupId": groups["app"],
            "ServerIds": [APP],
            "PauseBeforeWave": True,
            "Dependencies": [{"DependsOnWaveId": "first"}],
        },
    ]


def created(admin: Api, waves: list[dict[str, Any]], name: str = "Plan") -> dict[str, Any]:
    body: dict[str, Any] = answer(admin.post("/recovery-plans", {"planName": name, "waves": waves}), 201)
    return body


def test_both_dialects_say_the_same(admin: Api, groups: dict[str, str]) -> None:
    one, other = created(admin, short(groups)), created(admin, long(groups), "Other")
    assert one["waves"] == other["waves"]
    assert one["waves"][1] == {
        "waveId": "wave-1",
        "waveNumber": 1,
        "executionOrder": 1,
        "waveName": "Application",
        "waveDescription": "Behind the load balancer",
        "protectionGroupIds": [groups["app"]],
        "protectionGroupId": groups["app"],
        "serverIds": [APP],
        "optionalServerIds": [],
        "dependsOnWaves": [0],
        "dependencies": [{"dependsOnWaveId": "wave-0"}],
        "pauseBeforeWave": True,
        "gate": None,
        "onFailure": "STOP",
        "waitMinutesBefore": 0,
        "timeoutMinutes": None,
    } | {"successMeans": "LAUNCHED", "checkTimeoutMinutes": 15}


def test_the_dialects_may_be_mixed(admin: Api, groups: dict[str, str]) -> None:
    """A wave without a WaveId goes by its number."""
    other = long(groups)[1] | {"WaveId": "wave-1", "Dependencies": [{"DependsOnWaveId": "wave-0"}]}
    assert created(admin, [short(groups)[0], other])["waves"][1]["dependsOnWaves"] == [0]
    response = admin.post(
        "/recovery-plans", {"planName": "P", "waves": [short(groups)[0] | {"WaveId": "first"}, other]}
    )
    fields = refusal(response, 400, "VALIDATION_ERROR")["fields"]
    assert list(fields) == ["waves[1].dependencies[0].dependsOnWaveId"]


def test_it_represents_a_plan(admin: Api, groups: dict[str, str]) -> None:
    body = created(admin, short(groups))
    assert answer(admin.get(f"/recovery-plans/{body['planId']}")) == body
    varying = ("planId", "waves", "createdDate", "lastModifiedDate", "labels", "description")
    empty = dict.fromkeys(("rtoMinutes", "rpoMinutes", "drillLeaseHours"))
    assert {name: body[name] for name in body if name not in varying} == empty | {
        "planName": "Plan",
        "drillLeaseEnds": "TELL",
        "startGate": None,
        "mirrorToDrs": False,
        "waveCount": 2,
        "serverCount": 2,
        "version": 1,
        "lastExecutionId": None,
        "lastExecutionStatus": None,
        "lastStartTime": None,
        "lastEndTime": None,
        "activeExecutionId": None,
        "conflicts": [],
        "canExecute": True,
        "blockedReason": None,
    }


def test_numbers_order_the_waves(admin: Api, groups: dict[str, str]) -> None:
    first, second = short(groups)
    assert [wave["waveName"] for wave in created(admin, [second, first])["waves"]] == ["Databases", "Application"]


def test_a_wave_may_span_regions_and_groups(admin: Api, groups: dict[str, str]) -> None:
    wave = {"name": "All", "protectionGroupIds": [groups["app"], groups["erp"]], "serverIds": [APP, IDS["erp-db-01"]]}
    assert created(admin, [wave])["waves"][0]["protectionGroupIds"] == [groups["app"], groups["erp"]]


def wrong(groups: dict[str, str], place: int, **fields: Any) -> list[dict[str, Any]]:
    waves = short(groups)
    waves[place] |= fields
    return waves


WRONG: list[tuple[int, dict[str, Any], str]] = [
    (0, {"protectionGroupIds": []}, "waves[0].protectionGroupIds"),
    (1, {"serverIds": []}, "waves[1].serverIds"),
    (1, {"protectionGroupIds": ["00000000-0000-0000-0000-000000000000"]}, "waves[1].protectionGroupIds"),
    (1, {"protectionGroupIds": ["pg-uuid-1"]}, "waves[1].protectionGroupIds"),
    (1, {"serverIds": [DB]}, "waves[1].serverIds"),
    (1, {"serverIds": [APP, APP]}, "waves[1].serverIds"),
    (1, {"serverIds": [IDS["app-03"]]}, "waves[1].serverIds"),
    (1, {"waveNumber": 0}, "waves[1].waveNumber"),
    (1, {"waveNumber": 2}, "waves[1].waveNumber"),
    (1, {"waveNumber": -1}, "waves[1].waveNumber"),
    (1, {"waveNumber": 10**30}, "waves[1].waveNumber"),
    (1, {"executionOrder": 0}, "waves[1].executionOrder"),
    (1, {"dependsOnWaves": [1]}, "waves[1].dependsOnWaves"),
    (1, {"dependsOnWaves": [2]}, "waves[1].dependsOnWaves"),
    (1, {"dependsOnWaves": [-1]}, "waves[1].dependsOnWaves"),
    (0, {"dependsOnWaves": [1]}, "waves[0].dependsOnWaves"),
    (1, {"dependsOnWaves": ["0"]}, "waves[1].dependsOnWaves[0]"),
    (0, {"pauseBeforeWave": True}, "waves[0].pauseBeforeWave"),
    (1, {"pauseBeforeWave": "true"}, "waves[1].pauseBeforeWave"),
    (1, {"pauseBeforeWav": True}, "waves[1].pauseBeforeWav"),
    (1, {"onFailure": "continue"}, "waves[1].onFailure"),
    (1, {"name": ""}, "waves[1].waveName"),
    (1, {"name": "a" * 129}, "waves[1].waveName"),
    (1, {"name": "a\x00"}, "waves[1].waveName"),
    (1, {"description": "a" * 513}, "waves[1].waveDescription"),
    (1, {"protectionGroupId": "00000000-0000-0000-0000-000000000000"}, "waves[1].protectionGroupId"),
]


@pytest.mark.parametrize(("place", "fields", "path"), WRONG)
@pytest.mark.parametrize("method", ["create", "update"])
def test_it_names_what_is_wrong_with_a_wave(
    admin: Api, groups: dict[str, str], place: int, fields: dict[str, Any], path: str, method: str
) -> None:
    body = {"planName": "Plan", "waves": wrong(groups, place, **fields)}
    if method == "create":
        response = admin.post("/recovery-plans", body)
    else:
        response = admin.put(f"/recovery-plans/{created(admin, short(groups))['planId']}", body)
    assert list(refusal(response, 400, "VALIDATION_ERROR")["fields"]) == [path]
    assert RecoveryPlan.objects.count() == (method == "update")


def test_two_fields_that_say_the_same_must_agree(admin: Api, groups: dict[str, str]) -> None:
    response = admin.post("/recovery-plans", {"planName": "P", "waves": wrong(groups, 1, dependencies=[])})
    assert list(refusal(response, 400, "VALIDATION_ERROR")["fields"]) == ["waves[1].dependencies"]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"ProtectionGroupId": "00000000-0000-0000-0000-000000000000"}, "protectionGroupId"),
        ({"ExecutionOrder": 7}, "executionOrder"),
        ({"Dependencies": [{"DependsOnWaveId": "second"}]}, "dependencies"),
    ],
)
def test_the_path_is_that_of_a_field_that_was_sent(
    admin: Api, groups: dict[str, str], fields: dict[str, Any], path: str
) -> None:
    first, second = long(groups)
    response = admin.post("/recovery-plans", {"planName": "P", "waves": [first, second | fields]})
    assert list(refusal(response, 400, "VALIDATION_ERROR")["fields"]) == [f"waves[1].{path}"]


def test_the_path_is_that_of_the_request(admin: Api, groups: dict[str, str]) -> None:
    """Whatever the waves' numbers are: a person looks for the field in what they sent."""
    first, second = wrong(groups, 1, serverIds=[])
    fields = refusal(
        admin.post("/recovery-plans", {"planName": "P", "waves": [second, first]}), 400, "VALIDATION_ERROR"
    )
    assert list(fields["fields"]) == ["waves[0].serverIds"]


@pytest.mark.parametrize("named", ["third", "wave-0", "wave-7", ""])
def test_a_dependency_names_a_wave(admin: Api, groups: dict[str, str], named: str) -> None:
    waves = long(groups)
    waves[1]["Dependencies"] = [{"DependsOnWaveId": named}]
    fields = refusal(admin.post("/recovery-plans", {"planName": "P", "waves": waves}), 400, "VALIDATION_ERROR")
    assert list(fields["fields"]) == ["waves[1].dependencies[0].dependsOnWaveId"]


def test_wave_ids_may_be_left_out(admin: Api, groups: dict[str, str]) -> None:
    waves = [{name: value for name, value in wave.items() if name != "WaveId"} for wave in long(groups)]
    waves[1]["Dependencies"] = [{"DependsOnWaveId": "wave-0"}]
    assert created(admin, waves)["waves"][1]["dependsOnWaves"] == [0]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"waves": []}, "waves"),
        ({"waves": None}, "waves"),
        ({"waves": {}}, "waves"),
        ({"waves": [7]}, "waves[0]"),
        ({"planName": ""}, "planName"),
        ({"planName": "a" * 129}, "planName"),
        ({"description": "a" * 513}, "description"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_it_names_what_is_wrong_with_a_plan(
    admin: Api, groups: dict[str, str], body: dict[str, Any], path: str
) -> None:
    whole = {"planName": "Plan", "waves": short(groups)} | body
    assert list(refusal(admin.post("/recovery-plans", whole), 400, "VALIDATION_ERROR")["fields"]) == [path]


def test_names_are_unique(admin: Api, groups: dict[str, str]) -> None:
    first = created(admin, short(groups), "Straße")
    response = admin.post("/recovery-plans", {"planName": "STRASSE", "waves": short(groups)})
    assert refusal(response, 409, "RP_NAME_EXISTS")["planId"] == first["planId"]
    other = created(admin, short(groups), "Other")
    refusal(admin.put(f"/recovery-plans/{other['planId']}", {"planName": "strasse"}), 409, "RP_NAME_EXISTS")


def test_get_edit_put_works(admin: Api, groups: dict[str, str]) -> None:
    body = created(admin, short(groups))
    path = f"/recovery-plans/{body['planId']}"
    body["waves"][1]["serverIds"] = [WEB, APP]
    body["waves"][1]["onFailure"] = "CONTINUE"
    response = admin.put(path, body, If_Match='"1"')
    changed = answer(response)
    assert response["ETag"] == '"2"'
    assert changed["waves"] == body["waves"]
    refusal(admin.put(path, body), 412, "VERSION_CONFLICT")
    refusal(admin.put(path, {"description": "x"}, If_Match='"1"'), 412, "VERSION_CONFLICT")
    assert answer(admin.put(path, {"description": "x"}))["waves"] == body["waves"]


@pytest.mark.parametrize(
    ("field", "group"),
    [("dependsOnWaves", ""), ("dependencies", ""), ("protectionGroupIds", "db"), ("protectionGroupId", "db")],
)
def test_one_of_two_fields_that_say_the_same_may_be_edited(
    admin: Api, groups: dict[str, str], field: str, group: str
) -> None:
    """The other stands in the body as the GET answered it."""
    plan = created(admin, short(groups))
    wave = plan["waves"][1]
    if group:
        wave["serverIds"] = [REPLICA]
        wave[field] = groups[group] if field == "protectionGroupId" else [groups[group]]
    else:
        wave[field] = []
    found = answer(admin.put(f"/recovery-plans/{plan['planId']}", plan))["waves"][1]
    assert found[field] == wave[field]
    assert found["protectionGroupIds"] == [found["protectionGroupId"]]
    assert len(found["dependsOnWaves"]) == len(found["dependencies"])


def test_waves_are_swapped_by_either_of_their_numbers(admin: Api, groups: dict[str, str]) -> None:
    plan = created(admin, [wave | {"dependsOnWaves": [], "pauseBeforeWave": False} for wave in short(groups)])
    for field in ("waveNumber", "executionOrder"):
        for wave in plan["waves"]:
            wave[field] = 1 - wave[field]
        before, plan = plan, answer(admin.put(f"/recovery-plans/{plan['planId']}", plan))
        assert [wave["waveName"] for wave in plan["waves"]] == [wave["waveName"] for wave in before["waves"]][::-1]


def test_waves_are_taken_out_and_put_in_without_their_numbers(admin: Api, groups: dict[str, str]) -> None:
    """Dependencies follow their wave; one on a wave that is gone is told."""
    third = {"name": "Web", "protectionGroupIds": [groups["app"]], "serverIds": [WEB], "dependsOnWaves": [1]}
    plan = created(admin, [*short(groups), third])
    path = f"/recovery-plans/{plan['planId']}"
    plan["waves"][1]["pauseBeforeWave"] = False
    del plan["waves"][0]
    fields = refusal(admin.put(path, plan), 400, "VALIDATION_ERROR")["fields"]
    assert "Leave waveNumber and executionOrder out of all waves" in fields["waves[1].waveNumber"][0]
    for wave in plan["waves"]:
        del wave["waveNumber"], wave["executionOrder"]
    fields = refusal(admin.put(path, plan), 400, "VALIDATION_ERROR")["fields"]
    assert fields == {"waves[0].dependencies[0].dependsOnWaveId": ["There is no wave 'wave-0'."]}
    plan["waves"][0]["dependsOnWaves"] = []
    plan = answer(admin.put(path, plan))
    assert [(wave["waveName"], wave["dependsOnWaves"]) for wave in plan["waves"]] == [("Application", []), ("Web", [0])]
    plan["waves"].insert(0, {"name": "Databases", "protectionGroupIds": [groups["db"]], "serverIds": [DB]})
    for wave in plan["waves"][1:]:
        del wave["waveNumber"], wave["executionOrder"]
    waves = answer(admin.put(path, plan))["waves"]
    assert [wave["dependsOnWaves"] for wave in waves] == [[], [], [1]]


def test_it_deletes_a_plan_and_keeps_its_history(admin: Api, stage: Stage) -> None:
    plan = stage.plan("web-01")
    run = stage.start(plan)
    path = f"/recovery-plans/{plan.pk}"
    details = refusal(admin.delete(path), 409, "PLAN_HAS_ACTIVE_EXECUTION")
    assert details["executionId"] == str(run.pk)
    refusal(admin.put(path, {"description": "x"}), 409, "PLAN_HAS_ACTIVE_EXECUTION")
    answer(admin.post(f"/executions/{run.pk}/cancel"))
    assert plan.name in answer(admin.delete(path))["message"]
    refusal(admin.get(path), 404, "NOT_FOUND")
    kept = answer(admin.get(f"/executions/{run.pk}"))
    assert (kept["planName"], kept["planId"]) == (plan.name, str(plan.pk))
    assert len(answer(admin.get(f"/executions?planId={plan.pk}"))["items"]) == 1


@pytest.mark.parametrize("status", ["PENDING", "PAUSED", "CANCELLING"])
def test_a_plan_tells_what_blocks_it(admin: Api, stage: Stage, status: str) -> None:
    """Its own run, and servers that another plan's run holds, waves to come included."""
    plan = stage.plan("db-primary-01", "web-01")
    group = RecoveryPlan.objects.get(pk=plan.pk).waves.get(number=1).groups.get()
    wave = {"name": "Web", "protectionGroupIds": [str(group.pk)], "serverIds": [WEB]}
    other = created(admin, [wave], "Other")
    run = stage.start(plan)
    Execution.objects.filter(pk=run.pk).update(status=status)

    mine = answer(admin.get(f"/recovery-plans/{plan.pk}"))
    assert (mine["canExecute"], mine["activeExecutionId"], mine["conflicts"]) == (False, str(run.pk), [])
    assert (mine["lastExecutionId"], mine["lastExecutionStatus"]) == (str(run.pk), status)
    assert "already running" in mine["blockedReason"]

    theirs = answer(admin.get(f"/recovery-plans/{other['planId']}"))
    assert not theirs["canExecute"]
    assert theirs["conflicts"] == [
        {"serverId": WEB, "executionId": str(run.pk), "planName": plan.name, "status": status}
    ]
    assert plan.name in theirs["blockedReason"]
    refusal(
        admin.post(f"/recovery-plans/{other['planId']}/execute", {"executionType": "DRILL"}), 409, "SERVER_CONFLICT"
    )


def test_a_plan_tells_its_last_run(admin: Api, stage: Stage) -> None:
    plan = stage.plan("web-01")
    run = stage.start(plan)
    answer(admin.post(f"/executions/{run.pk}/cancel"))
    second = stage.start(plan)
    answer(admin.delete(f"/executions/{second.pk}"))
    body = answer(admin.get("/recovery-plans"))["plans"][0]
    last = runs.get(second.pk)
    assert last.ended_at is not None
    assert (body["lastExecutionId"], body["lastExecutionStatus"]) == (str(second.pk), "CANCELLED")
    assert (body["lastStartTime"], body["lastEndTime"]) == (
        int(last.started_at.timestamp()),
        int(last.ended_at.timestamp()),
    )
    assert body["canExecute"]


def test_it_lists_and_filters(admin: Api, groups: dict[str, str]) -> None:
    created(admin, short(groups), "Payments")
    created(admin, short(groups), "ERP")
    body = answer(admin.get("/recovery-plans"))
    assert ([each["planName"] for each in body["plans"]], body["count"]) == (["ERP", "Payments"], 2)
    assert answer(admin.get("/recovery-plans?name=PAY"))["count"] == 1
