"""The simulator as a real process: what was answered survives `kill -9`, SIGTERM ends it cleanly, polling is quick."""

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from drs_simulator import demo_server_ids, generate_fleet
from drs_simulator.control import respond
from drs_simulator.protocol.rest_json import Request
from drs_simulator.testing import RunningSimulator, running_simulator, simulator_process
from drs_simulator.world.state_file import Store
from tests.yardstick import is_quick

IDS = demo_server_ids()


@pytest.mark.slow
def test_kill_nine_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite3"
    with simulator_process(state, "demo", speed=2.0) as first:
        client = first.client()
        job_id = client.start_recovery(sourceServers=[{"sourceServerID": IDS["app-01"]}], tags={"id": "7"})["job"][
            "jobID"
        ]
        first.scenario("throttle", operation="GetLaunchConfiguration")
        first.settings(page_size=7)
        first.advance(1000)
        before = client.describe_jobs()["items"]
        log = client.describe_job_log_items(jobID=job_id)["items"]
        first.kill()
    with simulator_process(state) as second:
        client = second.client()
        assert client.describe_jobs()["items"] == before
        assert before[0]["tags"] == {"id": "7"}
        assert client.describe_job_log_items(jobID=job_id)["items"] == log
        assert len(client.describe_recovery_instances()["items"]) == 1
        with pytest.raises(ClientError, match="Throttling"):
            client.get_launch_configuration(sourceServerID=IDS["app-01"])
        assert len(client.describe_source_servers()["items"]) == 7
        assert second.control("GET", "health")["speed"] == 2.0
        assert [entry["operation"] for entry in second.journal()][:3] == [
            "StartRecovery",
            "DescribeJobs",
            "DescribeJobLogItems",
        ]
        assert second.terminate() == 0


def test_it_serves_by_itself_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """Without the product: only its own package is there, as after `pipx install ./drs_simulator`."""
    (tmp_path / "drs_simulator").symlink_to(Path(__file__).parents[2] / "drs_simulator")
    command = [sys.executable, "-m", "drs_simulator", "--port", "0", "--state", "state", "--fleet", "demo"]
    command += ["--scenario", "tags_lost:servers=app-01", "--scenario", "throttle:times=2,probability=0.5"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert "DRS simulator at http://127.0.0.1:" in line
        scenarios = RunningSimulator(line.split(" at ")[1].split()[0]).scenarios()
        assert [(each["name"], each["probability"]) for each in scenarios] == [("tags_lost", 1), ("throttle", 0.5)]
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_only_loopback_clients_may_steer(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.sqlite3")
    try:
        for remote, status in (("127.0.0.1", 200), ("::1", 200), ("10.0.0.9", 403)):
            assert respond(store, Request("GET", "/_control/health", {}, b"", remote)).status == status
    finally:
        store.close()


def test_the_clock_goes_on_from_a_state_file_of_before(tmp_path: Path) -> None:
    """Where all anchors were one row of `meta`, which every jump ahead wrote anew."""
    path = tmp_path / "state.sqlite3"
    wall = time.time()
    first = Store(path)
    first.run("DELETE FROM anchor")
    anchors = [{"wall": wall - 60, "virtual": 0.0, "speed": 1.0}, {"wall": wall - 30, "virtual": 500.0, "speed": 2.0}]
    first.set_meta("anchors", json.dumps(anchors))
    first.close()
    for jumped in (0, 1000):  # read from the row of before, then from what was written down since
        store = Store(path)
        assert 560 <= store.clock.now() - jumped < 580
        assert [store.clock.speed, store.clock.wall_of(10)] == [2.0, wall - 50]
        store.clock.advance(1000)
        store.save_clock()
        store.close()


def test_one_connection_serves_many_requests() -> None:
    with running_simulator() as sim:
        place = urlsplit(sim.url)
        with socket.create_connection((str(place.hostname), place.port or 0), timeout=5) as connection:
            for _ in range(3):
                connection.sendall(b"GET /_control/health HTTP/1.1\r\nHost: x\r\n\r\n")
                assert connection.recv(65_536).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.slow
def test_polling_two_hundred_jobs_is_quick() -> None:
    with running_simulator(generate_fleet(200), max_jobs=500, max_servers_in_jobs=500) as sim:
        client = sim.client()
        servers = client.describe_source_servers(maxResults=200)["items"]
        ids = [
            client.start_recovery(sourceServers=[{"sourceServerID": each["sourceServerID"]}])["job"]["jobID"]
            for each in servers
        ]
        spent = []
        for _ in range(20):
            began = time.monotonic()
            items = client.describe_jobs(filters={"jobIDs": ids}, maxResults=200)["items"]
            spent.append(time.monotonic() - began)
            assert len(items) == 200
        # A bound that only a blunder breaks; the figures are in the benchmark.
        assert is_quick(statistics.median(spent), 0.2, time.monotonic)
