"""Every page, full, empty and forbidden, in both schemes and at 320 px: axe finds nothing, nothing sticks out."""

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from executions.models import Execution, TerminationJob
from executions.states import ExecutionStatus, JobStatus, Kind
from protection.models import ProtectionGroup
from reports.models import ReadinessDay
from tests.console import world
from tests.console.browsers.browser import COLOURS, Desk, axe
from tests.support.api_client import make_user

pytestmark = pytest.mark.browser

LONG = "Ein-sehr-langer-Name-der-nirgends-umbricht-" * 2 + "und noch einer mit vielen Leerzeichen dazwischen"

# Controls that stand alone on a phone, of less than 24 pixels (WCAG 2.5.8; what stands in a sentence is exempt).
NARROW = """[...document.querySelectorAll("main :is(td.num, .end, dd) > a, .copy, .search")]
    .map((each) => [each, each.getBoundingClientRect()])
    .filter(([each, box]) => box.width && (box.width < 24 || box.height < 24))
    .map(([each]) => each.outerHTML.slice(0, 120))"""

# On a phone: heads that sort nothing, and facts of a run above its waves.
MISPLACED = """[
    ...[...document.querySelectorAll(".stack thead")].filter((each) => !each.querySelector("[aria-sort]")),
    ...[...document.querySelectorAll("#facts:has(~ .waves)")].filter((each) =>
      each.getBoundingClientRect().top < document.querySelector(".waves").getBoundingClientRect().top),
  ].filter((each) => each.getClientRects().length).map((each) => each.outerHTML.slice(0, 120))"""

# Controls that are there, but have shrunk to less than anybody can hit, or read what is in them.
SMALL = """[...document.querySelectorAll("main :is(input:not([type=hidden]), select, textarea, button:not(.unseen))")]
    .filter((each) => each.getClientRects().length)
    .map((each) => [each, each.getBoundingClientRect(), each.matches("button, [type=checkbox]") ? 16 : 64])
    .filter(([each, box, least]) => box.height < 16 || box.width < least)
    .map(([each]) => each.outerHTML.slice(0, 120))"""


def full_house() -> list[str]:
    """Something of everything; answers every address that shows it."""
    world.region("us-east-1")
    world.region("us-west-2", error_code="AccessDenied", error_message="not authorized")
    world.region("ap-south-1", initialized=False)
    world.region("eu-west-1", age_seconds=9000)
    world.server(LONG[:200], state="STALLED")
    paused = world.paused("Payments")
    partial = world.ended(ExecutionStatus.PARTIAL, LONG[:110], fail="InsufficientInstanceCapacity")
    TerminationJob.objects.create(
        execution=partial,
        account_id="1" * 12,
        region="us-east-1",
        status=JobStatus.REJECTED,
        instance_ids=["i-00000000000000001"],
        failures={"i-00000000000000001": {"code": "AccessDenied", "message": "no drs:TerminateRecoveryInstances"}},
    )
    world.start(world.plan("Waiting"), Kind.RECOVERY)
    free = world.plan("Free")
    group = ProtectionGroup.objects.get(name="Free group 0")
    return [
        "/",
        "/protection-groups",
        "/protection-groups?q=nothing",
        "/protection-groups/new",
        "/protection-groups/new?region=us-east-1",
        "/protection-groups/new?region=ap-south-1",
        f"/protection-groups/{group.pk}",
        f"/protection-groups/{group.pk}/edit",
        f"/protection-groups/{group.pk}/delete",
        "/recovery-plans",
        "/recovery-plans/new",
        f"/recovery-plans/{free.pk}",
        f"/recovery-plans/{free.pk}/edit",
        f"/recovery-plans/{free.pk}/delete",
        f"/recovery-plans/{free.pk}/start-drill",
        f"/recovery-plans/{free.pk}/start-recovery",
        f"/recovery-plans/{free.pk}/duplicate",
        f"/recovery-plans/{free.pk}/versions",
        f"/recovery-plans/{free.pk}/versions/1",
        f"/recovery-plans/{partial.plan_id}",
        f"/recovery-plans/drills?plan={free.pk}&plan={paused.plan_id}",
        f"/recovery-plans/labels?plan={free.pk}&plan={paused.plan_id}",
        "/recovery-plans?sort=-ready",
        "/executions",
        f"/executions/terminate?run={partial.pk}&run={paused.pk}",
        f"/executions/{paused.pk}",
        f"/executions/{partial.pk}",
        f"/executions/{paused.pk}/cancel",
        f"/executions/{partial.pk}/terminate",
        *after_the_end(partial),
        "/source-servers",
        f"/source-servers/{group.assignments.all()[0].source_server_id}",
        "/search?q=e",
        "/journal",
        "/settings",
        "/shortcuts",
        "/manual/runbook",
        "/nowhere",
    ]


