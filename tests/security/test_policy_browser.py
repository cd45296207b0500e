"""A real browser on every page, full of hostile texts: the policy is never violated, and nothing of theirs runs."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import Client, override_settings
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from audit.models import AuditEntry
from drs_simulator.testing import RunningSimulator
from executions.models import Execution
from protection.models import ProtectionGroup, SourceServer
from tests.console import world
from tests.security.hostile import populate
from tests.security.routes import pages
from tests.security.test_methods import ASKING_DRS
from tests.support.api_client import Api, make_user
from tests.support.stage import Stage

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"
MARKS = "document.querySelectorAll('xssmark, [onerror], [onload], [onfocus], [onmouseover], iframe, [xssmark]').length"
WATCH = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (event) =>
  window.violations.push(event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sample));
window.xssmark = () => window.violations.push('a payload ran');
"""


@pytest.fixture
def stage(transactional_db: None, simulator: RunningSimulator) -> Iterator[Stage]:
    made = Stage(simulator)
    world.beat()
    yield made
    made.sweep.close()


@pytest.fixture
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def sit(browser: Browser, address: str, user: User) -> Page:
    client = Client()
    client.force_login(user, backend="identity.auth.RoleBackend")
    context = browser.new_context()
    name = settings.SESSION_COOKIE_NAME
    context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": address}])
    context.add_init_script(WATCH)
    return context.new_page()


def is_page(client: Client, address: str) -> bool:
    """Whether a browser would show something there; Chromium reports an empty answer as an error of its own."""
    response = client.get(address)
    assert response.status_code < 500 or address.endswith(("/readyz", *ASKING_DRS)), address
    return response.headers.get("Content-Type", "").startswith("text/html") and bool(response.content)


def test_no_page_violates_the_policy(stage: Stage, live_server: LiveServer, chromium: Browser) -> None:
    ContentType.objects.clear_cache()
    admin = Api(make_user("admin"))
    User.objects.update(is_superuser=True, is_staff=True)
    run = populate(stage, admin)
    known = {
        "group_id": ProtectionGroup.objects.earliest("name").pk,
        "plan_id": run.plan_id,
        "execution_id": run.pk,
        "entry_id": AuditEntry.objects.filter(verb="plan.create").latest("id").pk,
        "server_id": SourceServer.objects.earliest("pk").pk,
    }
    page = sit(chromium, live_server.url, admin.user)
    complaints: list[str] = []
    seen = 0
    client = Client()
    client.force_login(admin.user, backend="identity.auth.RoleBackend")
    for address in list(pages(known)):
        if not is_page(client, address):
            continue
        page.goto(live_server.url + address)
        seen += 1
        complaints += [f"{address}: {each}" for each in page.evaluate("window.violations")]
        complaints += [f"{address}: markup of a payload"] * bool(page.evaluate(MARKS))
    assert complaints == []
    assert seen > 60
    assert Execution.objects.exists()


def test_the_watch_sees_a_violation(stage: Stage, live_server: LiveServer, chromium: Browser) -> None:
    page = sit(chromium, live_server.url, make_user("viewer"))
    page.goto(f"{live_server.url}/journal")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=xssmark()>')")
    page.wait_for_function("window.violations.length > 0")
    assert "script-src" in page.evaluate("window.violations.join()")


@pytest.fixture(autouse=True, scope="module")
def static_root() -> Iterator[None]:
    """WhiteNoise warns of a directory that only collectstatic makes, and a fresh checkout does not have it."""
    with override_settings(STATIC_ROOT=settings.BASE_DIR / "static"):
        yield
