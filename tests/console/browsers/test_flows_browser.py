"""Flows through a real browser: from the first group to the logs of a drill; what is edited without a script."""

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from executions.models import Execution
from plans.models import RecoveryPlan
from protection.models import ProtectionGroup
from tests.console.browsers.browser import Desk, poll
from tests.support.api_client import make_user
from tests.support.stage import Stage

pytestmark = pytest.mark.browser


@pytest.fixture
def admin_user(transactional_db: None) -> User:
    return make_user("admin")


def make_group(page: Page, name: str, *hostnames: str) -> None:
    page.goto("/protection-groups")
    page.get_by_role("link", name="New group").click()
    page.get_by_label("Region").select_option("us-east-1")
    page.get_by_role("button", name="Choose servers").click()
    page.get_by_label("Name", exact=True).fill(name)
    for hostname in hostnames:
        page.get_by_label("Find by name or id").fill(hostname)
        expect(page.locator("#picker tbody tr").last).to_contain_text(hostname)
        page.get_by_role("checkbox", name=hostname, exact=True).check()
    page.get_by_role("button", name="Create group").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def add_wave(page: Page, number: int, name: str, group: str) -> None:
    card = page.get_by_role("group", name=f"Wave {number}", exact=False).first
    card.get_by_label("Name of the wave").fill(name)
    card.get_by_label(re.compile("protection group")).fill(group)
    card.get_by_role("button", name="Add group").click()
    expect(page.locator("#waves")).to_contain_text(f"“{group}” was added to wave {number}")


def test_it_goes_from_the_first_group_to_the_logs_of_a_drill(desk: Desk, stage: Stage, admin_user: User) -> None:
    page = desk.sit(admin_user)
    make_group(page, "Databases", "db-primary-01", "db-replica-01")
    make_group(page, "Web", "web-01")
    assert ProtectionGroup.objects.get(name="Databases").assignments.count() == 2
    make_plan(page)
    drill(page, stage)
    read_logs(page)


def make_plan(page: Page) -> None:
    page.goto("/recovery-plans/new")
    page.get_by_label("Name", exact=True).fill("Payments")
    add_wave(page, 1, "Web tier", "Web")
    page.get_by_role("button", name="Add a wave").click()
    expect(page.locator("#waves .wave")).to_have_count(2)
    add_wave(page, 2, "Database tier", "Databases")
    page.get_by_role("button", name="Move up wave 2").click()
    expect(page.locator("#waves")).to_contain_text("Wave 2, Database tier, is now wave 1.")
    expect(page.get_by_role("button", name="Move down wave 1")).to_be_focused()
    page.get_by_role("checkbox", name="Wave 1, Database tier").check()
    page.get_by_label("Pause before this wave").check()
    page.get_by_role("button", name="Create plan").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Payments")
    waves = RecoveryPlan.objects.get().waves.all()
    assert [(wave.name, wave.pause_before) for wave in waves] == [("Database tier", False), ("Web tier", True)]
    assert list(waves[1].depends_on.all()) == [waves[0]]


def drill(page: Page, stage: Stage) -> None:
    page.get_by_role("link", name="Start drill").click()
    page.get_by_role("dialog").get_by_role("button", name="Start drill").click()
    page.wait_for_url(re.compile(r"/executions/[0-9a-f-]{36}$"))
    run = Execution.objects.get()
    stage.until(run, "PAUSED")
    poll(page)
    expect(page.locator("h1 + .status")).to_have_text("Paused")
    expect(page.locator("#timeline")).to_contain_text("Paused before wave 2")
    resume = page.get_by_role("button", name="Resume wave 2")
    expect(resume).to_be_visible()
    page.wait_for_timeout(1000)  # a button that a poll has just put there is not pressed
    resume.click()
    stage.until(run, "COMPLETED")
    poll(page)
    expect(page.locator("h1 + .status")).to_have_text("Completed")
    expect(page.locator("#feed")).to_contain_text("Wave 2 completed by the engine")


def read_logs(page: Page) -> None:
    page.get_by_role("link", name="Job logs").click()
    expect(page.locator("#logs section")).to_have_count(2)
    expect(page.locator("#logs")).to_contain_text("Converted")
    page.get_by_label("Errors only").check()
    expect(page.locator("#logs")).to_contain_text("No errors in this job.")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as text").click()
    assert "LAUNCH_START" in download.value.path().read_text()


def test_it_edits_groups_and_plans_without_a_script(desk: Desk, stage: Stage, admin_user: User) -> None:
    page = desk.sit(admin_user, java_script_enabled=False)
    ids = stage.ids("app-01 app-02")
    page.goto("/protection-groups/new?region=us-east-1")
    page.locator(f"#pick-{ids[0]}").check()
    page.get_by_label("Find by name or id").fill("app-02")
    page.get_by_role("button", name="Find").click()
    expect(page.locator(f"#pick-{ids[0]}")).to_be_checked()
    page.locator(f"#pick-{ids[1]}").check()
    page.get_by_label("Name", exact=True).fill("Application")
    page.get_by_role("button", name="Create group").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Application")

    page.goto("/recovery-plans/new")
    page.get_by_label("Name", exact=True).fill("Plain")
    page.get_by_label("Name of the wave").fill("Only")
    page.get_by_label("Add a protection group").fill("Application")
    page.get_by_role("button", name="Add group to wave 1").click()
    page.get_by_role("button", name="Add a wave").click()
    expect(page.locator("#waves .wave")).to_have_count(2)
    page.get_by_role("button", name="Remove wave 2").click()
    expect(page.locator("#waves .wave")).to_have_count(1)
    page.get_by_role("button", name="Create plan").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Plain")
    page.get_by_role("link", name="Start recovery").click()
    page.get_by_label("Type the plan's name").fill("something else")
    page.get_by_role("button", name="Start recovery of 2 servers").click()
    expect(page.locator("#confirm-error")).to_contain_text("Nothing was started")
    page.get_by_label("Type the plan's name").fill("Plain")
    page.get_by_role("button", name="Start recovery of 2 servers").click()
    expect(page.locator("h1 ~ .tag")).to_have_text("Recovery")
    page.get_by_role("link", name="Cancel run").click()
    page.get_by_role("button", name="Cancel run").click()
    expect(page.locator("h1 + .status")).to_have_text("Cancelled")
    page.goto("/recovery-plans")
    page.get_by_role("link", name="Plain", exact=True).click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete plan").click()
    expect(page.locator("#plans")).to_contain_text("There are no recovery plans yet")
    page.goto("/protection-groups")
    page.get_by_role("link", name="Application").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete group").click()
    expect(page.locator("#groups")).to_contain_text("There are no protection groups yet")


def test_of_many_groups_the_editor_proposes_those_that_somebody_types(desk: Desk, admin_user: User) -> None:
    ProtectionGroup.objects.bulk_create(
        ProtectionGroup(name=f"Tier {at:03}", name_key=f"tier {at:03}", region="us-east-1", account_id="1" * 12)
        for at in range(150)
    )
    page = desk.sit(admin_user)
    page.goto("/recovery-plans/new")
    expect(page.locator("#group-names option")).to_have_count(20)
    page.get_by_label("Add a protection group").press_sequentially("ier 14")
    expect(page.locator("#group-names option")).to_have_count(10)
    page.get_by_label("Add a protection group").fill("Tier 147")
    expect(page.locator("#group-names option")).to_have_count(1)
    page.get_by_role("button", name="Add group").click()
    expect(page.get_by_role("link", name="Tier 147")).to_be_visible()
