"""The scenarios in which DRS, EC2 and others are as unkind as in the field, over real boto3."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError

from drs_simulator import demo_server_ids
from drs_simulator.testing import ACCESS_KEY, SECRET, RunningSimulator, running_simulator
from drs_simulator.world import scenarios
from drs_simulator.world.scenarios import KINDS

if TYPE_CHECKING:
    from mypy_boto3_drs import DrsClient

IDS = demo_server_ids()
WHOLE_JOB = 1200
Item = dict[str, Any]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningSimulator]:
    with running_simulator() as running:
        yield running


@pytest.fixture
def sim(server: RunningSimulator) -> RunningSimulator:
    server.reset()
    return server


def start(client: "DrsClient", *names: str) -> str:
    servers = [{"sourceServerID": IDS[name]} for name in names or ["app-01"]]
    return client.start_recovery(sourceServers=servers, isDrill=True, tags={"ours": "1"})["job"]["jobID"]  # type: ignore[arg-type]  # a list of this shape


def job(client: "DrsClient", job_id: str) -> Item:
    return cast("Item", client.describe_jobs(filters={"jobIDs": [job_id]})["items"][0])


def rows(client: "DrsClient", job_id: str) -> dict[str, str]:
    return {each["sourceServerID"]: each["launchStatus"] for each in job(client, job_id)["participatingServers"]}


def log(client: "DrsClient", job_id: str) -> list[Item]:
    return cast("list[Item]", client.describe_job_log_items(jobID=job_id, maxResults=1000)["items"])


def source(client: "DrsClient", name: str = "app-01") -> Item:
    return cast("Item", client.describe_source_servers(filters={"sourceServerIDs": [IDS[name]]})["items"][0])


def launched(sim: RunningSimulator, *names: str) -> str:
    job_id = start(sim.client(), *names)
    sim.advance(WHOLE_JOB)
    return job_id


def instances(client: "DrsClient") -> dict[str, Item]:
    return {each["sourceServerID"]: cast("Item", each) for each in client.describe_recovery_instances()["items"]}


def ec2(sim: RunningSimulator) -> Any:
    return boto3.client(
        "ec2",
        region_name="us-east-1",
        endpoint_url=sim.url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET,
    )


def test_the_readme_has_them_all_and_says_what_is_known() -> None:
    readme = (Path(scenarios.__file__).parents[1] / "README.md").read_text()
    assert scenarios.as_table() in readme
    assert all(kind.evidence.startswith(("known", "likely", "unknown", "not of DRS")) for kind in KINDS.values())


def test_a_command_line_names_scenarios_with_their_options() -> None:
    assert scenarios.from_text("tags_lost") == ("tags_lost", {})
    name, options = scenarios.from_text("poison_id:servers=app-01+app-02,named=yes,times=2")
    assert (name, options) == ("poison_id", {"servers": ["app-01", "app-02"], "named": True, "times": 2.0})
    for wrong in ("rain", "tags_lost:colour=red", "dies_at_once:seconds=soon"):
        with pytest.raises(ValueError, match=r"unknown scenario|no option|could not convert"):
            scenarios.from_text(wrong)


def test_a_call_is_refused_with_a_code_that_no_model_lists(sim: RunningSimulator) -> None:
    sim.scenario("refused", code="TagPolicyViolation", message="no such value")
    with pytest.raises(ClientError, match=r"TagPolicyViolation.*no such value"):
        start(sim.client())
    assert sim.journal("StartRecovery")[0]["status"] == 400


def test_one_id_spoils_a_batch(sim: RunningSimulator) -> None:
    sim.scenario("poison_id", servers=["app-02"])
    client = sim.client()
    good, bad = start(client), start(client, "app-02")
    with pytest.raises(ClientError, match="ValidationException") as refused:
        client.describe_jobs(filters={"jobIDs": [good, bad]})
    assert bad not in str(refused.value)
    assert job(client, good)["jobID"] == good
    assert len(client.describe_jobs()["items"]) == 2


@pytest.mark.parametrize(("fails", "status"), [(1, "LAUNCHED"), (3, "FAILED")])
def test_a_conversion_is_tried_again(sim: RunningSimulator, fails: int, status: str) -> None:
    sim.scenario("conversion_retried", fails=fails, raw_error="no report")
    job_id = launched(sim)
    sim.advance(WHOLE_JOB)
    failed = [each["eventData"] for each in log(sim.client(), job_id) if each["event"] == "CONVERSION_FAIL"]
    assert [(each["attemptCount"], each["maxAttemptsCount"]) for each in failed] == [
        (number + 1, 3) for number in range(fails)
    ]
    assert {each["rawError"] for each in failed} == {"no report"}
    assert rows(sim.client(), job_id) == {IDS["app-01"]: status}


@pytest.mark.parametrize(
    ("name", "event", "of_server"),
    [
        ("template_gone", "UPDATE_LAUNCH_TEMPLATE_FAILED", True),
        ("network_recovery_fails", "NETWORK_RECOVERY_FAIL", False),
    ],
)
def test_what_is_no_launch_fails_one(sim: RunningSimulator, name: str, event: str, of_server: bool) -> None:
    sim.scenario(name, servers=["app-02"], raw_error="the reason")
    job_id = launched(sim, "app-01", "app-02")
    (line,) = [each["eventData"] for each in log(sim.client(), job_id) if each["event"] == event]
    assert (line["rawError"], line.get("sourceServerID")) == ("the reason", IDS["app-02"] if of_server else None)
    assert rows(sim.client(), job_id) == {IDS["app-01"]: "LAUNCHED", IDS["app-02"]: "FAILED"}


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_protected_instance_stays(sim: RunningSimulator, goes_on: bool) -> None:
    client = sim.client()
    launched(sim)
    before = instances(client)[IDS["app-01"]]["recoveryInstanceID"]
    sim.scenario("termination_protection", goes_on=goes_on)
    ended = client.terminate_recovery_instances(recoveryInstanceIDs=[before])["job"]["jobID"]
    sim.advance(WHOLE_JOB)
    assert rows(client, ended) == {IDS["app-01"]: "FAILED"}
    again = launched(sim)
    (failed,) = [each["eventData"] for each in log(client, again) if each["event"] == "CLEANUP_FAIL"]
    assert "disableApiTermination" in failed["rawError"]
    assert rows(client, again) == {IDS["app-01"]: "LAUNCHED" if goes_on else "FAILED"}
    standing = [each["recoveryInstanceID"] for each in client.describe_recovery_instances()["items"]]
    assert before in standing
    assert len(standing) == (2 if goes_on else 1)


@pytest.mark.parametrize("state", ["TERMINATED", "STOPPED"])
def test_an_instance_dies_at_once(sim: RunningSimulator, state: str) -> None:
    sim.scenario("dies_at_once", servers=["app-01"], state=state)
    job_id = launched(sim, "app-01", "app-02")
    assert set(rows(sim.client(), job_id).values()) == {"LAUNCHED"}
    shown = instances(sim.client())
    assert [shown[IDS[name]]["ec2InstanceState"] for name in ("app-01", "app-02")] == [state, "RUNNING"]
    told = {each["Instances"][0]["State"]["Name"] for each in ec2(sim).describe_instances()["Reservations"]}
    assert told == {state.lower(), "running"}


def test_others_stop_disconnect_and_delete_instances(sim: RunningSimulator) -> None:
    launched(sim, "app-01", "app-02", "app-03")
    sim.scenario("ec2_stopped", servers=["app-01"])
    sim.scenario("disconnected", servers=["app-02"])
    left = instances(sim.client())[IDS["app-03"]]["ec2InstanceID"]
    sim.scenario("left_drs", servers=["app-03"])
    shown = instances(sim.client())
    assert shown[IDS["app-01"]]["ec2InstanceState"] == "STOPPED"
    assert shown[IDS["app-02"]]["dataReplicationInfo"]["dataReplicationState"] == "DISCONNECTED"
    assert IDS["app-03"] not in shown
    ((instance,),) = (each["Instances"] for each in ec2(sim).describe_instances(InstanceIds=[left])["Reservations"])
    assert instance["State"]["Name"] == "running"


def test_ec2_checks_an_instance_after_a_while(sim: RunningSimulator) -> None:
    sim.scenario("steady_times")
    sim.scenario("status_checks", servers=["app-02"], instance="impaired")
    client, asked = sim.client(), ec2(sim)
    start(client, "app-01", "app-02")
    sim.advance(520)
    assert asked.describe_instance_status()["InstanceStatuses"] == []
    found = asked.describe_instance_status(IncludeAllInstances=True)["InstanceStatuses"]
    assert {each["InstanceState"]["Name"] for each in found} == {"pending"}
    sim.advance(60)
    found = asked.describe_instance_status()["InstanceStatuses"]
    assert {each["InstanceStatus"]["Status"] for each in found} == {"initializing"}
    sim.advance(200)
    ids = {instances(client)[IDS[name]]["ec2InstanceID"]: name for name in ("app-01", "app-02")}
    found = asked.describe_instance_status(InstanceIds=list(ids))["InstanceStatuses"]
    told = {
        ids[each["InstanceId"]]: (each["SystemStatus"]["Status"], each["InstanceStatus"]["Status"]) for each in found
    }
    assert told == {"app-01": ("ok", "ok"), "app-02": ("ok", "impaired")}
    with pytest.raises(ClientError, match=r"InvalidInstanceID\.NotFound"):
        asked.describe_instance_status(InstanceIds=["i-0123456789abcdef0"])
    sim.scenario("access_denied", operation="DescribeInstanceStatus")
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        asked.describe_instance_status()


def test_jobs_lack_what_the_model_does_not_require(sim: RunningSimulator) -> None:
    sim.scenario("missing_members", members=["creationDateTime", "recoveryInstanceID", "endDateTime"])
    job_id = launched(sim)
    shown = job(sim.client(), job_id)
    assert {"creationDateTime", "endDateTime"}.isdisjoint(shown)
    assert "recoveryInstanceID" not in shown["participatingServers"][0]


def test_tags_do_not_come_back(sim: RunningSimulator) -> None:
    client = sim.client()
    sim.scenario("tags_lost", servers=["app-01"])
    lost, kept = start(client), start(client, "app-02")
    assert (job(client, lost)["tags"], job(client, kept)["tags"]) == ({}, {"ours": "1"})


def test_listings_have_strangers_jobs_of_every_kind(sim: RunningSimulator) -> None:
    sim.scenario("strange_jobs")
    client = sim.client()
    ours = start(client)
    listed = cast("list[Item]", client.describe_jobs()["items"])
    assert len(listed) == 5
    assert [each["jobID"] for each in listed if "creationDateTime" in each] == [ours]
    assert {} in [row for each in listed for row in each.get("participatingServers", [])]
    assert [each["jobID"] for each in client.describe_jobs(filters={"jobIDs": [ours]})["items"]] == [ours]


def test_a_job_is_in_a_state_that_nobody_knows(sim: RunningSimulator) -> None:
    sim.scenario("unknown_status", status="VALIDATING")
    client = sim.client()
    answer = client.start_recovery(sourceServers=[{"sourceServerID": IDS["app-01"]}])["job"]
    assert cast("str", answer["status"]) == "VALIDATING"
    assert job(client, answer["jobID"])["status"] == "PENDING"


def test_rows_come_late_or_never(sim: RunningSimulator) -> None:
    sim.scenario("late_rows", servers=["app-01"], seconds=60)
    sim.scenario("missing_rows", servers=["app-02"])
    client = sim.client()
    job_id = start(client, "app-01", "app-02", "app-03")
    assert set(rows(client, job_id)) == {IDS["app-03"]}
    sim.advance(61)
    assert set(rows(client, job_id)) == {IDS["app-01"], IDS["app-03"]}
    sim.scenario("failed_rows", servers=["app-03"])
    sim.advance(1200)
    assert rows(client, job_id)[IDS["app-03"]] == "FAILED"
    assert len(client.describe_recovery_instances()["items"]) == 3


def test_launch_actions_run_on_after_the_job(sim: RunningSimulator) -> None:
    sim.scenario("steady_times")
    sim.scenario("launch_actions", servers=["app-02"], seconds=300)
    job_id = start(sim.client(), "app-01", "app-02")
    sim.advance(600)
    without, row = job(sim.client(), job_id)["participatingServers"]
    assert "launchActionsStatus" not in without
    assert row["launchActionsStatus"]["runs"][0]["status"] == "IN_PROGRESS"
    sim.advance(300)
    (run,) = job(sim.client(), job_id)["participatingServers"][1]["launchActionsStatus"]["runs"]
    assert (run["status"], run["failureReason"]) == ("FAILED", "The command timed out")
    assert (run["action"]["name"], run["action"]["optional"]) == ("Verify HTTP response", True)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("staging_error", {}, lambda each: each["stagingArea"]["status"] == "EXTENSION_ERROR"),
        ("replication_error", {}, lambda each: "error" in each["dataReplicationInfo"]["dataReplicationError"]),
        ("failback", {}, lambda each: each["replicationDirection"] == "FAILBACK"),
        ("odd_lag", {}, lambda each: each["dataReplicationInfo"]["lagDuration"] == "P1Y2M"),
        ("odd_lag", {"lag": ""}, lambda each: "lagDuration" not in each["dataReplicationInfo"]),
        ("odd_strings", {"what": "NUL"}, lambda each: "\x00" in each["sourceProperties"]["os"]["fullString"]),
        ("odd_strings", {"what": "LONG"}, lambda each: len(each["dataReplicationInfo"]["dataReplicationState"]) == 36),
        ("odd_strings", {"what": "NULL"}, lambda each: None in each["sourceProperties"]["cpus"]),
        ("odd_strings", {"what": "LONE"}, lambda e: "\ud800" in e["sourceProperties"]["identificationHints"]["fqdn"]),
        ("blank_name", {}, lambda each: each["tags"]["Name"] == "   "),
    ],
)
def test_a_source_server_is_odd(sim: RunningSimulator, name: str, options: Item, told: Any) -> None:
    sim.scenario(name, servers=["app-01"], **options)
    client = sim.client()
    assert told(source(client))
    kind = source(client, "app-02")
    assert kind["stagingArea"]["status"] == "NOT_EXTENDED"
    assert kind["dataReplicationInfo"]["lagDuration"] == "P0D"


@pytest.mark.parametrize("running", [False, True])
def test_jobs_are_deleted(sim: RunningSimulator, running: bool) -> None:
    client = sim.client()
    over, runs = launched(sim), start(client, "app-02")
    sim.scenario("jobs_deleted", running=running)
    assert [each["jobID"] for each in client.describe_jobs()["items"]] == ([] if running else [runs])
    with pytest.raises(ClientError):
        log(client, over)
    assert len(instances(client)) == 1


def test_a_clock_steps(sim: RunningSimulator) -> None:
    client = sim.client()
    job_id = start(client)
    before = job(client, job_id)["creationDateTime"]
    sim.scenario("clock_skew", seconds=3600)
    after = job(client, job_id)["creationDateTime"]
    assert after > before
    assert client.describe_jobs(filters={"fromDate": f"{after[:19]}Z"})["items"]
    assert not client.describe_jobs(filters={"fromDate": "2099-01-01T00:00:00Z"})["items"]


def test_credentials_are_another_accounts(sim: RunningSimulator) -> None:
    launched(sim)
    sim.scenario("other_account", access_key="AKIAOTHER", account="999988887777")
    assert sim.sts(access_key="AKIAOTHER").get_caller_identity()["Account"] == "999988887777"
    other = sim.client(access_key="AKIAOTHER")
    assert (other.describe_source_servers()["items"], other.describe_jobs()["items"]) == ([], [])
    assert len(sim.client().describe_jobs()["items"]) == 1


def test_launch_settings_may_say_that_an_instance_stays_stopped(sim: RunningSimulator) -> None:
    sim.scenario("launch_disposition", servers=["app-01"])
    told = {name: sim.client().get_launch_configuration(sourceServerID=IDS[name]) for name in ("app-01", "app-02")}
    assert [told[name]["launchDisposition"] for name in ("app-01", "app-02")] == ["STOPPED", "STARTED"]
