"""Servers of which DRS tells something odd: shown with its words, and in nobody's way."""

import time
from typing import Any

import pytest
from django.urls import reverse

from drs_simulator import demo_server_ids
from drs_simulator.testing import RunningSimulator
from plans.models import RecoveryPlan
from protection.inventory.source_servers import read_region
from protection.models import RegionInventory, SourceServer
from tests.support.api_client import Api
from tests.support.stage import Stage

IDS = demo_server_ids()


def discovered(admin: Api, host: str = "app-01") -> dict[str, Any]:
    servers = admin.get("/drs/source-servers?region=us-east-1").json()["servers"]
    return next(each for each in servers if each["sourceServerID"] == IDS[host])


@pytest.fixture
def stage(simulator: RunningSimulator, db: None) -> Stage:
    return Stage(simulator)


@pytest.mark.both
@pytest.mark.field("A24")
@pytest.mark.django_db
def test_an_odd_server_keeps_no_other_from_being_read(admin: Api, simulator: RunningSimulator) -> None:
    simulator.scenario("odd_strings", servers=["app-01"])
    answer = admin.get("/drs/source-servers?region=us-east-1").json()
    assert answer["totalCount"] == 22
    (warning,) = answer["warnings"]
    assert (warning["code"], warning["region"]) == ("SERVER_DATA_NOT_KEPT", "us-east-1")
    assert "app-01" in warning["message"]
    assert {"operating system", "replication state", "fqdn"} == set(warning["message"].split(": ")[1][:-1].split(", "))
    odd = SourceServer.objects.get(pk=IDS["app-01"])
    assert (odd.os, odd.replication_state, odd.cpu_cores) == (r"Windows\x00 Server 2019", "X" * 32, 0)
    assert odd.state == "LAGGING"
    assert RegionInventory.objects.get(region="us-east-1").error_code == ""
    group = admin.post("/protection-groups", {"groupName": "G", "region": "us-east-1", "sourceServerIds": [odd.pk]})
    told = admin.get(f"/protection-groups/{group.json()['groupId']}").json()
    assert [each["code"] for each in told["warnings"]] == ["SERVER_DATA_NOT_KEPT"]


def test_a_copy_under_way_says_how_far_it_is(admin: Api, simulator: RunningSimulator) -> None:
    admin.get("/drs/source-servers?region=us-west-2")
    first, rescan = (SourceServer.objects.get(name=name) for name in ("artifacts-01", "dwh-02"))
    assert (first.copied_percent, rescan.copied_percent) == (43, 50)
    assert first.copy_ends_at is not None
    assert (first.never_copied, rescan.never_copied) == (True, False)
    ready = SourceServer.objects.filter(replication_state="CONTINUOUS", copied_percent=None, copy_ends_at=None)
    assert ready.count() > 10


@pytest.mark.field("A22")
@pytest.mark.parametrize(
    ("scenario", "options", "member", "told", "words"),
    [
        (
            "staging_error",
            {"message": "no permission"},
            "stagingArea",
            {"status": "EXTENSION_ERROR", "accountId": None, "errorMessage": "no permission"},
            "EXTENSION_ERROR for its staging account: no permission",
        ),
        (
            "replication_error",
            {"error": "SNAPSHOTS_FAILURE", "raw_error": "Snapshot quota reached"},
            "replicationError",
            "SNAPSHOTS_FAILURE: Snapshot quota reached",
            "SNAPSHOTS_FAILURE: Snapshot quota reached",
        ),
        ("failback", {}, "replicationDirection", "FAILBACK", "FAILBACK"),
    ],
)
def test_what_drs_says_is_wrong_is_shown_and_not_ready(
    stage: Stage, admin: Api, scenario: str, options: dict[str, Any], member: str, told: Any, words: str
) -> None:
    assert discovered(admin)["state"] == "READY_FOR_RECOVERY"
    stage.simulator.scenario(scenario, servers=["app-01"], **options)
    shown = discovered(admin)
    assert (shown["replicationState"], shown[member]) == ("CONTINUOUS", told)
    assert shown["state"] != "READY_FOR_RECOVERY"
    assert discovered(admin, "app-02")["state"] == "READY_FOR_RECOVERY"
    plan = stage.plan("app-01 app-02")
    verdict = admin.get(f"/recovery-plans/{plan.pk}/readiness").json()
    (reason,) = [each for each in verdict["reasons"] if each["code"] == "REPLICATION_TROUBLE"]
    assert (verdict["verdict"], reason["serverIds"]) == ("NOT_READY", [IDS["app-01"]])
    assert words in reason["message"]
    admin.client.force_login(admin.user)
    assert words in admin.client.get(reverse("servers"), {"q": "app-01"}).content.decode()


