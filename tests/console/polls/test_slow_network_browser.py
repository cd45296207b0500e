"""Somebody with a phone in a bad network: what is asked twice, late, in the wrong order, or not answered at all."""

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Dialog, Page, Route, expect

from executions.states import ExecutionStatus
from tests.console import world
from tests.console.browsers.browser import Desk, hurry
from tests.console.test_no_engine import die
from tests.support.api_client import make_user

pytestmark = pytest.mark.browser

ABORTED = re.compile(r"htmx:(sendAbort|afterRequest|sendError)|Failed to load|status of 401")


@pytest.fixture
def ann(transactional_db: None) -> User:
    return make_user("admin")


@pytest.fixture
def phone(desk: Desk, ann: User) -> Page:
    """On the page of a drill that has ended."""
    run = world.ended(ExecutionStatus.COMPLETED)
    page = desk.sit(ann, width=390)
    page.goto(f"/executions/{run.pk}")
    return page


def hold(page: Page, address: str) -> list[Route]:
    """What asks for that waits until the test lets it go on."""
    held: list[Route] = []
    page.route(re.compile(address), lambda route: held.append(route))
    return held


def tap(page: Page, name: str) -> None:
    page.evaluate("(id) => document.getElementById(id).click()", name)


def wait_for(page: Page, held: list[Route], number: int) -> None:
    for _ in range(300):
        if len(held) >= number:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{len(held)} requests, not {number}")


def test_a_second_tap_does_not_take_away_what_was_typed(phone: Page) -> None:
    held = hold(phone, "/terminate$")
    tap(phone, "terminate-open")
    tap(phone, "terminate-open")
    wait_for(phone, held, 1)
    held[0].continue_()
    typed = phone.get_by_role("dialog").get_by_role("textbox").first
    typed.fill("termin")
    phone.wait_for_timeout(300)
    for each in held[1:]:
        each.continue_()
    phone.wait_for_timeout(300)
    expect(typed).to_have_value("termin")


def test_of_two_questions_the_last_is_asked(phone: Page, desk: Desk) -> None:
    slow = hold(phone, "/search$")
    tap(phone, "search-open")
    wait_for(phone, slow, 1)
    tap(phone, "terminate-open")
    title = phone.locator("#dialog-title")
    expect(title).to_contain_text("Terminate")
    slow[0].continue_()
    phone.wait_for_timeout(500)
    expect(title).to_contain_text("Terminate")
    desk.complaints[:] = [each for each in desk.complaints if not ABORTED.search(each)]


def test_a_question_without_an_answer_is_told_where_one_looks(phone: Page, desk: Desk) -> None:
    phone.set_viewport_size({"width": 390, "height": 300})
    phone.context.set_offline(True)
    phone.evaluate("scrollTo(0, document.body.scrollHeight)")
    tap(phone, "terminate-open")
    told = phone.get_by_role("alert").filter(has_text="No answer.")
    expect(told).to_be_in_viewport()
    expect(told).to_contain_text("Nothing was changed: try again.")
    desk.complaints[:] = [each for each in desk.complaints if not ABORTED.search(each)]


def test_a_form_whose_sending_was_stopped_can_be_sent_again(phone: Page) -> None:
    phone.clock.install()
    phone.goto("/recovery-plans/new")
    held = hold(phone, "/recovery-plans/new$")
    create = phone.get_by_role("button", name="Create plan")
    create.click(no_wait_after=True)
    wait_for(phone, held, 1)
    held[0].fulfill(status=204)
    create.click(no_wait_after=True)
    phone.wait_for_timeout(300)
    assert len(held) == 1  # a double tap
    phone.clock.run_for(10_000)
    create.click(no_wait_after=True)
    wait_for(phone, held, 2)
    held[1].fulfill(status=204)


def test_who_stays_for_unsaved_work_is_asked_once(phone: Page, desk: Desk) -> None:
    asked: list[str] = []
    phone.clock.install()
    phone.goto("/recovery-plans/new")
    phone.get_by_label("Name", exact=True).click()
    phone.keyboard.type("Payments")

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    phone.on("dialog", stay)
    phone.context.clear_cookies()
    held = hold(phone, "/session$")
    phone.clock.fast_forward("46:00")
    wait_for(phone, held, 1)
    phone.clock.run_for(1000)
    wait_for(phone, held, 2)  # asked again while the first answer is on its way
    for each in held:
        each.continue_()
    phone.unroute_all()
    for _ in range(6):
        phone.clock.run_for(1000)
        phone.wait_for_timeout(200)
    assert asked == ["beforeunload"]
    expect(phone.get_by_label("Name", exact=True)).to_have_value("Payments")
    desk.complaints[:] = [each for each in desk.complaints if not ABORTED.search(each)]


def test_who_stays_for_unsaved_work_is_asked_once_also_while_an_engine_is_missed(phone: Page, desk: Desk) -> None:
    """That page asks every few seconds whether one is back, and is told each time that nobody is signed in."""
    die()
    asked, polled = list[str](), list[str]()
    hurry(phone).goto("/recovery-plans/new")
    phone.get_by_label("Name", exact=True).click()
    phone.keyboard.type("Payments")

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    phone.on("dialog", stay)
    phone.on("request", lambda request: polled.append(request.url) if "/engine" in request.url else None)
    phone.context.clear_cookies()
    for _ in range(100):
        phone.wait_for_timeout(200)
        if len(polled) >= 5:
            break
    assert (len(polled), asked) == (5, ["beforeunload"])
    expect(phone.get_by_label("Name", exact=True)).to_have_value("Payments")
    desk.complaints[:] = [each for each in desk.complaints if not ABORTED.search(each)]


def test_on_a_phone_the_keyboard_goes_as_the_eye_does(phone: Page) -> None:
    """The facts of a run are shown below its waves."""
    phone.locator("h1").focus()
    passed = []
    for _ in range(30):
        phone.keyboard.press("Tab")
        passed.append(phone.evaluate("document.activeElement.closest('.waves, #facts')?.matches('.waves')"))
    assert True in passed[: passed.index(False)]


def test_what_another_tab_looks_at_is_not_announced_again(phone: Page) -> None:
    """The tab that has the lock notes every ten seconds that it has looked."""
    phone.context.grant_permissions(["notifications"])
    phone.goto("/settings")
    phone.locator("[data-tell=on]").click()
    expect(phone.locator("#news-note")).not_to_be_empty()
    said = phone.evaluate("""() => new Promise((done) => {
      let said = 0;
      const note = document.getElementById("news-note");
      new MutationObserver((all) => (said += all.length)).observe(note, { childList: true });
      dispatchEvent(new StorageEvent("storage", { key: "run-news" }));
      setTimeout(() => done(said), 100);
    })""")
    assert said == 0
