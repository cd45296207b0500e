"""What a poll, a slow answer or the way back never does: tick another row, press another button, take away what
somebody has ticked or is about to press, or leave a question waiting for ever."""

import re

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Page, expect

from bench.compare import live_run
from executions.models import Execution, ServerRun
from executions.runs.transitions import touch
from executions.states import ExecutionStatus, Phase, WaveStatus
from reports.made.keeping import AT_ONCE
from tests.console import world
from tests.console.browsers.browser import Desk, hurry
from tests.console.polls.test_rows import end
from tests.console.polls.test_slow_network_browser import ABORTED, hold, wait_for
from tests.reports.test_large_reports import ended_run, work
from tests.support.api_client import make_user

pytestmark = pytest.mark.browser


@pytest.fixture
def ann(transactional_db: None) -> User:
    return make_user("admin")


def ticked(page: Page) -> list[str]:
    return [each.get_attribute("aria-label") or "" for each in page.locator("tbody :checked").all()]


@pytest.mark.parametrize("address", ["/executions", "/recovery-plans"])
def test_the_way_back_ticks_no_other_row(desk: Desk, ann: User, address: str) -> None:
    """Browsers give ticks back to the rows that stand where the ticked ones stood."""
    for each in ("Beta", "Gamma"):
        world.ended(ExecutionStatus.COMPLETED, each, sizes=(1,))
    page = desk.sit(ann)
    page.goto(address)
    boxes = page.locator("tbody input[type=checkbox]")
    boxes.first.check()
    before = ticked(page)
    page.goto("/settings")
    world.ended(ExecutionStatus.COMPLETED, "Alpha", sizes=(1,))
    page.go_back()
    expect(boxes).to_have_count(3)
    page.wait_for_timeout(300)
    assert ticked(page) in ([], before)


def test_the_way_back_ticks_no_other_instance(desk: Desk, ann: User) -> None:
    """Of those that are to be terminated."""
    for each in ("Beta", "Gamma"):
        world.ended(ExecutionStatus.COMPLETED, each, sizes=(1,))
    page = desk.sit(ann)
    page.goto("/recovery-instances")
    boxes = page.locator("tbody input[type=checkbox]")
    boxes.first.check()
    page.goto("/settings")
    ServerRun.objects.filter(hostname__startswith="Beta").delete()
    page.go_back()
    expect(boxes).to_have_count(1)
    page.wait_for_timeout(300)
    assert ticked(page) == []


def test_a_tick_survives_the_poll_that_replaces_its_row(desk: Desk, ann: User) -> None:
    plan = world.plan("Payments")
    world.plan("Orders")
    page = hurry(desk.sit(ann))
    page.goto("/recovery-plans")
    page.get_by_label("Choose Payments").check()
    world.start(plan)
    expect(page.locator("tbody")).to_contain_text("Running now")
    assert ticked(page) == ["Choose Payments"]
    run = world.ended(ExecutionStatus.COMPLETED, "Billing")
    page.goto("/executions")
    page.get_by_label("of Billing").check()
    page.evaluate("window.isTheSame = true")
    for number in range(21):  # as many as make the list be read anew
        world.ended(ExecutionStatus.COMPLETED, f"Run {number}", sizes=(1,))
    expect(page.locator("tbody tr:visible")).to_have_count(23)
    expect(page.locator(f"#row-{run.pk} input")).to_be_checked()
    assert page.evaluate("window.isTheSame")


@pytest.mark.parametrize("address", ["plan", "/executions"])
def test_a_first_run_that_is_told_late_takes_no_question_away(desk: Desk, ann: User, address: str) -> None:
    """The poll was sent before the question was asked."""
    plan = world.plan("Payments")
    page = desk.sit(ann, width=390)
    page.goto(f"/recovery-plans/{plan.pk}" if address == "plan" else address)
    page.evaluate("window.isTheSame = true")
    held = hold(page, r"/rows\?.*since=")
    wait_for(page, held, 1)
    page.locator("#search-open").click()
    text = page.get_by_label("Search for")
    text.fill("paym")
    run = world.start(plan)
    page.wait_for_timeout(700)  # what comes while somebody presses is left to the next poll
    held[0].continue_()
    expect(page.locator(f"#row-{run.pk}")).to_be_attached()
    expect(text).to_have_value("paym")
    assert page.evaluate("window.isTheSame")
    expect(page.locator("main")).not_to_contain_text(re.compile("Never run|Nothing has been run"))


