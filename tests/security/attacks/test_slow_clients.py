"""Whoever sends or reads slowly, or not at all, keeps nobody else waiting; what comes in pieces is read as one."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import requests

from identity.tokens import make_token
from tests.support.api_client import make_user
from tests.support.processes import ROOT
from tests.support.web_server import WebServer, web_server

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.django_db(transaction=True)]

SOON = 15  # seconds: long for the busiest machine; who waits for one that is slow waits for RECEIVE_SECONDS, 30
MANY = 64  # four times as many as the threads of both processes
HOST = b"Host: 127.0.0.1\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
SLOW = {
    "nothing": b"",
    "a line": b"GET /healthz HTT",
    "headers": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-A: ",
    "a form": b"POST /sign-in HTTP/1.1\r\n" + HOST + FORM + b"Content-Length: 100000\r\n\r\na=",
    "a document": b"POST /api/v1/executions HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n{",
    "chunks": b"POST /healthz HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
    "a body that is refused": b"POST /api/v1/executions HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999\r\n\r\n{",
    "what comes after an answer": b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\nGET /healthz HTTP/1.1\r\nHo",
    "the end of the connection": b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
    "answers": (b"GET /api/v1/schema HTTP/1.1\r\n" + HOST + b"Authorization: Bearer %s\r\n\r\n") * 30,
}


@pytest.fixture(scope="module")
def server(django_db_setup: None, django_db_blocker: object) -> Iterator[WebServer]:
    subprocess.run([sys.executable, "manage.py", "collectstatic", "--no-input", "-v0"], cwd=ROOT, check=True)
    with django_db_blocker.unblock(), web_server() as found:  # type: ignore[attr-defined]
        yield found


def connect(server: WebServer) -> socket.socket:
    parts = urlsplit(server.url)
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.settimeout(20)
    made.connect((parts.hostname, parts.port))
    return made


@contextlib.contextmanager
def connected(server: WebServer, count: int) -> Iterator[list[socket.socket]]:
    """So many connections, all of which are closed in the end."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connect(server)) for _ in range(count)]


@contextlib.contextmanager
def dripping(peers: list[socket.socket]) -> Iterator[None]:
    """Each of them sends a byte, again and again."""
    over = threading.Event()

    def drip() -> None:
        while not over.wait(0.3):
            for each in peers:
                with contextlib.suppress(OSError):
                    each.send(b"a", socket.MSG_DONTWAIT)

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("slow", SLOW)
def test_who_is_slow_keeps_nobody_waiting(server: WebServer, slow: str) -> None:
    token = make_token(make_user("viewer"), timedelta(hours=1)).encode()
    with connected(server, MANY) as peers:
        for each in peers:
            each.sendall(SLOW[slow].replace(b"%s", token))
        with dripping(peers if slow not in ("nothing", "the end of the connection", "answers") else []):
            time.sleep(0.5)
            for _ in range(4):
                assert requests.get(f"{server.url}/healthz", timeout=SOON, headers={"Connection": "close"}).ok


def answer_to(server: WebServer, *pieces: bytes) -> bytes:
    """Everything that is answered until the connection ends."""
    with connect(server) as peer:
        for each in pieces:
            peer.sendall(each)
            time.sleep(0.002)
        return b"".join(iter(lambda: peer.recv(65_536), b""))


def test_what_comes_in_pieces_is_read_as_one(server: WebServer) -> None:
    asked = b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    assert answer_to(server, *(bytes([each]) for each in asked)).startswith(b"HTTP/1.1 200 ")
    body = b'{"planId": "' + b"x" * 900_000 + b'"}'
    head = b"POST /api/v1/executions HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nConnection: close\r\n"
    head += b"Content-Length: %d\r\n\r\n" % len(body)
    assert answer_to(server, head, body[:9], body[9:400_000], body[400_000:]).startswith(b"HTTP/1.1 401 ")


def test_what_is_sent_ahead_is_answered_in_its_order(server: WebServer) -> None:
    one = b"GET /healthz HTTP/1.1\r\n" + HOST
    told = answer_to(
        server, (one + b"\r\n") * 5 + one.replace(b"healthz", b"nothing-here") + b"Connection: close\r\n\r\n"
    )
    assert [part[:3] for part in told.split(b"HTTP/1.1 ")[1:]] == [b"200"] * 5 + [b"404"]


def test_a_client_that_waits_to_be_told_to_go_on_is_told(server: WebServer) -> None:
    with connect(server) as peer:
        head = b"POST /sign-in HTTP/1.1\r\n" + HOST + FORM + b"Expect: 100-continue\r\nConnection: close\r\n"
        peer.sendall(head + b"Content-Length: 3\r\n\r\n")
        assert peer.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.sendall(b"a=b")
        assert b"HTTP/1.1 403 " in b"".join(iter(lambda: peer.recv(65_536), b""))


def test_what_is_too_long_is_refused(server: WebServer) -> None:
    assert answer_to(server, b"GET / HTTP/1.1\r\n", *[b"X-A: " + b"a" * 8_000 + b"\r\n"] * 9).startswith(
        b"HTTP/1.1 431 "
    )
    body = b"[" * 1_100_000
    asked = requests.post(f"{server.url}/sign-in", data=body, timeout=20, headers={"Content-Type": "text/plain"})
    assert asked.status_code in (400, 403)
    bodies = requests.post(
        f"{server.url}/sign-in", data=iter([b"a=b", b"c=d"]), timeout=20, headers={"Content-Type": "text/plain"}
    )
    assert bodies.status_code == 403


def test_a_long_answer_arrives_whole(server: WebServer) -> None:
    token = make_token(make_user("viewer"), timedelta(hours=1)).encode()
    with connect(server) as peer:
        peer.sendall(
            b"GET /api/v1/schema HTTP/1.1\r\n"
            + HOST
            + b"Connection: close\r\nAuthorization: Bearer "
            + token
            + b"\r\n\r\n"
        )
        time.sleep(1.5)  # it does not fit in between
        head, _, told = b"".join(iter(lambda: peer.recv(65_536), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert len(told) > 100_000
    assert json.loads(told)["openapi"]


def test_nobody_keeps_others_out_by_being_there(server: WebServer) -> None:
    with connected(server, 1_200) as peers:  # more than both processes may have
        for each in peers[:600]:
            with contextlib.suppress(OSError):
                each.sendall(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
        for _ in range(5):
            assert requests.get(f"{server.url}/healthz", timeout=SOON, headers={"Connection": "close"}).ok
