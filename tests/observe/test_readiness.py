"""Strangers learn from `/readyz` whether all is well, and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import Client, override_settings

from drsorch_site import health
from tests.console import world
from tests.support.api_client import make_user
from tests.support.readiness import TOKEN, readyz

pytestmark = [pytest.mark.both, pytest.mark.django_db]


@contextmanager
def outage() -> Iterator[None]:
    def refuse(*_: Any) -> Any:
        raise OperationalError("connection refused")

    health.latest.forget()
    with connection.execute_wrapper(refuse):
        yield
    health.latest.forget()


def test_a_stranger_is_told_the_status_alone() -> None:
    world.region("us-east-1")
    for beat, answer in ((False, (503, {"status": "not ready"})), (True, (200, {"status": "ok"}))):
        if beat:
            world.beat()
        health.latest.forget()
        for authorization in ("", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer \u0661"):
            with override_settings(METRICS_TOKEN=TOKEN):
                told = Client().get("/readyz", headers={"Authorization": authorization})
            assert (told.status_code, told.json()) == answer, authorization
        told = Client().get("/readyz", headers={"Authorization": "Bearer "})  # no token is set: none opens it
        assert (told.status_code, told.json()) == answer


def test_monitors_and_people_who_are_signed_in_are_told_why() -> None:
    world.region("us-east-1")
    reader = Client()
    reader.force_login(make_user("viewer"))
    for told in (readyz(), reader.get("/readyz")):
        assert told.status_code == 503
        assert told.json()["checks"]["engine"] == "none has run yet"
        assert set(told.json()["inventory"]) == {"us-east-1"}
    reader.logout()
    assert set(reader.get("/readyz").json()) == {"status"}


def test_without_a_database_nobody_can_be_recognized_but_by_the_token(capsys: pytest.CaptureFixture[str]) -> None:
    world.beat()
    reader = Client(raise_request_exception=False)
    reader.force_login(make_user("viewer"))
    with outage():
        told = Client().get("/readyz")
        assert (told.status_code, told.json()) == (503, {"status": "not ready"})
        assert reader.get("/readyz").status_code == 503
        assert readyz().json()["checks"] == {"database": "The database does not answer."}
        with pytest.raises(CommandError, match=r"Not ready\."):
            call_command("ready")
        assert "database: The database does not answer." in capsys.readouterr().out
    call_command("ready")
    assert "engine: ok" in capsys.readouterr().out
