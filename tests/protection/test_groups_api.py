"""Protection groups over HTTP, checked against the simulated DRS."""

from typing import Any

import pytest
from django.utils import timezone

from audit.actor import SYSTEM
from audit.models import AuditEntry
from drs_simulator.testing import RunningSimulator
from drs_simulator.world.demo import demo_server_ids
from executions.commands import control as runs
from executions.models import Execution
from protection.models import ProtectionGroup, RegionInventory
from tests.support.api_client import Api, answer, refusal
from tests.support.stage import Stage

IDS = demo_server_ids()
UNKNOWN = "s-00000000000000000"


def group(name: str = "Web", hosts: str = "web-01 web-02", region: str = "us-east-1") -> dict[str, Any]:
    return {"groupName": name, "region": region, "sourceServerIds": [IDS[each] for each in hosts.split()]}


def created(admin: Api, **options: str) -> dict[str, Any]:
    body: dict[str, Any] = answer(admin.post("/protection-groups", group(**options)), 201)
    return body


@pytest.fixture
def stage(simulator: RunningSimulator, db: None) -> Stage:
    return Stage(simulator)


def home_of(host: str) -> str:
    """The address of the group that a host is in."""
    pk = ProtectionGroup.objects.get(assignments__source_server_id=IDS[host]).pk
    return f"/protection-groups/{pk}"


@pytest.mark.both
def test_it_creates_a_group(admin: Api, simulator: RunningSimulator) -> None:
    response = admin.post("/protection-groups", group(hosts="web-02 web-01") | {"Description": " Front "})
    body = answer(response, 201)
    assert (body["groupName"], body["description"], body["region"]) == ("Web", "Front", "us-east-1")
    assert body["sourceServerIds"] == [IDS["web-02"], IDS["web-01"]], "the order is kept"
    assert body["serverCount"] == 2
    assert body["accountId"].isdigit()
    assert body["owner"] == admin.user.email
    assert body["version"] == 1
    assert isinstance(body["createdDate"], int)
    assert body["createdDate"] == body["lastModifiedDate"]
    assert response["ETag"] == '"1"'
    assert response["Location"] == f"/api/v1/protection-groups/{body['groupId']}"
    assert body["serverDetails"][0] == {
        "sourceServerID": IDS["web-02"],
        "hostname": "web-02",
        "state": "READY_FOR_RECOVERY",
        "replicationState": "CONTINUOUS",
        "lagDuration": body["serverDetails"][0]["lagDuration"],
        "assignedToProtectionGroup": {"groupId": body["groupId"], "groupName": "Web"},
        "selectable": True,
    }
    assert answer(admin.get(response["Location"])) == body


def test_it_journals_who_from_where(admin: Api, simulator: RunningSimulator) -> None:
    response = admin.post("/protection-groups", group())
    entry = AuditEntry.objects.get(verb="group.create")
    assert (entry.actor, entry.address, entry.request_id) == (admin.user.email, "127.0.0.1", response["X-Request-ID"])


@pytest.mark.both
def test_names_are_unique_whatever_their_case_and_form(admin: Api, simulator: RunningSimulator) -> None:
    first = created(admin, name="Straße Café")
    again = admin.post("/protection-groups", group("  STRASSE CAFE\u0301 ", "app-01"))
    assert refusal(again, 409, "PG_NAME_EXISTS")["groupId"] == first["groupId"]


@pytest.mark.both
def test_a_name_is_kept_as_typed(admin: Api, simulator: RunningSimulator) -> None:
    name = '<b>"Ünïcode" &  emoji 🚒</b>'
    assert created(admin, name=name)["groupName"] == name


@pytest.mark.both
def test_a_server_has_one_group(admin: Api, simulator: RunningSimulator) -> None:
    first = created(admin)
    second = admin.post("/protection-groups", group("Other", "app-01 web-02"))
    assert refusal(second, 409, "SERVER_ASSIGNMENT_CONFLICT")["conflicts"] == [
        {"serverId": IDS["web-02"], "protectionGroupId": first["groupId"], "protectionGroupName": "Web"}
    ]


