"""Lists of runs and job logs in a browser: they keep up, and what a person loaded, reads or has in hand stays."""

import re
from collections.abc import Sequence

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import expect

from audit.actor import SYSTEM
from bench.compare import live_run
from executions.commands import control
from executions.models import Execution, LaunchJob, ServerRun
from executions.runs.transitions import touch
from executions.states import ExecutionStatus, Kind, WaveStatus
from tests.console import world
from tests.console.browsers.browser import Desk, hurry
from tests.console.polls.test_rows import end
from tests.support.api_client import make_user

pytestmark = pytest.mark.browser


@pytest.fixture
def ann(transactional_db: None) -> User:
    return make_user("admin")


def paused(names: Sequence[str]) -> list[Execution]:
    return [world.paused(name) for name in names]


def test_the_history_keeps_up_and_leaves_rows_filters_and_focus_alone(desk: Desk, ann: User) -> None:
    old, *_ = paused(["Oldest"])
    for number in range(52):
        world.ended(ExecutionStatus.COMPLETED, f"Run {number}", sizes=(1,))
    first, second = paused(["Payments", "Orders"])
    page = hurry(desk.sit(ann))
    page.goto("/executions?kind=DRILL")
    page.get_by_role("link", name="Load more").click()
    expect(page.locator(f"#row-{old.pk} .status")).to_have_text("Paused")
    rows = page.locator("tbody tr:visible").count()
    page.locator(f"#run-{first.pk}").focus()
    page.evaluate("document.getElementById('main').marked = true")
    at = page.evaluate("window.scrollY")
    for run in (first, old):
        world.change(run, status=ExecutionStatus.LAUNCHING)
    expect(page.locator(f"#row-{first.pk} .status")).to_have_text("Launching", timeout=6000)
    expect(page.locator(f"#row-{old.pk} .status")).to_have_text("Launching", timeout=6000)
    expect(page.locator(f"#row-{second.pk} .status")).to_have_text("Paused")
    expect(page.locator(f"#run-{first.pk}")).to_be_focused()
    for run in (first, second, old):
        end(run)
    for run in (first, second, old):
        expect(page.locator(f"#row-{run.pk} .status")).to_have_text("Completed", timeout=6000)
        expect(page.locator(f"#row-{run.pk} [data-elapsed]")).to_have_count(0)
    expect(page.locator("[hx-trigger^='every 3s']")).to_have_count(0)
    expect(page.locator(f"#run-{first.pk}")).to_be_focused()
    assert page.locator("tbody tr:visible").count() == rows
    assert page.evaluate("document.getElementById('main').marked")
    assert page.evaluate("window.scrollY") == at
    assert page.url.endswith("/executions?kind=DRILL")


def test_an_error_takes_no_row_away(desk: Desk, ann: User) -> None:
    run = world.paused("Payments")
    page = hurry(desk.sit(ann))
    page.goto("/executions")
    page.route("**/executions/rows?*", lambda route: route.fulfill(status=503, body="<h1>Down</h1>"))
    with page.expect_response("**/executions/rows?*"):
        pass
    page.unroute("**/executions/rows?*")
    world.change(run, status=ExecutionStatus.LAUNCHING)
    expect(page.locator(f"#row-{run.pk} .status")).to_have_text("Launching", timeout=6000)
    expect(page.locator("main")).not_to_contain_text("Down")
    desk.complaints[:] = [each for each in desk.complaints if not re.search("Code 503|TableRow", each)]  # htmx's own


def test_the_page_of_a_plan_can_start_it_once_its_run_is_over(desk: Desk, ann: User) -> None:
    run = world.paused("Payments")
    page = hurry(desk.sit(ann))
    page.goto(f"/recovery-plans/{run.plan_id}")
    expect(page.locator("#startable")).to_contain_text("is already running")
    page.get_by_role("link", name="Delete").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    end(run)
    expect(page.locator("#assessed")).to_contain_text("Would a run work now?", timeout=6000)
    expect(page.locator("#startable")).not_to_contain_text("is already running")
    expect(page.locator(f"#row-{run.pk} .status")).to_have_text("Completed")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Start drill").click()
    expect(page.get_by_role("dialog").get_by_role("button", name="Start drill")).to_be_enabled()


def test_a_first_run_that_somebody_else_starts_takes_no_dialog_away(desk: Desk, ann: User) -> None:
    """Nor does one's own, on whose page somebody who has started it is about to be."""
    plan = world.plan("Payments")
    page = hurry(desk.sit(ann))
    page.goto(f"/recovery-plans/{plan.pk}")
    page.get_by_role("link", name="Start drill of Payments").click()
    dialog = page.get_by_role("dialog", name="Start drill of Payments?")
    expect(dialog).to_be_visible()
    with page.expect_response("**/rows?*since=*"):
        page.evaluate("window.isTheSame = true")
        dialog.get_by_role("link", name="Do not start").click()
    page.get_by_role("link", name="Start drill of Payments").click()
    world.start(plan)
    page.wait_for_timeout(3000)  # twice what such a poll waits here
    expect(dialog).to_be_visible()
    assert page.evaluate("window.isTheSame")
    dialog.get_by_role("link", name="Do not start").click()
    expect(page.locator("[id^=row-]")).to_be_visible()


