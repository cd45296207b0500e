"""Plans by month: what was drilled and recovered, what failed, and what was overdue."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.actor import SYSTEM
from executions.models import Execution
from executions.states import Kind
from identity.scoped.services import give
from plans.models import PlanLabel, RecoveryPlan
from reports.history.exercises import exercises, months
from reports.history.states import Exercise
from tests.console import world
from tests.support.api_client import Api, make_user

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def plan_of(name: str, made: datetime) -> RecoveryPlan:
    plan = world.plan(name)
    RecoveryPlan.objects.filter(pk=plan.pk).update(created_at=made)
    return RecoveryPlan.objects.get(pk=plan.pk)


def run_at(plan: RecoveryPlan, at: datetime, status: str = "COMPLETED", **columns: Any) -> Execution:
    told = {"kind": Kind.DRILL, "total_waves": 1, "initiated_by": "x", "started_by": "x", "plan_name": plan.name}
    ended = at + timedelta(hours=1) if status in ("COMPLETED", "PARTIAL", "FAILED", "CANCELLED") else None
    due = None if ended else at
    return Execution.objects.create(
        plan=plan, status=status, started_at=at, ended_at=ended, next_step_at=due, **(told | columns)
    )


def told(plan: RecoveryPlan, now: datetime = NOW) -> dict[str, list[tuple[str, int]]]:
    (year,) = exercises([plan], now)
    return {f"{each.month.first:%Y-%m}": [(kind.value, count) for kind, count in each.told] for each in year.cells}


def day(month: int, number: int = 15, year: int = 2026) -> datetime:
    return datetime(year, month, number, 9, tzinfo=UTC)


@pytest.mark.both
def test_each_month_says_what_was_done_and_what_was_overdue(db: None) -> None:
    plan = plan_of("Payments", day(2))
    run_at(plan, day(3))
    run_at(plan, day(3, 20))
    run_at(plan, day(4), "PARTIAL")
    run_at(plan, day(7), "FAILED")
    run_at(plan, day(8), kind=Kind.RECOVERY, hidden_at=day(9))
    run_at(plan, day(9), servers_left_out=1)
    run_at(plan, day(9, 16), "CANCELLED")
    run_at(plan, day(10), dry_run=True)
    run_at(plan, day(11, 28), "RUNNING")
    assert told(plan) == {
        "2025-12": [("NO_PLAN_YET", 1)], "2026-01": [("NO_PLAN_YET", 1)],
        "2026-02": [("NONE", 1)],
        "2026-03": [("GOOD_DRILL", 2)],
        "2026-04": [("FAILED_DRILL", 1)],
        "2026-05": [("NONE", 1)],
        "2026-06": [("OVERDUE", 1)],  # more than 90 days after the last good drill
        "2026-07": [("FAILED_DRILL", 1), ("OVERDUE", 1)],  # what failed proves nothing
        "2026-08": [("RECOVERY", 1)],
        "2026-09": [("INCOMPLETE_DRILL", 2)],
        "2026-10": [("NONE", 1)],
        "2026-11": [("UNDER_WAY", 1), ("OVERDUE", 1)],
    }  # fmt: skip
    assert len(months(NOW)) == 12
    never = plan_of("Never", day(5, 1))
    assert [told(never)[each] for each in ("2026-06", "2026-07")] == [[("NONE", 1)], [("OVERDUE", 1)]]
    before = plan_of("Drilled before the first month", day(1, year=2025))
    run_at(before, day(11, 20, 2025))
    assert [told(before)[each] for each in ("2026-01", "2026-02")] == [[("NONE", 1)], [("OVERDUE", 1)]]


def test_it_is_a_page_with_links_and_a_file(admin: Api) -> None:
    plan, now = world.plan("=Payments <b>"), timezone.now()
    run_at(plan, now)
    admin.client.force_login(admin.user)
    page = admin.client.get("/exercises").content.decode()
    first = now.date().replace(day=1)
    assert f"/executions?plan={plan.pk}&amp;dry_run=no&amp;since={first}&amp;until=" in page
    assert "Good drill" in page
    assert "=Payments &lt;b&gt;" in page
    assert "No plan matches" in admin.client.get("/exercises?q=nothing").content.decode()
    link = f"/executions?plan={plan.pk}&dry_run=no&since={first}&until={(first + timedelta(days=40)).replace(day=1)}"
    assert plan.name.replace("<b>", "&lt;b&gt;") in admin.client.get(link).content.decode()
    table = admin.client.get("/exercises?format=csv")
    rows = list(csv.DictReader(io.StringIO(table.content.decode())))
    assert len(rows) == 12
    assert (rows[-1]["planName"], rows[-1]["GOOD_DRILL"], rows[-1]["overdue"]) == ("'=Payments <b>", "1", "no")
    assert rows[0]["planExisted"] == "no"
    for place in ("/ledger", "/executions"):
        assert 'href="/exercises"' in admin.client.get(place).content.decode()


def test_somebody_sees_the_plans_of_their_scope_alone(client: Client, db: None) -> None:
    mine, other = world.plan("Payments"), world.plan("Secret")
    PlanLabel.objects.create(plan=mine, key="app", value="payments")
    give(actor=SYSTEM, group="Payments people", role="viewer", label="app=payments")
    user = make_user()
    user.groups.add(Group.objects.get(name="Payments people"))
    client.force_login(user)
    assert 'href="/ledger"' not in client.get("/exercises").content.decode(), "it is closed to them"
    for address in ("/exercises", "/exercises?format=csv"):
        told_of = client.get(address).content.decode()
        assert mine.name in told_of
        assert other.name not in told_of


@pytest.mark.both
def test_it_asks_one_question_for_any_number_of_plans(db: None) -> None:
    plans = [plan_of(f"Plan {at}", day(1)) for at in range(5)]
    for each in plans:
        run_at(each, day(3))
    with CaptureQueriesContext(connection) as asked:
        found = exercises(plans, NOW)
    assert len(asked) == 1
    assert {each.cells[3].counts[Exercise.GOOD_DRILL] for each in found} == {1}
