"""What another run keeps from being done is said before anybody tries, with the way to that run."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from audit.actor import SYSTEM
from executions.commands import control
from executions.commands.retry import retry
from executions.models import Execution
from executions.states import ExecutionStatus
from protection.inventory.recovery_instances import InstancesKnown
from tests.console import world
from tests.console.test_before_and_again import known
from tests.console.test_pages import HX, look, words
from tests.support.api_client import Api, answer, make_user


def link(run: Execution) -> str:
    return f'href="{reverse("execution", args=[run.pk])}"'


def test_a_start_that_another_plans_run_blocks_says_whose_and_leads_there(chief: Client) -> None:
    run = world.paused("Nightly drill")
    plan = world.sharing(run, "Payments")
    known()
    count = plan.waves.all()[0].servers.count()
    some = "1 of this plan&#x27;s servers is" if count == 1 else f"{count} of this plan&#x27;s servers are"
    told = f"{some} in use by a run of “Nightly drill”. Wait for its end or cancel it."
    for name, arguments in (
        ("plans", ()),
        ("plan", (plan.pk,)),
        ("start-drill", (plan.pk,)),
        ("start-recovery", (plan.pk,)),
    ):
        html = look(chief, name, *arguments)
        assert f"{told} <a {link(run)}>See" in html, name
    assert "It is a run of “Nightly drill” (paused). See it" in words(look(chief, "plan", plan.pk))
    refused = chief.post(reverse("start-drill", args=[plan.pk]), headers=HX)
    assert refused.status_code == 409
    assert refused.content.decode().count(f"<a {link(run)}>See the run of “Nightly drill”</a> (paused)") == 1


def test_a_retry_says_beforehand_that_the_plan_is_being_run(chief: Client) -> None:
    run = world.ended(ExecutionStatus.PARTIAL, "Payments", fail="No capacity")
    assert run.plan
    going = world.start(run.plan)
    told = "“Payments” is already running (pending, started by system)."
    shown = answer(Api(make_user("admin")).get(f"/executions/{run.pk}"))["actions"]["retry"]
    assert shown == {"allowed": False, "reason": told}
    page = look(chief, "execution", run.pk)
    assert f"It cannot be tried again. {told}" in words(page)
    assert 'id="retry-open"' not in page
    dialog = look(chief, "retry-execution", run.pk)
    assert told in words(dialog)
    assert link(going) in dialog
    assert "disabled>Launch 1 server again" in dialog


@pytest.mark.both
def test_a_retry_says_beforehand_who_holds_the_servers_that_are_left(chief: Client) -> None:
    run = world.ended(ExecutionStatus.PARTIAL, "Payments", fail="No capacity")
    stands = world.start(world.sharing(run, "Of what stands"))
    assert 'id="retry-open"' in look(chief, "execution", run.pk)
    holder = world.start(world.sharing(run, "Of what is left", wave=1))
    assert "1 of this plan&#x27;s servers is in use by a run of “Of what is left”" in look(chief, "execution", run.pk)
    dialog = look(chief, "retry-execution", run.pk)
    assert "1 of this plan's servers" in words(dialog).replace("&#x27;", "'")
    assert link(holder) in dialog
    assert link(stands) not in dialog
    refused = chief.post(reverse("retry-execution", args=[run.pk]), headers=HX)
    assert refused.status_code == 409
    assert refused.content.decode().count(link(holder)) == 1


def test_terminating_says_beforehand_that_a_later_attempt_counts_on_the_instances(chief: Client) -> None:
    run = world.ended(ExecutionStatus.PARTIAL, "Payments", fail="No capacity")
    retry(actor=SYSTEM, execution_id=run.pk, looked=InstancesKnown())
    told = "Attempt 2 of this run is pending and counts on these instances."
    api = Api(make_user("admin"))
    assert answer(api.get(f"/executions/{run.pk}"))["actions"]["terminate"] == {"allowed": False, "reason": told}
    listed = {each["executionId"]: each for each in answer(api.get("/executions"))["items"]}
    assert listed[str(run.pk)]["actions"]["terminate"]["reason"] == told
    page = look(chief, "execution", run.pk)
    assert told in words(page)
    assert 'id="terminate-open"' not in page
    assert told in words(look(chief, "terminate-execution", run.pk))


def test_groups_and_plans_in_use_say_so_where_they_are_changed_and_deleted(chief: Client) -> None:
    world.region()
    run = world.paused("Payments")
    assert run.plan
    group = run.plan.waves.all()[0].groups.get()
    for name, key, said in (
        ("edit-group", group.pk, "in use by a run. It can be saved when the run of “Payments” (paused) is over."),
        ("delete-group", group.pk, "part of a run of “Payments”. Change or delete it after the run. See"),
        ("delete-plan", run.plan_id, "is being run (paused). It can be deleted when the run is over. See that run"),
    ):
        html = look(chief, name, key)
        assert said in words(html), name
        assert link(run) in html, name
        assert "disabled>Delete" in html or name == "edit-group", name
    control.cancel(actor=SYSTEM, execution_id=run.pk)
    assert "in use by a run" not in look(chief, "edit-group", group.pk)
    assert "disabled>Delete" not in look(chief, "delete-plan", run.plan_id)


def test_a_region_that_could_not_be_read_is_not_said_to_be_empty(chief: Client) -> None:
    world.region("eu-west-1", as_of=None, error_code="AccessDenied", error_message="not authorized")
    text = words(look(chief, "new-group", region="eu-west-1"))
    told = r"AWS could not be read in eu-west-1 (just now|\d+ seconds ago) , so its source servers are not known\."
    assert re.search(told, text)
    assert "Choose “Read AWS again”" in text
    assert "There are no source servers" not in text
    assert "There is no server" not in text
