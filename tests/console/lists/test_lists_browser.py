"""A list in a browser: sorted, ticked and acted on, with a script and without, by mouse and by keyboard."""

import re

import pytest
from playwright.sync_api import expect

from drs_simulator.testing import RunningSimulator
from executions.models import Execution
from tests.console import world
from tests.console.browsers.browser import Desk, axe
from tests.support.api_client import make_user

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scripted", [True, False])
def test_drills_of_what_is_ticked_are_started(desk: Desk, simulator: RunningSimulator, *, scripted: bool) -> None:
    world.region()
    for name in ("Alpha", "Beta"):
        world.plan(name)
    world.start(world.plan("Gamma"))
    page = desk.sit(make_user("admin"), java_script_enabled=scripted)
    page.goto("/recovery-plans")
    expect(page.get_by_label("Choose all that are shown")).to_be_visible(visible=scripted)
    page.get_by_role("link", name="Plan", exact=True).click()
    expect(page.get_by_role("columnheader", name="Plan", exact=True)).to_have_attribute("aria-sort", "descending")
    expect(page.locator("tbody th")).to_have_text([re.compile(each) for each in ("Gamma", "Beta", "Alpha")])
    if scripted:
        page.get_by_label("Choose all that are shown").press("Space")
    else:
        for name in ("Alpha", "Beta", "Gamma"):
            page.get_by_label(f"Choose {name}").check()
    page.get_by_role("button", name="Start drills").click()
    asked = page.get_by_role("dialog") if scripted else page.locator("main")
    expect(asked.get_by_role("heading", name="Start 2 drills?")).to_be_visible()
    expect(asked).to_contain_text("Gamma: “Gamma” is already running")
    if scripted:
        assert axe(page) == []
    asked.get_by_role("button", name="Start 2 drills").click()
    expect(page.get_by_role("status").first).to_contain_text("2 drills started")
    expect(page).to_have_url(re.compile("/executions$"))
    assert Execution.objects.filter(ended_at=None).count() == 3


def test_a_label_is_set_in_a_dialog_and_the_list_is_sorted_on_a_phone(desk: Desk) -> None:
    world.group("Web", [world.server("web-1")])
    page = desk.sit(make_user("admin"), width=420)
    page.goto("/protection-groups")
    expect(page.get_by_role("link", name="Servers", exact=True)).to_be_visible()
    page.get_by_label("Choose Web").check()
    page.get_by_role("button", name="Set or remove a label").click()
    asked = page.get_by_role("dialog")
    asked.get_by_label("Label").fill("a=1, b=2")
    asked.get_by_label("Label").press("Enter")
    expect(asked).to_contain_text("One label at a time")
    assert axe(page) == []
    asked.get_by_label("Label").fill("app=shop")
    asked.get_by_role("button", name="Set the label").click()
    expect(page.get_by_role("status").first).to_have_text("The label app=shop was set on 1 group.")
    expect(page.get_by_role("link", name="app=shop")).to_be_visible()
