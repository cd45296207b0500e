"""What the simulator sends is what botocore's model of DRS allows, and what it refuses parses as the right error."""

import json
import re
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from drs_simulator import demo_server_ids, generate_fleet
from drs_simulator.protocol.rest_json import SIMULATED, operation_model, violations
from drs_simulator.testing import RunningSimulator, running_simulator
from drs_simulator.world.clock import timestamp

if TYPE_CHECKING:
    from botocore.model import OperationModel
    from mypy_boto3_drs import DrsClient

IDS = demo_server_ids()
LIVE_STYLE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")


@pytest.fixture
def sim() -> Iterator[RunningSimulator]:
    with running_simulator() as running:
        yield running


class Watch:
    """Checks every raw answer that a client receives against the model."""

    def __init__(self, client: "DrsClient") -> None:
        self.problems: list[tuple[str, str, str]] = []
        self.seen: set[str] = set()
        self.stamps: list[str] = []
        client.meta.events.register("before-parse.drs", self.look)

    def look(self, operation_model: "OperationModel", response_dict: Mapping[str, object], **_: object) -> None:
        body = json.loads(cast("bytes", response_dict["body"]) or "{}")  # of a 204
        self.seen.add(operation_model.name)
        shape = operation_model.output_shape
        if shape is None:
            assert body == {}
            return
        text = json.dumps(body)
        self.stamps += LIVE_STYLE.findall(text)
        # The live service's offset breaks the model's own pattern; all else must hold.
        body = json.loads(LIVE_STYLE.sub(lambda match: match[0].replace("+00:00", "Z"), text))
        found = violations(shape, body, refuse_unknown=True)
        self.problems += [(operation_model.name, path, message) for path, message in found]


def use_everything(sim: RunningSimulator, client: "DrsClient") -> None:
    """A drill with all kinds of ends, its termination, and every reading operation in between."""
    sim.scenario("launch_failed", servers=["app-02"])
    sim.scenario("snapshot_fail_uses_previous", servers=["app-03"])
    sim.scenario("conversion_fail", servers=["web-01"])
    targets = [IDS[name] for name in ("app-01", "app-02", "app-03", "web-01", "syslog-01")]
    client.start_recovery(sourceServers=[{"sourceServerID": IDS["db-primary-01"]}])
    job = client.start_recovery(
        sourceServers=[{"sourceServerID": each} for each in targets], isDrill=True, tags={"wave": "1"}
    )["job"]
    for _ in range(16):
        sim.advance(60)
        client.describe_jobs()
        client.describe_job_log_items(jobID=job["jobID"], maxResults=100)
    client.describe_source_servers()
    instances = client.describe_recovery_instances()["items"]
    client.terminate_recovery_instances(recoveryInstanceIDs=[each["recoveryInstanceID"] for each in instances])
    sim.advance(30)
    client.describe_recovery_instances()
    sim.advance(300)
    for name in ("app-01", "syslog-01", "bastion-01"):
        client.describe_recovery_snapshots(sourceServerID=IDS[name], order="ASC")
    client.get_launch_configuration(sourceServerID=IDS["app-01"])
    client.tag_resource(resourceArn=job["arn"], tags={"more": "tags"})
    assert client.list_tags_for_resource(resourceArn=job["arn"])["tags"] == {"wave": "1", "more": "tags"}
    client.describe_jobs(filters={"jobIDs": [job["jobID"]], "fromDate": "2020-01-01T00:00:00Z"})
    client.disconnect_source_server(sourceServerID=IDS["app-01"])
    client.delete_source_server(sourceServerID=IDS["app-01"])


@pytest.mark.parametrize("z_style", [False, True])
def test_every_answer_fits_the_model(sim: RunningSimulator, z_style: bool) -> None:
    if z_style:
        sim.scenario("z_timestamps")
    client = sim.client()
    watch = Watch(client)
    use_everything(sim, client)
    west = sim.client("us-west-2")
    watch_west = Watch(west)
    west.describe_source_servers()
    assert watch.problems == []
    assert watch_west.problems == []
    native = {each for each in SIMULATED if "RecoveryPlan" in each}  # test_simulator_native_plans.py
    assert watch.seen == set(SIMULATED) - native
    assert bool(watch.stamps) is not z_style


def test_the_checker_finds_what_is_wrong() -> None:
    shape = operation_model("StartRecovery").output_shape
    assert shape is not None
    body = {
        "job": {
            "arn": "short",
            "status": "FAILED",
            "participatingServers": [{"sourceServerID": "s-1", "launchStatus": True}],
            "statusMessage": "no such member",
            "tags": {"k": 1},
        }
    }
    paths = {path for path, _ in violations(shape, body, refuse_unknown=True)}
    assert paths == {
        "job.jobID",
        "job.arn",
        "job.status",
        "job.participatingServers[0].sourceServerID",
        "job.participatingServers[0].launchStatus",
        "job.statusMessage",
        "job.tags.k",
    }


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_the_checker_survives_any_json(value: object) -> None:
    shape = operation_model("StartRecovery").input_shape
    assert shape is not None
    assert list(violations(shape, {"sourceServers": value}))


