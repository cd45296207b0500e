"""For tests: the simulator on a free port, in a thread or as a child process, and everything one does to it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlencode, urlsplit

import boto3
from botocore.config import Config

from drs_simulator.app import Simulator
from drs_simulator.protocol.rest_json import Request
from drs_simulator.server import SimulatorServer, close, read_fleet
from drs_simulator.world.fleet import Fleet
from drs_simulator.world.state_file import Store

if TYPE_CHECKING:
    from mypy_boto3_drs import DrsClient
    from mypy_boto3_sts import STSClient

REPOSITORY = Path(__file__).resolve().parents[1]
ACCESS_KEY = "AKIASIMULATOR0000000"
SECRET = "the simulator does not check signatures"  # noqa: S105  # and so it is none
Json = dict[str, object]


@dataclass
class RunningSimulator:
    """A simulator that answers at `url`. Each method is one control call, or makes a client."""

    url: str

    def control(self, method: str, name: str, body: Mapping[str, object] | None = None) -> Json:
        """One control request; raises ValueError with the simulator's text when it is refused."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        try:
            text = json.dumps(body) if body is not None else None
            connection.request(method, f"/_control/{name}", text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = cast("Json", json.loads(answer.read()))
        finally:
            connection.close()
        if answer.status != 200:
            raise ValueError(content.get("error"))
        return content

    def client(
        self,
        region: str = "us-east-1",
        *,
        access_key: str = ACCESS_KEY,
        max_attempts: int = 1,
        read_timeout: float = 10,
    ) -> DrsClient:
        """An unmodified boto3 DRS client; without retries unless `max_attempts` (in all) says otherwise."""
        return boto3.client(
            "drs",
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=access_key,
            aws_secret_access_key=SECRET,
            config=_config(max_attempts, read_timeout),
        )

    def sts(self, region: str = "us-east-1", *, access_key: str = ACCESS_KEY) -> STSClient:
        """A boto3 STS client; GetCallerIdentity and AssumeRole are simulated."""
        return boto3.client(
            "sts",
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=access_key,
            aws_secret_access_key=SECRET,
            config=_config(1, 10),
        )

    def journal(self, operation: str | None = None, since: int = 0) -> list[Json]:
        """Calls received, oldest first, with an id above `since`."""
        query = urlencode({"since": since} | ({"operation": operation} if operation else {}))
        return cast("list[Json]", self.control("GET", f"journal?{query}")["entries"])

    def state(self) -> Json:
        """Settings, clock, jobs, instances and regions."""
        return self.control("GET", "state")

    def scenario(self, name: str, **options: object) -> Json:
        """Put a named failure scenario in force; raises ValueError for an unknown name or option."""
        return self.control("POST", "scenarios", {"name": name, **options})

    def scenarios(self) -> list[Json]:
        """The scenarios in force with their counts of `calls` and `hits`."""
        return cast("list[Json]", self.control("GET", "scenarios")["scenarios"])

    def clear_scenarios(self, name: str = "") -> None:
        self.control("DELETE", f"scenarios?{urlencode({'name': name})}" if name else "scenarios")

    def load_fleet(self, fleet: Fleet | Mapping[str, object] | str) -> None:
        """Replace the fleet by another, its JSON, `demo`, or a JSON file's path."""
        if fleet == "demo":
            fleet = {"demo": True}
        elif isinstance(fleet, str):
            fleet = read_fleet(fleet)
        self.control("POST", "fleet", fleet.as_json() if isinstance(fleet, Fleet) else fleet)

    def roles(self, roles: Mapping[str, Mapping[str, str] | None]) -> None:
        """Add or change roles that can be assumed, by ARN; None takes one away."""
        self.control("POST", "roles", roles)

    def delete_servers(self, *servers: str) -> None:
        """Take source servers, by id or hostname, out of DRS."""
        self.control("POST", "delete-servers", {"servers": list(servers)})

    def advance(self, seconds: float) -> None:
        """Jump ahead by virtual seconds."""
        self.control("POST", "advance", {"seconds": seconds})

    def set_speed(self, speed: float) -> None:
        """Virtual seconds a real second from now on."""
        self.control("POST", "speed", {"speed": speed})

    def settings(self, **changes: float) -> None:
        """Change page_size, signature_max_age_seconds, max_jobs, max_servers_per_job or max_servers_in_jobs."""
        self.control("POST", "settings", changes)

    def surroundings(self, **changes: object) -> None:
        """Say what is beside DRS: policies, simulation, templates, launch, subnets, offered, quotas, topics."""
        self.control("POST", "surroundings", changes)

    def reset(self) -> None:
        """Forget jobs, instances, scenarios and journal; the fleet stays."""
        self.control("POST", "reset", {})


@dataclass
class NearSimulator(RunningSimulator):
    """In this process, hence steered by calls instead of over HTTP. `changed` has the names of the control requests
    that may have changed what DRS tells of its servers, until somebody forgets them."""

    app: Simulator
    changed: set[str] = field(default_factory=set)

    def control(self, method: str, name: str, body: Mapping[str, object] | None = None) -> Json:
        path, _, query = name.partition("?")
        if method != "GET" and path not in ("advance", "speed"):
            self.changed.add(path)
        text = json.dumps(body).encode() if body is not None else b""
        reply = self.app.steer(Request(method, f"/_control/{path}", {}, text, "127.0.0.1", query))
        content = cast("Json", json.loads(reply.body))
        if reply.status != 200:
            raise ValueError(content.get("error"))
        return content


def _config(max_attempts: int, read_timeout: float) -> Config:
    return Config(
        retries={"mode": "standard", "total_max_attempts": max_attempts},
        connect_timeout=5,
        read_timeout=read_timeout,
    )


@contextmanager
def running_simulator(
    fleet: Fleet | Mapping[str, object] | str | None = "demo",
    *,
    speed: float = 1.0,
    state: Path | None = None,
    port: int = 0,
    wall: Callable[[], float] = time.time,
    **settings: float,
) -> Iterator[NearSimulator]:
    """The simulator in a thread of this process, on the clock `wall`; `state` None keeps it in a scratch directory."""
    with tempfile.TemporaryDirectory(prefix="drs-simulator-") as scratch:
        store = Store(state or Path(scratch) / "state.sqlite3", wall)
        server = SimulatorServer("127.0.0.1", port, Simulator(store))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        running = NearSimulator(server.url, server.app)
        try:
            _prepare(running, fleet, speed, settings)
            yield running
        finally:
            close(server)


def _prepare(
    running: RunningSimulator,
    fleet: Fleet | Mapping[str, object] | str | None,
    speed: float,
    settings: Mapping[str, float],
) -> None:
    if fleet is not None:
        running.load_fleet(fleet)
    if speed != 1.0:
        running.set_speed(speed)
    if settings:
        running.settings(**settings)


@dataclass
class SimulatorProcess(RunningSimulator):
    """A simulator in a process of its own."""

    process: subprocess.Popen[str]

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.process.kill()
        self.process.wait(10)

    def terminate(self) -> int:
        """SIGTERM; answers the exit status."""
        self.process.terminate()
        return self.process.wait(10)


@contextmanager
def simulator_process(
    state: Path, fleet: str | None = None, *, speed: float | None = None, port: int = 0
) -> Iterator[SimulatorProcess]:
    """The simulator as a real child process over `state`, killed at the end. `fleet`: demo or a JSON file."""
    command = [sys.executable, "-m", "drs_simulator", "--port", str(port), "--state", str(state)]
    command += ["--fleet", fleet] if fleet else []
    command += ["--speed", str(speed)] if speed is not None else []
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if " at http" not in line:
            raise RuntimeError(f"the simulator did not start: {line!r}")
        yield SimulatorProcess(line.split(" at ")[1].split()[0], process)
    finally:
        process.kill()
        process.wait(10)
        if process.stdout:
            process.stdout.close()
