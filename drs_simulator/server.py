"""A small threading HTTP/1.1 server for the WSGI application: keep-alive, no name look-ups, and it can hang up."""

from __future__ import annotations

import argparse
import io
import json
import signal
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

from drs_simulator import control
from drs_simulator.app import Simulator
from drs_simulator.world.demo import demo_fleet
from drs_simulator.world.errors import Disconnect
from drs_simulator.world.fleet import Fleet, fleet_from_json
from drs_simulator.world.scenarios import from_text
from drs_simulator.world.state_file import Store

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MAX_BODY = 4 * 1024 * 1024


class SimulatorServer(socketserver.ThreadingTCPServer):
    """One thread a connection; closing it does not wait for clients that keep theirs open."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, host: str, port: int, app: Simulator) -> None:
        self.app = app
        super().__init__((host, port), Exchange)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away, or was cut off by our own end, is nothing to report."""
        if not isinstance(sys.exception(), ConnectionError) and not self.app.stopping.is_set():
            super().handle_error(cast("socketserver._RequestType", request), client_address)


class Exchange(BaseHTTPRequestHandler):
    """One connection: requests in, the application's answers out."""

    protocol_version = "HTTP/1.1"
    # Head and body leave in one packet, and at once.
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True
    server: SimulatorServer

    def do_POST(self) -> None:
        try:
            self._answer()
        except Disconnect:
            self.close_connection = True

    do_GET = do_DELETE = do_PUT = do_POST

    def _answer(self) -> None:
        environ = self._environ()
        if environ is None:
            self.send_error(413)
            self.close_connection = True
            return
        body = b"".join(self.server.app(environ, cast("StartResponse", self._start_response)))
        self.wfile.write(body)
        self.wfile.flush()

    def _start_response(self, status: str, headers: list[tuple[str, str]]) -> Callable[[bytes], object]:
        code, _, reason = status.partition(" ")
        self.send_response_only(int(code), reason)
        if all(name != "Date" for name, _ in headers):
            self.send_header("Date", self.date_time_string())
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        return self.wfile.write

    def _environ(self) -> WSGIEnvironment | None:
        """The WSGI environment of the request, its body read whole; None when that is too large."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            return None
        path, _, query = self.path.partition("?")
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": self.command,
            "PATH_INFO": unquote(path),
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(length),
            "REMOTE_ADDR": self.client_address[0],
            "wsgi.input": io.BytesIO(self.rfile.read(length)),
        }
        for name, value in self.headers.items():
            environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
        return environ

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is http.server's
        """The journal is the log."""


def read_fleet(name: str) -> Fleet:
    """The fleet called `demo`, of one account, or `demo2`, of two; or the one in a JSON file. Raises OSError or
    ValueError."""
    if name in ("demo", "demo2"):
        return demo_fleet(2 if name == "demo2" else 1)
    return fleet_from_json(json.loads(Path(name).read_text()))


def _scenario(text: str) -> tuple[str, Mapping[str, object]]:
    try:
        return from_text(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_arguments(parser: argparse.ArgumentParser, default_state: Path) -> None:
    """The options of `python -m drs_simulator`."""
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5900, help="0 picks a free one")
    parser.add_argument("--state", type=Path, default=default_state, help="the file that keeps everything")
    parser.add_argument("--fleet", help="demo, demo2 or a JSON file; replaces the servers in the state file")
    parser.add_argument(
        "--scenario",
        action="append",
        type=_scenario,
        default=[],
        metavar="NAME[:OPTION=VALUE,…]",
        help="in force from the start, beside those of the state file; may be given several times",
    )
    parser.add_argument("--speed", type=float, help="virtual seconds a second (default: as before, or 1)")


def run(
    host: str,
    port: int,
    state: Path,
    fleet: str | None,
    speed: float | None,
    say: Callable[[str], object],
    scenarios: Sequence[tuple[str, Mapping[str, object]]] = (),
) -> None:
    """Serve until SIGTERM or SIGINT; `say` gets one line with the address when ready. Main thread only."""
    store = Store(state)
    if fleet:
        store.load_fleet(read_fleet(fleet))
    if speed is not None:
        store.clock.set_speed(speed)
        store.save_clock()
    for name, options in scenarios:
        control.set_scenario(store, name, options)
    server = SimulatorServer(host, port, Simulator(store))
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    say(f"DRS simulator at {server.url} (state {state}, speed {store.clock.speed:g})")
    stop.wait()
    close(server)


def close(server: SimulatorServer) -> None:
    """Stop accepting, end artificial waits, close the state file."""
    server.app.stopping.set()
    server.shutdown()
    server.server_close()
    server.app.store.close()