def test_a_bad_id_is_a_validation_error_with_its_field(sim: RunningSimulator) -> None:
    with pytest.raises(ClientError) as caught:
        sim.client().describe_source_servers(filters={"sourceServerIDs": ["s-!!!!!!!!!!!!!!!!!"]})
    response = caught.value.response
    assert response["Error"]["Code"] == "ValidationException"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    fields = cast("list[dict[str, str]]", response["fieldList"])  # type: ignore[typeddict-item]  # modelled by DRS
    assert fields[0]["name"] == "filters.sourceServerIDs[0]"


def test_an_offset_in_a_date_filter_is_refused(sim: RunningSimulator) -> None:
    client = sim.client()
    assert client.describe_jobs(filters={"fromDate": "2024-01-01T00:00:00.123456Z"})["items"] == []
    for wrong in ("2024-01-01T00:00:00+00:00", "2024-02-31T00:00:00Z"):
        with pytest.raises(client.exceptions.ValidationException):
            client.describe_jobs(filters={"fromDate": wrong})


def test_date_filters_compare_wall_times(sim: RunningSimulator) -> None:
    sim.set_speed(1000)
    client = sim.client()
    made = client.start_recovery(sourceServers=[{"sourceServerID": IDS["app-01"]}])["job"]["creationDateTime"]
    exact = made.replace("+00:00", "Z")
    assert len(client.describe_jobs(filters={"fromDate": exact, "toDate": exact})["items"]) == 1
    assert client.describe_jobs(filters={"fromDate": "2999-01-01T00:00:00Z"})["items"] == []


def test_a_region_without_drs_is_uninitialized(sim: RunningSimulator) -> None:
    with pytest.raises(ClientError) as caught:
        sim.client("eu-west-1").describe_source_servers()
    assert caught.value.response["Error"]["Code"] == "UninitializedAccountException"
    assert caught.value.response["Error"]["Message"] == "Account not initialized"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_regions_and_accounts_do_not_see_each_other(sim: RunningSimulator) -> None:
    fleet = {
        "accounts": {"AKIAOTHER00000000000": "999988887777"},
        "servers": [
            {"region": "us-east-1", "hostname": "mine"},
            {"region": "us-east-1", "hostname": "theirs", "account": "999988887777"},
            {"region": "us-west-2", "hostname": "west"},
        ],
    }
    sim.load_fleet(fleet)

    def hostnames(client: "DrsClient") -> list[str]:
        items = client.describe_source_servers()["items"]
        return [each["sourceProperties"]["identificationHints"]["hostname"] for each in items]

    assert hostnames(sim.client()) == ["mine"]
    assert hostnames(sim.client("us-west-2")) == ["west"]
    assert hostnames(sim.client(access_key="AKIAOTHER00000000000")) == ["theirs"]
    assert sim.sts(access_key="AKIAOTHER00000000000").get_caller_identity()["Account"] == "999988887777"
    assert sim.sts().get_caller_identity()["Account"] == "111122223333"


def post(sim: RunningSimulator, path: str, headers: Mapping[str, str], body: bytes = b"{}") -> tuple[int, str]:
    connection = HTTPConnection(urlsplit(sim.url).netloc, timeout=5)
    try:
        connection.request("POST", path, body, dict(headers))
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers.get("x-amzn-errortype", "")
    finally:
        connection.close()


def signed(sim: RunningSimulator, age_seconds: float, body: bytes = b"{}") -> dict[str, str]:
    """The headers of a request signed that long ago."""
    request = AWSRequest("POST", f"{sim.url}/DescribeJobs", data=body)
    SigV4Auth(Credentials("AKIATEST", "secret"), "drs", "us-east-1").add_auth(request)
    at = re.sub(r"[-:]|\.\d+", "", timestamp(sim_wall(sim) - age_seconds, z_style=True))
    return {**dict(request.headers), "X-Amz-Date": at}


def sim_wall(sim: RunningSimulator) -> float:
    return cast("float", cast("dict[str, object]", sim.state()["clock"])["wall"])


