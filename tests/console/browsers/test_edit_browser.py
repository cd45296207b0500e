"""What somebody has typed or ticked is not lost without a word; many servers are chosen at once."""

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Dialog, expect

from drs_simulator.testing import RunningSimulator
from protection.models import ProtectionGroup
from tests.console import world
from tests.console.browsers.browser import Desk
from tests.support.api_client import make_user

pytestmark = pytest.mark.browser


@pytest.fixture
def ann(transactional_db: None) -> User:
    return make_user("admin")


def test_unsaved_edits_are_not_left_behind_without_asking(desk: Desk, ann: User) -> None:
    plan = world.plan("Payments", sizes=(1, 1, 1))
    page, asked = desk.sit(ann), list[str]()

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.goto(f"/recovery-plans/{plan.pk}/edit")
    page.get_by_label("Name", exact=True).fill("Orders")
    page.get_by_role("link", name="Dashboard").click(no_wait_after=True)
    expect(page.get_by_label("Name", exact=True)).to_have_value("Orders")
    assert asked == ["beforeunload"]
    page.get_by_role("link", name="Discard").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Payments")
    page.goto(f"/recovery-plans/{plan.pk}/edit")
    page.get_by_role("button", name="Remove wave 3").click()
    expect(page.get_by_label("Name of the wave")).to_have_count(2)
    page.get_by_role("link", name="Dashboard").click(no_wait_after=True)
    expect(page.get_by_label("Name of the wave")).to_have_count(2)
    save = page.get_by_role("button", name="Save plan")
    expect(save).to_be_in_viewport()  # wherever the page is scrolled
    save.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Payments")
    assert asked == ["beforeunload"] * 2


@pytest.mark.parametrize("scripted", [True, False])
def test_a_pasted_list_chooses_what_it_names(
    desk: Desk, ann: User, simulator: RunningSimulator, *, scripted: bool
) -> None:
    world.region()
    one, two = world.server("web-01"), world.server("web-02")
    taken, _ = world.server("db-01"), [world.server("twin"), world.server("twin")]
    world.group("Databases", [taken])
    page = desk.sit(ann, java_script_enabled=scripted)
    page.goto("/protection-groups/new?region=us-east-1")
    page.get_by_label("Name", exact=True).fill("Web")
    page.get_by_text("Paste a list").click()
    page.get_by_label(re.compile("^Host names or")).fill(f"WEB-01, {two}\ndb-01 twin; nowhere-01")
    page.get_by_role("button", name="Choose these").click()
    notes = page.locator("#servers [role=status]")
    expect(notes).to_have_text(
        [
            "2 servers chosen. Nothing is saved yet.",
            "In another group: db-01 (Databases).",
            "Not in DRS in us-east-1: nowhere-01.",
            "Several servers are called so, choose by id: twin.",
        ]
    )
    expect(page.get_by_label("Name", exact=True)).to_have_value("Web")
    for key in (one, two):
        expect(page.locator(f"#pick-{key}")).to_be_checked()
    page.locator("#filter").fill("twin")
    page.get_by_role("button", name="Choose all that match").click()
    expect(page.locator("#picker input:checked")).to_have_count(4)
    assert not ProtectionGroup.objects.filter(name="Web").exists()


def test_times_are_told_where_somebody_is_when_asked(desk: Desk, ann: User) -> None:
    run = world.paused("Payments")
    page = desk.sit(ann, timezone_id="Asia/Kolkata")
    page.goto(f"/executions/{run.pk}")
    time = page.locator("dt:text-is('Started') + dd time")
    utc = time.inner_text()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", utc)
    time.hover()
    expect(time).to_have_attribute("title", re.compile(rf"^{utc} · \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d .+ here$"))
    page.goto("/settings")
    page.get_by_role("button", name="Local time").click()
    page.goto(f"/executions/{run.pk}")
    expect(time).not_to_have_text(utc)
    expect(time).to_have_attribute("title", utc)
