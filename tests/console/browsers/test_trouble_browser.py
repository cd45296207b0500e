"""What happens when things go wrong: two people at once, wrong input, AWS or the engine away, the session over."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone
from playwright.sync_api import Route, expect

from drs_simulator.testing import RunningSimulator
from executions.states import ExecutionStatus
from identity.session_expiry import SEEN
from plans.models import RecoveryPlan
from protection.models import ProtectionGroup
from tests.console import world
from tests.console.browsers.browser import Desk, hurry, poll
from tests.support.api_client import make_user

pytestmark = pytest.mark.browser


@pytest.fixture
def ann(transactional_db: None) -> User:
    return make_user("admin")


@pytest.fixture
def bob(transactional_db: None) -> User:
    return make_user("admin")


def test_it_tells_two_planners_what_became_of_both_their_changes(desk: Desk, ann: User, bob: User) -> None:
    plan = world.plan("Payments")
    ours, theirs = desk.sit(ann), desk.sit(bob)
    for page in (ours, theirs):
        page.goto(f"/recovery-plans/{plan.pk}/edit")
    theirs.get_by_label("Name of the wave").first.fill("Changed by Bob")
    theirs.get_by_role("button", name="Save plan").click()
    expect(theirs.get_by_role("heading", level=1)).to_have_text("Payments")
    ours.get_by_label("Name", exact=True).fill("Payments of Ann")
    ours.get_by_role("button", name="Save plan").click()
    told = ours.locator("#problem")
    expect(told).to_contain_text(f"{bob.email} saved a change")
    expect(told).to_contain_text("Name: theirs is “Payments”, yours is “Payments of Ann”.")
    expect(told).to_contain_text("Wave 1, name: theirs is “Changed by Bob”")
    expect(ours.get_by_label("Name", exact=True)).to_have_value("Payments of Ann")
    ours.get_by_role("button", name="Save mine over theirs").click()
    expect(ours.get_by_role("heading", level=1)).to_have_text("Payments of Ann")
    assert RecoveryPlan.objects.get().version == 3


def test_it_tells_two_planners_of_one_group(desk: Desk, simulator: RunningSimulator, ann: User, bob: User) -> None:
    group = world.group("Web", [world.server("web-x"), world.server("web-y")])
    world.region()
    ours, theirs = desk.sit(ann), desk.sit(bob)
    for page in (ours, theirs):
        page.goto(f"/protection-groups/{group.pk}/edit")
    theirs.get_by_role("checkbox", name="web-y").uncheck()
    theirs.get_by_role("button", name="Save group").click()
    expect(theirs.get_by_role("heading", level=1)).to_have_text("Web")
    ours.get_by_label("Description").fill("Kept")
    ours.get_by_role("button", name="Save group").click()
    expect(ours.locator("#problem")).to_contain_text("Only yours has web-y.")
    expect(ours.get_by_label("Description")).to_have_value("Kept")
    ours.get_by_role("link", name="discard yours and load theirs").click()
    expect(ours.get_by_label("Description")).to_have_value("")
    expect(ours.get_by_role("checkbox", name="web-y")).not_to_be_checked()
    assert ProtectionGroup.objects.get().assignments.count() == 1


def test_it_puts_every_error_at_the_top_and_beside_its_field(desk: Desk, ann: User) -> None:
    world.group("Web", [world.server("web-x")])
    page = desk.sit(ann)
    page.goto("/recovery-plans/new")
    page.get_by_label("Name of the wave").fill("First")
    page.get_by_label("Add a protection group").fill("Wab")
    page.get_by_role("button", name="Create plan").click()
    expect(page.locator("#w-0-typed-error")).to_contain_text("There is no protection group named “Wab”")
    page.get_by_label("Add a protection group").fill("")
    page.get_by_role("button", name="Create plan").click()
    summary = page.locator("#problem")
    expect(summary).to_contain_text("Nothing was saved")
    for text in ("A name is required.", "Wave 1: At least one protection group", "Wave 1: At least one server"):
        expect(summary).to_contain_text(text)
    expect(page.locator("#name-error")).to_have_text("A name is required.")
    summary.get_by_role("link", name="A name is required.").click()
    expect(page.locator("#name")).to_be_focused()
    expect(page.get_by_label("Name of the wave")).to_have_value("First")
    page.goto("/protection-groups/new?region=nowhere")
    expect(page.locator("#region-error")).to_contain_text("'nowhere' is not a region of AWS DRS")


def test_it_says_that_drs_was_never_set_up(desk: Desk, simulator: RunningSimulator, ann: User) -> None:
    simulator.scenario("uninitialized", region="eu-west-1")
    page = desk.sit(ann)
    page.goto("/protection-groups/new?region=eu-west-1")
    expect(page.locator("#regions")).to_contain_text("DRS has never been set up in eu-west-1")
    expect(page.locator("#picker")).to_contain_text("There are no source servers in eu-west-1")


def test_it_keeps_the_input_while_drs_is_down(desk: Desk, simulator: RunningSimulator, ann: User) -> None:
    world.region()
    key = world.server("known-host")
    simulator.scenario("internal_error_before")
    page = desk.sit(ann)
    page.goto("/protection-groups/new?region=us-east-1")
    page.get_by_label("Name", exact=True).fill("Later")
    page.locator(f"#pick-{key}").check()
    page.get_by_role("button", name="Read AWS again").click()
    expect(page.locator("#regions")).to_contain_text("us-east-1 could not be read")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Later")
    expect(page.locator(f"#pick-{key}")).to_be_checked()
    page.get_by_role("button", name="Create group").click()
    expect(page.locator("#problem")).to_contain_text("does not answer")
    expect(page.locator("#problem")).to_contain_text("Nothing was changed")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Later")
    expect(page.locator(f"#pick-{key}")).to_be_checked()
    assert not ProtectionGroup.objects.exists()


def test_it_tells_two_operators_the_same(desk: Desk, ann: User, bob: User) -> None:
    run = world.paused("Payments")
    ours, theirs = hurry(desk.sit(ann)), desk.sit(bob)
    for page in (ours, theirs):
        page.goto(f"/executions/{run.pk}")
    theirs.get_by_role("button", name="Resume wave 2").click()
    expect(theirs.locator("h1 + .status")).to_have_text("Running")
    expect(ours.locator("h1 + .status")).to_have_text("Running")
    expect(ours.locator("#feed")).to_contain_text(f"Resumed before wave 2 by {bob.email}")
    expect(ours.locator("#announcer")).to_contain_text("Payments: Running.")
    stale = ours.request.post(f"{desk.address}/executions/{run.pk}/resume", headers={"Referer": desk.address})
    assert stale.status == 403  # without the page's token


def test_it_says_on_an_open_page_that_the_engine_died(desk: Desk, ann: User) -> None:
    run = world.paused("Payments")
    page = desk.sit(ann)
    page.goto(f"/executions/{run.pk}")
    expect(page.locator("#engine")).to_be_hidden()
    world.beat(at=timezone.now() - timedelta(minutes=5))
    poll(page)
    expect(page.locator("#engine")).to_contain_text("No engine is running")
    world.beat()
    poll(page)
    expect(page.locator("#engine")).to_be_hidden()


def idle(minutes: float) -> None:
    """As if nobody had touched the console for so long; its polls are nobody's touch."""
    for stored in Session.objects.all():
        session = SessionStore(stored.session_key)
        session[SEEN] -= int(minutes * 60)
        session.save()


