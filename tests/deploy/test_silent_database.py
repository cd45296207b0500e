"""The zone of the database is lost: it refuses nothing, its packets just cease. Whoever waits for it notices soon."""

import ctypes
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler

from drsorch_site.configuration.databases import read_database
from tests.support.threads import at_once

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite is on the same host"),
]
SO_ATTACH_FILTER = 26  # Linux; socket.py has no name for it
NOTICED_WITHIN = 35.0  # 20 s and a probe; a pool asks for another connection then


class Road:
    """From a port of this machine to the real database, until every packet that comes along vanishes unanswered."""

    def __init__(self) -> None:
        self.door = socket.create_server(("127.0.0.1", 0))
        self.ends = [self.door]
        threading.Thread(target=self._let_in, daemon=True).start()

    def _let_in(self) -> None:
        while True:
            try:
                near = self.door.accept()[0]
            except OSError:  # closed
                return
            far = self._database()
            self.ends += [near, far]
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_carry, args=[source, target], daemon=True).start()

    @staticmethod
    def _database() -> socket.socket:
        host, port = connection.settings_dict["HOST"], connection.settings_dict["PORT"] or 5432
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        far = socket.socket(socket.AF_UNIX)
        far.connect(f"{host}/.s.PGSQL.{port}")
        return far

    def lose(self) -> None:
        """The kernel throws away what arrives before TCP sees it: data, probes and calls get no answer."""
        nothing = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # BPF: return 0
        program = struct.pack("HP", 1, ctypes.addressof(nothing))
        for end in self.ends:
            if end.family is socket.AF_INET:
                end.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)

    def close(self) -> None:
        for end in self.ends:
            with suppress(OSError):  # ended already
                end.shutdown(socket.SHUT_RDWR)  # wakes up the threads; close alone would not
            end.close()


def _carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # one of them was closed
        return


@pytest.fixture
def road() -> Iterator[Road]:
    made = Road()
    yield made
    made.close()


@contextmanager
def connected(road: Road, *, pooled: bool) -> Iterator[BaseDatabaseWrapper]:
    """A connection of a process's own over the road, with exactly what our settings give it."""
    here = connection.settings_dict
    url = f"postgres://{here['USER']}:{here['PASSWORD']}@127.0.0.1:{road.door.getsockname()[1]}/{here['NAME']}"
    ours = ConnectionHandler({"default": read_database(url, pooled=pooled)})["default"]
    ours.inc_thread_sharing()
    try:
        ask(ours, "SELECT 1")
        yield ours
    finally:
        ours.close()
        if pooled:
            ours.close_pool()  # type: ignore[attr-defined]


def ask(database: BaseDatabaseWrapper, statement: str) -> None:
    with database.cursor() as cursor:
        cursor.execute(statement)


def seconds_until_noticed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    with pytest.raises(OperationalError):
        work()
    return time.monotonic() - began


def test_whoever_asks_or_waits_or_comes_notices_within_half_a_minute(road: Road) -> None:
    lost = threading.Event()

    def lose() -> None:
        road.lose()
        lost.set()

    def later(work: Callable[[], object]) -> Callable[[], float]:
        return lambda: seconds_until_noticed(lambda: (lost.wait(), work()))

    with (
        connected(road, pooled=False) as asks,
        connected(road, pooled=False) as waits,
        connected(road, pooled=False) as comes,
        connected(road, pooled=True) as pooled,
    ):
        comes.close()
        pooled.close()  # back into the pool
        threading.Timer(1, lose).start()
        end = threading.Timer(50, road.close)  # so that this test ends whatever they do
        end.start()
        took = at_once(
            [
                later(lambda: ask(asks, "SELECT 1")),
                lambda: seconds_until_noticed(lambda: ask(waits, "SELECT pg_sleep(120)")),
                later(lambda: ask(comes, "SELECT 1")),
                later(lambda: ask(pooled, "SELECT 1")),
            ]
        )
    end.cancel()
    assert max(took) < NOTICED_WITHIN, took
    assert took[2] < 10, took


def test_the_server_is_told_to_notice_hosts_that_vanish(road: Road) -> None:
    """Its own defaults are two hours, and never for a transaction that nobody goes on with. What it is told of TCP it
    shows as 0 here, where its end of the road is no TCP; a setting that it does not know it would refuse."""
    with connected(road, pooled=False) as ours, ours.cursor() as cursor:
        told = read_database("postgres://u:p@host/name", pooled=False)["OPTIONS"]["options"]
        for name in ("tcp_keepalives_idle=10", "tcp_keepalives_interval=5", "tcp_keepalives_count=3"):
            assert f"-c {name}" in told
        assert "-c tcp_user_timeout=20000" in told
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("45s",)


def test_rows_of_a_host_that_vanished_inside_a_transaction_are_free_again(road: Road) -> None:
    """With a second in place of the 45; the kernel drops what it sends from then on."""
    ask(connection, "CREATE TABLE IF NOT EXISTS held (id int PRIMARY KEY)")
    ask(connection, "INSERT INTO held VALUES (1) ON CONFLICT DO NOTHING")
    try:
        with connected(road, pooled=False) as ours:
            ask(ours, "SET idle_in_transaction_session_timeout = 1000")
            ours.set_autocommit(False)
            ask(ours, "UPDATE held SET id = 1")
            road.lose()
            began = time.monotonic()
            ask(connection, "SET lock_timeout = '20s'")
            ask(connection, "UPDATE held SET id = 1")
            assert time.monotonic() - began < 10
    finally:
        ask(connection, "SET lock_timeout = 0")
        ask(connection, "DROP TABLE held")