def test_what_a_poll_brings_to_the_page_of_a_plan_can_be_pressed(desk: Desk, ann: User) -> None:
    """A dry run that ends beside a paused run brings the buttons anew, and with them a form."""
    paused = world.paused("Payments")
    assert paused.plan
    rehearsal = control.start(actor=SYSTEM, plan_id=paused.plan.pk, kind=Kind.DRILL, dry_run=True)
    page = hurry(desk.sit(ann))
    page.goto(f"/recovery-plans/{paused.plan_id}")
    page.evaluate("document.getElementById('startable').dataset.old = '1'")
    world.change(rehearsal, status=ExecutionStatus.COMPLETED, ended_at=timezone.now(), next_step_at=None)
    expect(page.locator("#startable:not([data-old])")).to_be_visible(timeout=6000)
    page.locator("#startable").get_by_role("button", name="Dry run").click()
    page.wait_for_url("**/executions/*-*")
    assert Execution.objects.filter(dry_run=True).count() == 2


def test_job_logs_come_by_themselves_and_stay_where_they_were_scrolled(desk: Desk, ann: User) -> None:
    run = world.start(world.plan("Payments"))
    first, second = run.waves.all()
    page = hurry(desk.sit(ann))
    page.goto(f"/executions/{run.pk}/job-logs")
    expect(page.locator("#logs_none")).to_be_visible()
    world.launch(first, end=False)
    world.launch_log(first, lines=60)
    run = world.change(run, first, status=ExecutionStatus.LAUNCHING)
    lines = page.locator(f"#log-lines-{LaunchJob.objects.get(wave=first).pk}")
    expect(lines.locator("li")).to_have_count(61, timeout=6000)
    expect(page.locator("#logs_none")).to_be_hidden()
    expect(page.locator("#logs_state")).to_have_text("Launching")
    expect(page.locator("#logs section:visible")).to_have_count(1)
    lines.focus()
    lines.evaluate("(each) => (each.scrollTop = 300)")
    world.launch_log(first, lines=3)
    touch(run, timezone.now(), [first])
    expect(lines.locator("li")).to_have_count(64, timeout=6000)
    expect(lines).to_be_focused()
    assert lines.evaluate("(each) => each.scrollTop") == 300
    page.get_by_label("Errors only").check()
    expect(page.locator("#logs section:visible")).to_contain_text("No errors in this job.")
    world.launch(second, fail="no capacity", end=False)
    LaunchJob.objects.filter(wave=second).update(error_code="LAUNCH_REJECTED", error_message="AWS said no.")
    touch(run, timezone.now(), [first, second])
    expect(page.locator("#logs section:visible")).to_have_count(2, timeout=6000)
    expect(page.locator("#logs section:visible").first).to_contain_text("No errors in this job.")
    end(run, ExecutionStatus.PARTIAL)
    expect(page.locator("#logs_state")).to_have_text("Partial", timeout=6000)
    expect(page.locator("[hx-trigger^=every]")).to_have_count(0)


def test_servers_come_when_somebody_sees_their_wave_and_keep_up(desk: Desk, ann: User) -> None:
    run = live_run()
    run.waves.filter(number__gt=0).update(started_at=None, status=WaveStatus.PENDING)
    page = hurry(desk.sit(ann))
    page.goto(f"/executions/{run.pk}")
    expect(page.locator("#wave-1 tbody")).to_have_count(100)
    expect(page.locator("#wave-3 tbody")).to_have_count(0)
    page.locator("#wave-3 summary").click()
    expect(page.locator("#wave-3 tbody")).to_have_count(100)
    rows = page.locator("#wave-3-rows")
    rows.evaluate("(each) => each.marked = true")
    changed = ServerRun.objects.get(hostname="app-2-7")
    ServerRun.objects.filter(pk=changed.pk).update(phase_note="attempt 2 of 3")
    page.evaluate("window.other = document.querySelector('#wave-3 tbody:last-child')")
    touch(run, timezone.now(), [run.waves.get(number=2)])
    expect(page.locator(f"#server-{changed.pk}")).to_contain_text("attempt 2 of 3", timeout=6000)
    assert rows.evaluate("(each) => each.marked"), "the table was not made anew"
    assert page.evaluate("window.other.isConnected")
    assert "open" in (page.locator("#wave-3-servers").evaluate("(each) => each.outerHTML.split('>')[0]"))
    ServerRun.objects.filter(pk=changed.pk).update(launch_status="FAILED", error="No capacity")
    touch(run, timezone.now(), [run.waves.get(number=2)])
    expect(page.locator("#wave-3 tbody").first).to_contain_text("No capacity", timeout=6000)
    ServerRun.objects.filter(hostname="app-2-9").update(phase_note="attempt 3 of 3")
    touch(run, timezone.now(), [run.waves.get(number=2)])
    expect(page.locator("#wave-3 tbody", has_text=re.compile("app-2-9(?![0-9])"))).to_contain_text(
        "attempt 3 of 3", timeout=6000
    )
