"""Sign-in and sign-out in a real browser, through a certified provider with Cognito's addresses; what can go wrong."""

import re
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from audit.models import AuditEntry
from identity.models import Identity
from identity.session_expiry import SEEN, STARTED
from tests.identity.conftest import use_provider
from tests.identity.provider.hosted_pages import HostedPages, free_port, hosted_pages

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"
PASSWORD = "correct-horse-battery"
HARMLESS = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")


@pytest.fixture(scope="module")
def pages(live_server: LiveServer) -> Iterator[HostedPages]:
    with hosted_pages(live_server.url) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def hosted(pages: HostedPages, live_server: LiveServer, transactional_db: None, settings: Any) -> HostedPages:
    use_provider(settings, pages.provider())
    pages.control(fault="", tokenRequests=0, logouts=0, groups={"alice": ["drsorch-operator", "others"]})
    return pages


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def context(chromium: Browser, complaints: list[str]) -> Iterator[BrowserContext]:
    opened = chromium.new_context()
    opened.set_default_timeout(15_000)
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext, hosted: HostedPages) -> Page:
    return context.new_page()


def to_provider(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("link", name="Sign in").click()
    expect(page.get_by_role("heading", name="Test pool")).to_be_visible()


def give_password(page: Page, name: str = "alice", password: str = PASSWORD) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def follow(context: BrowserContext, address: str, form: dict[str, str | float | bool]) -> str:
    """Where the provider sends this browser, which does not go there yet."""
    answer = context.request.post(address, form=form, max_redirects=0)
    while "/oidc/callback" not in (target := urljoin(answer.url, answer.headers["location"])):
        answer = context.request.get(target, max_redirects=0)
    return target


def expect_refusal(page: Page, words: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("You are not signed in")
    expect(page.get_by_role("alert")).to_contain_text(words)
    assert "/sign-in/failed" in page.url
    assert "code=" not in page.url


def test_it_signs_in_and_out_at_both_ends(
    live_server: LiveServer, page: Page, context: BrowserContext, hosted: HostedPages, complaints: list[str]
) -> None:
    to_provider(page, f"{live_server.url}/executions?status=FAILED")
    give_password(page, password="wrong")
    expect(page.get_by_role("alert")).to_have_text("Incorrect username or password.")
    assert not User.objects.exists()
    give_password(page)
    page.wait_for_url(f"{live_server.url}/executions?status=FAILED")
    expect(page.locator(".topbar")).to_contain_text("alice@example.com")

    user = Identity.objects.get(issuer=hosted.url, subject="alice").user
    assert [group.name for group in user.groups.all()] == ["operator"]
    assert not user.is_staff
    assert not user.has_usable_password()
    cookies = {each.get("name", ""): each for each in context.cookies(live_server.url)}
    (session,) = (each for name, each in cookies.items() if "session" in name and not name.startswith("_"))
    assert session.get("httpOnly") is True
    assert session.get("sameSite") == "Lax"

    page.get_by_text("alice@example.com").click()
    page.get_by_role("button", name="Sign out").first.click()
    page.wait_for_url(f"{live_server.url}/signed-out")
    assert hosted.control()["logouts"] == 1
    page.go_back()
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Runs")
    to_provider(page, live_server.url)  # it asks for the password again
    assert [each.verb for each in AuditEntry.objects.filter(subject_kind="session").order_by("pk")] == [
        "session.start",
        "session.end",
    ]
    assert not [text for text in complaints if not HARMLESS.search(text)]


def test_a_group_that_was_taken_away_is_gone_at_the_next_sign_in(
    live_server: LiveServer, page: Page, hosted: HostedPages, chromium: Browser
) -> None:
    hosted.control(groups={"alice": ["drsorch-admin"]})
    to_provider(page, live_server.url)
    give_password(page)
    page.wait_for_url(f"{live_server.url}/")
    assert User.objects.get().is_staff
    hosted.control(groups={})
    other = chromium.new_context()
    again = other.new_page()
    to_provider(again, live_server.url)
    give_password(again)
    again.wait_for_url(f"{live_server.url}/")
    other.close()
    user = User.objects.get()
    assert not user.groups.exists()
    assert not user.is_staff


def test_it_says_that_the_provider_let_nobody_in(live_server: LiveServer, page: Page) -> None:
    to_provider(page, live_server.url)
    page.get_by_role("button", name="Cancel").click()
    expect_refusal(page, "refused the sign-in")
    page.get_by_role("link", name="Try again").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


FAULTS = pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("audience", "could not be trusted"),
        ("audienceList", "could not be trusted"),
        ("issuer", "could not be trusted"),
        ("expired", "could not be trusted"),
        ("early", "could not be trusted"),
        ("use", "could not be trusted"),
        ("nonce", "could not be trusted"),
        ("noExpiry", "could not be trusted"),
        ("signature", "could not be trusted"),
        ("empty", "could not be trusted"),
        ("nonsense", "does not answer"),
        ("500", "does not answer"),
        ("drop", "does not answer"),
        ("hang", "does not answer"),
    ],
)


