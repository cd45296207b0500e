"""The life of jobs over time: launch, replacement, termination, quotas, conflicts."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from drs_simulator import demo_server_ids, generate_fleet
from drs_simulator.testing import RunningSimulator, running_simulator
from drs_simulator.world.clock import VirtualClock, duration, epoch, timestamp
from drs_simulator.world.timeline import Fate, JobSpec, ServerPlan, Snapshot, timeline

if TYPE_CHECKING:
    from mypy_boto3_drs import DrsClient
    from mypy_boto3_drs.type_defs import JobTypeDef, ParticipatingServerTypeDef

IDS = demo_server_ids()
WHOLE_JOB = 1200


@pytest.fixture
def sim() -> Iterator[RunningSimulator]:
    with running_simulator() as running:
        yield running


def start(client: "DrsClient", *names: str, is_drill: bool = True) -> str:
    servers = [{"sourceServerID": IDS[name]} for name in names]
    return client.start_recovery(sourceServers=servers, isDrill=is_drill)["job"]["jobID"]  # type: ignore[arg-type]  # a list of this shape


def get(client: "DrsClient", job_id: str) -> "JobTypeDef":
    return client.describe_jobs(filters={"jobIDs": [job_id]})["items"][0]


def row(client: "DrsClient", job_id: str) -> "ParticipatingServerTypeDef":
    return get(client, job_id)["participatingServers"][0]


def events(client: "DrsClient", job_id: str) -> list[str]:
    items = client.describe_job_log_items(jobID=job_id, maxResults=1000)["items"]
    return [item["event"] for item in items]


def test_a_launch_passes_through_its_phases(sim: RunningSimulator) -> None:
    client = sim.client()
    answer = client.start_recovery(sourceServers=[{"sourceServerID": IDS["app-01"]}], isDrill=True, tags={"id": "7"})
    job = answer["job"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert (job["type"], job["status"], job["initiatedBy"], job["tags"]) == (
        "LAUNCH",
        "PENDING",
        "START_DRILL",
        {"id": "7"},
    )
    assert job["participatingServers"] == [{"sourceServerID": IDS["app-01"], "launchStatus": "PENDING"}]
    assert "endDateTime" not in job
    seen: list[tuple[str, str, int]] = []
    for _ in range(WHOLE_JOB // 2):
        sim.advance(2)
        shown = get(client, job["jobID"])
        seen.append((shown["status"], shown["participatingServers"][0]["launchStatus"], len(shown)))
        if shown["status"] == "COMPLETED":
            break
    assert [pair for pair, _ in dict.fromkeys((each[:2], 0) for each in seen)] == [
        ("PENDING", "PENDING"),
        ("STARTED", "PENDING"),
        ("STARTED", "IN_PROGRESS"),
        ("STARTED", "LAUNCHED"),
        ("COMPLETED", "LAUNCHED"),
    ]
    assert 180 <= len(seen) <= 360, "six to twelve minutes"
    assert events(client, job["jobID"]) == [
        "JOB_START",
        "SNAPSHOT_START",
        "SNAPSHOT_END",
        "CONVERSION_START",
        "CONVERSION_END",
        "LAUNCH_START",
        "JOB_END",
    ]


def test_the_instance_tells_its_job_and_purpose(sim: RunningSimulator) -> None:
    client = sim.client()
    drill, real = start(client, "app-01"), start(client, "app-02", is_drill=False)
    omitted = client.start_recovery(sourceServers=[{"sourceServerID": IDS["app-03"]}])["job"]["jobID"]
    assert client.describe_recovery_instances()["items"] == []
    sim.advance(WHOLE_JOB)
    found = {each["jobID"]: each for each in client.describe_recovery_instances()["items"]}
    assert {job_id: each["isDrill"] for job_id, each in found.items()} == {drill: True, real: False, omitted: False}
    assert get(client, omitted)["initiatedBy"] == "START_RECOVERY"
    assert found[drill]["recoveryInstanceID"] == found[drill]["ec2InstanceID"]
    assert found[drill]["recoveryInstanceID"] == row(client, drill)["recoveryInstanceID"]
    assert found[drill]["ec2InstanceState"] == "RUNNING"
    server = client.describe_source_servers(filters={"sourceServerIDs": [IDS["app-01"]]})["items"][0]
    assert server["recoveryInstanceId"] == found[drill]["recoveryInstanceID"]
    assert server["lastLaunchResult"] == "SUCCEEDED"
    launch = server["lifeCycle"]["lastLaunch"]
    assert (launch["initiated"]["jobID"], launch["initiated"]["type"], launch["status"]) == (drill, "DRILL", "LAUNCHED")


def test_a_later_launch_replaces_the_instance(sim: RunningSimulator) -> None:
    client = sim.client()
    first = start(client, "app-01")
    sim.advance(WHOLE_JOB)
    old = row(client, first)["recoveryInstanceID"]
    second = start(client, "app-01")
    sim.advance(WHOLE_JOB)
    assert events(client, second)[:3] == ["JOB_START", "CLEANUP_START", "CLEANUP_END"]
    instances = client.describe_recovery_instances(filters={"sourceServerIDs": [IDS["app-01"]]})["items"]
    assert [(each["jobID"], each["recoveryInstanceID"] == old) for each in instances] == [(second, False)]
    assert row(client, first)["recoveryInstanceID"] == old


def test_a_termination_is_a_job(sim: RunningSimulator) -> None:
    client = sim.client()
    launch = start(client, "app-01", "app-02")
    sim.advance(WHOLE_JOB)
    ids = [each["recoveryInstanceID"] for each in get(client, launch)["participatingServers"]]
    job = client.terminate_recovery_instances(recoveryInstanceIDs=ids)["job"]
    assert (job["type"], job["initiatedBy"]) == ("TERMINATE", "TERMINATE_RECOVERY_INSTANCES")
    assert job["participatingServers"][0] == {"sourceServerID": IDS["app-01"], "launchStatus": "PENDING"}
    with pytest.raises(client.exceptions.ConflictException):
        start(client, "app-01")
    sim.advance(30)
    states = [each["ec2InstanceState"] for each in client.describe_recovery_instances()["items"]]
    assert states == ["SHUTTING-DOWN"] * 2
    sim.advance(600)
    assert client.describe_recovery_instances()["items"] == []
    done = get(client, job["jobID"])
    assert done["status"] == "COMPLETED"
    assert [each["launchStatus"] for each in done["participatingServers"]] == ["TERMINATED"] * 2
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.terminate_recovery_instances(recoveryInstanceIDs=ids)


def test_one_busy_server_rejects_the_whole_call(sim: RunningSimulator) -> None:
    client = sim.client()
    start(client, "app-01")
    with pytest.raises(ClientError) as caught:
        start(client, "app-02", "app-01")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert "currently being processed by a Job" in caught.value.response["Error"]["Message"]
    start(client, "app-02")


def test_two_at_once_give_one_job_and_one_conflict(sim: RunningSimulator) -> None:
    outcomes: list[str] = []
    together = threading.Barrier(2)

    def race() -> None:
        client = sim.client()
        together.wait()
        try:
            outcomes.append(start(client, "app-01", "app-02")[:6])
        except client.exceptions.ConflictException:
            outcomes.append("conflict")

    threads = [threading.Thread(target=race) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(outcomes) == ["conflict", "drsjob"]
    assert [entry["status"] for entry in sim.journal("StartRecovery")] in ([202, 409], [409, 202])


def test_a_job_takes_a_hundred_servers(sim: RunningSimulator) -> None:
    sim.load_fleet(generate_fleet(101))
    client = sim.client()
    ids = [each["sourceServerID"] for each in client.describe_source_servers(maxResults=200)["items"]]
    with pytest.raises(ClientError) as caught:
        launch_all(client, ids)
    assert caught.value.response["Error"]["Code"] == "ServiceQuotaExceededException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 402
    assert caught.value.response["quotaCode"] == "L-B827C881"  # type: ignore[typeddict-item]  # modelled by DRS
    job_id = launch_all(client, ids[:100])
    sim.advance(WHOLE_JOB)
    assert get(client, job_id)["status"] == "COMPLETED"
    paginator = client.get_paginator("describe_job_log_items")
    assert sum(len(page["items"]) for page in paginator.paginate(jobID=job_id)) >= 400


def launch_all(client: "DrsClient", ids: Sequence[str]) -> str:
    return client.start_recovery(sourceServers=[{"sourceServerID": each} for each in ids])["job"]["jobID"]


def test_jobs_and_their_servers_are_counted_with_terminations(sim: RunningSimulator) -> None:
    sim.settings(max_jobs=2, max_servers_in_jobs=4)
    client = sim.client()
    first = start(client, "app-01")
    sim.advance(WHOLE_JOB)
    client.terminate_recovery_instances(recoveryInstanceIDs=[row(client, first)["recoveryInstanceID"]])
    with pytest.raises(client.exceptions.ServiceQuotaExceededException):
        start(client, "app-02", "app-03", "web-01", "web-02")
    start(client, "app-02")
    with pytest.raises(client.exceptions.ServiceQuotaExceededException):
        start(client, "app-03")
    sim.client("us-west-2").start_recovery(sourceServers=[{"sourceServerID": IDS["erp-db-01"]}])
    sim.advance(WHOLE_JOB)
    start(client, "app-03")


def test_replication_decides_what_a_launch_can_use(sim: RunningSimulator) -> None:
    client, west = sim.client(), sim.client("us-west-2")
    stalled, first_copy = start(client, "syslog-01"), start(west, "artifacts-01")
    snapshot = client.describe_recovery_snapshots(sourceServerID=IDS["app-01"])["items"][3]
    chosen = client.start_recovery(
        sourceServers=[{"sourceServerID": IDS["app-01"], "recoverySnapshotID": snapshot["snapshotID"]}]
    )["job"]["jobID"]
    sim.advance(WHOLE_JOB)
    assert events(client, stalled)[1:4] == ["SNAPSHOT_START", "SNAPSHOT_FAIL", "USING_PREVIOUS_SNAPSHOT"]
    assert row(client, stalled)["launchStatus"] == "LAUNCHED"
    assert events(west, first_copy)[-2] == "USING_PREVIOUS_SNAPSHOT_FAILED"
    assert (row(west, first_copy)["launchStatus"], get(west, first_copy)["status"]) == ("FAILED", "COMPLETED")
    assert "SNAPSHOT_START" not in events(client, chosen)
    instance = client.describe_recovery_instances(filters={"sourceServerIDs": [IDS["app-01"]]})["items"][0]
    assert instance["pointInTimeSnapshotDateTime"] == snapshot["expectedTimestamp"]
    assert west.describe_recovery_snapshots(sourceServerID=IDS["artifacts-01"])["items"] == []


def test_unknown_things_are_not_found(sim: RunningSimulator) -> None:
    client = sim.client()
    missing = client.exceptions.ResourceNotFoundException
    with pytest.raises(missing):
        client.start_recovery(sourceServers=[{"sourceServerID": "s-3ffffffffffffffff"}])
    with pytest.raises(missing):
        start(client, "erp-db-01")
    with pytest.raises(missing):
        client.terminate_recovery_instances(recoveryInstanceIDs=["i-3ffffffffffffffff"])
    with pytest.raises(missing):
        client.list_tags_for_resource(resourceArn="arn:aws:drs:us-east-1:111122223333:job/drsjob-none")
    with pytest.raises(client.exceptions.ValidationException):
        client.describe_job_log_items(jobID="drsjob-3ffffffffffffffff")


def test_speed_divides_and_never_turns_time_back(sim: RunningSimulator) -> None:
    client = sim.client()
    job_id = start(client, "app-01")
    sim.advance(300)
    before = events(client, job_id)
    for speed in (1000.0, 0.001, 50.0):
        sim.set_speed(speed)
        after = events(client, job_id)
        assert after[: len(before)] == before
        before = after
    sim.advance(WHOLE_JOB)
    done = get(client, job_id)
    assert done["creationDateTime"] <= done["endDateTime"]
    logged = [item["logDateTime"] for item in client.describe_job_log_items(jobID=job_id)["items"]]
    assert logged == sorted(logged)
    assert logged[-1] == done["endDateTime"]
    with pytest.raises(ValueError, match="backwards"):
        sim.advance(-1)
    with pytest.raises(ValueError, match="above 0"):
        sim.set_speed(0)


plans = st.builds(
    ServerPlan,
    server_id=st.text("0123456789abcdef", min_size=4, max_size=4),
    instance_id=st.just("i-1"),
    fate=st.sampled_from([fate for fate in Fate if "terminate" not in fate]),
    snapshot=st.sampled_from(Snapshot),
    replaces=st.sampled_from(["", "i-0"]),
    slow=st.sampled_from([0.1, 1.0, 9.0]),
)


@given(st.lists(plans, min_size=1, max_size=5), st.floats(0, 2e9))
def test_every_timeline_is_in_order_and_repeatable(servers: list[ServerPlan], created: float) -> None:
    spec = JobSpec("drsjob-3", "START_DRILL", created, tuple(servers))
    life = timeline(spec)
    assert life == timeline(replace(spec))
    times = [event.at for event in life.events]
    assert times == sorted(times)
    assert (life.events[0].name, life.events[-1].name) == ("JOB_START", "JOB_END")
    for plan, track in zip(servers, life.tracks, strict=True):
        final = {Fate.LAUNCHED: "LAUNCHED", Fate.NEVER_SETTLES: "PENDING"}.get(plan.fate, "FAILED")
        assert track.status(life.ended_at) == final
        assert (track.launched_at is not None) is (plan.fate is Fate.LAUNCHED)
        assert track.settled_at < life.ended_at


def test_the_clock_maps_both_ways() -> None:
    real = 1000.0
    clock = VirtualClock(wall=lambda: real)
    real = 1010.0
    clock.set_speed(10)
    real = 1020.0
    clock.advance(500)
    real = 1030.0
    assert clock.now() == 1000 + 10 + 100 + 500 + 100
    assert [clock.wall_of(virtual) for virtual in (1005, 1060, 1300, 1620, 1710)] == [1005, 1015, 1020, 1021, 1030]
    real = 900.0
    assert clock.now() >= 1610, "the machine's clock may step back, virtual time may not"


def test_formats_are_those_of_the_live_service() -> None:
    seconds = (0, 30, 3600, 8072, 90 * 60, 86_400, 152 * 86_400, 86_400 + 3 * 3600 + 22 * 60 + 5)
    written = ["P0D", "PT30S", "PT1H", "PT2H14M32S", "PT1H30M", "P1D", "P152D", "P1DT3H22M5S"]
    assert [duration(each) for each in seconds] == written
    assert timestamp(1726461766.324841) == "2024-09-16T04:42:46.324841+00:00"
    assert timestamp(1726461766, z_style=True) == "2024-09-16T04:42:46.000000Z"
    assert epoch("2024-09-16T04:42:46Z") == epoch("2024-09-16T04:42:46+00:00") == 1726461766
