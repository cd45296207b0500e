"""What the browser's own notifications tell: each thing once, however often it is asked; nothing is one query."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from executions.models import Execution
from executions.states import ExecutionStatus, WaveStatus
from tests.console import world
from tests.support.api_client import make_user, sign_in


@pytest.fixture
def viewer(client: Client, db: None) -> Client:
    return sign_in(client, make_user("viewer"))


def ask(client: Client, since: str = "", told: list[str] | None = None) -> Any:
    return client.get(reverse("run-news"), {"since": since, "told": told or []} if since else {})


def titles(answer: Any) -> list[str]:
    return [each["title"] for each in answer.json()["news"]]


@pytest.mark.both
def test_each_is_told_once_and_nothing_costs_one_query(viewer: Client) -> None:
    world.ended(ExecutionStatus.COMPLETED, "Earlier")
    Execution.objects.update(ended_at=timezone.now() - timedelta(minutes=10))
    since = ask(viewer).json()["since"]
    assert ask(viewer, since).status_code == 204
    run = world.paused("Payments")
    world.ended(ExecutionStatus.FAILED, "Ledger", fail="no capacity")
    after = world.paused("Payroll")
    failed = after.waves.all()[0]
    failed.status, failed.asked_at = WaveStatus.FAILED, timezone.now()
    failed.save()
    after.waves.filter(number=1).update(status=WaveStatus.PENDING, paused_at=None)
    run.waves.filter(number=1).update(paused_at=timezone.now())
    answer = ask(viewer, since)
    assert sorted(titles(answer)) == [
        "Drill of Ledger failed", "Drill of Payments waits", "Drill of Payroll waits for a decision",
    ]  # fmt: skip
    body = next(each for each in answer.json()["news"] if "Payments" in each["title"])
    assert body["url"] == reverse("execution", args=[run.pk])
    assert "Before wave 2, until somebody lets it go on." in body["body"]
    newest, told = answer.json()["since"], [each["key"] for each in answer.json()["news"]]
    assert newest > since
    with CaptureQueriesContext(connection) as queries:
        assert ask(viewer, newest, told).status_code == 204
    assert sum("executions_execution" in each["sql"] for each in queries) == 1
    with CaptureQueriesContext(connection) as anything:
        viewer.get(reverse("session"))
    assert len(queries) <= len(anything) + 1
    assert ask(viewer, newest).status_code == 200, "what may have been committed late is looked at again"
    world.change(run, status=ExecutionStatus.CANCELLED, ended_at=timezone.now(), next_step_at=None)
    assert titles(ask(viewer, newest, told)) == ["Drill of Payments was cancelled"]


def test_what_is_no_time_begins_anew_and_old_ends_are_no_news(viewer: Client) -> None:
    world.ended(ExecutionStatus.COMPLETED, "Payments")
    Execution.objects.update(ended_at=timezone.now() - timedelta(hours=2))
    for text in ("x", "9999-12-31T23:59:59+00:00", "2026-01-01", "0001-01-01T00:00:00+00:00"):
        assert ask(viewer, text).json()["news"] == [], text
    assert ask(viewer, (timezone.now() - timedelta(days=3)).isoformat()).status_code == 204


@pytest.mark.both
def test_it_finds_its_rows_through_indexes(viewer: Client) -> None:
    with CaptureQueriesContext(connection) as queries:
        ask(viewer, timezone.now().isoformat())
    (sql,) = [each["sql"] for each in queries if "executions_execution" in each["sql"]]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' if connection.vendor == 'sqlite' else ''}{sql}")
        plan = str(cursor.fetchall())
    assert "execution_ended" in plan
    assert 'SCAN executions_execution"' not in plan
    assert "Seq Scan on executions_execution" not in plan
