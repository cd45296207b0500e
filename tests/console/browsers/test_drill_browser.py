"""A drill from the sign-in to the last instance: real browser, web server, engine and (simulated) DRS."""

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from executions.models import Execution
from tests.console.browsers.browser import Desk, hurry
from tests.support.processes import running_engine
from tests.support.stage import Stage

pytestmark = pytest.mark.browser

SPEED = 150  # simulated minutes pass in seconds, and the page sees each status


def sign_in(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_label("Name").fill("operator")
    page.get_by_label("Password").fill("correct-horse-battery")
    page.get_by_role("button", name="Sign in").click()


def test_it_drills_a_plan_under_the_eyes_of_an_operator(desk: Desk, stage: Stage, operator: User) -> None:
    stage.plan(name="Payments", pause={2})
    stage.simulator.set_speed(SPEED)
    page = hurry(desk.sit(None))
    with running_engine():
        sign_in(page, "/recovery-plans")
        page.get_by_role("link", name="Start drill of Payments").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("7 instances will be launched in us-east-1")
        dialog.get_by_role("button", name="Start drill").click()
        page.wait_for_url(re.compile(r"/executions/[0-9a-f-]{36}$"))

        page.evaluate("window.sameDocument = true")
        wave = page.locator("#wave-1 summary")
        expect(wave).to_contain_text("Launching")
        expect(wave).to_contain_text("Completed")
        expect(page.locator("h1 + .status")).to_have_text("Paused")
        expect(page).to_have_title("Paused: drill of Payments · DRS Orchestration")
        expect(page.locator("#announcer")).to_contain_text("Payments: Paused.")
        expect(page.locator("#live")).to_contain_text("Paused before wave 3, Tier 3.")
        expect(page.locator(".sentence")).to_contain_text("5 of 7 servers up · waiting for you")
        assert page.evaluate("window.sameDocument")

        page.get_by_role("button", name="Resume wave 3").click()
        expect(page.locator("h1 + .status")).to_have_text("Completed")
        expect(page.locator("#live")).not_to_have_attribute("hx-trigger", "every 3s, poll-now")
        instances = page.locator(".wave td code", has_text="i-").all_inner_texts()
    assert len(instances) == 7
    assert all(re.fullmatch("i-[0-9a-f]{17}", each.strip()) for each in instances), instances
    assert Execution.objects.get().status == "COMPLETED"
