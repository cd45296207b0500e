"""A command means what its page showed, a refusal leads back to the run, and ending production looks like it."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audit.actor import SYSTEM
from contract.clock import db_clock
from contract.names import visible
from contract.naming.confirmation import mistyped, to_type
from drs.account import account_id
from executions.commands import control
from executions.models import Execution, LaunchJob
from executions.states import ExecutionStatus, Kind, WaveStatus
from plans.models import RecoveryPlan
from tests.console import world
from tests.console.test_pages import HX, look, words
from tests.support.api_client import Api, answer, make_user


def waiting(number: int = 1) -> Execution:
    """A run of three waves that waits before the wave with this number, from 0."""
    return _wait(world.start(world.plan("Payments", sizes=(1, 1, 1), pause=None)), number)


def _wait(run: Execution, number: int) -> Execution:
    for wave in run.waves.filter(number__lt=number):
        world.launch(wave)
    run.waves.filter(number=number).update(status=WaveStatus.PAUSED)
    return world.change(run, status=ExecutionStatus.PAUSED, pause_requested_at=None, next_step_at=world.in_a_year())


def send(client: Client, name: str, run: Execution, **fields: str) -> str:
    """Send a command as its form does; answers what the page of the run then says at its top."""
    answered = client.post(reverse(name, args=[run.pk]), fields)
    page = reverse("execution", args=[run.pk])
    assert (answered.status_code, answered["Location"]) == (302, page)
    told, later = (re.findall(r'(?s)<div id="done".*?</div>', look(client, "execution", run.pk)) for _ in range(2))
    assert later == [], "it is told once"
    return words(told[0]).strip()


def state(run: Execution) -> tuple[str, list[str]]:
    run.refresh_from_db()
    return run.status, [wave.status for wave in run.waves.all()]


@pytest.mark.both
def test_a_resume_sent_again_does_not_launch_the_next_wave(console: Client) -> None:
    run = waiting()
    assert send(console, "resume-execution", run, wave="1") == "You let the run go on with wave 2."
    assert state(run) == ("RUNNING", ["COMPLETED", "PENDING", "PENDING"])
    assert "The run is not paused." in send(console, "resume-execution", run, wave="1")
    _wait(run, 2)
    before = state(run)
    for meant in ("1", "", "²", "-1"):
        told = send(console, "resume-execution", run, wave=meant)
        assert told.startswith("The run has advanced: it is now paused before wave 3. Nothing was resumed.")
        assert state(run) == before
    answer(Api(make_user("operator")).post(f"/executions/{run.pk}/resume"))  # a client means whatever waits
    assert state(run)[0] == "RUNNING"


@pytest.mark.both
def test_a_pause_that_was_only_asked_for_is_taken_back_by_its_own_button_alone(console: Client) -> None:
    run = world.start(world.plan(sizes=(1, 1), pause=None))
    run = world.change(run, world.launch(run.waves.all()[0], end=False), status=ExecutionStatus.LAUNCHING)
    assert send(console, "pause-execution", run) == "The run was told to wait before its next wave."
    assert send(console, "resume-execution", run, wave="1") == "The run is not paused."
    run.refresh_from_db()
    assert run.pause_requested_at
    assert send(console, "resume-execution", run, wave="") == "The pause was withdrawn."
    run.refresh_from_db()
    assert run.pause_requested_at is None


def test_the_addresses_of_commands_lead_to_the_run_and_change_nothing(console: Client) -> None:
    run = waiting()
    before = state(run)
    for name in ("resume-execution", "pause-execution"):
        address = reverse(name, args=[run.pk])
        assert console.get(address)["Location"] == reverse("execution", args=[run.pk])
        assert console.put(address).status_code == 405
    assert send(console, "pause-execution", run) == "The run is already paused."
    assert state(run) == before


def test_it_says_why_an_operator_may_not_let_a_recovery_go_on(console: Client) -> None:
    waits, asked = world.paused(), world.start(world.plan("Payments", pause=None))
    why = "You may not resume recoveries. Ask an administrator for the right."
    world.change(waits, kind=Kind.RECOVERY)
    assert why in words(look(console, "execution", waits.pk))
    world.change(asked, kind=Kind.RECOVERY, pause_requested_at=db_clock())
    told = words(look(console, "execution", asked.pk))
    assert why in told
    assert "It cannot be paused" not in told


def test_ending_production_does_not_look_like_cleaning_up(chief: Client, simulator: Any) -> None:
    run = world.ended(ExecutionStatus.COMPLETED, "Payments")
    LaunchJob.objects.update(account_id=account_id("us-east-1"))
    address = reverse("terminate-execution", args=[run.pk])
    drill = words(look(chief, "terminate-execution", run.pk))
    assert "Type terminate 4 to confirm" in drill
    assert "production" not in drill
    Execution.objects.filter(pk=run.pk).update(kind=Kind.RECOVERY)
    html = look(chief, "terminate-execution", run.pk)
    assert re.search(r'<h1 id="dialog-title">Terminate 4 instances of <span class="tag" data-tone="danger">', html)
    text = words(html)
    for said in (
        "These 4 instances may run production.", "all data written there since the launch is permanently lost",
        "Type the plan's name, Payments, to confirm",
    ):  # fmt: skip
        assert said in text, said
    for wrong in ("terminate 4", "Paymints", ""):
        refused = chief.post(address, {"confirm": wrong}, headers=HX)
        assert refused.status_code == 422
        assert f'value="{wrong}"' in refused.content.decode()
        assert "This is not the plan&#x27;s name. Nothing was terminated." in refused.content.decode()
    assert not run.terminations.exists()
    assert chief.post(address, {"confirm": "payments "}).status_code == 302
    assert run.terminations.exists()


@pytest.mark.parametrize("name", ["Раyments", "給与計算", "Pay\u202ements", "Pay – ments", "P\u0131ay 🚒"])
def test_a_name_that_keyboards_lack_is_confirmed_by_a_code(chief: Client, simulator: Any, name: str) -> None:
    run = world.ended(ExecutionStatus.COMPLETED, "Payments")
    LaunchJob.objects.update(account_id=account_id("us-east-1"))
    Execution.objects.filter(pk=run.pk).update(kind=Kind.RECOVERY, plan_name=name)
    RecoveryPlan.objects.update(name=name)
    code = to_type(name)
    assert re.fullmatch("[A-Z2-9]{3}-[A-Z2-9]{3}", code)
    assert code != to_type(name + "\u200b")
    ending, start = reverse("terminate-execution", args=[run.pk]), reverse("start-recovery", args=[run.plan_id])
    for address, nothing in ((ending, "terminated"), (start, "started")):
        assert f"Type {code} to confirm" in words(chief.get(address, headers=HX).content.decode())
        for wrong in (name, "Payments", code[:-1], visible(name)):
            refused = chief.post(address, {"confirm": wrong}, headers=HX)
            assert refused.status_code == 422
            assert f"This is not the code. Type {code}. Nothing was {nothing}." in refused.content.decode()
    assert not run.terminations.exists()
    assert Execution.objects.count() == 1
    assert chief.post(ending, {"confirm": code.lower()}).status_code == 302
    assert run.terminations.exists()


@pytest.mark.parametrize("name", ["Payments", "Zahlung für Ölheizung", "Łódź #1 (a/b) & co.", "Straße"])
def test_a_name_that_keyboards_have_is_typed(name: str) -> None:
    assert to_type(name) == name
    assert not mistyped(name.upper(), name)
    assert mistyped("Other", name) == "This is not the plan's name."


def test_one_instance_of_a_recovery_is_one(chief: Client) -> None:
    run = world.ended(ExecutionStatus.COMPLETED, sizes=(1,))
    Execution.objects.filter(pk=run.pk).update(kind=Kind.RECOVERY)
    assert "This instance may run production. Everything that runs on it stops" in words(
        look(chief, "terminate-execution", run.pk)
    )


def test_giving_up_says_of_what_and_keeps_what_was_typed(console: Client) -> None:
    run = waiting()
    Execution.objects.filter(pk=run.pk).update(kind=Kind.RECOVERY)
    assert "answer for Recovery Payments?" in words(look(console, "abandon-execution", run.pk))
    refused = console.post(reverse("abandon-execution", args=[run.pk]), {"confirm": "giv up"}, headers=HX)
    assert 'value="giv up"' in refused.content.decode()


def test_cancelling_a_dry_run_speaks_of_no_instances(console: Client) -> None:
    plan = world.plan("Payments")
    run = control.start(actor=SYSTEM, plan_id=plan.pk, kind=Kind.RECOVERY, dry_run=True)
    text = words(look(console, "cancel-execution", run.pk))
    assert "Cancel the dry run of Payments?" in text
    assert "Nothing was launched or changed." in text
    assert not re.search(r"instance|AWS|recovery of", text)
    assert "Cancel recovery of Payments?" in words(
        look(console, "cancel-execution", world.start(plan, Kind.RECOVERY).pk)
    )
