"""An outage is told as one, and an error of a query never is: real errors of both databases, told apart by code."""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler

from contract.database_errors import cause, is_outage
from drsorch_site import health
from tests.console import world
from tests.keep.test_trouble import full_disk, read_only
from tests.support.api_client import Api, refusal
from tests.support.readiness import readyz
from tests.support.wrong_queries import POSTGRESQL, SQLITE, spoiled, wrong_queries

pytestmark = [pytest.mark.both, pytest.mark.django_db(transaction=True)]


def execute(sql: str, on: BaseDatabaseWrapper | None = None) -> None:
    with (on or connection).cursor() as cursor:
        cursor.execute(sql)


def met(work: Callable[[], object]) -> Exception:
    """The error that the database has for it."""
    try:
        work()
    except (DatabaseError, InterfaceError) as error:
        return error
    raise AssertionError("nothing failed")


@contextmanager
def another(**options: Any) -> Iterator[BaseDatabaseWrapper]:
    """A second connection, in whose way nobody is, with other options."""
    made = ConnectionHandler({"default": connection.settings_dict | options})["default"]
    made.inc_thread_sharing()
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("wrong", sorted({*SQLITE, *POSTGRESQL}))
def test_an_error_of_a_query_is_no_outage(wrong: str) -> None:
    if wrong not in wrong_queries():
        pytest.skip("the other database's")
    error = met(lambda: execute(wrong_queries()[wrong]))
    assert cause(error) == "", repr(error)


def test_too_many_parameters_are_no_outage() -> None:
    """PostgreSQL's library refuses them without asking the server, so without a code."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's are above")
    numbers = [1] * 70_000
    with another(OPTIONS={**connection.settings_dict["OPTIONS"], "server_side_binding": True}) as other:
        error = met(lambda: other.cursor().execute(f"SELECT {', '.join(['%s'] * 70_000)}", numbers))
    assert (type(error), getattr(error.__cause__, "sqlstate", "")) == (OperationalError, None), repr(error)
    assert not is_outage(error)


def test_a_full_disk_and_a_read_only_database_are_outages() -> None:
    plan = world.plan()

    def write() -> None:
        for number in range(50):
            type(plan).objects.create(name=f"{number}", name_key=f"{number}", description="x" * 500)

    with full_disk():
        assert "disk is full" in cause(met(write))
    with read_only():
        assert "read-only" in cause(met(write))


def test_a_row_that_somebody_else_holds_is_told_as_busy() -> None:
    plan = world.plan()
    options = dict(connection.settings_dict["OPTIONS"])
    if connection.vendor == "sqlite":
        with another(OPTIONS=options | {"timeout": 0.1}) as other, transaction.atomic():
            assert "busy" in cause(met(lambda: execute("BEGIN IMMEDIATE", other)))
        return
    with another() as other, transaction.atomic():
        type(plan).objects.select_for_update().get(pk=plan.pk)
        execute("SET lock_timeout = '50ms'", other)
        busy = met(lambda: execute("UPDATE plans_recoveryplan SET version = version + 1", other))
        assert "busy" in cause(busy), busy


def test_a_file_that_cannot_be_opened_or_is_none_of_ours_is_an_outage(tmp_path: Path) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("no file of ours")
    with another(NAME=str(tmp_path / "nowhere" / "db")) as other:
        assert "cannot be read or written" in cause(met(other.ensure_connection))
    (tmp_path / "db").write_bytes(b"this is no database " * 1000)
    with another(NAME=str(tmp_path / "db")) as other:
        assert "damaged" in cause(met(other.ensure_connection))
    with closing(sqlite3.connect(tmp_path / "torn")) as made:
        made.execute("CREATE TABLE t (a)")
        made.executemany("INSERT INTO t VALUES (?)", [("x" * 3000,)] * 50)
        made.commit()
    torn = (tmp_path / "torn").read_bytes()
    (tmp_path / "torn").write_bytes(torn[:4096] + b"\xff" * 4096 + torn[8192:])
    with another(NAME=str(tmp_path / "torn")) as other:
        assert "damaged" in cause(met(lambda: execute("SELECT count(a) FROM t", other)))


def test_a_server_that_is_gone_or_lets_nobody_in_is_an_outage() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no server")
    silent = "The database does not answer."
    with another() as other:
        execute("SELECT 1", other)
        pid = other.connection.info.backend_pid
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        assert cause(met(lambda: execute("SELECT 1", other))) == silent
        assert cause(met(lambda: execute("SELECT 1", other))) == silent  # the connection is known to be closed
    with another(PORT="1", HOST="127.0.0.1") as other:
        assert cause(met(other.ensure_connection)) == silent
    with another(NAME="nowhere") as other:
        assert cause(met(other.ensure_connection)) == silent
    with another() as other:
        execute("SET statement_timeout = '20ms'", other)
        assert cause(met(lambda: execute("SELECT pg_sleep(5)", other))) == silent


def test_a_deadlock_is_told_as_busy() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite lets one write at a time")
    update = "UPDATE plans_recoveryplan SET version = 7 WHERE id = '{}'"
    one, two = (update.format(world.plan().pk) for _ in range(2))
    with another() as other:
        execute("SET deadlock_timeout = '10s'", other)  # so that it is ours to notice
        execute("SET deadlock_timeout = '50ms'")
        execute("BEGIN", other)
        execute(two, other)
        waiting = threading.Thread(target=execute, args=[one, other])

        def in_each_others_way() -> None:
            with transaction.atomic():
                execute(one)
                waiting.start()
                execute(two)

        try:
            assert "busy" in cause(met(in_each_others_way))
        finally:
            execute("SET deadlock_timeout = '1s'")
            waiting.join()
            execute("COMMIT", other)


def test_the_api_tells_a_mistake_of_ours_as_one_and_logs_where_it_was(
    admin: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with spoiled(lambda sql, _: "executions_execution" in sql) as spoilt, caplog.at_level(logging.ERROR):
        told = admin.get("/executions")
    assert spoilt
    assert refusal(told, 500, "INTERNAL_ERROR")["requestId"]
    (line,) = [each for each in caplog.records if each.name == "contract.rest.handlers"]
    assert line.exc_info
    assert isinstance(line.exc_info[1], OperationalError)


def test_a_page_tells_a_mistake_of_ours_as_one(admin: Api) -> None:
    admin.client.force_login(admin.user)
    with spoiled(lambda sql, _: "plans_recoveryplan" in sql) as spoilt:
        page = admin.client.get("/recovery-plans")
    assert spoilt
    assert page.status_code == 500
    assert "database" not in page.content.decode().lower()


def test_readyz_calls_a_failed_query_no_silence(caplog: pytest.LogCaptureFixture) -> None:
    health.latest.forget()
    with spoiled(lambda sql, _: "django_migrations" in sql), caplog.at_level(logging.ERROR):
        told = readyz().json()
    health.latest.forget()
    assert told["checks"] == {"database": "a query failed; the log says why"}
    (line,) = [each for each in caplog.records if each.name == "drsorch_site.health"]
    assert line.exc_info
    assert isinstance(line.exc_info[1], OperationalError)