@FAULTS
def test_a_provider_that_errs_lets_nobody_in(
    live_server: LiveServer, hosted: HostedPages, fault: str, words: str
) -> None:
    """Followed by hand, which is quicker than a browser: where it leads, and what that page says."""
    hosted.control(fault=fault)
    with requests.Session() as session:
        form = session.get(f"{live_server.url}/oidc/authenticate", timeout=10)
        assert "Test pool" in form.text
        told = session.post(form.url, data={"username": "alice", "password": PASSWORD}, timeout=10)
        assert told.elapsed.total_seconds() < 8
        assert "/sign-in/failed" in told.url
        assert "code=" not in told.url
        assert "You are not signed in" in told.text
        assert words in told.text
        assert not User.objects.exists()
        assert "/sign-in" in session.get(f"{live_server.url}/executions", timeout=10).url
    assert AuditEntry.objects.filter(verb="session.start", refused=True).count() == 1


@pytest.mark.parametrize(("fault", "words"), [("signature", "could not be trusted"), ("drop", "does not answer")])
def test_a_provider_that_errs_leads_to_a_clear_page(
    live_server: LiveServer, page: Page, hosted: HostedPages, fault: str, words: str
) -> None:
    hosted.control(fault=fault)
    to_provider(page, live_server.url)
    began = time.monotonic()
    give_password(page)
    expect_refusal(page, words)
    assert time.monotonic() - began < 8
    assert not User.objects.exists()
    assert page.goto(f"{live_server.url}/executions")
    assert "/sign-in" in page.url
    assert AuditEntry.objects.filter(verb="session.start", refused=True).count() == 1


def test_a_provider_that_is_down_leads_to_a_clear_page(live_server: LiveServer, page: Page, settings: Any) -> None:
    settings.OIDC_OP_TOKEN_ENDPOINT = f"http://127.0.0.1:{free_port()}/oauth2/token"
    to_provider(page, live_server.url)
    give_password(page)
    expect_refusal(page, "does not answer. Try again")


def test_a_way_back_works_once_and_in_its_own_browser_only(
    live_server: LiveServer, page: Page, context: BrowserContext, chromium: Browser, hosted: HostedPages
) -> None:
    to_provider(page, live_server.url)
    way_back = follow(context, page.url, {"username": "alice", "password": PASSWORD})

    stranger = chromium.new_context()
    foreign = stranger.new_page()
    foreign.goto(way_back)
    expect_refusal(foreign, "not started in this browser")
    assert hosted.control()["tokenRequests"] == 0

    page.goto(way_back)
    expect(page.locator(".topbar")).to_contain_text("alice@example.com")
    page.goto(way_back)
    expect_refusal(page, "was already used")
    page.goto(f"{live_server.url}/oidc/callback?error=access_denied&state=x")
    expect_refusal(page, "not started in this browser")
    page.goto(live_server.url)
    expect(page.locator(".topbar")).to_contain_text("alice@example.com")  # and signs nobody out
    assert hosted.control()["tokenRequests"] == 1
    stranger.close()


@pytest.mark.parametrize("query", ["", "?state=x", "?code=x", "?code=x&state=x", "?error=x", "?state=y&code=%00"])
def test_a_way_back_from_nowhere_leads_to_a_clear_page(live_server: LiveServer, page: Page, query: str) -> None:
    page.goto(f"{live_server.url}/oidc/callback{query}")
    expect_refusal(page, "not started in this browser")


