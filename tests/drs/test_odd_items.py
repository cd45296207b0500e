"""What DRS's model does not promise: missing members, nulls, strangers' jobs. The client keeps what can be read."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from drs.client import Drs, SendWindow
from drs.errors import UNREADABLE, DrsError
from drs.running import Running
from drs.shapes import Job, JobLogItem, RecoveryInstance, SourceServer
from drs.status_checks import StatusChecks, check_right, status_checks
from drs.surroundings import Surroundings
from drs_simulator import demo_server_ids
from drs_simulator.testing import RunningSimulator
from tests.support.credentials import OURS

IDS = demo_server_ids()
NAMELESS = "s-30000000000000000"


@pytest.mark.field("A11")
def test_jobs_of_strangers_keep_nobody_from_ours(simulator: RunningSimulator, caplog: pytest.LogCaptureFixture) -> None:
    simulator.scenario("strange_jobs")
    drs = Drs("us-east-1")
    ours = drs.start_recovery([IDS["app-01"]], is_drill=True, tags={"a": "b"}, window=SendWindow())
    listed = {each.job_id: each for each in drs.jobs_since(datetime.now(UTC) - timedelta(hours=1))}
    assert listed[ours.job_id].tags == {"a": "b"}
    assert {each.initiated_by for each in listed.values() if not each.dated} >= {
        "DIAGNOSTIC",
        "CREATE_NETWORK_RECOVERY",
    }
    assert all(each.participants == () for each in listed.values() if not each.dated)


@pytest.mark.field("A11")
def test_what_cannot_be_read_is_skipped_and_logged_once(
    simulator: RunningSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    drs = Drs("us-east-1")
    ours = drs.start_recovery([IDS["app-01"]], is_drill=True, tags={"a": "b"}, window=SendWindow())
    simulator.scenario("missing_members", servers=["app-01"], members=["jobID"], operation="DescribeJobs")
    simulator.scenario("strange_jobs")
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        assert len(drs.jobs_since(datetime.now(UTC) - timedelta(hours=1))) == 4
    assert caplog.text.count("cannot be read (no jobID)") == 1
    simulator.clear_scenarios()
    assert drs.jobs([ours.job_id])[0].dated


@pytest.mark.field("A11")
def test_a_job_of_ours_without_a_time_is_still_ours(simulator: RunningSimulator) -> None:
    simulator.scenario("missing_members", members=["creationDateTime", "launchStatus", "type", "status"])
    drs, before = Drs("us-east-1"), datetime.now(UTC)
    ours = drs.start_recovery([IDS["app-01"]], is_drill=True, tags={"a": "b"}, window=SendWindow())
    assert (ours.dated, ours.status, ours.type, ours.created_at >= before) == (False, "PENDING", "LAUNCH", True)
    assert [(each.source_server_id, each.launch_status) for each in ours.participants] == [(IDS["app-01"], "PENDING")]


@pytest.mark.parametrize(
    ("tags", "hostname", "name"),
    [
        ({"Name": "   "}, "host-1", "host-1"),
        ({"Name": "  web "}, "host-1", "web"),
        ({"Name": None}, "host-1", "host-1"),
        ({"Name": "\t"}, " ", NAMELESS),
        (None, None, NAMELESS),
    ],
)
@pytest.mark.field("A25")
def test_blanks_are_no_name(tags: Any, hostname: Any, name: str) -> None:
    hints = {"identificationHints": {"hostname": hostname}}
    assert SourceServer.read({"sourceServerID": NAMELESS, "tags": tags, "sourceProperties": hints}).name == name


ODD: list[Any] = [None, "", 0, 1.5, True, [], [None], {}, {"cores": None}, "x\x00y", "P1Y2M"]


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.field("A24")
def test_no_odd_value_takes_the_rest_with_it(odd: Any) -> None:
    """Wherever it stands in an item that has an id."""
    server = dict.fromkeys(("tags", "dataReplicationInfo", "sourceProperties", "stagingArea", "lastLaunchResult"), odd)
    inside = {"cpus": odd, "disks": odd, "os": odd, "ramBytes": odd, "identificationHints": odd}
    replication = {"dataReplicationState": odd, "lagDuration": odd, "dataReplicationError": odd}
    for each in (server, {"sourceProperties": inside, "dataReplicationInfo": replication}):
        read = SourceServer.read({"sourceServerID": NAMELESS, **each})
        assert (read.source_server_id, read.name) == (NAMELESS, NAMELESS)
    job = dict.fromkeys(("type", "creationDateTime", "endDateTime", "status", "participatingServers", "tags"), odd)
    assert Job.read({"jobID": "drsjob-1", **job}).job_id == "drsjob-1"
    row = {"sourceServerID": NAMELESS, "launchActionsStatus": {"runs": odd}, "launchStatus": odd}
    assert (
        Job.read({"jobID": "drsjob-1", "participatingServers": [row, odd]}).participants[0].source_server_id == NAMELESS
    )
    instance = dict.fromkeys(("sourceServerID", "ec2InstanceState", "jobID", "pointInTimeSnapshotDateTime"), odd)
    assert RecoveryInstance.read({"recoveryInstanceID": "i-1", **instance}).recovery_instance_id == "i-1"
    line = {"logDateTime": "2026-11-29T12:00:00Z", "event": "JOB_START", "eventData": odd}
    assert JobLogItem.read(line).event == "JOB_START"
    assert not JobLogItem.read(line | {"logDateTime": odd}).dated
    told = SourceServer.read({"sourceServerID": NAMELESS, "dataReplicationInfo": {"dataReplicationState": odd}})
    assert told.replication_state == (odd if odd and isinstance(odd, str) else "UNKNOWN"), "stopped, nobody has said"


def test_a_proxys_page_is_no_answer(simulator: RunningSimulator) -> None:
    """Where XML is expected botocore has an error of its own for it; where JSON is, an answer in which nothing is."""
    asked = ("GetLaunchConfiguration", "DescribeInstanceStatus", "DescribeInstances", "ListServiceQuotas")
    simulator.scenario("proxy_page", operation=asked)
    ask: list[Callable[[], object]] = [
        lambda: Drs("us-east-1").launch_settings(IDS["app-01"]),
        lambda: status_checks("us-east-1", OURS, ["i-0123456789abcdef0"]),
        lambda: check_right("us-east-1", OURS),
        Running("us-east-1").running_types,
        lambda: Surroundings("us-east-1").quotas("drs"),
    ]
    for each in ask:
        with pytest.raises(DrsError) as told:
            each()
        assert told.value.code == UNREADABLE


def test_states_of_instances_are_read_however_they_are_spelt() -> None:
    item = {"recoveryInstanceID": "i-1", "isDrill": False, "ec2InstanceState": "terminated"}
    assert not RecoveryInstance.read(item).may_be_production


def test_an_id_that_ec2_takes_for_none_keeps_no_other_from_its_checks(simulator: RunningSimulator) -> None:
    text = 'Invalid id: "i-0123456789ABCDEF0"'
    simulator.scenario("refused", operation="DescribeInstanceStatus", code="InvalidInstanceID.Malformed", message=text)
    assert status_checks("us-east-1", OURS, ["i-0123456789ABCDEF0"]) == {}
    assert StatusChecks.read({"InstanceState": {"Name": "running"}}) == StatusChecks(), "no member is required"
