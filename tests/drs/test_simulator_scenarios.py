"""Every named failure scenario does what the table says, over real boto3."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from drs_simulator import demo_server_ids
from drs_simulator.testing import RunningSimulator, running_simulator
from drs_simulator.world.scenarios import KINDS

if TYPE_CHECKING:
    from mypy_boto3_drs import DrsClient
    from mypy_boto3_drs.type_defs import JobTypeDef, ParticipatingServerTypeDef

IDS = demo_server_ids()
WHOLE_JOB = 1200
TESTED_ELSEWHERE = {
    *("short_pages", "z_timestamps"),  # test_simulator_protocol.py
    # In tests/executions: test_termination_apart.py, test_ends_of_jobs.py, test_one_bad_server.py
    *("refuses_instance", "terminate_untold", "ec2_terminated", "left_drs"),
    "untold_launches",
    *("refusal_style", "server_refused", "unlisted_servers"),  # test_one_bad_server.py
    *("double_rows", "row_status", "unlisted_instances", "instance_state", "job_type"),  # test_untrue_rows.py
    "snapshots_deleted",  # test_points_in_time.py
    "failback_state",  # test_replicated_back.py
    *("assume_role_denied", "scp_denied", "account_suspended", "short_credentials"),  # test_roles.py
    *("agent_silent", "subnet_full", "vcpus_exhausted"),  # and test_odd_servers.py, test_room.py
}


@pytest.fixture
def sim() -> Iterator[RunningSimulator]:
    with running_simulator() as running:
        yield running


def start(client: "DrsClient", *names: str) -> str:
    servers = [{"sourceServerID": IDS[name]} for name in names or ["app-01"]]
    return client.start_recovery(sourceServers=servers)["job"]["jobID"]  # type: ignore[arg-type]  # a list of this shape


def job(client: "DrsClient", job_id: str) -> "JobTypeDef":
    return client.describe_jobs(filters={"jobIDs": [job_id]})["items"][0]


def row(client: "DrsClient", job_id: str, index: int = 0) -> "ParticipatingServerTypeDef":
    return job(client, job_id)["participatingServers"][index]


def log(client: "DrsClient", job_id: str) -> dict[str, str]:
    """Event names with their rawError."""
    items = client.describe_job_log_items(jobID=job_id, maxResults=1000)["items"]
    return {item["event"]: item["eventData"].get("rawError", "") for item in items}


@pytest.mark.parametrize(
    ("name", "code", "status"),
    [
        ("throttle", "ThrottlingException", 429),
        ("access_denied", "AccessDeniedException", 403),
        ("expired_token", "ExpiredTokenException", 403),
        ("internal_error_before", "InternalServerException", 500),
        ("quota_exceeded", "ServiceQuotaExceededException", 402),
        ("conflict", "ConflictException", 409),
        ("uninitialized", "UninitializedAccountException", 400),
    ],
)
def test_it_refuses_without_effect(sim: RunningSimulator, name: str, code: str, status: int) -> None:
    sim.scenario(name, times=1)
    client = sim.client()
    with pytest.raises(ClientError) as caught:
        start(client)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["Error"]["Message"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert client.describe_jobs()["items"] == []
    start(client)


def test_it_drops_before_and_after_the_effect(sim: RunningSimulator) -> None:
    client = sim.client()
    sim.scenario("drop_connection_before", operation="StartRecovery", times=1)
    with pytest.raises(ConnectionClosedError):
        start(client)
    assert client.describe_jobs()["items"] == []
    sim.scenario("drop_connection_after_effect", times=1)
    with pytest.raises(ConnectionClosedError):
        start(client)
    (made,) = client.describe_jobs()["items"]
    first, second = sim.journal("StartRecovery")
    assert (first["status"], first["job_id"], first["fault"]) == (None, "", "drop_connection_before")
    assert (second["status"], second["job_id"]) == (None, made["jobID"])


def test_an_sdk_retry_meets_a_conflict_with_its_own_job(sim: RunningSimulator) -> None:
    sim.scenario("internal_error_after_effect", times=1)
    client = sim.client(max_attempts=3)
    with pytest.raises(client.exceptions.ConflictException):
        start(client)
    assert len(client.describe_jobs()["items"]) == 1
    assert [entry["status"] for entry in sim.journal("StartRecovery")] == [500, 409]


def test_it_hangs_before_or_after_the_effect(sim: RunningSimulator) -> None:
    client = sim.client(read_timeout=0.2)
    for when, effect in (("before", False), ("after", True)):
        sim.scenario("hang", seconds=0.6, when=when, operation="StartRecovery", times=1)
        with pytest.raises(ReadTimeoutError):
            start(client)
        assert bool(client.describe_jobs()["items"]) is effect
        time.sleep(0.6)
        assert len(client.describe_jobs()["items"]) == 1
        sim.advance(WHOLE_JOB)
        sim.control("POST", "reset", {})


def test_it_is_unreachable(sim: RunningSimulator) -> None:
    sim.scenario("unreachable", seconds=0.3)
    with pytest.raises(ReadTimeoutError):
        sim.client(read_timeout=0.1).describe_jobs()
    with pytest.raises(ConnectionClosedError):
        sim.client().describe_jobs()
    assert sim.sts().get_caller_identity()["Account"] == "111122223333"


def test_it_answers_half_a_document(sim: RunningSimulator) -> None:
    sim.scenario("broken_json", times=1)
    client = sim.client()
    # botocore calls this a success: it is for the caller to miss the job in it.
    answer = client.start_recovery(sourceServers=[{"sourceServerID": IDS["app-01"]}])
    assert answer.get("job") is None
    assert len(client.describe_jobs()["items"]) == 1


def test_a_proxy_answers_in_its_place(sim: RunningSimulator) -> None:
    sim.scenario("proxy_page", times=1)
    client = sim.client()
    # botocore calls this a success, too, but not where it expects XML
    assert client.start_recovery(sourceServers=[{"sourceServerID": IDS["app-01"]}]).get("job") is None
    assert len(client.describe_jobs()["items"]) == 1
    sim.scenario("proxy_page", times=1, operation="GetCallerIdentity")
    with pytest.raises(ResponseParserError):
        sim.sts().get_caller_identity()


def test_a_new_job_is_invisible_for_a_while(sim: RunningSimulator) -> None:
    sim.scenario("visibility_delay", seconds=30)
    client = sim.client()
    job_id = start(client)
    assert client.describe_jobs()["items"] == []
    with pytest.raises(client.exceptions.ConflictException):
        start(client)
    sim.advance(31)
    assert [each["jobID"] for each in client.describe_jobs()["items"]] == [job_id]


def test_an_effect_lands_late(sim: RunningSimulator) -> None:
    sim.scenario("late_landing", seconds=20, times=1)
    client = sim.client()
    with pytest.raises(ConnectionClosedError):
        start(client)
    sim.advance(10)
    assert client.describe_jobs()["items"] == []
    sim.advance(11)
    assert len(cast("list[object]", sim.state()["jobs"])) == 1, "without any further call"
    (made,) = client.describe_jobs()["items"]
    (entry,) = sim.journal("StartRecovery")
    assert (entry["job_id"], entry["status"], entry["fault"]) == (made["jobID"], None, "late_landing")
    assert sim.state()["landings"] == 0


def test_a_late_effect_can_be_refused(sim: RunningSimulator) -> None:
    sim.scenario("late_landing", seconds=20, times=1)
    client = sim.client()
    with pytest.raises(ConnectionClosedError):
        start(client)
    start(client)
    sim.advance(21)
    assert len(client.describe_jobs()["items"]) == 1
    assert [entry["error"] for entry in sim.journal("StartRecovery")] == ["ConflictException", ""]


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("launch_failed", "LAUNCH_FAILED"),
        ("conversion_fail", "CONVERSION_FAIL"),
        ("snapshot_fail_no_previous", "USING_PREVIOUS_SNAPSHOT_FAILED"),
        ("server_skipped", "SERVER_SKIPPED"),
    ],
)
def test_one_server_fails_and_the_job_completes(sim: RunningSimulator, name: str, event: str) -> None:
    sim.scenario(name, servers=["app-02"], raw_error="the reason")
    client = sim.client()
    job_id = start(client, "app-01", "app-02")
    sim.advance(WHOLE_JOB)
    assert [each["launchStatus"] for each in job(client, job_id)["participatingServers"]] == ["LAUNCHED", "FAILED"]
    assert job(client, job_id)["status"] == "COMPLETED"
    assert log(client, job_id)[event] == "the reason"
    server = client.describe_source_servers(filters={"sourceServerIDs": [IDS["app-02"]]})["items"][0]
    assert server["lastLaunchResult"] == "FAILED"


def test_a_failed_snapshot_falls_back(sim: RunningSimulator) -> None:
    sim.scenario("snapshot_fail_uses_previous")
    client = sim.client()
    job_id = start(client)
    sim.advance(WHOLE_JOB)
    assert list(log(client, job_id))[1:4] == ["SNAPSHOT_START", "SNAPSHOT_FAIL", "USING_PREVIOUS_SNAPSHOT"]
    assert row(client, job_id)["launchStatus"] == "LAUNCHED"
    instance = client.describe_recovery_instances()["items"][0]
    newest = client.describe_recovery_snapshots(sourceServerID=IDS["app-01"])["items"][0]
    assert instance["pointInTimeSnapshotDateTime"] <= newest["expectedTimestamp"]


def test_a_row_never_settles(sim: RunningSimulator) -> None:
    sim.scenario("never_settles")
    client = sim.client()
    job_id = start(client)
    sim.advance(WHOLE_JOB)
    assert (job(client, job_id)["status"], row(client, job_id)["launchStatus"]) == ("COMPLETED", "PENDING")


def test_a_slow_server_holds_its_job_up(sim: RunningSimulator) -> None:
    sim.scenario("slow_server", servers=[IDS["app-01"]], factor=5)
    client = sim.client()
    job_id = start(client, "app-01", "app-02")
    sim.advance(WHOLE_JOB)
    assert job(client, job_id)["status"] == "STARTED"
    assert [each["launchStatus"] for each in job(client, job_id)["participatingServers"]] == ["PENDING", "LAUNCHED"]
    sim.advance(4 * WHOLE_JOB)
    assert row(client, job_id)["launchStatus"] == "LAUNCHED"


def test_an_instance_id_comes_late_or_never(sim: RunningSimulator) -> None:
    sim.scenario("late_instance_id", servers=["app-01"], seconds=5000)
    sim.scenario("late_instance_id", servers=["app-02"], seconds=-1)
    client = sim.client()
    job_id = start(client, "app-01", "app-02")
    sim.advance(WHOLE_JOB)
    assert [each.get("recoveryInstanceID") for each in job(client, job_id)["participatingServers"]] == [None, None]
    assert {each["jobID"] for each in client.describe_recovery_instances()["items"]} == {job_id}
    sim.advance(5000)
    late, never = job(client, job_id)["participatingServers"]
    assert ("recoveryInstanceID" in late, "recoveryInstanceID" in never) == (True, False)


def test_a_terminated_instance_leaves_its_launch_job(sim: RunningSimulator) -> None:
    client = sim.client()
    job_id = start(client)
    sim.advance(WHOLE_JOB)
    client.terminate_recovery_instances(recoveryInstanceIDs=[row(client, job_id)["recoveryInstanceID"]])
    sim.advance(WHOLE_JOB)
    assert row(client, job_id)["launchStatus"] == "LAUNCHED"
    sim.scenario("clear_instance_ids")
    assert row(client, job_id) == {"sourceServerID": IDS["app-01"], "launchStatus": "TERMINATED"}


def test_a_server_has_no_launch_settings(sim: RunningSimulator) -> None:
    sim.scenario("no_launch_settings", servers=["app-01"])
    client = sim.client()
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_launch_configuration(sourceServerID=IDS["app-01"])
    assert client.get_launch_configuration(sourceServerID=IDS["app-02"])["ec2LaunchTemplateID"]


def test_an_instance_is_not_called_a_drill_or_none(sim: RunningSimulator) -> None:
    sim.scenario("no_is_drill", servers=["app-01"])
    client = sim.client()
    start(client, "app-01", "app-02")
    sim.advance(WHOLE_JOB)
    shown = {each["sourceServerID"]: each for each in client.describe_recovery_instances()["items"]}
    assert [("isDrill" in shown[IDS[name]]) for name in ("app-01", "app-02")] == [False, True]


def test_a_termination_fails(sim: RunningSimulator) -> None:
    sim.scenario("terminate_fails", times=1)
    client = sim.client()
    job_id = start(client)
    sim.advance(WHOLE_JOB)
    instance_id = row(client, job_id)["recoveryInstanceID"]
    failed = client.terminate_recovery_instances(recoveryInstanceIDs=[instance_id])["job"]["jobID"]
    sim.advance(WHOLE_JOB)
    assert (row(client, failed)["launchStatus"], job(client, failed)["status"]) == ("FAILED", "COMPLETED")
    assert "terminated" in log(client, failed)["CLEANUP_FAIL"]
    (instance,) = client.describe_recovery_instances()["items"]
    assert (instance["recoveryInstanceID"], instance["ec2InstanceState"]) == (instance_id, "RUNNING")


def test_somebody_else_starts_a_job(sim: RunningSimulator) -> None:
    made = sim.scenario("foreign_job", servers=["app-01", IDS["app-02"]], region="us-east-1")
    client = sim.client()
    (shown,) = client.describe_jobs()["items"]
    assert (shown["jobID"], shown["initiatedBy"], shown["tags"]) == (made["jobID"], "START_DRILL", {})
    with pytest.raises(client.exceptions.ConflictException):
        start(client)
    assert sim.scenarios() == []
    with pytest.raises(ValueError, match="ConflictException"):
        sim.scenario("foreign_job", servers=["app-01"], region="us-east-1")
    with pytest.raises(ValueError, match="needs servers"):
        sim.scenario("foreign_job", servers=["erp-db-01"], region="us-east-1")


def test_launch_end_is_logged_with_the_instance(sim: RunningSimulator) -> None:
    sim.scenario("launch_end_event")
    client = sim.client()
    job_id = start(client)
    sim.advance(WHOLE_JOB)
    items = client.describe_job_log_items(jobID=job_id)["items"]
    data = next(item["eventData"] for item in items if cast("str", item["event"]) == "LAUNCH_END")
    assert data["targetInstanceID"] == row(client, job_id)["recoveryInstanceID"]


def test_filters_decide_whom_a_scenario_strikes(sim: RunningSimulator) -> None:
    sim.scenario("throttle", region="us-west-2")
    sim.scenario("access_denied", operation=["DescribeRecoveryInstances", "GetCallerIdentity"])
    sim.scenario("internal_error_before", operation="GetLaunchConfiguration", after=1, times=1)
    client = sim.client()
    client.describe_jobs()
    with pytest.raises(ClientError, match="Throttling"):
        sim.client("us-west-2").describe_jobs()
    with pytest.raises(ClientError, match=r"not authorized to perform: drs:DescribeRecoveryInstances"):
        client.describe_recovery_instances()
    with pytest.raises(ClientError, match="AccessDenied"):
        sim.sts().get_caller_identity()
    client.get_launch_configuration(sourceServerID=IDS["app-01"])
    with pytest.raises(ClientError, match="InternalServer"):
        client.get_launch_configuration(sourceServerID=IDS["app-01"])
    client.get_launch_configuration(sourceServerID=IDS["app-01"])
    assert [each["hits"] for each in sim.scenarios()] == [1, 2, 1]
    sim.clear_scenarios("throttle")
    sim.client("us-west-2").describe_jobs()
    sim.clear_scenarios()
    assert sim.scenarios() == []


def test_chance_is_repeatable(sim: RunningSimulator) -> None:
    def pattern() -> list[object]:
        sim.reset()
        sim.scenario("throttle", probability=0.5, seed=3)
        client = sim.client()
        for _ in range(12):
            try:
                client.describe_jobs()
            except client.exceptions.ThrottlingException:
                continue
        return [entry["status"] for entry in sim.journal()]

    first = pattern()
    assert set(first) == {200, 429}
    assert pattern() == first


def test_steady_times_can_be_worked_out_by_hand(sim: RunningSimulator) -> None:
    sim.scenario("steady_times")
    client = sim.client()
    job_id = start(client)
    sim.advance(515)
    assert row(client, job_id)["launchStatus"] == "IN_PROGRESS"
    sim.advance(3)
    assert row(client, job_id)["launchStatus"] == "LAUNCHED"


def test_the_list_of_scenarios_explains_itself(sim: RunningSimulator) -> None:
    known = cast("dict[str, dict[str, object]]", sim.control("GET", "scenarios")["known"])
    assert set(known) == set(KINDS)
    assert all(each["summary"] for each in known.values())
    source = "".join(
        each.read_text() for each in (Path(__file__), Path(__file__).with_name("test_unkind_scenarios.py"))
    )
    assert [name for name in KINDS if name not in TESTED_ELSEWHERE and f'"{name}"' not in source] == []
