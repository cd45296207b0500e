"""Nothing is changed without a CSRF token, and nothing at all by a GET."""

import hashlib
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from tests.console import world
from tests.security.conftest import Browser
from tests.security.routes import furnish, pages, routes, unreached
from tests.support.api_client import Api

pytestmark = pytest.mark.django_db

# A session that is used says so from time to time; nothing else of it may change.
OWN_SESSION = "django_session"
COUNTED = "executions_awserrors"  # calls to AWS that fail are counted: the check makes some
ASKING_DRS = ("/points-in-time", "/native")  # which nobody simulates here


def rows() -> dict[str, str]:
    """A hash of the rows of every table."""
    found = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            content = "\n".join(sorted(map(repr, cursor.fetchall())))
            found[table] = hashlib.sha256(content.encode()).hexdigest()
    return found


def changed(before: dict[str, str]) -> set[str]:
    return {table for table, digest in rows().items() if before[table] != digest}


def written() -> object:
    """What tells that something was written: SQLite counts the rows of a connection; elsewhere it may always be so."""
    return connection.connection.total_changes if connection.vendor == "sqlite" else object()


def is_silent(address: str, response: Any) -> bool:
    return bool(address.endswith(ASKING_DRS) and response.status_code == 503)


def administrator(browser: Browser, **options: bool) -> Client:
    client = browser("admin", **options)
    User.objects.update(is_superuser=True, is_staff=True)
    return client


def test_every_address_is_known_to_these_tests() -> None:
    assert unreached(furnish()) == [], "let tests/security/routes.py know what the parameter stands for"
    assert len(list(routes())) > 60


@pytest.mark.slow
def test_no_get_changes_anything(browser: Browser) -> None:
    known = furnish()
    client = administrator(browser)
    client.get("/")
    client.get("/sign-in")
    before, mark = rows(), written()
    addresses = list(pages(known))
    assert len(addresses) > 60
    for address in addresses:
        for headers in ({}, {"HX-Request": "true"}):
            response = client.get(address, headers=headers)
            assert response.status_code < 500 or is_silent(address, response), address
        client.head(address)
        if written() != mark:
            assert changed(before) <= {OWN_SESSION, COUNTED}, address
            mark = written()
    assert changed(before) <= {OWN_SESSION, COUNTED}


def test_no_get_of_the_api_changes_anything(admin: Api) -> None:
    known = furnish()
    before, mark = rows(), written()
    for address in pages(known):
        if address.startswith("/api/"):
            response = admin.get(address)
            assert response.status_code < 500 or is_silent(address, response), address
            if written() != mark:
                assert changed(before) <= {COUNTED}, address
                mark = written()
    assert changed(before) <= {COUNTED}


def test_every_post_needs_a_token(browser: Browser) -> None:
    known = furnish()
    client = administrator(browser, enforce_csrf_checks=True)
    before = rows()
    walked = 0
    for address in pages(known):
        if address.startswith("/api/"):
            continue
        response: Any = client.post(address, {"post": "yes", "action": "delete_selected", "comment": "x"})
        assert response.status_code in (403, 405), f"{address}: {response.status_code}"
        walked += response.status_code == 403
    assert walked > 30
    journal = {"audit_auditentry", "audit_unsealedentry", "sqlite_sequence"}  # the refusals themselves
    assert changed(before) <= journal | {OWN_SESSION}


def test_a_session_without_a_token_changes_nothing_through_the_api(browser: Browser) -> None:
    run = world.paused()
    client = browser("admin", enforce_csrf_checks=True)
    for method, address in (("POST", f"/executions/{run.pk}/resume"), ("DELETE", "/executions")):
        response = client.generic(method, f"/api/v1{address}", "{}", content_type="application/json")
        assert response.status_code == 403
    run.refresh_from_db()
    assert run.status == "PAUSED"