def test_it_goes_to_the_sign_in_when_the_session_has_timed_out_and_back(desk: Desk, operator: User) -> None:
    run = world.paused("Payments")
    page = desk.sit(operator)
    page.goto(f"/executions/{run.pk}")
    idle(44)
    poll(page)
    expect(page.get_by_role("dialog", name="Your session is about to end")).to_be_visible()
    idle(1.1)
    poll(page)
    page.wait_for_url(re.compile("/sign-in"))
    expect(page.locator("main")).to_contain_text("Your session has ended")
    page.get_by_label("Name").fill("operator")
    page.get_by_label("Password").fill("correct-horse-battery")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Resume wave 2")).to_be_enabled()


def test_it_keeps_focus_open_parts_and_scroll_when_a_wave_changes(desk: Desk, ann: User) -> None:
    run = world.paused("Payments")
    page = desk.sit(ann)
    page.goto(f"/executions/{run.pk}")
    page.locator("#wave-1 summary").click()
    page.locator("#timeline-table summary").click()
    page.locator("#wave-2 summary").focus()
    page.evaluate("window.scrollTo(0, 300)")
    at = page.evaluate("window.scrollY")
    world.change(run, *run.waves.all(), error_message="Something new.")
    poll(page)
    expect(page.locator("#live")).to_contain_text("Something new.")
    expect(page.locator("#wave-1 details")).not_to_have_attribute("open", re.compile(""))
    expect(page.locator("#timeline-table")).to_have_attribute("open", "")
    expect(page.locator("#wave-2 summary")).to_be_focused()
    assert abs(page.evaluate("window.scrollY") - at) < 200


