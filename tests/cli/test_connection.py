"""A network between `drsorch` and the server that loses answers, breaks, and comes back."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest

from executions.models import Execution
from tests.cli.conftest import Programs
from tests.cli.program import Program, end
from tests.support.stage import Stage

pytestmark = pytest.mark.slow


@dataclass
class Network:
    """Passes requests on. `swallow` answers of starts are lost after the server has given them; `is_down` loses
    everything; `tokens` are what it saw."""

    target: str
    swallow: int = 0
    is_down: bool = False
    redirects_to: str = ""
    keys: list[str] = field(default_factory=list)
    url: str = ""

    def handler(self) -> type[BaseHTTPRequestHandler]:
        network = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: object) -> None:
                """Not into the tests' output."""

            def do_GET(self) -> None:
                network.answer(self)

            do_POST = do_GET

        return Handler

    def answer(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers.get("Content-Length", 0)))
        if self.is_down:
            return
        if self.redirects_to:
            asked.send_response(302)
            asked.send_header("Location", self.redirects_to)
            asked.end_headers()
            return
        to = HTTPConnection(urlsplit(self.target).netloc, timeout=30)
        headers = {name: value for name, value in asked.headers.items() if name != "Host"}
        to.request(asked.command, asked.path, body or None, headers | {"Host": urlsplit(self.target).netloc})
        got = to.getresponse()
        content = got.read()
        to.close()
        if asked.command == "POST":
            self.keys.append(asked.headers.get("Idempotency-Key", ""))
            if self.swallow:
                self.swallow -= 1
                return
        asked.send_response(got.status)
        for name, value in got.getheaders():
            if name not in ("Transfer-Encoding", "Connection", "Content-Length", "Date", "Server"):
                asked.send_header(name, value)
        asked.send_header("Content-Length", str(len(content)))
        asked.end_headers()
        asked.wfile.write(content)


@pytest.fixture
def program(programs: Programs) -> Program:
    return programs("operator")


@pytest.fixture
def network(program: Program) -> Iterator[Network]:
    made = Network(program.url)
    server = ThreadingHTTPServer(("127.0.0.1", 0), made.handler())
    made.url = program.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


def test_a_start_whose_answers_are_lost_starts_once(stage: Stage, program: Program, network: Network) -> None:
    stage.plan("web-01", name="Payments")
    network.swallow = 2
    started = program.ok("drill", "Payments")
    assert network.keys == [started["idempotencyKey"]] * 3
    assert str(Execution.objects.get().pk) == started["executionId"]


def test_whoever_cannot_know_is_told_how_to_find_out(stage: Stage, program: Program, network: Network) -> None:
    stage.plan("web-01", name="Payments")
    network.swallow = 99
    lost = program.ok("drill", "Payments", code=4)
    assert f"send it again with --key {lost['details']['idempotencyKey']}" in lost["message"]
    network.swallow = 0
    found = program.ok("drill", "Payments", "--key", lost["details"]["idempotencyKey"])
    assert str(Execution.objects.get().pk) == found["executionId"]
    # What is not safe to send twice is sent once.
    network.swallow, network.keys = 99, []
    assert program.ok("cancel", found["executionId"], code=4)["error"] == "UNREACHABLE"
    assert network.keys == [""]


def test_a_broken_connection_ends_no_waiting(stage: Stage, program: Program, network: Network) -> None:
    stage.plan("web-01", name="Payments")
    process = program.begin("drill", "Payments", "--wait", "--json")
    deadline = time.monotonic() + 90
    while not Execution.objects.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)  # it has its answer
    network.is_down = True
    stage.until(Execution.objects.get(), "COMPLETED")
    time.sleep(2.5)  # it looks in vain
    network.is_down = False
    done = end(process)
    assert (done.code, done.record["status"]) == (0, "COMPLETED"), done
    assert "The run goes on; still looking." in done.err
    assert "The server answers again." in done.err


def test_a_token_goes_to_no_other_address(program: Program, network: Network) -> None:
    network.redirects_to = "http://127.0.0.1:9/api/v1/executions"
    refused = program.run("runs")
    assert refused.code == 4
    assert "it redirects to http://127.0.0.1:9/" in refused.err
    plain = program.run("runs", DRSORCH_URL="http://example.com")
    assert (plain.code, "Use https://." in plain.err) == (2, True)
