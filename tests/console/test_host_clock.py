"""A web host whose clock is wrong: what an engine wrote is as old as the database says."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from executions.pacemaker import SILENT_AFTER, is_alive
from executions.readiness.facts import believed_for
from executions.states import Verdict
from tests.console import world
from tests.console.test_before_and_again import known
from tests.console.test_pages import look

pytestmark = pytest.mark.both

PAGES = ["dashboard", "plans", "executions", "groups", "servers", "settings"]
SILENT = "No engine is running"


def shift(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """From now on this host's clock is wrong."""
    right = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: right() + by)


@pytest.mark.parametrize("page", PAGES)
def test_an_engine_that_beats_is_alive_also_on_a_host_that_is_ahead(
    console: Client, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    world.beat()
    shift(monkeypatch, timedelta(seconds=60))
    assert SILENT not in look(console, page)


@pytest.mark.parametrize("page", PAGES)
def test_an_engine_that_is_silent_is_so_also_on_a_host_that_is_behind(
    console: Client, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    world.beat(at=timezone.now() - SILENT_AFTER - timedelta(seconds=1))
    shift(monkeypatch, timedelta(seconds=-60))
    assert SILENT in look(console, page)


def test_it_is_told_to_the_second() -> None:
    world.beat(at=timezone.now() - SILENT_AFTER + timedelta(seconds=2))
    assert is_alive()
    world.beat(at=timezone.now() - SILENT_AFTER - timedelta(seconds=0.1))
    assert not is_alive()


@pytest.mark.parametrize("page", ["plan", "start-drill"])
def test_readiness_is_believed_as_long_as_the_database_says(
    console: Client, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    plan = world.plan("Payments")
    known()
    right = assessed(console, page, plan.pk)
    shift(monkeypatch, believed_for())
    assert assessed(console, page, plan.pk) is right is not Verdict.UNKNOWN


def assessed(console: Client, page: str, key: object) -> Verdict:
    verdict: Verdict = console.get(reverse(page, args=[key])).context["assessed"].verdict
    return verdict


def test_a_run_and_its_polls_say_it_too(console: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    run = world.paused()
    shift(monkeypatch, timedelta(seconds=60))
    assert SILENT not in look(console, "execution", run.pk)
    poll = reverse("execution-live", args=[run.pk])
    headers = {"HX-Request": "true"}
    run.refresh_from_db()
    assert console.get(f"{poll}?rev={run.revision}&engine=1", headers=headers).status_code == 204
