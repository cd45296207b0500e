"""Fixtures that tests of several rooms share."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import TransactionTestCase, override_settings
from hypothesis import HealthCheck
from hypothesis import settings as of_hypothesis
from pytest_django import DjangoDbBlocker

from accounts import registry
from drs import account
from drs_simulator.testing import NearSimulator, RunningSimulator, running_simulator
from drs_simulator.world.state_file import Settings
from drsorch_site import health
from drsorch_site.page_context import beat as known_beat
from executions.observing import drs_answers, status_checks
from tests.databases import own_database
from tests.environment import SIMULATOR_PORT
from tests.kept_parts import drawn_again
from tests.support.api_client import Api, make_user
from tests.support.emptying import empty_database
from tests.support.processes import end_other_sessions
from tests.support.still import simulator_clock

# Daily the same examples again: what fails does so because of a change. A slow machine is no fault of what is tested.
of_hypothesis.register_profile(
    "ours",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="TEST_EVERY_PACK" not in os.environ,  # script/test --all
)
of_hypothesis.load_profile("ours")


@pytest.fixture(scope="session", autouse=True)
def quick_settings() -> Iterator[None]:
    """Costly hashes and the manifest that collectstatic writes prove nothing in a test."""
    with override_settings(
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        STATIC_ROOT=settings.BASE_DIR / "static",  # WhiteNoise warns of a directory that only collectstatic makes
        CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},  # not other runs' files
        STORAGES={
            "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
            "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
        },
    ):
        yield


@pytest.fixture(scope="session", autouse=True)
def kept_parts_drawn_again() -> Iterator[None]:
    """See `tests.kept_parts`."""
    with drawn_again():
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_emptying() -> Iterator[None]:
    """See `tests.support.emptying`; pytest-django's transactional tests end with this method of Django's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty_database)
        yield


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_modify_db_settings: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """Instead of pytest-django's, which migrates in each process. A killed engine's sessions may outlive it at
    PostgreSQL for a moment; the test database goes all the same."""
    with ExitStack() as stack:
        with django_db_blocker.unblock():
            stack.enter_context(own_database())
        yield
        with django_db_blocker.unblock():
            end_other_sessions()
            stack.close()


@pytest.fixture(scope="session")
def simulator_server() -> Iterator[NearSimulator]:
    with running_simulator(port=SIMULATOR_PORT, wall=simulator_clock) as running:
        yield running


@pytest.fixture
def simulator(simulator_server: NearSimulator) -> RunningSimulator:
    """DRS and STS over HTTP, where every boto3 client of the tests looks: the demo fleet, and nothing launched yet."""
    drs_answers.quiet.clear()
    status_checks.quiet.clear()
    account._failed.clear()  # a test without it may have asked STS in vain a moment ago, which is remembered
    simulator_server.load_fleet("demo")
    simulator_server.set_speed(1)
    simulator_server.settings(**asdict(Settings()))
    simulator_server.reset()
    simulator_server.changed.clear()
    return simulator_server


@pytest.fixture
def sign_in(db: None) -> Callable[..., Api]:
    """`sign_in("planner")` is an API client of a new user in that role; `sign_in()` of one without any."""
    cache.clear()  # users of rolled-back tests have the same keys, and what they used up of the throttle
    return lambda *roles: Api(make_user(*roles))


@pytest.fixture
def admin(sign_in: Callable[..., Api]) -> Api:
    """Somebody who may do everything, over HTTP."""
    return sign_in("admin")


@pytest.fixture(autouse=True)
def no_other_accounts() -> None:
    """No test knows another's accounts, nor asks for them until it has made one."""
    registry._kept = registry._Kept(until=math.inf)


@pytest.fixture(autouse=True)
def unasked_readiness() -> None:
    """No test is told what another has found a moment ago, nor that an engine ran there."""
    health.latest.forget()
    known_beat.asked_at = -math.inf
