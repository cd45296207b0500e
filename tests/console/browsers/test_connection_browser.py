"""“Connection lost” comes with the first poll that is not answered, tells of which time the data is, and goes with the
first that is, whatever it answers, on every page that polls."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Error, Page, Route, expect

from drsorch_site.page_context import beat as known_beat
from executions.models import Execution
from executions.states import ExecutionStatus
from tests.console import world
from tests.console.browsers.browser import Desk, hurry
from tests.console.polls.test_rows import end
from tests.support.api_client import make_user

pytestmark = pytest.mark.browser

POLLS = re.compile(r"/(live|rows)\?")
SHOWN = re.compile(r"Connection lost, showing \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC data")
PAGES: dict[str, Callable[[Execution], str]] = {
    "live": lambda run: f"/executions/{run.pk}",
    "dashboard": lambda run: "/",
    "history": lambda run: "/executions",
    "plan": lambda run: f"/recovery-plans/{run.plan_id}",
    "job logs": lambda run: f"/executions/{run.pk}/job-logs",
}
OF_THE_CUT = re.compile("Response Status Error Code 50[04]|Failed to load|htmx:(sendError|timeout|afterRequest)")


@pytest.fixture
def ann(transactional_db: None) -> User:
    return make_user("admin")


def cut(page: Page, act: Callable[[Route], None]) -> None:
    page.route(POLLS, act)
    expect(page.locator("#connection")).to_be_visible()
    expect(page.locator("#connection")).to_contain_text(SHOWN)


def restore(page: Page) -> int:
    """Let one poll through, and hold those after it, and those that ask for new runs: what it does alone is what is
    judged. Answers its status."""
    polls, held = list[Route](), list[Route]()

    def one(route: Route) -> None:
        if polls or "since=" in route.request.url:
            held.append(route)
        else:
            polls.append(route)
            route.continue_()

    page.route(POLLS, one)  # instead of the one before: the latest counts
    while not polls:
        page.wait_for_timeout(20)
    answer = polls[0].request.response()  # no other's: one from before may still be on its way
    assert answer
    expect(page.locator("#connection")).to_be_hidden(timeout=2000)
    page.unroute(POLLS)
    for each in held:
        with suppress(Error):  # the page of a slow machine has given it up meanwhile
            each.continue_()
    return answer.status


def forgive(desk: Desk) -> None:
    """The browser's and htmx's own words for a poll that failed."""
    desk.complaints[:] = [each for each in desk.complaints if not OF_THE_CUT.search(each)]


@pytest.mark.parametrize("name", PAGES)
def test_it_goes_with_the_first_answered_poll(desk: Desk, ann: User, name: str) -> None:
    run = world.paused("Payments")
    page = hurry(desk.sit(ann))
    page.goto(PAGES[name](run))
    cut(page, lambda route: route.abort())
    assert restore(page) == 204
    cut(page, lambda route: route.fulfill(status=500, body="<h1>Broken</h1>"))
    world.change(run, status=ExecutionStatus.LAUNCHING)
    assert restore(page) == 200
    cut(page, lambda route: route.fulfill(status=504, body="<h1>Too late</h1>"))
    end(run)
    assert restore(page) == (200 if name == "dashboard" else 286)  # the dashboard asks for ever
    expect(page.locator("main")).not_to_contain_text(re.compile("Broken|Too late"))
    forgive(desk)


def test_a_poll_that_hangs_is_lost_too_and_asked_again(desk: Desk, ann: User) -> None:
    run = world.paused("Payments")
    page = hurry(desk.sit(ann))
    page.goto(f"/executions/{run.pk}")
    cut(page, lambda route: None)
    world.change(run, status=ExecutionStatus.LAUNCHING)
    assert restore(page) == 200
    expect(page.locator("h1 + .status")).to_have_text("Launching")
    forgive(desk)


@pytest.mark.parametrize("name", ["live", "history"])
def test_it_tells_the_time_of_the_data_whatever_the_browser_takes_for_the_time(
    desk: Desk, ann: User, name: str
) -> None:
    page = desk.sit(ann)
    page.add_init_script("const right = Date.now; Date.now = () => right() + 3_600_000")
    page.goto(PAGES[name](world.paused("Payments")))
    loaded = datetime.fromisoformat(page.locator("#connection").get_attribute("data-now") or "")
    assert abs((loaded - datetime.now(UTC)).total_seconds()) < 60
    page.route(POLLS, lambda route: route.abort())
    time = page.locator("#connection time")
    expect(time).to_have_attribute("datetime", re.compile(f"{loaded:%Y-%m-%dT%H:%M:%S}"))
    page.unroute(POLLS)
    with page.expect_response(POLLS) as answered:
        pass
    page.route(POLLS, lambda route: route.abort())
    expect(page.locator("#connection")).to_be_visible()
    told = parsedate_to_datetime(answered.value.headers["date"])
    expect(time).to_have_attribute("datetime", re.compile(f"{told:%Y-%m-%dT%H:%M:%S}"))
    assert told > loaded
    forgive(desk)


@pytest.mark.parametrize("name", ["plan", "history", "job logs"])
def test_a_silent_engine_is_told_until_one_is_back(desk: Desk, ann: User, name: str) -> None:
    run = world.ended(ExecutionStatus.COMPLETED, "Payments")
    world.beat(at=timezone.now() - timedelta(minutes=5))
    known_beat.asked_at = float("-inf")
    page = hurry(desk.sit(ann))
    page.goto(PAGES[name](run))
    expect(page.locator("#engine")).to_contain_text("No engine is running")
    with page.expect_response("**/executions/engine*") as told:
        pass
    assert told.value.status == 204
    world.beat()
    expect(page.locator("#engine")).to_be_hidden()
    expect(page.locator("main")).not_to_contain_text("No engine is running")
    expect(page.locator("[hx-trigger^=every]:not(#newcomers)")).to_have_count(0)


def test_it_goes_with_the_first_answer_to_a_new_list(desk: Desk, ann: User) -> None:
    world.paused("Payments")
    page = desk.sit(ann)  # whose new list ends no request under way
    page.goto("/executions")
    cut(page, lambda route: route.abort())
    page.get_by_label("Dry runs").select_option("yes")
    expect(page.locator("#executions")).to_contain_text("No run matches")
    page.unroute(POLLS)
    expect(page.locator("#connection")).to_be_hidden()
    forgive(desk)
