"""The interactive page of the API draws itself under the content security policy."""

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from tests.console.browsers.browser import COLOURS, Desk, axe, chromium
from tests.support.api_client import make_user

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"


def test_it_draws_and_is_not_complained_of(transactional_db: None, live_server: LiveServer) -> None:
    client = Client()
    client.force_login(make_user("viewer"))
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context()
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}])
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.goto(f"{live_server.url}/api/v1/docs")
        expect(page.get_by_text("/recovery-plans/{plan_id}/execute")).to_be_visible()
        page.get_by_text("List recovery plans").click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute", exact=True).click()
        expect(page.locator(".live-responses-table .response .response-col_status").first).to_contain_text("200")
        browser.close()
    assert not complaints


@pytest.mark.parametrize("scheme", ["dark", pytest.param("light", marks=pytest.mark.long)])
def test_every_word_of_it_can_be_read(transactional_db: None, live_server: LiveServer, scheme: str) -> None:
    """WCAG 2.2 AA, as far as axe can measure it: closed, with one address of each method open, and with an answer."""
    with chromium() as browser:
        page = Desk(browser, live_server.url).sit(make_user("viewer"), color_scheme=scheme, bypass_csp=True)
        page.goto("/api/v1/docs")
        expect(page.get_by_text("/recovery-plans/{plan_id}/execute")).to_be_visible()
        found = axe(page, *COLOURS)
        for method in ("get", "post", "put", "delete"):
            page.locator(f".opblock-{method} .opblock-summary-control").last.click()
            opened = page.locator(f".opblock-{method}.is-open")
            opened.get_by_role("button", name="Try it out").click()
            expect(opened.get_by_role("button", name="Execute", exact=True)).to_be_visible()
        found += axe(page, *COLOURS)
        page.get_by_text("List recovery plans").click()
        plans = page.locator(".opblock.is-open", has_text="List recovery plans")
        plans.get_by_role("button", name="Try it out").click()
        plans.get_by_role("button", name="Execute", exact=True).click()
        expect(plans.locator(".live-responses-table .response .response-col_status")).to_contain_text("200")
        found += axe(page, *COLOURS)
    assert found == []
