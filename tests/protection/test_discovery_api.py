"""Discovery over HTTP: DRS read live, all pages, and what stays of it in the inventory."""

from typing import Any

import pytest

from drs_simulator.testing import RunningSimulator
from drs_simulator.world.demo import demo_fleet, demo_server_ids
from protection.inventory.source_servers import read_region
from tests.support.api_client import Api, answer, refusal

IDS = demo_server_ids()
EAST = [server.id for server in demo_fleet().servers if server.region == "us-east-1"]


def made_group(admin: Api) -> dict[str, Any]:
    body = {"groupName": "Web", "region": "us-east-1", "sourceServerIds": [IDS["web-01"], IDS["web-02"]]}
    group: dict[str, Any] = answer(admin.post("/protection-groups", body), 201)
    return group


def test_it_reads_all_pages(admin: Api, simulator: RunningSimulator) -> None:
    simulator.scenario("short_pages", size=2)
    body = answer(admin.get("/drs/source-servers?region=us-east-1"))
    assert (body["region"], body["initialized"]) == ("us-east-1", True)
    assert sorted(each["sourceServerID"] for each in body["servers"]) == sorted(EAST)
    assert (body["totalCount"], body["availableCount"], body["assignedCount"]) == (len(EAST), len(EAST), 0)
    assert isinstance(body["asOf"], int)


def test_it_tells_what_is_assigned(admin: Api, simulator: RunningSimulator) -> None:
    group = made_group(admin)
    body = answer(admin.get("/drs/source-servers?Region=us-east-1"))
    by_name = {each["hostname"]: each for each in body["servers"]}
    assert by_name["web-01"]["assignedToProtectionGroup"] == {"groupId": group["groupId"], "groupName": "Web"}
    assert not by_name["web-01"]["selectable"]
    assert by_name["app-01"]["assignedToProtectionGroup"] is None
    assert by_name["app-01"]["selectable"]
    assert (body["assignedCount"], body["availableCount"]) == (2, len(EAST) - 2)


def test_a_group_may_select_its_own_servers(admin: Api, simulator: RunningSimulator) -> None:
    group = made_group(admin)
    query = f"region=us-east-1&currentProtectionGroupID={group['groupId']}"
    body = answer(admin.get(f"/drs/source-servers?{query}"))
    assert all(each["selectable"] for each in body["servers"])
    assert body["assignedCount"] == 0


@pytest.mark.parametrize(
    ("host", "replication", "state"),
    [
        ("web-01", "CONTINUOUS", "READY_FOR_RECOVERY"),
        ("syslog-01", "STALLED", "STALLED"),
        ("bastion-01", "DISCONNECTED", "DISCONNECTED"),
        ("files-02", "BACKLOG", "LAGGING"),
    ],
)
def test_it_says_how_well_a_server_is(
    admin: Api, simulator: RunningSimulator, host: str, replication: str, state: str
) -> None:
    servers = answer(admin.get("/drs/source-servers?region=us-east-1"))["servers"]
    server = next(each for each in servers if each["hostname"] == host)
    assert (server["replicationState"], server["state"]) == (replication, state)


def test_a_region_never_set_up_is_empty(admin: Api, simulator: RunningSimulator) -> None:
    body = answer(admin.get("/drs/source-servers?region=eu-west-1"))
    assert (body["initialized"], body["servers"], body["totalCount"]) == (False, [], 0)
    group = {"groupName": "Web", "region": "eu-west-1", "sourceServerIds": [IDS["web-01"]]}
    fields = refusal(admin.post("/protection-groups", group), 400, "INVALID_SERVER_IDS")["fields"]
    assert fields["sourceServerIds"] == ["DRS has never been set up in eu-west-1: it has no servers there."]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "VALIDATION_ERROR"),
        ("region=", 400, "VALIDATION_ERROR"),
        ("region=nowhere", 400, "INVALID_REGION"),
        ("region=us-east-1&currentProtectionGroupId=x", 404, "NOT_FOUND"),
    ],
)
def test_it_refuses_bad_questions(admin: Api, simulator: RunningSimulator, query: str, status: int, code: str) -> None:
    refusal(admin.get(f"/drs/source-servers?{query}"), status, code)


@pytest.mark.parametrize(
    ("scenario", "status", "code"),
    [("throttle", 503, "DRS_THROTTLED"), ("access_denied", 502, "DRS_ACCESS_DENIED")],
)
def test_it_says_why_drs_could_not_be_read(
    admin: Api, simulator: RunningSimulator, scenario: str, status: int, code: str
) -> None:
    simulator.scenario(scenario)
    details = refusal(admin.get("/drs/source-servers?region=us-east-1"), status, code)
    assert details["region"] == "us-east-1"


def test_a_server_that_left_drs_is_told(admin: Api, simulator: RunningSimulator) -> None:
    group = made_group(admin)
    fleet: dict[str, Any] = dict(demo_fleet().as_json())
    simulator.load_fleet(fleet | {"servers": [each for each in fleet["servers"] if each["hostname"] != "web-02"]})
    read_region("us-east-1")
    body = answer(admin.get(f"/protection-groups/{group['groupId']}"))
    assert [each["code"] for each in body["warnings"]] == ["SERVER_NOT_IN_DRS"]