@pytest.mark.field("A22")
@pytest.mark.django_db
def test_an_agent_that_is_silent_is_shown_and_warned_of(stage: Stage, admin: Api) -> None:
    """Also one that falls silent while nothing else changes; of one that is heard of nothing is written anew."""
    plan = stage.plan("app-01 app-02")
    read_region("us-east-1")
    assert "agentSilentSince" not in discovered(admin)
    stage.simulator.scenario("agent_silent", servers=["app-01"], seconds=7_300)
    assert abs(discovered(admin)["agentSilentSince"] - (time.time() - 7_300)) < 60
    reasons = {each["code"]: each for each in admin.get(f"/recovery-plans/{plan.pk}/readiness").json()["reasons"]}
    assert (reasons["AGENT_SILENT"]["serverIds"], reasons["AGENT_SILENT"]["severity"]) == ([IDS["app-01"]], "WARNING")
    admin.client.force_login(admin.user)
    assert "agent last seen" in admin.client.get(reverse("servers"), {"q": "app-01"}).content.decode()
    stage.simulator.clear_scenarios()
    assert "agentSilentSince" not in discovered(admin)
    stage.simulator.scenario("agent_silent", servers=["app-01"])
    assert discovered(admin)["agentSilentSince"]
    SourceServer.objects.filter(hostname="app-01").update(staging_status="EXTENDED")  # the staging account's speaks
    told = admin.get(f"/recovery-plans/{plan.pk}/readiness").json()["reasons"]
    assert "AGENT_SILENT" not in [each["code"] for each in told]


@pytest.mark.django_db
@pytest.mark.field("A22")
def test_a_source_that_is_gone_is_no_trouble_beside_that(stage: Stage, admin: Api) -> None:
    """In a disaster every source is silent: a launch from the last snapshot is what is asked for."""
    plan = stage.plan("bastion-01")
    verdict = admin.get(f"/recovery-plans/{plan.pk}/readiness").json()
    assert "REPLICATION_TROUBLE" not in [each["code"] for each in verdict["reasons"]]
    assert "AGENT_NOT_SEEN" in SourceServer.objects.get(hostname="bastion-01").trouble


@pytest.mark.field("A23")
@pytest.mark.parametrize("lag", ["P1Y2M", "", "P999999999999999D", "soon"])
def test_a_lag_that_is_not_told_is_not_known(stage: Stage, admin: Api, lag: str) -> None:
    stage.simulator.scenario("odd_lag", servers=["app-01"], lag=lag)
    plan = stage.plan("app-01 app-02")
    RecoveryPlan.objects.update(rpo_minutes=15)
    assert SourceServer.objects.get(hostname="app-01").lag_seconds is None
    codes = {each["code"]: each for each in admin.get(f"/recovery-plans/{plan.pk}/readiness").json()["reasons"]}
    assert codes["RPO_UNKNOWN"]["serverIds"] == [IDS["app-01"]]
    assert codes["RPO_UNKNOWN"]["severity"] == "UNKNOWN"


@pytest.mark.field("A25")
@pytest.mark.django_db
def test_a_name_of_blanks_is_none(admin: Api, simulator: RunningSimulator) -> None:
    simulator.scenario("blank_name", servers=["app-01"])
    assert discovered(admin)["hostname"] == "app-01"


@pytest.mark.django_db
@pytest.mark.field("A24")
def test_a_server_without_a_proper_id_is_left_out(simulator: RunningSimulator) -> None:
    simulator.scenario(
        "missing_members", servers=["app-01"], members=["sourceServerID"], operation="DescribeSourceServers"
    )
    read_region("us-east-1")
    assert SourceServer.objects.count() == 21
