"""A drill from the sign-in to the last instance: real browser, web server, engine and (simulated) DRS."""

import re
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import ConsoleMessage, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from drs.simulator.testing import RunningSimulator
from executions.models import Execution
from tests.processes import running_engine
from tests.stage import Stage

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"
# Simulated minutes pass in seconds; the page still polls every 3 s.
SPEED, PATIENCE_MS = 90, 45_000


@pytest.fixture
def stage(transactional_db: None, simulator: RunningSimulator) -> Iterator[Stage]:
    made = Stage(simulator)
    simulator.set_speed(SPEED)
    yield made
    made.sweep.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complained of, the policy's violations among it."""
    return []


@pytest.fixture
def page(complaints: list[str]) -> Iterator[Page]:
    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.set_default_timeout(PATIENCE_MS)
        opened.on("console", note)
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        yield opened
        browser.close()


def sign_in(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_label("Name").fill("operator")
    page.get_by_label("Password").fill("correct-horse-battery")
    page.get_by_role("button", name="Sign in").click()


def test_it_drills_a_plan_under_the_eyes_of_an_operator(
    live_server: LiveServer, stage: Stage, operator: User, page: Page, complaints: list[str]
) -> None:
    stage.plan(name="Payments", pause={2})
    expect.set_options(timeout=PATIENCE_MS)
    with running_engine():
        sign_in(page, f"{live_server.url}/recovery-plans")
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
        expect(page).to_have_title("Paused: Payments · DRS Orchestration")
        expect(page.locator("#announcer")).to_contain_text("Payments: Paused.")
        expect(page.locator("#live")).to_contain_text("Paused before wave 3, Tier 3.")
        expect(page.locator(".sentence")).to_contain_text("5 of 7 servers up · waiting for you")
        assert page.evaluate("window.sameDocument")

        page.get_by_role("button", name="Resume wave 3").click()
        expect(page.locator("h1 + .status")).to_have_text("Completed")
        expect(page.locator("#live")).not_to_have_attribute("hx-trigger", "every 3s, poll-now")
        instances = page.locator("td[data-label='Recovery instance']").all_inner_texts()
    assert len(instances) == 7
    assert all(re.fullmatch("i-[0-9a-f]{17}", each.strip()) for each in instances), instances
    assert Execution.objects.get().status == "COMPLETED"
    assert not complaints
