"""Notifications of the browser itself: asked for by a click, told by one of several tabs, then by the next."""

import time

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from executions.states import ExecutionStatus
from tests.console import world
from tests.console.browsers.browser import Desk, hurry
from tests.support.api_client import make_user

pytestmark = pytest.mark.browser

# Notes what was told; the notification itself is the browser's.
NOTE = """{
  const Theirs = window.Notification;
  window.told = [];
  window.Notification = class extends Theirs {
    constructor(title, options) { super(title, options); window.told.push(title); }
  };
}"""


@pytest.fixture
def ann(transactional_db: None) -> User:
    return make_user("operator")


def told(*pages: Page) -> list[str]:
    return [title for page in pages for title in page.evaluate("window.told")]


def wait_for(pages: list[Page], wanted: list[str]) -> None:
    until = time.monotonic() + 20
    while sorted(told(*pages)) != wanted and time.monotonic() < until:
        pages[0].wait_for_timeout(100)
    assert sorted(told(*pages)) == wanted


def tab(page: Page, address: str) -> Page:
    other = page.context.new_page()
    other.add_init_script(NOTE)
    hurry(other).goto(address)
    return other


def test_one_tab_tells_each_thing_once_and_another_goes_on(desk: Desk, ann: User) -> None:
    run = world.paused("Payments")
    page = hurry(desk.sit(ann, permissions=["notifications"]))
    page.add_init_script(NOTE)
    page.goto(f"/executions/{run.pk}")
    page.get_by_role("button", name="Notify me in this browser").click()
    expect(page.get_by_role("button", name="Notify me in this browser")).to_be_hidden()
    while not page.evaluate("JSON.parse(localStorage.getItem('run-news')).since"):
        page.wait_for_timeout(50)
    second = tab(page, "/settings")
    switch = second.get_by_role("group", name="Browser notifications")
    expect(switch.get_by_role("button", name="On")).to_have_attribute("aria-pressed", "true")
    third = tab(page, "/executions")
    world.ended(ExecutionStatus.FAILED, "Ledger", fail="no capacity")
    wait_for([page, second, third], ["Drill of Ledger failed"])
    page.wait_for_timeout(1500)  # one more round: nothing is told again
    assert told(page, second, third) == ["Drill of Ledger failed"]
    page.close()
    world.ended(ExecutionStatus.COMPLETED, "Payroll")
    wait_for([second, third], ["Drill of Payroll is complete"])
    switch.get_by_role("button", name="Off").click()
    second.wait_for_timeout(1500)
    world.ended(ExecutionStatus.FAILED, "Archive", fail="no capacity")
    second.wait_for_timeout(1500)
    assert told(second, third) == ["Drill of Payroll is complete"]


def test_nothing_is_asked_before_a_click_and_a_refusal_is_explained(desk: Desk, ann: User) -> None:
    page = desk.sit(ann)  # Chromium without a head refuses where nothing was granted
    page.add_init_script(
        "window.asked = 0; const ask = Notification.requestPermission;"
        "Notification.requestPermission = (...all) => (window.asked++, ask.apply(Notification, all));"
    )
    page.goto("/settings")
    group = page.get_by_role("group", name="Browser notifications")
    assert page.evaluate("window.asked") == 0
    group.get_by_role("button", name="On").click()
    expect(group.get_by_role("button", name="On")).to_have_attribute("aria-pressed", "false")
    expect(group.get_by_role("status")).to_contain_text("The browser does not allow them")
    assert page.evaluate("window.asked") == 1