@pytest.mark.parametrize("bad", [UNKNOWN, "s-xxx", "nonsense", "é" * 19, "s-" + "!" * 17, IDS["erp-db-01"]])
def test_servers_must_exist_in_the_region(admin: Api, simulator: RunningSimulator, bad: str) -> None:
    body = group()
    body["sourceServerIds"].append(bad)
    details = refusal(admin.post("/protection-groups", body), 400, "INVALID_SERVER_IDS")
    assert details["invalidServerIds"] == [bad]
    assert not ProtectionGroup.objects.exists()


def test_a_server_is_named_once(admin: Api, simulator: RunningSimulator) -> None:
    refusal(admin.post("/protection-groups", group(hosts="web-01 web-01")), 400, "VALIDATION_ERROR")


@pytest.mark.parametrize("region", ["", "us-east-99", "US-EAST-1", "a" * 1000])
def test_the_region_must_be_one_of_drs(admin: Api, simulator: RunningSimulator, region: str) -> None:
    refusal(admin.post("/protection-groups", group() | {"region": region}), 400, "INVALID_REGION")


@pytest.mark.parametrize("field", ["groupName", "region", "sourceServerIds"])
def test_it_names_what_is_missing(admin: Api, field: str) -> None:
    body = group()
    del body[field]
    fields = refusal(admin.post("/protection-groups", body), 400, "VALIDATION_ERROR")["fields"]
    assert list(fields) == [field]


@pytest.mark.parametrize(
    ("scenario", "status", "code"),
    [
        ("throttle", 503, "DRS_THROTTLED"),
        ("access_denied", 502, "DRS_ACCESS_DENIED"),
        ("internal_error_before", 503, "DRS_UNAVAILABLE"),
        ("drop_connection_before", 503, "DRS_UNAVAILABLE"),
        ("broken_json", 503, "DRS_UNAVAILABLE"),
    ],
)
def test_what_cannot_be_checked_is_not_assumed(
    admin: Api, simulator: RunningSimulator, scenario: str, status: int, code: str
) -> None:
    simulator.scenario(scenario)
    response = admin.post("/protection-groups", group())
    details = refusal(response, status, code)
    assert details["region"] == "us-east-1"
    assert details["awsCode"]
    assert ("Retry-After" in response) == (status == 503)
    assert not ProtectionGroup.objects.exists()


def test_old_credentials_are_told_as_such(admin: Api, simulator: RunningSimulator) -> None:
    simulator.scenario("expired_token")
    response = admin.post("/protection-groups", group())
    refusal(response, 503, "DRS_UNAVAILABLE")
    message = response.json()["message"]
    assert "does not accept this server's AWS credentials (ExpiredTokenException)" in message
    assert "Try again" not in message


def test_reading_needs_no_drs(admin: Api, simulator: RunningSimulator) -> None:
    made = created(admin)
    simulator.scenario("internal_error_before")
    refusal(admin.get("/drs/source-servers?region=us-east-1"), 503, "DRS_UNAVAILABLE")
    body = answer(admin.get(f"/protection-groups/{made['groupId']}"))
    assert [each["hostname"] for each in body["serverDetails"]] == ["web-01", "web-02"]
    assert [(each["code"], each["region"]) for each in body["warnings"]] == [("DRS_UNAVAILABLE", "us-east-1")]
    assert answer(admin.get("/protection-groups"))["warnings"] == body["warnings"]