def test_it_is_driven_by_the_keyboard(desk: Desk, ann: User) -> None:
    world.plan("Payments")
    world.plan("Orders")
    page = desk.sit(ann)
    page.goto("/")
    page.keyboard.type("gp")
    page.wait_for_url(re.compile("/recovery-plans$"))
    page.keyboard.type("/")
    expect(page.get_by_label("Search")).to_be_focused()
    page.keyboard.type("pay")
    expect(page.locator("#plans")).not_to_contain_text("Orders")
    page.locator("h1").click()  # out of the field
    page.keyboard.type("?")
    expect(page.get_by_role("dialog")).to_contain_text("Keyboard shortcuts")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    box = page.get_by_role("dialog").get_by_role("textbox")
    expect(box).to_be_focused()
    box.press_sequentially("orders")
    page.get_by_role("dialog").get_by_role("link", name="Orders", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Orders")
    page.goto("/settings")
    page.locator("button[name=keys][value=off]").click()
    page.keyboard.type("gp")
    expect(page.locator("button[name=keys][value=off]")).to_have_attribute("aria-pressed", "true")
    assert page.url.endswith("/settings")


def test_an_error_of_a_poll_takes_no_page_away(desk: Desk, ann: User) -> None:
    run, polls = world.paused("Payments"), re.compile(r"/live\?")
    page = hurry(desk.sit(ann))
    for address in (f"/executions/{run.pk}", "/"):
        page.goto(address)
        page.route(polls, lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
        expect(page.locator("#connection")).to_contain_text("Connection lost, showing")
        expect(page.locator("#live")).to_contain_text("Payments")
        page.unroute(polls)
        expect(page.locator("#connection")).to_be_hidden()


def test_a_question_without_an_answer_says_so_and_is_asked_once(desk: Desk, ann: User) -> None:
    run, held = world.ended(ExecutionStatus.COMPLETED), list[Route]()
    page = desk.sit(ann)
    page.goto(f"/executions/{run.pk}")
    page.get_by_role("link", name="Terminate 4 instances").click()
    page.get_by_label("Type terminate 4 to confirm").fill("terminate 4")
    page.route("**/terminate", lambda route: held.append(route))
    sends = page.get_by_role("dialog").get_by_role("button", name="Terminate 4 instances")
    sends.click()
    expect(sends).to_be_disabled()
    (route,) = held
    route.abort()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("check before you try again")
    expect(sends).to_be_enabled()
    desk.complaints.clear()  # of the browser, that the request failed
