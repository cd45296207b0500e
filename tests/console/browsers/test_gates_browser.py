"""The gate on a run's page: what is asked, who gave what, and a dialog that says what is approved."""

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from audit.actor import person
from executions.commands import steering
from executions.models import Execution, GateEntry
from executions.states import LaunchStatus
from tests.console import world
from tests.console.browsers.browser import Desk, axe
from tests.console.browsers.test_care_browser import OUTSIDE
from tests.support.api_client import make_user

pytestmark = pytest.mark.browser

TWO = {
    "approvals": 2,
    "checklist": ["The database answers queries from the application network.", "The network team knows."],
    "expiresMinutes": 240,
}


def gated(starter: str = "starter@example.com") -> Execution:
    """A run that waits at a gate, of whose first wave a server failed."""
    run = world.paused("Payments")
    run.waves.filter(number=1).update(gate=TWO, pause_before=True)
    failed = run.waves.get(number=0).servers.all()[0]
    type(failed).objects.filter(pk=failed.pk).update(launch_status=LaunchStatus.FAILED, error="No capacity.")
    Execution.objects.filter(pk=run.pk).update(started_by=starter)
    return Execution.objects.get(pk=run.pk)


@pytest.fixture
def ann(transactional_db: None) -> User:
    return make_user("recovery-manager")


def look(page: Page, run: Execution) -> None:
    page.goto(f"/executions/{run.pk}")
    page.get_by_role("link", name="Look and approve").click()
    expect(page.get_by_role("heading", name="Approve wave 2 of Payments?")).to_be_visible()


@pytest.mark.parametrize("scripted", [True, False])
def test_an_approver_sees_what_is_approved_and_ticks_the_checklist(desk: Desk, ann: User, scripted: bool) -> None:
    run = gated()
    page = desk.sit(ann, width=420, java_script_enabled=scripted)
    look(page, run)
    asked = page.locator("#gate-question")
    expect(asked).to_contain_text("1 of 2 servers up. Failed: ")
    expect(asked).to_contain_text("2 servers are launched")
    if scripted:
        assert page.evaluate(OUTSIDE) == []
        assert not axe(page)
    asked.get_by_role("button", name="Approve").click()
    expect(asked).to_contain_text("Tick every item")
    for item in TWO["checklist"]:  # type: ignore[attr-defined]
        asked.get_by_label(item).check()
    asked.get_by_label("Comment").fill("Seen.")
    asked.get_by_role("button", name="Approve").click()
    page.wait_for_url(re.compile(r"/executions/[0-9a-f-]{36}$"))
    expect(page.locator("#gate")).to_contain_text("1 of 2 approvals")
    expect(page.locator("#gate")).to_contain_text("You have approved it already.")
    assert GateEntry.objects.get().text == "Seen."


def test_a_stale_approval_changes_nothing_and_says_what_happened(desk: Desk, ann: User) -> None:
    run, bob = gated(), make_user("recovery-manager")
    page = desk.sit(ann)
    look(page, run)
    server = run.waves.get(number=1).servers.all()[0]
    steering.exclude_server(
        actor=person(bob),
        execution_id=run.pk,
        source_server_id=server.source_server_id,
        reason="Its disk is broken.",
    )
    asked = page.locator("#gate-question")
    for item in TWO["checklist"]:  # type: ignore[attr-defined]
        asked.get_by_label(item).check()
    asked.get_by_role("button", name="Approve").click()
    expect(asked).to_contain_text("Nothing was approved")
    expect(asked).to_contain_text("left out: Its disk is broken.")
    assert not GateEntry.objects.exists()
    for item in TWO["checklist"]:  # type: ignore[attr-defined]
        asked.get_by_label(item).check()
    asked.get_by_role("button", name="Approve").click()
    expect(page.locator("#gate")).to_contain_text("1 of 2 approvals")


def test_whoever_started_it_sees_why_buttons_are_closed_and_breaks_the_glass(desk: Desk, ann: User) -> None:
    run = gated(ann.email)
    page = desk.sit(ann)
    page.goto(f"/executions/{run.pk}")
    gate = page.locator("#gate")
    expect(gate.get_by_role("button", name="Look and approve")).to_be_disabled()
    expect(gate).to_contain_text("You started this run: somebody else approves it.")
    assert not axe(page)
    gate.get_by_role("link", name="Break the glass").click()
    asked = page.locator("#gate-question")
    asked.get_by_label("Reason").fill("Nobody else is awake.")
    asked.get_by_role("button", name="Break the glass").click()
    expect(page.locator("#live .said")).to_contain_text("without what it asks for")
    expect(page.locator("#gate")).to_have_count(0)