def after_the_end(run: Execution) -> list[str]:
    """Logs and report of a run, and how runs and plans have done over time."""
    other = world.ended(ExecutionStatus.COMPLETED, "Good")
    assert run.plan
    ReadinessDay.objects.create(plan=run.plan, day=timezone.now().date(), hour=1, ready=1, not_ready=1)
    return [
        f"/executions/{run.pk}/job-logs",
        f"/executions/{run.pk}/report",
        f"/executions/{run.pk}/phases",
        f"/executions/compare?a={run.pk}",
        f"/executions/compare?a={run.pk}&b={other.pk}",
        f"/recovery-plans/{run.plan_id}/history",
        "/exercises",
        "/readiness-history",
    ]


def judge(page: Page, address: str) -> list[str]:
    """Everything that is wrong with a page as it stands, light, dark, narrow and enlarged."""
    page.goto(address)
    page.evaluate("document.querySelectorAll('main details').forEach((each) => (each.open = true))")
    found = axe(page)
    page.emulate_media(color_scheme="dark")
    found += [f"dark: {each}" for each in axe(page, *COLOURS)]
    page.emulate_media(color_scheme="light")
    for width, what in ((320, "on a phone"), (640, "at 200 %")):  # 1280 pixels at 200 % are 640 for the page
        page.set_viewport_size({"width": width, "height": 700})
        over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        small = page.evaluate(SMALL)
        found += [f"{address} is {over} px too wide {what}"] if over > 0 else []
        if width == 320:
            small += page.evaluate(NARROW)
            found += [f"{address} {what}: {each} is in the way" for each in page.evaluate(MISPLACED)]
        found += [f"{address} {what}: {each} cannot be hit" for each in small]
    page.set_viewport_size({"width": 1280, "height": 900})
    return found


def test_it_is_accessible_in_a_full_house(desk: Desk, simulator: object) -> None:
    addresses = full_house()
    page = desk.sit(make_user("admin"))
    found = [problem for address in addresses for problem in judge(page, address)]
    page.goto("/recovery-plans")
    page.get_by_role("link", name="Start recovery of Free").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    found += axe(page)
    desk.complaints[:] = [each for each in desk.complaints if "404" not in each]  # /nowhere is not there
    assert not found, "\n".join(found)


def test_it_is_accessible_in_an_empty_house(desk: Desk) -> None:
    page = desk.sit(make_user("viewer"))
    lists = ("/", "/protection-groups", "/recovery-plans", "/executions", "/source-servers", "/journal", "/settings")
    found = [problem for address in lists for problem in judge(page, address)]
    stranger = desk.sit(None)
    found += judge(stranger, "/sign-in")
    page.goto("/recovery-plans/new")
    expect(page.locator("main")).to_contain_text("You may not create recovery plans")
    found += axe(page)
    assert not found, "\n".join(found)


def test_it_prints_a_run_with_everything_open(desk: Desk) -> None:
    run = world.ended(ExecutionStatus.COMPLETED, sizes=(30, 2))
    page = desk.sit(make_user("viewer"))
    page.goto(f"/executions/{run.pk}")
    expect(page.locator("#wave-1 tbody tr").first).to_be_hidden()
    page.emulate_media(media="print", color_scheme="dark")
    expect(page.locator("#wave-1 tbody tr").first).to_be_visible()
    expect(page.locator(".sidenav")).to_be_hidden()
    expect(page.locator(".page-header .actions")).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(246, 247, 249)"


def test_nothing_moves_for_those_who_want_it_so(desk: Desk) -> None:
    run = world.paused("Payments")
    world.change(run, status=ExecutionStatus.LAUNCHING)
    page = desk.sit(make_user("viewer"))
    page.goto(f"/executions/{run.pk}")
    moving = "document.getAnimations().filter((each) => each.playState === 'running').length"
    assert page.evaluate(moving), "the spinner of a run that goes on"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moving) == 0
    page.goto("/")
    assert page.evaluate(moving) == 0