@pytest.mark.parametrize("code", ["OptInRequired", "UnrecognizedClientException"])
def test_a_warning_has_the_code_that_a_refusal_would_have(admin: Api, simulator: RunningSimulator, code: str) -> None:
    """Of a region that is not enabled, warnings said DRS_UNAVAILABLE where refusals say REGION_NOT_ENABLED."""
    made = created(admin)
    RegionInventory.objects.create(region="us-east-1", tried_at=timezone.now(), error_code=code)
    body = answer(admin.get(f"/protection-groups/{made['groupId']}"))
    assert [each["code"] for each in body["warnings"]] == ["REGION_NOT_ENABLED"]


def test_get_edit_put_works(admin: Api, simulator: RunningSimulator) -> None:
    made = created(admin)
    made["description"] = "Edited"
    made["sourceServerIds"] = [IDS["web-02"], IDS["app-01"]]
    changed = answer(admin.put(f"/protection-groups/{made['groupId']}", made))
    assert changed["description"] == "Edited"
    assert changed["sourceServerIds"] == made["sourceServerIds"]
    assert changed["version"] == 2
    assert changed["lastModifiedDate"] >= changed["createdDate"]


def test_what_is_left_out_stays(admin: Api, simulator: RunningSimulator) -> None:
    made = created(admin)
    changed = answer(admin.put(f"/protection-groups/{made['groupId']}", {"GroupName": "Renamed"}))
    assert (changed["groupName"], changed["sourceServerIds"]) == ("Renamed", made["sourceServerIds"])


def test_a_group_may_keep_its_own_name(admin: Api, simulator: RunningSimulator) -> None:
    made = created(admin)
    assert answer(admin.put(f"/protection-groups/{made['groupId']}", {"groupName": "WEB"}))["groupName"] == "WEB"


def test_a_change_is_held_to_the_same_rules(admin: Api, simulator: RunningSimulator) -> None:
    path = f"/protection-groups/{created(admin)['groupId']}"
    created(admin, name="App", hosts="app-01")
    refusal(admin.put(path, {"groupName": "APP"}), 409, "PG_NAME_EXISTS")
    refusal(admin.put(path, {"sourceServerIds": [IDS["app-01"]]}), 409, "SERVER_ASSIGNMENT_CONFLICT")
    refusal(admin.put(path, {"sourceServerIds": [UNKNOWN]}), 400, "INVALID_SERVER_IDS")
    refusal(admin.put(path, {"sourceServerIds": []}), 400, "VALIDATION_ERROR")
    refusal(admin.put(path, {"groupName": " "}), 400, "VALIDATION_ERROR")
    assert answer(admin.get(path))["version"] == 1


def test_a_rename_needs_no_drs(admin: Api, simulator: RunningSimulator) -> None:
    made = created(admin)
    path = f"/protection-groups/{made['groupId']}"
    simulator.scenario("internal_error_before")
    answer(admin.put(path, made | {"groupName": "Renamed"}))
    more = [*made["sourceServerIds"], IDS["app-01"]]
    refusal(admin.put(path, {"sourceServerIds": more}), 503, "DRS_UNAVAILABLE")


def test_the_region_stays(admin: Api, simulator: RunningSimulator) -> None:
    path = f"/protection-groups/{created(admin)['groupId']}"
    refusal(admin.put(path, {"region": "us-west-2"}), 400, "REGION_IMMUTABLE")
    answer(admin.put(path, {"region": "us-east-1"}))


@pytest.mark.both
@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"If_Match": '"1"'}, {}, 200),
        ({"If_Match": '"7", W/"1"'}, {}, 200),
        ({"If_Match": "*"}, {}, 200),
        ({}, {"version": 1}, 200),
        ({"If_Match": '"2"'}, {}, 412),
        ({"If_Match": "nonsense"}, {}, 412),
        ({"If_Match": '"²"'}, {}, 412),
        ({}, {"version": 2}, 412),
        ({"If_Match": '"1"'}, {"version": 2}, 412),
    ],
)
def test_a_lost_update_is_refused(
    admin: Api, simulator: RunningSimulator, headers: dict[str, str], body: dict[str, Any], status: int
) -> None:
    path = f"/protection-groups/{created(admin)['groupId']}"
    response = admin.put(path, {"description": "x", **body}, **headers)
    if status == 412:
        assert refusal(response, 412, "VERSION_CONFLICT")["version"] == 1
    else:
        assert response["ETag"] == '"2"'


