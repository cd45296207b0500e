"""Readiness that is too old to be believed is not shown as true, also where nothing but time has passed."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from executions.models import PlanReadiness
from executions.readiness.stored_verdicts import refresh
from plans.models import RecoveryPlan
from protection.models import RegionInventory, SourceServer
from tests.console import world
from tests.console.polls.test_dashboard import next_poll, poll
from tests.console.test_before_and_again import known
from tests.console.test_pages import look, words

pytestmark = pytest.mark.both

HOURS = timedelta(hours=6)


def test_an_open_dashboard_learns_that_what_it_shows_has_become_too_old(console: Client) -> None:
    """An engine beats, and reads nothing, so no row changes."""
    world.plan("Payments")
    known()
    refresh(timezone.now())
    html = look(console, "dashboard")
    assert "1 Ready" in words(html)
    assert poll(console, next_poll(html)).status_code == 204
    PlanReadiness.objects.update(expires_at=timezone.now())
    answer = poll(console, next_poll(html))
    html = answer.content.decode()
    assert "1 Not known" in words(html)
    assert poll(console, next_poll(html)).status_code == 204
    RegionInventory.objects.update(as_of=timezone.now() - HOURS)
    assert "Out of date" in words(poll(console, next_poll(html)).content.decode())


def test_an_open_dashboard_learns_that_a_plan_was_changed_since_it_was_weighed(console: Client) -> None:
    world.plan("Payments")
    known()
    refresh(timezone.now())
    html = look(console, "dashboard")
    RecoveryPlan.objects.update(version=2)
    assert "1 Not known" in words(poll(console, next_poll(html)).content.decode())


def test_lists_and_questions_say_how_old_their_readiness_is(console: Client) -> None:
    plan = world.plan("Payments", sizes=(2, 2))
    assert "All ready</span>" in look(console, "groups")
    SourceServer.objects.filter(name="Payments server 1-1").update(replication_state="STALLED")
    SourceServer.objects.filter(name="Payments server 0-0").update(seen_at=timezone.now() - HOURS)
    SourceServer.objects.filter(name="Payments server 1-0").update(seen_at=timezone.now() - HOURS)
    html = look(console, "groups")
    assert "All ready, data from AWS 6 hours ago" in words(html)
    assert 'data-tone="success"' not in html
    assert "1 of 2 ready 1 Stalled Out of date, data from AWS 6 hours ago" in words(html)
    for name in ("start-drill", "plan"):
        assert "3 of 4 ready 1 Stalled Out of date, data from AWS 6 hours ago" in words(look(console, name, plan.pk))
