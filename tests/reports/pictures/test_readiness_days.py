"""Readiness by day: noted once an hour whoever asks, never ready where nobody looked."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from contract.rights import EVERYWHERE, Reach
from executions.models import PlanReadiness
from executions.states import Verdict
from plans.models import PlanLabel, RecoveryPlan
from reports.history.readiness_days import days_of_all, days_of_plan, note
from reports.history.strips import PlanStrip, WholeStrip
from reports.models import ReadinessDay
from tests.console import world
from tests.support.api_client import Api

NOON = datetime(2026, 11, 29, 12, 5, tzinfo=UTC)
TODAY = NOON.date()
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def weigh(plan: RecoveryPlan, verdict: Verdict, until: datetime = NOON + 365 * DAY) -> None:
    told = {"verdict": verdict, "plan_version": plan.version, "checked_at": NOON, "expires_at": until}
    PlanReadiness.objects.update_or_create(plan=plan, defaults=told)


@pytest.mark.both
def test_an_hour_is_noted_once_and_what_is_not_believed_is_not_known(db: None) -> None:
    good, bad, old = world.plan("Good"), world.plan("Bad"), world.plan("Old")
    RecoveryPlan.objects.update(created_at=NOON - DAY)
    weigh(good, Verdict.READY)
    weigh(bad, Verdict.NOT_READY)
    weigh(old, Verdict.READY, until=NOON - HOUR)
    assert note(NOON) == 3
    assert note(NOON + timedelta(minutes=20)) == 0, "two engines, or one that is late, note it once"
    weigh(bad, Verdict.READY)
    RecoveryPlan.objects.filter(pk=good.pk).update(version=9)  # changed, and not weighed since
    assert note(NOON + HOUR) == 3
    counts = {
        each.plan.name: (each.ready, each.warnings, each.unknown, each.not_ready)
        for each in ReadinessDay.objects.select_related("plan")
    }
    assert counts == {"Good": (1, 0, 1, 0), "Bad": (1, 0, 0, 1), "Old": (0, 0, 2, 0)}
    state = {each: days_of_plan(plan.pk, TODAY)[TODAY] for each, plan in (("good", good), ("bad", bad), ("old", old))}
    assert state == {
        "good": (Verdict.READY, 2, 1),  # an hour in which nobody knew is no whole day
        "bad": (Verdict.NOT_READY, 2, 0),  # one bad hour is a bad day
        "old": (Verdict.UNKNOWN, 2, 2),
    }
    words = PlanStrip(days_of_plan(good.pk, TODAY), TODAY).days[-1].words
    assert words == f"{TODAY}: Ready, 2 looks, 1 of them not known"
    assert note(NOON + 100 * DAY) == 3
    assert ReadinessDay.objects.count() == 6
    assert note(NOON + 101 * DAY) == 3
    assert not ReadinessDay.objects.filter(day=TODAY).exists(), "what nobody is shown any more is gone"


def test_a_plan_of_which_nothing_could_be_said_yet_spoils_no_day(db: None) -> None:
    """An engine weighs a new plan before it has read the region: that hour says nothing of the plan."""
    plan = world.plan("New")
    RecoveryPlan.objects.update(created_at=NOON)
    weigh(plan, Verdict.UNKNOWN)
    assert note(NOON) == 0
    weigh(plan, Verdict.READY_WITH_WARNINGS)
    assert note(NOON + timedelta(minutes=2)) == 1
    assert days_of_plan(plan.pk, TODAY)[TODAY] == (Verdict.READY_WITH_WARNINGS, 1, 0)


def test_days_without_a_record_are_never_ready(admin: Api) -> None:
    plan = world.plan("Payments")
    today = timezone.now().astimezone(UTC).date()
    ReadinessDay.objects.create(plan=plan, day=today - 2 * DAY, hour=23, ready=20, warnings=4)
    ReadinessDay.objects.create(plan=plan, day=today - 5 * DAY, hour=1, ready=2)
    strip = PlanStrip(days_of_plan(plan.pk, today), today)
    assert strip.sentence == "Of 90 days: 1 ready, 1 ready with warnings, 88 not recorded."
    assert [(each.days, each.state) for each in strip.stretches] == [
        (2, None), (1, Verdict.READY_WITH_WARNINGS), (2, None), (1, Verdict.READY), (84, None),
    ]  # fmt: skip
    assert {each.tall for each in strip.days if each.state is None} == {0}
    assert len({each.tall for each in strip.days}) == 3, "told apart without color"
    admin.client.force_login(admin.user)
    page = admin.client.get(f"/recovery-plans/{plan.pk}/history").content.decode()
    assert "88 not recorded" in page
    assert page.count('class="solid"') == 2
    for place in ("/", "/ledger"):
        assert 'hx-get="/readiness-history"' in admin.client.get(place).content.decode()
    assert "Of 90 days every plan was ready, with or without warnings, on 2" in (
        admin.client.get("/readiness-history").content.decode()
    )
    ReadinessDay.objects.all().delete()
    assert "No day was recorded yet" in admin.client.get("/readiness-history").content.decode()


@pytest.mark.both
def test_all_plans_are_those_that_somebody_sees(db: None) -> None:
    mine, other = world.plan("Mine"), world.plan("Other")
    PlanLabel.objects.create(plan=mine, key="app", value="x")
    ReadinessDay.objects.create(plan=mine, day=TODAY, hour=1, ready=3)
    ReadinessDay.objects.create(plan=other, day=TODAY, hour=1, not_ready=1, ready=2)
    assert days_of_all(EVERYWHERE, TODAY) == {TODAY: {Verdict.READY: 1, Verdict.NOT_READY: 1}}
    scoped = days_of_all(Reach(labels=frozenset({("app", "x")})), TODAY)
    assert scoped == {TODAY: {Verdict.READY: 1}}
    whole = WholeStrip(days_of_all(EVERYWHERE, TODAY), TODAY).days[-1]
    assert [(each.state, each.plans) for each in whole.shares] == [(Verdict.READY, 1), (Verdict.NOT_READY, 1)]
    assert days_of_all(EVERYWHERE, date(2026, 1, 1)) == {}


def test_an_engine_notes_it_by_its_command(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    plan = world.plan("Payments")
    call_command("note_readiness")
    assert "Noted of 0 plans." in capsys.readouterr().out, "it is new, and waits for its first verdict"
    RecoveryPlan.objects.filter(pk=plan.pk).update(created_at=timezone.now() - 2 * HOUR)
    call_command("note_readiness")
    assert "Noted of 1 plans." in capsys.readouterr().out
    assert ReadinessDay.objects.get().unknown == 1, "nobody has weighed it yet"
