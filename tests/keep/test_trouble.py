"""A full disk, a read-only database, one that is gone: nothing is lost, and everybody is told what is wrong."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection
from django.test import Client

from audit.actor import SYSTEM
from audit.journal import record
from audit.models import AuditEntry
from contract.clock import db_clock
from contract.database_errors import cause
from drsorch_site import health
from executions.models import Execution, LaunchJob, Pacemaker
from tests.support.api_client import Api
from tests.support.readiness import readyz
from tests.support.stage import Stage

pytestmark = pytest.mark.both


def run_sql(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@contextmanager
def read_only() -> Iterator[None]:
    """The database itself refuses to write, for this connection."""
    sqlite = connection.vendor == "sqlite"
    run_sql("PRAGMA query_only=ON" if sqlite else "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    try:
        yield
    finally:
        run_sql("PRAGMA query_only=OFF" if sqlite else "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")


def fill_up() -> None:
    """Use what is left in the journal's pages, which every action needs."""
    for number in range(10_000):
        record(SYSTEM, "test.note", subject_kind="test", subject_id=number, detail={"text": "x" * 200})


@contextmanager
def full_disk() -> Iterator[None]:
    """SQLite's file may not grow by a page. PostgreSQL cannot be filled quickly: its error is raised in its place."""
    if connection.vendor == "sqlite":
        run_sql("VACUUM", "PRAGMA max_page_count=1")  # no less than there are: not one more
        try:
            with pytest.raises(OperationalError, match="disk is full"):
                fill_up()
            yield
        finally:
            run_sql("PRAGMA max_page_count=1073741823")
        return

    def refuse(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(("INSERT", "UPDATE")):
            raise OperationalError('could not extend file "base/1/2": No space left on device')
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        yield


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("trouble", "words"),
    [(full_disk, "disk is full"), (read_only, "The database is read-only")],
    ids=["full", "read-only"],
)
def test_the_api_and_the_console_say_what_is_wrong_and_lose_nothing(
    stage: Stage, admin: Api, trouble: Callable[[], Any], words: str
) -> None:
    plan = stage.plan("app-01")
    admin.client.force_login(admin.user)
    with trouble():
        entries = AuditEntry.objects.filter(refused=False).count()
        answers = [admin.post("/executions", {"planId": str(plan.pk), "executionType": "DRILL"}) for _ in range(5)]
        page = admin.client.post(f"/recovery-plans/{plan.pk}/start-drill")
        assert admin.get("/recovery-plans").status_code == 200
    refused = [each for each in answers if each.status_code == 503]
    assert refused
    told = refused[-1].json()
    assert (told["error"], told["details"]) == ("DATABASE_UNAVAILABLE", {})
    assert words in told["message"]
    assert refused[-1]["Retry-After"] == "5"
    accepted = sum(each.status_code == 202 for each in answers)
    assert Execution.objects.count() == accepted  # whole or not at all
    if not accepted:
        assert page.status_code == 503
        assert words in page.content.decode()
        assert AuditEntry.objects.filter(refused=False).count() == entries
        assert admin.post("/executions", {"planId": str(plan.pk), "executionType": "DRILL"}).status_code == 202


@pytest.mark.parametrize("trouble", [full_disk, read_only], ids=["full", "read-only"])
def test_an_engine_goes_on_once_it_can_save_again(stage: Stage, trouble: Callable[[], Any]) -> None:
    run = stage.start(stage.plan("app-01", "web-01"))
    with trouble():
        for _ in range(3):
            with pytest.raises(DatabaseError) as met:
                stage.look()
            assert cause(met.value)
            stage.advance(70)  # the lease of the step that failed
    assert len(stage.launches()) <= 1
    stage.advance(700)  # leases and quarantine
    stage.until(run, "COMPLETED")
    assert len(stage.launches()) == 2
    assert len({call["params"]["tags"]["drsorch:launch"] for call in stage.launches()}) == 2


def test_a_job_id_that_could_not_be_saved_is_found_again(stage: Stage) -> None:
    """The disk fills up between the intent and AWS's answer."""
    run = stage.start(stage.plan("app-01"))

    def refuse(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if stage.launches() and sql.startswith('UPDATE "executions_launchjob"'):
            raise OperationalError("database or disk is full")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse), pytest.raises(OperationalError):
        stage.look()
    assert LaunchJob.objects.get().job_id == ""
    assert len(stage.launches()) == 1
    stage.advance(120)
    stage.until(run, "COMPLETED")
    assert len(stage.launches()) == 1
    assert AuditEntry.objects.filter(verb="launch.adopted").count() == 1


@pytest.mark.django_db(transaction=True)
def test_readyz_gives_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    Pacemaker.objects.create(pk=1, beat_at=db_clock())
    client = Client()
    assert readyz(client).status_code == 200
    health.latest.forget()
    with read_only():
        answer = readyz(client)
    assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "is read-only")
    if connection.vendor == "sqlite":
        monkeypatch.setattr(health, "LEAST_FREE", 10**18)
        health.latest.forget()
        answer = readyz(client)
        assert answer.status_code == 503
        assert answer.json()["checks"]["database"].startswith("its disk is full: ")


def test_mistakes_of_ours_are_no_outage() -> None:
    assert cause(IntegrityError("UNIQUE constraint failed")) == ""
    assert cause(ValueError("disk is full")) == ""
    assert cause(OperationalError("connection refused")) == "The database does not answer."
