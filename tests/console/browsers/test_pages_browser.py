"""Every page, full, empty and forbidden, in both schemes and at 320 px: axe finds nothing, nothing sticks out."""

import pytest
from playwright.sync_api import Page, expect

from executions.models import TerminationJob
from executions.states import ExecutionStatus, JobStatus, Kind
from protection.models import ProtectionGroup
from tests.console import world
from tests.console.browsers.browser import COLOURS, Desk, axe
from tests.support.api_client import make_user

pytestmark = pytest.mark.browser

LONG = "Ein-sehr-langer-Name-der-nirgends-umbricht-" * 2 + "und noch einer mit vielen Leerzeichen dazwischen"

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
        f"/recovery-plans/{partial.plan_id}",
        "/executions",
        f"/executions/{paused.pk}",
        f"/executions/{partial.pk}",
        f"/executions/{paused.pk}/cancel",
        f"/executions/{partial.pk}/terminate",
        f"/executions/{partial.pk}/job-logs",
        "/source-servers",
        "/journal",
        "/settings",
        "/shortcuts",
        "/nowhere",
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
