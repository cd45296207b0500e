"""A real web server, gunicorn as in production, on the database of the running test."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

import requests

from tests.support.processes import ROOT, database_url, descendants, eventually


@dataclass
class WebServer:
    """gunicorn with deploy/gunicorn.conf.py on an address of its own. Its output goes to `output`."""

    address: str
    environment: dict[str, str]
    output: IO[bytes] | int = subprocess.DEVNULL
    options: Sequence[str] = ()
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def start(self) -> None:
        command = [sys.executable, "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py", "--bind", self.address]
        command += self.options
        env = {**os.environ, "DATABASE_URL": database_url(), **self.environment}
        self.process = subprocess.Popen(
            [*command, "drsorch_site.wsgi"], cwd=ROOT, env=env, stdout=self.output, stderr=subprocess.STDOUT
        )

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthz", timeout=5).ok
        except requests.RequestException:
            return False

    def signal(self, number: signal.Signals) -> None:
        """To the master, as systemd and Docker do."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self.signal(signal.SIGTERM)
        assert self.process is not None
        self.process.wait(60)

    def kill(self) -> None:
        """SIGKILL for all of its processes at once, as when a host loses power."""
        assert self.process is not None
        for pid in descendants(self.process.pid):
            os.kill(pid, signal.SIGKILL)
        self.process.wait(10)


@contextmanager
def web_server(
    output: IO[bytes] | int = subprocess.DEVNULL, options: Sequence[str] = (), **environment: str
) -> Iterator[WebServer]:
    """A web server that answers; killed at the end if it still runs. `options` are gunicorn's."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    server = WebServer(address, environment, output, options)
    server.start()
    try:
        eventually(server.answers, 60, what="the web server")
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()
