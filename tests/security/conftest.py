"""People of each role in a browser of the test client's."""

from collections.abc import Callable

import pytest
from django.test import Client

from drsorch_site.page_context import beat as known_beat
from tests.console import world
from tests.support.api_client import make_user

Browser = Callable[..., Client]


@pytest.fixture
def browser(db: None) -> Browser:
    """`browser("admin")` is the browser of a new user in that role."""
    world.beat()
    known_beat.asked_at = float("-inf")

    def sign_in(*roles: str, enforce_csrf_checks: bool = False) -> Client:
        client = Client(enforce_csrf_checks=enforce_csrf_checks)
        client.force_login(make_user(*roles), backend="identity.auth.RoleBackend")
        return client

    return sign_in
