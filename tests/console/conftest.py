"""People who look at the console."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.test import Client, override_settings
from playwright.sync_api import Browser
from pytest_django.live_server_helper import LiveServer

from drs_simulator.testing import RunningSimulator
from drsorch_site import dashboard
from drsorch_site.page_context import beat as known_beat
from tests.console import world
from tests.console.browsers.browser import Desk, chromium
from tests.support.api_client import make_user, sign_in
from tests.support.stage import Stage

RIGHTS = ("start_drill", "control_execution")


@pytest.fixture(scope="session", autouse=True)
def static_root() -> Iterator[None]:
    """WhiteNoise warns of a directory that only collectstatic makes, and a fresh checkout does not have it."""
    with override_settings(STATIC_ROOT=settings.BASE_DIR / "static"):
        yield


@pytest.fixture(autouse=True)
def engine_beats(db: None) -> None:
    """An engine runs, and no process remembers another test's."""
    world.beat()
    known_beat.asked_at = float("-inf")
    dashboard._shared.clear()


@pytest.fixture
def operator(db: None) -> User:
    user = User.objects.create_user("operator", "operator@example.com", "correct-horse-battery")
    user.user_permissions.set(Permission.objects.filter(codename__in=RIGHTS))
    return user


@pytest.fixture
def console(client: Client, operator: User) -> Client:
    """The browser of somebody who may start and control drills."""
    return sign_in(client, operator)


@pytest.fixture
def onlooker(db: None) -> Client:
    """The browser of somebody who may only look."""
    return sign_in(Client(), User.objects.create_user("viewer", "viewer@example.com"))


@pytest.fixture
def chief(db: None) -> Client:
    """The browser of somebody who may do everything."""
    return sign_in(Client(), make_user("admin"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def desk(browser: Browser, live_server: LiveServer, transactional_db: None) -> Iterator[Desk]:
    """People at their browsers; at the end none of them may have had reason to complain."""
    made = Desk(browser, live_server.url)
    world.beat()
    yield made
    for context in browser.contexts:
        context.close()
    assert not made.complaints


@pytest.fixture
def stage(transactional_db: None, simulator: RunningSimulator) -> Iterator[Stage]:
    """The engine in this process, and DRS, both moved on by the test."""
    made = Stage(simulator)
    yield made
    made.sweep.close()
