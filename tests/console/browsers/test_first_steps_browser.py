"""An empty installation reaches its first finished drill by following the dashboard alone."""

import re

import pytest
from playwright.sync_api import Page, expect

from drs_simulator.testing import RunningSimulator
from executions.models import Execution
from executions.states import Kind
from plans.models import RecoveryPlan
from protection.models import ProtectionGroup, SourceServer
from tests.console.browsers.browser import Desk, hurry
from tests.support.api_client import make_user
from tests.support.processes import running_engine

pytestmark = pytest.mark.browser

SPEED = 150


def home(page: Page) -> None:
    page.get_by_role("link", name="Dashboard").first.click()
    expect(page.get_by_role("heading", name="First steps")).to_be_visible()


def test_an_empty_installation_reaches_its_first_finished_drill(desk: Desk, simulator: RunningSimulator) -> None:
    simulator.set_speed(SPEED)
    page = hurry(desk.sit(make_user("admin")))
    assert not SourceServer.objects.exists()
    with running_engine():
        page.goto("/")
        expect(page.locator("#step-engine")).to_contain_text("done")
        expect(page.locator("#step-credentials")).to_contain_text("done")
        page.get_by_role("button", name="Look at all regions").click()
        expect(page.locator("#step-regions")).to_contain_text("us-east-1: 22, us-west-2: 18")
        expect(page.locator("#step-rights")).to_contain_text("done")

        suggestion = page.locator("li", has=page.locator("input[value='Payments']"))
        suggestion.get_by_text("7 servers").click()
        suggestion.get_by_label("web-02").uncheck()
        suggestion.get_by_label("Plan in us-east-1").fill("Payments of ours")
        suggestion.get_by_role("button", name="Make the groups and the plan").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Payments of ours")
        home(page)
        expect(page.locator("#step-plans")).to_contain_text("done")
        page.get_by_role("button", name="Ignore Crm").click()
        expect(page.locator("input[value='Erp']")).to_be_visible()
        expect(page.locator("input[value='Crm']")).to_have_count(0)

        page.get_by_role("button", name="Dry run of this server").click()
        page.get_by_role("button", name="Dry run: launch nothing").click()
        page.wait_for_url(re.compile(r"/executions/[0-9a-f-]{36}$"))
        expect(page.locator("h1 + .status")).to_have_text("Completed")
        home(page)
        expect(page.locator("#step-dry-run")).to_contain_text("done")

        page.get_by_role("button", name="Drill this server").click()
        page.get_by_role("button", name="Start drill", exact=True).click()
        page.wait_for_url(re.compile(r"/executions/[0-9a-f-]{36}$"))
        expect(page.locator("h1 + .status")).to_have_text("Completed")
        home(page)
        expect(page.locator("#step-drill")).to_contain_text("done")
        expect(page.locator("#step-notifications")).to_contain_text("Notifications")
    waves = list(RecoveryPlan.objects.get(name="Payments of ours").waves.order_by("number"))
    assert [wave.name for wave in waves] == ["Database", "Application", "Web"]
    assert ProtectionGroup.objects.filter(name="Payments of ours web").get().assignments.count() == 1
    assert Execution.objects.filter(kind=Kind.DRILL, status="COMPLETED", dry_run=False).count() == 1