def test_a_disabled_user_is_told_so(live_server: LiveServer, page: Page) -> None:
    to_provider(page, live_server.url)
    give_password(page)
    page.wait_for_url(f"{live_server.url}/")
    User.objects.update(is_active=False)
    page.goto(f"{live_server.url}/executions")
    page.get_by_role("link", name="Sign in").click()  # the provider still knows the browser
    expect_refusal(page, "switched off here")
    page.get_by_role("button", name="Sign out everywhere").click()
    page.wait_for_url(f"{live_server.url}/signed-out")
    to_provider(page, live_server.url)


def test_it_leads_to_no_other_site(live_server: LiveServer, page: Page) -> None:
    to_provider(page, f"{live_server.url}/sign-in?next=https://evil.example/")
    give_password(page)
    page.wait_for_url(f"{live_server.url}/")


def test_another_site_starts_no_sign_in(live_server: LiveServer, page: Page, hosted: HostedPages) -> None:
    page.goto(f"{hosted.url}/_control")
    page.evaluate(f"location.href = '{live_server.url.replace('127.0.0.1', 'localhost')}/oidc/authenticate'")
    page.wait_for_url("**/sign-in")


def earlier(settings: Any, minutes: float, *times: str) -> None:
    """As if these times of every session had been so much earlier."""
    for stored in Session.objects.all():
        session = import_module(settings.SESSION_ENGINE).SessionStore(stored.session_key)
        for each in times:
            session[each] -= int(minutes * 60)
        session.save()


def test_twelve_hours_after_the_sign_in_it_says_so_once_and_leads_back(
    live_server: LiveServer, page: Page, settings: Any
) -> None:
    to_provider(page, live_server.url)
    give_password(page)
    page.wait_for_url(f"{live_server.url}/")
    warning = page.get_by_role("dialog", name="Your session is about to end")
    page.goto("about:blank")  # its polls would write the session as it was
    time.sleep(1)
    earlier(settings, 12 * 60 - 1.5, STARTED)
    page.goto(f"{live_server.url}/executions?status=FAILED")
    said = re.compile(r"signed out at [-\d]{10} [:\d]{8} UTC, 12 hours after you signed in\. Save what")
    expect(warning).to_contain_text(said, use_inner_text=True)
    expect(warning.get_by_role("button", name="Stay signed in")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(warning).to_be_hidden()
    page.wait_for_timeout(2500)  # looks at its clock every second
    expect(warning).to_be_hidden()
    page.reload()
    warning.get_by_role("link", name="Sign in again").click()
    page.get_by_role("link", name="Sign in").click()
    give_password(page)  # asked for, though the provider knows the browser
    page.wait_for_url(f"{live_server.url}/executions?status=FAILED")
    page.wait_for_timeout(1500)
    expect(warning).to_be_hidden()


def test_the_session_warns_stays_and_ends(live_server: LiveServer, page: Page, settings: Any) -> None:
    to_provider(page, live_server.url)
    give_password(page)
    page.wait_for_url(f"{live_server.url}/")
    warning = page.get_by_role("dialog", name="Your session is about to end")
    page.clock.install()
    page.goto(f"{live_server.url}/recovery-plans")

    def wait(minutes: float) -> None:
        earlier(settings, minutes, STARTED, SEEN)
        page.clock.fast_forward(int(minutes * 60_000))

    wait(42)
    expect(warning).to_be_hidden()
    wait(1.2)
    expect(warning).to_be_visible()
    page.get_by_role("button", name="Stay signed in").click()
    expect(warning).to_be_hidden()
    wait(42)
    expect(warning).to_be_hidden()
    wait(1.2)
    expect(warning).to_be_visible()
    wait(2)
    page.wait_for_url(f"{live_server.url}/sign-in?next=%2Frecovery-plans&expired=1")
    expect(page.locator("main")).to_contain_text("Your session has ended")
    to_provider(page, page.url)  # asks for the password, though it knows the browser
    give_password(page)
    page.wait_for_url(f"{live_server.url}/recovery-plans")
