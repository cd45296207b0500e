"""What answers is no server of ours, or one of another version; what the output goes to takes no more."""

import signal
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.cli.program import PROGRAM, Ended, Program, end

TOKEN = "not-a-real-token"


class Handler(BaseHTTPRequestHandler):
    """The first part of the address says what is answered."""

    asked: list[str] = []

    def log_message(self, *args: object) -> None:
        """Not into the tests' output."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = self.path.split("/")[1]
        self.asked.append(kind)
        again = self.asked.count(kind) > 1
        status, form, content = {
            "page": (200, "text/html; charset=utf-8", "<html>Welcome to our network</html>"),
            "list": (200, "application/json", "[]"),
            "other": (200, "application/json", '{"plans": [{"planId": "1"}], "items": [{}], "checks": [{}]}'),
            "refuses": (400, "application/json", '{"error": "X", "message": "No.", "details": {"fields": ["a"]}}'),
            "busy": (200, "application/json", '{"plans": []}') if again else (429, "application/json", "{}"),
            "restarts": (200, "application/json", '{"plans": []}') if again else (503, "text/html", "<html>"),
            "runs": (200, "application/json", '{"status": "RUNNING", "waves": [], "totalWaves": 1, "currentWave": 0}'),
        }[kind]
        if self.path.endswith("/resume"):
            content = '{"message": "The run goes on"}'
        self.send_response(status)
        self.send_header("content-type", form)
        self.send_header("content-length", str(len(content)))
        self.send_header("retry-after", "0")  # in small letters, as proxies write it
        self.end_headers()
        self.wfile.write(content.encode())

    do_POST = do_GET


@pytest.fixture
def url() -> Iterator[str]:
    Handler.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["page", "list", "other"])
@pytest.mark.parametrize("verb", ["plans", "runs", "doctor", "drill Payments"])
def test_an_answer_of_somebody_else_is_told_in_a_sentence(url: str, tmp_path: Path, kind: str, verb: str) -> None:
    told = Program(tmp_path, f"{url}/{kind}", TOKEN).ok(*verb.split(), code=4)
    assert (told["error"], told["exitCode"]) == ("UNREACHABLE", 4)


@pytest.mark.slow
def test_what_is_no_document_replaces_no_file_and_opens_nothing(url: str, tmp_path: Path) -> None:
    kept = tmp_path / "drsorch.yaml"
    kept.write_text("- kind: RecoveryPlan\n")
    elsewhere = Program(tmp_path, f"{url}/page", TOKEN)
    assert elsewhere.ok("export", "--output", "drsorch.yaml", code=4)["error"] == "UNREACHABLE"
    assert kept.read_text() == "- kind: RecoveryPlan\n"
    assert elsewhere.ok("login", code=4)["error"] == "UNREACHABLE"
    assert Program(tmp_path, f"{url}/refuses", TOKEN).ok("plans", code=3)["message"] == "No."


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["busy", "restarts"])
def test_whoever_is_busy_for_a_moment_is_asked_again(url: str, tmp_path: Path, kind: str) -> None:
    assert Program(tmp_path, f"{url}/{kind}", TOKEN).ok("plans") == {"plans": []}


@pytest.mark.slow
@pytest.mark.parametrize("address", ["https://[::1", f"https://{'a' * 80}.com", "https://exa mple.com"])
def test_an_address_that_can_be_none(tmp_path: Path, address: str) -> None:
    ended = Program(tmp_path, address, TOKEN).run("plans", "--json")
    assert ended.code in (2, 4), ended
    assert ended.record["exitCode"] == ended.code


@pytest.mark.slow
def test_an_interrupted_wait_names_the_run(url: str, tmp_path: Path) -> None:
    run = "7c1f0a9e-5d0c-4b59-9d3a-0e4f5a6b7c8d"
    process = Program(tmp_path, f"{url}/runs", TOKEN).begin("resume", run, "--wait", "--json")
    deadline = time.monotonic() + 60
    while len(Handler.asked) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    ended = end(process)
    assert ended.code == 130, ended
    assert (ended.record["error"], ended.record["details"]["executionId"]) == ("INTERRUPTED", run)


@pytest.mark.slow
@pytest.mark.parametrize("to", ["> /dev/full", ">&-", "| true"])
def test_an_output_that_takes_nothing(tmp_path: Path, to: str) -> None:
    home = Program(tmp_path, "", "").environment
    command = f"set -o pipefail; {' '.join(PROGRAM)} completion bash --json {to}"
    done = subprocess.run(
        ["/bin/bash", "-c", command], env=home, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    ended = Ended(done.returncode, done.stdout, done.stderr)
    assert not {"Traceback", "Exception"} & set(ended.err.split()), ended
    assert ended.code == (0 if to == ">&-" else 1), ended
    assert ("No space left" in ended.err) is (to == "> /dev/full")