def test_only_a_fresh_signature_is_taken(sim: RunningSimulator) -> None:
    assert post(sim, "/DescribeJobs", {}) == (403, "MissingAuthenticationTokenException")
    assert post(sim, "/DescribeJobs", signed(sim, 200)) == (200, "")
    assert post(sim, "/DescribeJobs", signed(sim, 301)) == (403, "InvalidSignatureException")
    assert post(sim, "/DescribeJobs", signed(sim, -301)) == (403, "InvalidSignatureException")
    sim.settings(signature_max_age_seconds=60)
    assert post(sim, "/DescribeJobs", signed(sim, 200)) == (403, "InvalidSignatureException")


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"maxResults": true}', b"[" * 100_000, b"\xff"])
def test_nonsense_is_a_validation_error(sim: RunningSimulator, body: bytes) -> None:
    assert post(sim, "/DescribeJobs", signed(sim, 0), body) == (400, "ValidationException")


def test_unknown_operations_and_control_requests_are_named(sim: RunningSimulator) -> None:
    assert post(sim, "/DeleteSourceServer", signed(sim, 0)) == (400, "ValidationException")
    with pytest.raises(ValueError, match="known control requests"):
        sim.control("GET", "nothing")
    with pytest.raises(ValueError, match="no option second"):
        sim.scenario("hang", second=3)
    with pytest.raises(ValueError, match="unknown scenario"):
        sim.scenario("earthquake")
    with pytest.raises(ValueError, match="at least one item"):
        sim.settings(page_size=0)
    with pytest.raises(ValueError, match="max_pages"):
        sim.settings(max_pages=1)


def test_pages_end_only_without_a_token(sim: RunningSimulator) -> None:
    sim.load_fleet(generate_fleet(120))
    client = sim.client()
    assert [len(page["items"]) for page in client.get_paginator("describe_source_servers").paginate()] == [50, 50, 20]
    assert len(client.describe_source_servers(maxResults=120)["items"]) == 120
    assert "nextToken" not in client.describe_source_servers(maxResults=120)
    with pytest.raises(client.exceptions.ValidationException):
        client.describe_source_servers(nextToken="made up")
    token = client.describe_source_servers()["nextToken"]
    with pytest.raises(client.exceptions.ValidationException):
        client.describe_jobs(nextToken=token)


def test_short_and_empty_pages_lose_nothing(sim: RunningSimulator) -> None:
    client = sim.client()
    for name in ("app-01", "app-02", "app-03"):
        client.start_recovery(sourceServers=[{"sourceServerID": IDS[name]}])
    sim.advance(1200)
    log = client.describe_jobs()["items"][0]["jobID"]
    wanted = {
        "describe_source_servers": len(client.describe_source_servers()["items"]),
        "describe_jobs": 3,
        "describe_job_log_items": len(client.describe_job_log_items(jobID=log)["items"]),
        "describe_recovery_instances": 3,
    }
    sim.scenario("short_pages", size=2)
    for operation, count in wanted.items():
        arguments = {"jobID": log} if operation == "describe_job_log_items" else {}
        pages = [page["items"] for page in client.get_paginator(operation).paginate(**arguments)]  # type: ignore[call-overload]  # names vary
        assert pages[0] == []
        assert sum(map(len, pages)) == count
        assert max(map(len, pages)) == 2


def test_the_journal_tells_attempts_of_one_call_apart(sim: RunningSimulator) -> None:
    sim.scenario("throttle", times=1)
    sim.client(max_attempts=3).describe_jobs(filters={"jobIDs": []})
    first, second = sim.journal("DescribeJobs")
    assert (first["status"], first["error"], first["fault"]) == (429, "ThrottlingException", "throttle")
    assert (second["status"], second["params"], second["region"]) == (200, {"filters": {"jobIDs": []}}, "us-east-1")
    assert first["invocation_id"] == second["invocation_id"] != ""
    assert "attempt=2" in str(second["attempt"])
    assert sim.journal(since=cast("int", first["id"])) == [second]


def test_servers_are_described_as_declared(sim: RunningSimulator) -> None:
    found = {each["sourceServerID"]: each for each in sim.client().describe_source_servers()["items"]}

    def replication(name: str) -> tuple[str | None, str | None]:
        info = found[IDS[name]]["dataReplicationInfo"]
        return info.get("dataReplicationState"), info.get("lagDuration")

    assert replication("app-01") == ("CONTINUOUS", "P0D")
    assert replication("files-02") == ("BACKLOG", "PT2H14M32S")
    assert replication("bastion-01") == ("DISCONNECTED", None)
    state, lag = replication("syslog-01")
    assert state == "STALLED"
    assert str(lag).startswith("P1DT3H22M")
    chosen = sim.client().describe_source_servers(filters={"sourceServerIDs": [IDS["app-01"], IDS["erp-db-01"]]})
    assert [each["sourceServerID"] for each in chosen["items"]] == [IDS["app-01"]]


def test_the_demo_fleet_has_forty_servers_with_lasting_ids() -> None:
    assert len(set(IDS.values())) == 40
    assert IDS["db-primary-01"] == "s-3d36ddf69fabbfd00"
    assert all(re.fullmatch(r"s-3[0-9a-f]{16}", each) for each in IDS.values())
