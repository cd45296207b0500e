"""What is told of a run, to whom, and in which words."""

import re

import pytest
from django.contrib.auth.models import Group
from django.test import override_settings

from audit.actor import SYSTEM, Actor
from executions.codes.ours import Code
from executions.commands import control
from executions.models import Execution
from executions.states import Kind
from notify.models import Delivery, Notice
from tests.console import world
from tests.support.api_client import make_user
from tests.support.stage import Stage

YEAR = 31_536_000


def told(run: Execution) -> list[str]:
    return [each.event for each in Notice.objects.filter(execution_id=run.pk).order_by("happened_at", "id")]


def last(event: str) -> Notice:
    return Notice.objects.filter(event=event).latest("happened_at")


def test_a_run_from_start_to_end(stage: Stage) -> None:
    make_user("operator")  # makes the roles
    world.subscription()
    plan = stage.plan("app-01", "web-01", pause={1}, name="Payments")
    run = stage.start(plan)
    stage.until(run, "PAUSED")
    waits = last("PAUSED")
    assert waits.subject == "Drill of Payments is waiting for an operator before wave 2 (Tier 2)"
    link = f"http://127.0.0.1:8000/executions/{run.pk}#resume"
    assert f"Resume: {link}" in waits.text
    assert "Waiting for: anyone who may resume runs (admin, operator, recovery-manager)" in waits.text
    assert waits.data["resumeUrl"] == link
    assert waits.data["waitingFor"] == ["admin", "operator", "recovery-manager"]
    paused_at = stage.waves(run)[1].paused_at
    assert paused_at is not None
    assert waits.data["pausedSince"] == int(paused_at.timestamp())
    assert f"Since: {paused_at:%Y-%m-%d %H:%M:%S} UTC" in waits.text
    stage.advance(60)
    control.resume(actor=Actor("ann@example.com", kind="system"), execution_id=run.pk, clock=stage.clock)
    stage.until(run, "COMPLETED")
    assert told(run) == ["STARTED", "PAUSED", "RESUMED", "FINISHED"]
    goes_on = last("RESUMED")
    assert goes_on.subject == "Drill of Payments continues with wave 2 (Tier 2), resumed by ann@example.com"
    assert goes_on.data["waitedSeconds"] >= 60
    finished = last("FINISHED")
    assert finished.subject == "Drill of Payments completed: 2 of 2 servers launched"
    assert finished.data["status"] == "COMPLETED"
    assert finished.data["executionId"] == str(run.pk)
    assert (finished.data["serversLaunched"], finished.data["serversTotal"]) == (2, 2)


def test_it_names_who_started_it_not_who_they_say(stage: Stage) -> None:
    world.subscription()
    plan = stage.plan("app-01", name="Payments")
    mallory = Actor("mallory@example.com", kind="system")
    run = control.start(actor=mallory, plan_id=plan.pk, kind=Kind.DRILL, initiated_by="The Board", clock=stage.clock)
    told = last("STARTED")
    assert told.subject == "Drill of Payments started by mallory@example.com, for The Board"
    assert re.search(r"^Started: .* UTC by mallory@example.com, for The Board$", told.text, re.MULTILINE)
    assert (told.data["startedBy"], told.data["initiatedBy"]) == ("mallory@example.com", "The Board")
    stage.until(run, "COMPLETED")
    assert "by mallory@example.com, for The Board" in last("FINISHED").text


def test_a_failed_run(stage: Stage) -> None:
    world.subscription()
    stage.simulator.scenario("access_denied", operation="StartRecovery")
    run = stage.start(stage.plan("app-01"), Kind.RECOVERY)
    stage.until(run, "FAILED")
    assert told(run) == ["STARTED", "FAILED"]
    failed = last("FAILED")
    assert failed.subject.startswith("Recovery of Plan")
    assert "failed: 0 of 1 server launched" in failed.subject
    assert failed.data["errorCode"] == "DRS_ACCESS_DENIED"
    assert failed.data["errorMessage"] in failed.text
    assert str(Code.DRS_ACCESS_DENIED.explanation) in failed.text


def test_a_wave_that_times_out(stage: Stage) -> None:
    world.subscription()
    stage.simulator.scenario("never_settles")
    with override_settings(WAVE_TIMEOUT_SECONDS=60):
        run = stage.start(stage.plan("app-01"))
        stage.until(run, "FAILED", "PARTIAL")
    assert told(run) == ["STARTED", "TIMED_OUT", "FAILED"]
    assert last("TIMED_OUT").subject.endswith("timed out in wave 1 (Tier 1)")
    assert str(Code.WAVE_TIMEOUT.explanation) in last("TIMED_OUT").text


def test_a_run_that_nobody_resumes(stage: Stage) -> None:
    world.subscription()
    run = stage.start(stage.plan("app-01", "web-01", pause={1}))
    stage.until(run, "PAUSED")
    stage.advance(YEAR + 60)
    stage.look()
    assert told(run)[:3] == ["STARTED", "PAUSED", "TIMED_OUT"]
    lines = last("TIMED_OUT").text.splitlines()
    nobody = "Nobody let the run go on within a year, or in the time that its gate gives for that."
    assert lines[1:4] == [nobody, Code.PAUSE_EXPIRED.advice, ""]


@pytest.mark.django_db
def test_a_cancelled_run_and_roles_that_are_not_made() -> None:
    world.subscription()
    Group.objects.all().delete()
    run = world.start(world.plan("Payments"))
    control.cancel(actor=Actor("bob", kind="system"), execution_id=run.pk)
    assert told(run) == ["STARTED", "FINISHED"]
    assert last("FINISHED").subject == "Drill of Payments cancelled by bob: 0 of 4 servers launched"
    assert last("FINISHED").data["status"] == "CANCELLED"
    again = world.start(world.plan("Orders"))
    Execution.objects.filter(pk=again.pk).update(attempt=2, first_attempt_id=run.pk)
    control.cancel(actor=Actor("bob", kind="system"), execution_id=again.pk)
    assert last("FINISHED").subject.endswith(": 0 of 4 servers launched by attempt 2"), "it has only what was left"


@pytest.mark.django_db
def test_it_tells_those_who_asked_for_that_plan_and_that_event() -> None:
    payments, orders = world.plan("Payments"), world.plan("Orders")
    world.subscription("all")
    world.subscription("payments", plan_id=payments.pk)
    world.subscription("orders", plan_id=orders.pk)
    world.subscription("ends", events=["FINISHED"])
    world.subscription("off", enabled=False)
    run = world.start(payments)
    control.cancel(actor=SYSTEM, execution_id=run.pk)

    def to(event: str) -> set[str]:
        found = Delivery.objects.filter(notice__event=event)
        return set(found.values_list("subscription__name", flat=True))

    assert to("STARTED") == {"all", "payments"}
    assert to("FINISHED") == {"all", "payments", "ends"}
    assert Notice.objects.count() == 2


@pytest.mark.django_db
def test_a_subscription_to_a_deleted_plan_is_not_one_to_all() -> None:
    from plans.services import delete_plan

    plan = world.plan("Payments")
    subscription = world.subscription(plan_id=plan.pk)
    delete_plan(actor=SYSTEM, plan_id=plan.pk)
    subscription.refresh_from_db()
    assert (subscription.all_plans, subscription.plan_id) == (False, None)
    world.start(world.plan("Orders"))
    assert not Notice.objects.exists()
