"""The choice of a point in time in the dialogs: shown before anything starts, also without JavaScript."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from executions.models import Execution, ServerRun
from plans.models import RecoveryPlan
from protection.inventory import points_in_time
from tests.support.stage import Stage

pytestmark = pytest.mark.slow


def text_of(answer: Any) -> str:
    return " ".join(re.sub("<[^>]+>", " ", answer.content.decode()).split())


@pytest.fixture
def plan(stage: Stage) -> RecoveryPlan:
    points_in_time.forget(stage.ids("app-01 app-02"))
    stage.simulator.scenario("snapshots_deleted", servers=["app-02"])
    return stage.plan("app-01 app-02", name="Payments")


def test_nothing_starts_from_snapshots_that_were_not_shown(console: Client, stage: Stage, plan: RecoveryPlan) -> None:
    address = reverse("start-drill", args=[plan.pk])
    assert "The newest: AWS takes a snapshot of each server" in text_of(console.get(address))
    assert not stage.simulator.journal("DescribeRecoverySnapshots"), "asked of AWS without need"
    typed = f"{datetime.now(UTC) - timedelta(hours=3):%Y-%m-%dT%H:%M}"
    shown = console.post(address, {"point": typed})
    assert (shown.status_code, Execution.objects.count()) == (422, 0)
    text = text_of(shown)
    assert "These are the snapshots of that time. Nothing was started. Check them, then start." in text
    assert "1 server had no snapshot by then, will not be launched and counts as failed: app-02." in text
    assert b"<circle" in shown.content
    assert shown.content.count(b"pit-") == 1
    seen = re.search(r'name="seen" value="(\w+)"', shown.content.decode())
    assert seen is not None
    assert seen[1] in console.get(address, {"point": typed}).content.decode()

    # What DRS has by then is another thing than what was shown.
    points_in_time.forget(stage.ids("app-01 app-02"))
    stage.simulator.clear_scenarios()
    assert console.post(address, {"point": typed, "seen": seen[1]}).status_code == 422
    seen = re.search(r'name="seen" value="(\w+)"', console.get(address, {"point": typed}).content.decode())
    assert seen is not None
    started = console.post(address, {"point": typed, "seen": seen[1]})
    run = Execution.objects.get()
    assert started.headers["Location"] == reverse("execution", args=[run.pk])
    assert run.snapshots_until is not None
    assert set(ServerRun.objects.values_list("recovery_snapshot_id", flat=True)) != {""}
    page = text_of(console.get(started.headers["Location"]))
    assert f"Launched from the newest snapshots at or before {typed.replace('T', ' ')}:00 UTC" in page


def test_it_says_what_is_wrong_with_a_time(console: Client, stage: Stage, plan: RecoveryPlan) -> None:
    address = reverse("start-drill", args=[plan.pk])
    stage.simulator.scenario("access_denied", operation="DescribeRecoverySnapshots")
    for typed, told in (
        ("2999-01-01T00:00", "in the future"),
        ("soon", "such as"),
        ("2026-01-01T00:00", "Check the IAM"),
    ):
        answer = console.post(address, {"point": typed})
        assert told in text_of(answer), told
    assert not Execution.objects.exists()
