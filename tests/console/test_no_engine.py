"""No engine alive: no page, list or answer says that a plan is ready, and who starts one is told what comes of it."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from contract.clock import db_clock, unix
from drs_simulator.testing import RunningSimulator
from drsorch_site.page_context import beat as known_beat
from executions.models import Execution, Pacemaker, PlanReadiness
from executions.pacemaker import SILENT_AFTER
from executions.readiness.facts import readiness_of
from executions.readiness.stored_verdicts import overview, refresh
from executions.states import ExecutionStatus, Verdict
from plans.models import RecoveryPlan
from tests.console import world
from tests.console.polls.test_dashboard import next_poll, poll
from tests.console.test_before_and_again import known
from tests.console.test_pages import look, words
from tests.support.api_client import Api, answer, make_user

HOW = "python manage.py engine"
READY = {Verdict.READY, Verdict.READY_WITH_WARNINGS}


def die() -> None:
    """The last heartbeat is older than an engine that lives would leave it."""
    world.beat(at=db_clock() - SILENT_AFTER - timedelta(seconds=1))
    known_beat.asked_at = float("-inf")


def never_run() -> None:
    Pacemaker.objects.all().delete()
    known_beat.asked_at = float("-inf")


@pytest.fixture
def plan(db: None) -> RecoveryPlan:
    """All is known and well, and an engine has weighed it."""
    made = world.plan("Payments")
    known()
    assert refresh(db_clock()) == 1
    return made


@pytest.mark.parametrize("dies", [die, never_run])
def test_it_is_not_ready_on_its_page_and_in_the_api(
    console: Client, admin: Api, plan: RecoveryPlan, dies: Callable[[], None]
) -> None:
    path = f"/recovery-plans/{plan.pk}/readiness"
    assert admin.get(path).json()["verdict"] == "READY_WITH_WARNINGS"
    dies()
    answer = admin.get(path).json()
    assert (answer["verdict"], answer["reasons"][0]["code"]) == ("NOT_READY", "ENGINE_NOT_ALIVE")
    assert answer["reasons"][0]["severity"] == "BLOCKING"
    text = words(look(console, "plan", plan.pk))
    assert "Would a run work now? Not ready No engine is running, so nothing would launch." in text
    assert HOW in text
    world.beat()
    assert readiness_of([plan.pk], db_clock())[plan.pk].verdict in READY


def test_what_was_kept_while_it_lived_is_not_believed_any_more(console: Client, plan: RecoveryPlan) -> None:
    html = look(console, "dashboard")
    assert "1 Ready with warnings" in words(html)
    assert poll(console, next_poll(html)).status_code == 204
    die()
    html = poll(console, next_poll(html)).content.decode()  # on a page that is open
    for text in (words(html), words(look(console, "dashboard"))):
        assert "1 Not ready" in text
        assert "Ready with warnings" not in text
        assert "nothing would launch" in text
    assert PlanReadiness.objects.get().verdict in READY  # kept without the engine in it, so nothing has to be weighed
    world.beat()
    assert "1 Ready with warnings" in words(poll(console, next_poll(html)).content.decode())


def test_what_is_kept_says_nothing_of_the_engine(plan: RecoveryPlan) -> None:
    """Whatever weighed it: an engine may beat again before it is weighed anew."""
    die()
    later = db_clock() + timedelta(minutes=3)
    refresh(later)
    assert PlanReadiness.objects.get().verdict in READY
    assert overview(later, 5, engine_alive=False).counts[Verdict.NOT_READY] == 1
    assert overview(later, 5, engine_alive=True).counts[Verdict.READY_WITH_WARNINGS] == 1


@pytest.mark.parametrize("question", ["start-drill", "start-recovery"])
def test_the_question_before_a_start_says_that_nothing_launches(
    chief: Client, plan: RecoveryPlan, question: str
) -> None:
    assert "No engine" not in words(look(chief, question, plan.pk))
    die()
    html = look(chief, question, plan.pk)
    dialog = words(html[html.index(f'id="{question.replace("-", "_")}"') :])
    assert dialog.count("No engine is running") == 1
    assert "nothing launches until one is started" in dialog
    assert HOW in dialog
    assert "Not ready" in dialog


def test_a_start_is_taken_all_the_same_and_its_page_says_that_it_waits(
    chief: Client, plan: RecoveryPlan, simulator: RunningSimulator
) -> None:
    die()
    chief.post(reverse("start-drill", args=[plan.pk]))
    run = Execution.objects.get()
    assert run.state is ExecutionStatus.PENDING
    text = words(look(chief, "execution", run.pk))
    assert "No engine is running, so this run does not advance. It launches as soon as an engine runs." in text
    assert "within a few seconds" not in text
    world.beat()
    known_beat.asked_at = float("-inf")
    assert "An engine will pick it up within a few seconds." in words(look(chief, "execution", run.pk))


def test_the_question_before_a_retry_says_it_too(chief: Client) -> None:
    run = world.ended(ExecutionStatus.PARTIAL, "Payments", fail="No capacity")
    assert "nothing launches until one is started" not in words(look(chief, "retry-execution", run.pk))
    die()
    assert "nothing launches until one is started" in words(look(chief, "retry-execution", run.pk))


def test_settings_that_say_it_is_silent_ask_until_it_is_back(console: Client) -> None:
    asks = 'id="engine-fact" hx-get="/settings" hx-select="#engine-fact" hx-trigger="every 15s, poll-now"'
    die()
    assert asks in look(console, "settings")
    world.beat()
    assert asks not in look(console, "settings")


def under_way(status: ExecutionStatus, name: str = "ERP", **columns: object) -> Execution:
    """A run of which a forecast is kept: over in ten to fifteen minutes."""
    run, now = world.start(world.plan(name, sizes=(2,), pause=None)), db_clock()
    kept = {"at": unix(now), "revision": 1, "earliest": 600, "remaining": 700, "latest": 900, "critical": []}
    columns |= {"forecast": kept | {"launches": 9, "runs": 5, "gates": 0}, "started_at": now - timedelta(minutes=5)}
    return world.change(run, run.waves.all()[0], status=status, **columns)


def told_by_api(run: Execution) -> list[dict[str, Any]]:
    """Its forecast by itself and in the list."""
    api = Api(make_user("viewer"))
    found = [answer(api.get(f"/executions/{run.pk}")), *answer(api.get("/executions"))["items"]]
    return [each["forecast"] for each in found]


@pytest.mark.parametrize("is_silent", [False, True], ids=["no engine", "AWS is silent"])
def test_no_end_is_promised_while_no_news_of_the_run_comes_in(chief: Client, db: None, is_silent: bool) -> None:
    """It went on promising the old end, some seconds away, for as long as nothing advanced."""
    world.beat()
    known_beat.asked_at = float("-inf")
    run = under_way(ExecutionStatus.LAUNCHING, rto_minutes=60)
    text = words(look(chief, "execution", run.pk))
    assert "the last server is likely up after 15 min" in text
    assert "Likely met" in text
    assert [each["rtoOutlook"] for each in told_by_api(run) if each["expectedEndTime"]] == ["LIKELY_MET"] * 2
    if is_silent:
        world.change(run, failing_since=db_clock())
    else:
        die()
    text = words(look(chief, "execution", run.pk))
    assert "when the last server is up is not known while no news comes in; the target is 1 h" in text
    assert "Expected end Not known while no news comes in" in text
    assert "Likely met" not in text
    assert "likely up" not in text
    assert [(each["expectedEndTime"], each["rtoOutlook"]) for each in told_by_api(run)] == [(None, None)] * 2


def test_what_waits_for_a_person_is_expected_so_long_after_the_resume(chief: Client, db: None) -> None:
    """The bar said so as if somebody resumed the run at once."""
    world.beat()
    waits = under_way(ExecutionStatus.PAUSED)
    text = words(look(chief, "execution", waits.pk))
    assert "the last server is likely up 10 min to 15 min after the resume" in text
    assert "Resume when it may launch." in text, "nothing was launched that could pass checks"
    asked = under_way(ExecutionStatus.LAUNCHING, "Payroll", pause_requested_at=db_clock())
    text = words(look(chief, "execution", asked.pk))
    assert "Expected end, without pauses" in text
    assert re.search(r"likely up after 15 min to 20 min( \d+ s)?, without pauses", text)
