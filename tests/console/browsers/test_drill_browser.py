"""A drill from the plan to the last terminated instance, by keyboard and screen reader alone: real browser, web server,
engine and (simulated) DRS."""

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from executions.models import Execution
from tests.console.browsers.browser import Desk, ScreenReader, axe, hurry
from tests.support.api_client import make_user
from tests.support.processes import running_engine
from tests.support.stage import Stage

pytestmark = pytest.mark.browser

SPEED = 600
STANDS = 0.001  # nothing comes up while somebody makes up their mind
ONCE = (
    "Wave 1, Tier 1: under way.",
    "It pauses before the next wave.",
    "Wave 1, Tier 1: Completed.",
    "Drill of Payments: Paused.",
    "You let the run go on with wave 2.",
    "Wave 2, Tier 2: a server failed.",
    "Wave 2, Tier 2: Failed.",
    "Drill of Payments: Partial.",
    "Its instances: Terminating.",
    "Its instances: Terminated.",
)


@pytest.fixture
def ann(transactional_db: None) -> User:
    return make_user("admin")


def test_a_drill_is_played_by_keyboard_and_screen_reader(desk: Desk, stage: Stage, ann: User) -> None:
    plan = stage.plan("db-primary-01 db-replica-01", "app-01 app-02", name="Payments")
    stage.simulator.scenario("launch_failed", servers=["app-02"])
    stage.simulator.set_speed(STANDS)
    page = hurry(desk.sit(ann))
    reader = ScreenReader(page)
    page.goto(f"/recovery-plans/{plan.pk}")
    with running_engine():
        start(page, reader)
        pause_and_resume(page, reader, stage)
        run_to_its_end(page, reader, stage)
        terminate(page, reader, stage)
    assert reader.times_heard(*ONCE) == dict.fromkeys(ONCE, 1), reader.heard
    assert not axe(page)
    run = Execution.objects.get()
    assert (run.status, run.termination_status) == ("PARTIAL", "COMPLETED")


def start(page: Page, reader: ScreenReader) -> None:
    reader.choose("link", "Start drill of Payments")
    reader.in_dialog("Start drill of Payments?", "4 instances will be launched in us-east-1, in 2 waves.")
    page.keyboard.press("Escape")
    reader.has("link", "Start drill of Payments")
    page.keyboard.press("Enter")
    reader.in_dialog("Start drill of Payments?", "They cost money until they are terminated.")
    reader.choose("button", "Start drill")
    page.wait_for_url(re.compile(r"/executions/[0-9a-f-]{36}$"))
    reader.has("group", "What happened")
    reader.hears("Wave 1, Tier 1: under way.")


def pause_and_resume(page: Page, reader: ScreenReader, stage: Stage) -> None:
    reader.choose("button", "Pause before the next wave")
    reader.has("group", "What happened")
    reader.hears("It pauses before the next wave.")
    page.evaluate("window.sameDocument = true")
    stage.simulator.set_speed(SPEED)
    reader.hears("Wave 2, Tier 2: Paused.")
    stage.simulator.set_speed(STANDS)
    expect(page).to_have_title(re.compile(r"^Paused: drill of Payments, run \d+ · DRS Orchestration$"))
    expect(page.locator("#live")).to_contain_text("Paused before wave 2, Tier 2.")
    expect(page.locator(".sentence")).to_contain_text("2 of 4 servers up · waiting for you")
    assert page.evaluate("window.sameDocument")
    page.wait_for_timeout(1000)  # a button that a poll has just put there is not pressed
    reader.choose("button", "Resume wave 2")
    reader.has("group", "What happened")
    reader.hears("Wave 2, Tier 2: under way.")


def run_to_its_end(page: Page, reader: ScreenReader, stage: Stage) -> None:
    reader.choose("link", "Cancel run")
    reader.in_dialog("Cancel drill of Payments?", "2 instances already launched keep running.")
    page.keyboard.press("Escape")
    reader.has("link", "Cancel run")
    stage.simulator.set_speed(SPEED)
    reader.hears("Drill of Payments: Partial.")
    expect(page.locator("h1 + .status")).to_have_text("Partial")
    reader.has("heading", "Payments")  # its link went with the run
    instances = page.locator(".wave td code", has_text="i-").all_inner_texts()
    assert len(instances) == 3
    assert all(re.fullmatch("i-[0-9a-f]{17}", each.strip()) for each in instances), instances


def terminate(page: Page, reader: ScreenReader, stage: Stage) -> None:
    stage.simulator.advance(600)  # DRS takes no termination while the last job is not over
    stage.simulator.set_speed(STANDS)
    reader.choose("link", "Terminate 3 instances")
    reader.in_dialog("Terminate 3 instances of Payments?", "Their disks are deleted")
    reader.tab_to("textbox", "Type terminate 3 to confirm")
    page.keyboard.type("terminate")
    page.keyboard.press("Enter")
    expect(page.locator("#confirm-error")).to_be_visible()
    asked = reader.has("textbox", "Type terminate 3 to confirm")
    assert "Nothing was terminated." in asked.description
    page.keyboard.type(" 3")
    reader.choose("button", "Terminate 3 instances")
    reader.has("group", "What happened")
    reader.hears("Its instances: Terminating.")
    stage.simulator.set_speed(SPEED)
    reader.hears("Its instances: Terminated.")
    expect(page.locator("#cleanup-title + .status")).to_have_text("Terminated")
    reader.has("group", "What happened")