def test_a_button_that_a_poll_puts_under_the_finger_is_not_pressed(desk: Desk, ann: User) -> None:
    """Where “Pause before the next wave” was stands “Resume wave 2” as soon as the run waits there."""
    run = world.paused("Payments")
    second = run.waves.get(number=1)
    second.status, second.paused_at = WaveStatus.PENDING, None
    second.save()
    run = world.change(run, second, status=ExecutionStatus.LAUNCHING)
    page = desk.sit(ann)
    page.goto(f"/executions/{run.pk}")
    box = page.locator("#pause").bounding_box()
    assert box
    second.status, second.paused_at = WaveStatus.PAUSED, run.started_at
    second.save()
    world.change(run, second, status=ExecutionStatus.PAUSED, next_step_at=world.in_a_year())
    page.evaluate("""() => new Promise((done) => document.addEventListener("htmx:afterSwap", done, { once: true }))""")
    page.mouse.click(box["x"] + box["width"] - 20, box["y"] + 10)
    page.wait_for_timeout(1500)
    assert Execution.objects.get(pk=run.pk).status == ExecutionStatus.PAUSED
    expect(page.locator("#resume")).to_have_text("Resume wave 2")
    with page.expect_navigation():
        page.locator("#resume").click()
    assert Execution.objects.get(pk=run.pk).status != ExecutionStatus.PAUSED


def test_a_button_is_not_replaced_while_it_is_pressed(desk: Desk, ann: User) -> None:
    run = world.paused("Payments")
    page = desk.sit(ann)
    page.goto(f"/executions/{run.pk}")
    box = page.locator("#cancel-open").bounding_box()
    assert box
    world.change(run, error_message="Something new.")
    held = hold(page, r"/live\?")
    wait_for(page, held, 1)
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    page.mouse.down()
    with page.expect_response(re.compile(r"/live\?")):
        held[0].continue_()
    page.wait_for_timeout(50)
    page.mouse.up()
    expect(page.get_by_role("dialog")).to_contain_text("Cancel")
    page.unroute_all()
    page.evaluate("document.getElementById('live').dataset.old = '1'")
    expect(page.locator("#live:not([data-old])")).to_be_attached()  # the next poll brings it


def test_a_poll_that_was_sent_before_more_rows_came_takes_none_of_them_back(desk: Desk, ann: User) -> None:
    run = live_run(1, 100)
    wave = run.waves.get(number=0)
    servers, job = ServerRun.objects.filter(wave=wave), wave.jobs.get()
    ServerRun.objects.bulk_create(
        ServerRun(wave=wave, job=job, position=at, source_server_id=f"s-5{at:016x}", hostname=f"more-{at}")
        for at in range(100, 110)
    )
    page = desk.sit(ann)
    page.goto(f"/executions/{run.pk}?wave=0")
    row = page.locator(f"#server-{servers.get(position=1).pk}")
    late = hold(page, r"/live\?")
    servers.filter(position=1).update(phase=Phase.CONVERSION)
    touch(run, timezone.now(), [wave])
    wait_for(page, late, 1)
    read = late[0].fetch()  # before the next change
    servers.filter(position=1).update(phase=Phase.LAUNCH)
    touch(run, timezone.now(), [wave])
    page.get_by_role("link", name="Show more").click()
    expect(page.locator(f"#server-{servers.get(position=109).pk}")).to_be_attached()
    expect(row).to_contain_text(Phase.LAUNCH.label)
    page.wait_for_timeout(700)  # what comes while somebody presses is left to the next poll
    late[0].fulfill(response=read)
    wait_for(page, late, 2)
    expect(row).to_contain_text(Phase.LAUNCH.label)
    page.unroute_all()
    servers.filter(position=1).update(phase_note="attempt 2 of 3")
    touch(run, timezone.now(), [wave])
    expect(row).to_contain_text("attempt 2 of 3")
    desk.complaints[:] = [each for each in desk.complaints if "oobErrorNoTarget" not in each]  # just that


def test_an_answer_that_never_comes_is_told(desk: Desk, ann: User) -> None:
    run = world.paused("Payments")
    page = hurry(desk.sit(ann, width=390))
    page.goto(f"/executions/{run.pk}")
    page.locator("#cancel-open").click()
    held = hold(page, "/cancel$")
    sends = page.get_by_role("dialog").locator("[data-variant=danger]")
    sends.click()
    wait_for(page, held, 1)
    expect(sends).to_be_disabled()
    expect(page.get_by_role("dialog")).to_contain_text("Your request may still have taken effect")
    expect(sends).to_be_enabled()
    desk.complaints[:] = [each for each in desk.complaints if not ABORTED.search(each)]


