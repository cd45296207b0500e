"""With LOG_FORMAT=json, every line of the web server is JSON and says of which request it is."""

import json
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.web_server import WebServer, web_server

PATHS = {"r-1": "/api/v1/nowhere?code=4uthc0de", "r-2": "/api/v1/executions"}
pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def garbage(server: WebServer) -> None:
    """What is no request at all: gunicorn's own refusal."""
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        raw.sendall(b"\x16\x03\x01 not http\r\n\r\n")
        raw.recv(1000)


def test_every_line_is_json_and_names_its_request(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    with file.open("wb") as output, web_server(output, LOG_FORMAT="json") as server:
        for name, path in PATHS.items():
            answer = requests.get(server.url + path, headers={"X-Request-ID": name}, timeout=20)
            assert answer.headers["X-Request-ID"] == name
        garbage(server)
        server.signal(signal.SIGHUP)
        server.stop()
    lines: list[dict[str, Any]] = [json.loads(each) for each in file.read_text().splitlines()]
    assert all(each.keys() >= {"at", "level", "logger", "message"} for each in lines)
    told = [(each["logger"], each.get("request_id"), each["message"]) for each in lines]
    for name, path in PATHS.items():
        page = path.partition("?")[0]
        assert any(log == "gunicorn.access" and about == name and page in text for log, about, text in told)
        assert any(log == "django.request" and about == name and page in text for log, about, text in told)
    assert "4uthc0de" not in file.read_text()
    assert any(log == "gunicorn.error" and "Handling signal: term" in text for log, _, text in told)