@pytest.mark.both
def test_it_deletes_a_group(admin: Api, simulator: RunningSimulator) -> None:
    path = f"/protection-groups/{created(admin)['groupId']}"
    refusal(admin.delete(path, If_Match='"9"'), 412, "VERSION_CONFLICT")
    assert "Web" in answer(admin.delete(path))["message"]
    refusal(admin.get(path), 404, "NOT_FOUND")
    refusal(admin.delete(path), 404, "NOT_FOUND")
    refusal(admin.put(path, {"groupName": "x"}), 404, "NOT_FOUND")
    created(admin)


# With plans and runs


@pytest.mark.both
def test_a_group_of_a_plan_stays(admin: Api, stage: Stage) -> None:
    plan = stage.plan("web-01 web-02", "app-01")
    plans = refusal(admin.delete(home_of("app-01")), 409, "PG_IN_USE")["plans"]
    assert plans == [{"planId": str(plan.pk), "planName": plan.name, "waveName": "Tier 2", "waveNumber": 1}]


@pytest.mark.both
def test_a_server_of_a_plan_stays_in_its_group(admin: Api, stage: Stage) -> None:
    plan = stage.plan("web-01 web-02", "app-01")
    removal = admin.put(home_of("web-01"), {"sourceServerIds": [IDS["web-02"]]})
    used = {"planId": str(plan.pk), "planName": plan.name, "waveNumber": 0, "waveName": "Tier 1"}
    assert refusal(removal, 409, "SERVER_IN_USE_BY_PLAN")["plans"] == [{"serverId": IDS["web-01"], **used}]
    order = [IDS["app-02"], IDS["web-02"], IDS["web-01"]]
    assert answer(admin.put(home_of("web-01"), {"sourceServerIds": order}))["sourceServerIds"] == order


@pytest.mark.parametrize("status", ["PENDING", "LAUNCHING", "PAUSED", "CANCELLING"])
@pytest.mark.parametrize("change", [{"groupName": "x"}, {"description": "x"}, {"sourceServerIds": [IDS["app-03"]]}])
def test_a_group_in_a_run_stays_as_it_is(admin: Api, stage: Stage, status: str, change: dict[str, Any]) -> None:
    plan = stage.plan("web-01", "app-01")
    run = stage.start(plan)
    Execution.objects.filter(pk=run.pk).update(status=status)
    details = refusal(admin.put(home_of("app-01"), change), 409, "PG_IN_ACTIVE_EXECUTION")
    assert details["executions"] == [
        {"executionId": str(run.pk), "planId": str(plan.pk), "planName": plan.name, "status": status}
    ]


def test_a_group_can_change_after_the_run(admin: Api, stage: Stage) -> None:
    run = stage.start(stage.plan("web-01"))
    runs.cancel(actor=SYSTEM, execution_id=run.pk)
    assert answer(admin.put(home_of("web-01"), {"groupName": "After"}))["groupName"] == "After"


@pytest.mark.both
def test_it_filters(admin: Api, simulator: RunningSimulator) -> None:
    created(admin)
    created(admin, name="App", hosts="app-01")
    created(admin, name="ERP web", hosts="erp-web-01", region="us-west-2")

    def names(query: str) -> list[str]:
        body = answer(admin.get(f"/protection-groups?{query}"))
        assert body["count"] == len(body["groups"])
        return [each["groupName"] for each in body["groups"]]

    assert names("") == ["App", "ERP web", "Web"]
    assert names("region=us-west-2") == ["ERP web"]
    assert names("name=WEB") == ["ERP web", "Web"]
    assert names("Name=web&Region=us-east-1") == ["Web"]
    assert names("name=%25") == []
