"""What a tired hand does: Enter in the wrong place, names that never break, long feeds by keyboard, a tab left open."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from executions.models import Execution
from executions.states import ExecutionStatus, Kind
from plans.models import RecoveryPlan
from tests.console import world
from tests.console.browsers.browser import Desk, axe, hurry, poll
from tests.support.api_client import make_user

pytestmark = pytest.mark.browser

UNBROKEN = "x" * 128


@pytest.fixture
def ann(transactional_db: None) -> User:
    return make_user("admin")


def recovered() -> RecoveryPlan:
    """A plan whose servers run as production: a drill of it asks for the name, too."""
    run = world.ended(ExecutionStatus.COMPLETED, "Payments")
    Execution.objects.filter(pk=run.pk).update(kind=Kind.RECOVERY)
    return RecoveryPlan.objects.get()


def question(page: Page, plan: RecoveryPlan, kind: str, *, scripted: bool) -> Locator:
    """The question before a start: a dialog, or without a script a page."""
    page.goto("/recovery-plans")
    page.get_by_role("link", name=f"Start {kind} of {plan.name}").click()
    return page.get_by_role("dialog") if scripted else page.locator("main")


@pytest.mark.usefixtures("simulator")  # the start of a drill beside a recovery asks DRS
@pytest.mark.parametrize("scripted", [True, False])
@pytest.mark.parametrize("kind", ["drill", "recovery"])
def test_enter_never_means_a_dry_run(desk: Desk, ann: User, kind: str, scripted: bool) -> None:
    plan = recovered()
    page = desk.sit(ann, java_script_enabled=scripted)
    asked = question(page, plan, kind, scripted=scripted)
    name = asked.get_by_label("Type the plan's name")
    name.fill("Paymints")
    name.press("Enter")
    expect(asked.locator("#confirm-error")).to_contain_text("Nothing was started")
    assert Execution.objects.count() == 1
    name.fill("Payments")
    name.press("Enter")
    page.wait_for_url(re.compile(r"/executions/[0-9a-f-]{36}$"))
    run = Execution.objects.newest_first()[0]
    assert (run.kind, run.dry_run) == (kind.upper(), False)


@pytest.mark.parametrize("scripted", [True, False])
def test_the_dry_run_is_still_one_click_away(desk: Desk, ann: User, scripted: bool) -> None:
    page = desk.sit(ann, java_script_enabled=scripted)
    question(page, world.plan("Payments"), "recovery", scripted=scripted).get_by_role("button", name="Dry run").click()
    page.wait_for_url(re.compile(r"/executions/[0-9a-f-]{36}$"))
    assert Execution.objects.get().dry_run


# Elements whose right edge is out of reach; what scrolls in its own box is not.
OUTSIDE = """[...document.querySelectorAll(":is(main, dialog[open]) *:not(.unseen, svg *)")]
    .filter((each) => each.getClientRects().length && !each.closest(".table-scroll, .drawn"))
    .filter((each) => {
      const within = each.closest("dialog")?.getBoundingClientRect().right ?? document.documentElement.clientWidth;
      return each.getBoundingClientRect().right > within + 1;
    })
    .map((each) => each.outerHTML.slice(0, 100))"""


def test_no_name_pushes_anything_out_of_reach(desk: Desk, ann: User) -> None:
    plan = world.plan(UNBROKEN)
    run = world.ended(ExecutionStatus.PARTIAL, "y" * 128, fail="z" * 300)
    Execution.objects.filter(pk=run.pk).update(kind=Kind.RECOVERY)
    world.region()
    page = desk.sit(ann)
    group = plan.waves.all()[0].group_links.all()[0].group_id
    found = []
    for address, opener in (
        ("/", ""),
        ("/recovery-plans", f"Start recovery of {UNBROKEN}"),
        ("/recovery-plans", f"Start drill of {'y' * 128}"),
        (f"/recovery-plans/{plan.pk}/start-drill", ""),
        (f"/recovery-plans/{run.plan_id}/start-drill", ""),
        (f"/recovery-plans/{plan.pk}/start-recovery", ""),
        (f"/recovery-plans/{plan.pk}/edit", ""),
        (f"/recovery-plans/{plan.pk}", ""),
        (f"/protection-groups/{group}/edit", ""),
        (f"/executions/{run.pk}", "Terminate 3 instances"),
        (f"/executions/{run.pk}", "Try again"),
    ):
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(address)
        if opener:
            page.get_by_role("link", name=opener).click()
            expect(page.get_by_role("dialog")).to_be_visible()
        for width in (320, 420, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            found += [f"{address} {opener[:20]} at {width}: {each}" for each in page.evaluate(OUTSIDE)]
    assert not found, "\n".join(found)


def test_a_long_feed_is_read_with_the_keyboard(desk: Desk, ann: User) -> None:
    run = world.paused("Payments")
    world.launch_log(run.waves.all()[0], 80)
    page = desk.sit(ann)
    for address in (f"/executions/{run.pk}", f"/executions/{run.pk}/job-logs"):
        page.goto(address)
        feed = page.locator(".feed").first
        assert feed.evaluate("each => each.scrollHeight > each.clientHeight")
        assert not axe(page)
        feed.focus()
        page.keyboard.press("End")
        page.wait_for_timeout(500)
        assert feed.evaluate("each => each.scrollTop")


def test_a_dashboard_left_open_tells_that_the_run_is_over(desk: Desk, ann: User) -> None:
    run = world.paused("Payments")
    page = hurry(desk.sit(ann))
    page.goto("/")
    expect(page.locator(".active")).to_contain_text("waiting 4 min")
    page.locator(f"#run-{run.pk}").focus()
    page.evaluate("window.sameDocument = true")
    world.change(run, error_message="Something new.")
    poll(page)
    expect(page.locator(f"#run-{run.pk}")).to_be_focused()
    run.holds.all().delete()
    world.change(run, status=ExecutionStatus.CANCELLED, ended_at=timezone.now(), next_step_at=None)
    expect(page.locator("#live")).to_contain_text("Nothing is running.")  # by its own clock
    expect(page.locator("#announcer")).to_have_text("Nothing is running.")
    expect(page).to_have_title("Dashboard · DRS Orchestration")
    expect(page.locator("#live")).to_have_attribute("hx-trigger", "every 15s, poll-now")
    assert page.evaluate("window.sameDocument")
    page.route("**/live?*", lambda route: route.abort())
    poll(page)
    expect(page.locator("#connection")).to_be_visible()
    desk.complaints.clear()  # of the request that was cut off


def test_an_unchanged_poll_moves_the_age_of_the_data(desk: Desk, ann: User) -> None:
    run = world.paused("Payments")
    job = run.waves.all()[0].jobs.get()
    type(job).objects.filter(pk=job.pk).update(seen_at=timezone.now() - timedelta(hours=3))
    page = desk.sit(ann)
    page.goto(f"/executions/{run.pk}")
    expect(page.locator("#told")).to_have_text("3 hours ago")
    type(job).objects.filter(pk=job.pk).update(seen_at=timezone.now() - timedelta(hours=1))
    poll(page)
    expect(page.locator("#told")).to_have_text("1 hour ago")


def test_a_refused_save_takes_the_reader_to_the_reason(desk: Desk, ann: User) -> None:
    page = desk.sit(ann)
    page.goto("/recovery-plans/new")
    page.get_by_role("button", name="Create plan").click()
    expect(page.locator("#problem")).to_be_focused()
    expect(page).to_have_title("Not saved: New recovery plan · DRS Orchestration")
    world.plan("Payments")
    page.goto("/recovery-plans")
    page.get_by_label("Search").fill("zzz")
    expect(page.locator("#announcer")).to_have_text("0 plans found.")