def test_a_refusal_reaches_who_has_closed_the_question_meanwhile(desk: Desk, ann: User) -> None:
    run = world.paused("Payments")
    page = desk.sit(ann)
    page.goto(f"/executions/{run.pk}")
    page.locator("#cancel-open").click()
    asks = page.get_by_role("dialog")
    held = hold(page, "/cancel$")
    asks.locator("[data-variant=danger]").click()
    wait_for(page, held, 1)
    page.keyboard.press("Escape")
    page.wait_for_timeout(200)
    page.keyboard.press("Escape")
    asks.locator("[data-close]").click()
    end(run)
    held[0].continue_()
    expect(asks).to_contain_text("is over")
    expect(page.locator("#dialog .htmx-request")).to_have_count(0)  # in the moment of its answer it stays, too
    page.keyboard.press("Escape")
    expect(asks).to_be_hidden()


def test_a_report_comes_into_the_page_that_waits_for_it(desk: Desk, ann: User) -> None:
    run = ended_run(AT_ONCE + 20)
    page = hurry(desk.sit(ann))
    page.goto(f"/executions/{run.pk}/report")
    expect(page.locator("#being_made")).to_contain_text("is being made")
    page.get_by_role("link", name="Journal").focus()
    page.evaluate("window.isTheSame = true")
    work()
    expect(page.locator("#report")).to_contain_text("app-9-51")
    expect(page.get_by_role("button", name="Evidence pack")).to_be_visible()
    expect(page.locator("#announcer")).to_have_text("The report is there.")
    expect(page.get_by_role("link", name="Journal")).to_be_focused()
    expect(page.locator("#being_made")).to_have_count(0)
    assert page.evaluate("window.isTheSame")


def test_all_are_chosen_only_while_they_are(desk: Desk, ann: User) -> None:
    for number in range(53):
        world.ended(ExecutionStatus.COMPLETED, f"Run {number}", sizes=(1,))
    page = desk.sit(ann)
    page.goto("/executions")
    every, rows = page.locator("[data-all]"), page.locator("td.pick input")
    every.check()
    expect(page.locator("td.pick :checked")).to_have_count(50)
    page.locator("#load-more").click()
    expect(rows).to_have_count(53)
    expect(every).not_to_be_checked()
    assert every.evaluate("(box) => box.indeterminate")
    every.check()
    expect(page.locator("td.pick :checked")).to_have_count(53)
    rows.first.uncheck()
    assert every.evaluate("(box) => [box.checked, box.indeterminate]") == [False, True]
    rows.first.check()
    expect(every).to_be_checked()
    every.uncheck()
    expect(page.locator("td.pick :checked")).to_have_count(0)
    page.set_viewport_size({"width": 420, "height": 900})  # a phone has no heads of columns, but this box
    every.check()
    expect(page.locator("td.pick :checked")).to_have_count(53)


def test_rows_that_were_loaded_below_are_there_when_the_first_change(desk: Desk, ann: User) -> None:
    for number in range(53):
        world.ended(ExecutionStatus.FAILED, f"Run {number}", sizes=(1,))
    page = desk.sit(ann)
    page.goto("/executions?status=FAILED")
    page.locator("#load-more").click()
    rows = page.locator("td.pick input")
    expect(rows).to_have_count(53)
    rows.last.check()
    late = world.ended(ExecutionStatus.FAILED, "A late one", sizes=(1,))
    page.evaluate("htmx.trigger('#newcomers', 'poll-now')")
    expect(page.locator(f"#row-{late.pk}")).to_be_visible()
    expect(rows).to_have_count(54)
    expect(rows.last).to_be_checked()


def test_who_comes_back_to_a_list_is_told_at_once(desk: Desk, ann: User) -> None:
    run = world.paused("Payments")
    page = desk.sit(ann)
    page.goto("/executions")
    page.evaluate("Object.defineProperty(document, 'hidden', { get: () => window.isAway ?? false })")
    page.evaluate("window.isAway = true")
    world.plan("Orders")
    other = world.start(world.plan("Billing"))
    page.wait_for_timeout(500)
    page.evaluate("window.isAway = false; document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(f"#row-{other.pk}")).to_be_visible(timeout=2500)
    expect(page.locator(f"#row-{run.pk}")).to_be_visible()


def test_a_phone_that_has_no_notifications_says_so(desk: Desk, ann: User) -> None:
    """Chromium on Android has their name, and throws when one is to be shown."""
    phone = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36"
    page = desk.sit(ann, width=390, user_agent=phone, permissions=["notifications"])
    page.goto("/settings")
    page.locator("[data-tell=on]").click()
    expect(page.locator("#news-note")).to_contain_text("This browser offers none here")
