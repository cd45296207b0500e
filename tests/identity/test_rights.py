"""Role × route: the table of rules against every address that the URLconf knows. What has no rule fails here."""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from audit.models import AuditEntry
from drs_simulator.testing import RunningSimulator
from identity.roles import ROLES
from tests.identity import rules
from tests.identity.rules import API, CONSOLE, EVERYBODY, NOWHERE, OPEN, Rule
from tests.identity.scene import Scene
from tests.support.api_client import Api, make_user

pytestmark = pytest.mark.slow

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PART = 40  # rules of one scene that one test walks


def addresses(patterns: Any = None) -> Iterator[URLPattern]:
    """Every address of ours; Django's admin has its own test below."""
    for each in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(each, URLPattern):
            yield each
        elif isinstance(each, URLResolver) and each.namespace != "admin":
            yield from addresses(each.url_patterns)


def view_of(pattern: URLPattern) -> Any:
    return getattr(pattern.callback, "view_class", pattern.callback)


def name_of(pattern: URLPattern) -> str:
    """An address with a trailing slash has no name, but the view of one that has."""
    twins = (each.name for each in addresses() if each.name and view_of(each) is view_of(pattern))
    return pattern.name or next(twins, str(pattern.pattern))


def test_every_address_has_a_rule() -> None:
    known = {rule.name for rule in API + CONSOLE} | OPEN | NOWHERE
    found = {name_of(pattern) for pattern in addresses()}
    assert found == known, f"without a rule: {found - known}; without an address: {known - found}"


def test_every_method_of_the_api_has_a_rule() -> None:
    for pattern in addresses():
        view = view_of(pattern)
        if isinstance(view, type) and name_of(pattern) not in NOWHERE | OPEN:
            answered = {method for method in METHODS if hasattr(view, method.lower())}
            ruled = {rule.method for rule in API if rule.name == name_of(pattern)}
            assert answered == ruled, name_of(pattern)


def test_every_role_and_every_right_is_used() -> None:
    rights = {right for held in ROLES.values() for right in held}
    assert {rule.right for rule in API + CONSOLE} - {EVERYBODY} | rules.ADMINISTRATION == rights


@cache
def named(name: str) -> URLPattern:
    return next(each for each in addresses() if each.name == name)


def ask(rule: Rule, scene: Scene, user: User | None, **given: Any) -> Any:
    pattern = named(rule.name)
    wanted = {name: scene.ids[name] for name in pattern.pattern.converters}
    address = reverse(rule.name, kwargs=wanted) + rule.query
    if rule in API and rule.name != "api-docs":
        body = {**rule.body(scene), **given} if rule.method in ("POST", "PUT") else None
        return Api(user).send(rule.method, address, body) if user else Client().generic(rule.method, address)
    client = Client(raise_request_exception=False)
    if user:
        client.force_login(user)
    return client.post(address, rule.body(scene)) if rule.method == "POST" else client.get(address)


@contextmanager
def taken_back() -> Iterator[None]:
    """What is done in here leaves the scene as it was."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]  # ours, not the product's: over calls to AWS that may keep none open
    with block:
        yield
        transaction.set_rollback(True)


def by_scene() -> dict[str, list[Rule]]:
    """All rules, by scenes, which take longer to make than requests; those of the most used in parts."""
    scenes = list(dict.fromkeys(rule.scene for rule in API + CONSOLE))
    found = [[rule for rule in API + CONSOLE if rule.scene == scene] for scene in scenes]
    parts = [rules[at : at + PART] for rules in found for at in range(0, len(rules), PART)]
    return {f"{part[0].scene.__name__} {at}": part for at, part in enumerate(parts)}


def set_up(part: list[Rule]) -> Scene:
    scene = part[0].scene()
    if any(rule.name == "journal-entry" for rule in part):
        scene.ids["entry_id"] = AuditEntry.objects.all()[0].pk
    return scene


def asking(rule: Rule, at: int) -> Iterable[str]:
    """Every role; of a page for everybody the one with the fewest rights, and the others in turn."""
    others = [role for role in ROLES if role != "viewer"]
    return ("viewer", others[at % len(others)]) if (rule.method, rule.right) == ("GET", EVERYBODY) else ROLES


@pytest.mark.parametrize("part", by_scene().values(), ids=by_scene())
def test_each_role_may_do_what_its_rights_say_and_nothing_else(
    part: list[Rule], db: None, simulator: RunningSimulator
) -> None:
    scene = set_up(part)
    users = {role: make_user(role) if role else None for role in ("", *ROLES)}
    for at, rule in enumerate(part):
        for role in ("", *asking(rule, at)):
            with taken_back():
                response = ask(rule, scene, users[role])
            told = f"{rule}, {role or 'nobody'}: {response.status_code} {getattr(response, 'content', b'')[:300]!r}"
            if not role:
                assert is_closed(response), told
            elif rule.right == EVERYBODY or rule.right in ROLES[role]:
                assert response.status_code < 500 or response.status_code == 503, told  # DRS knows none of the servers
                assert response.status_code not in (401, 403), told
                assert not is_closed(response), told
                if rule in CONSOLE and rule.method == "POST" and response.status_code == 302:
                    assert "messages" in response.cookies, f"{told}: does not say what happened"
            else:
                assert response.status_code == 403, told


def is_closed(response: Any) -> bool:
    return bool(response.status_code == 401) or response.headers.get("Location", "").startswith("/sign-in?")


@pytest.mark.parametrize("name", sorted({rule.name for rule in API + CONSOLE}))
def test_strangers_are_refused_whatever_the_method(name: str, db: None) -> None:
    pattern = named(name)
    ids = {"entry_id": 1, "wave": 1, "role_id": 1, "version_number": 1, "chapter": "runbook", "image": "dashboard.png"}
    address = reverse(name, kwargs={key: ids.get(key, uuid.uuid4()) for key in pattern.pattern.converters})
    for method in METHODS:
        response = Client(raise_request_exception=False).generic(method, address)
        assert is_closed(response), f"{method} {address}: {response.status_code}"


def test_a_default_role_gives_what_it_says_and_no_more(db: None, settings: Any) -> None:
    assert not make_user().has_perm(rules.DRILL)
    settings.DEFAULT_ROLE = "operator"
    assert make_user().has_perm(rules.DRILL)
    assert not make_user().has_perm(rules.RECOVERY)
    assert not make_user("viewer").has_perm(rules.DRILL)  # somebody with a role has only that


def admin_addresses() -> list[str]:
    site = next(each for each in get_resolver().url_patterns if getattr(each, "namespace", "") == "admin")
    assert isinstance(site, URLResolver)
    found = []
    stack: list[Any] = [("/admin/", each) for each in site.url_patterns]
    while stack:
        prefix, each = stack.pop()
        if isinstance(each, URLResolver):
            stack += [(prefix + str(each.pattern), inner) for inner in each.url_patterns]
        elif not each.pattern.converters and not str(each.pattern).startswith("^"):
            found.append(prefix + str(each.pattern))
    return sorted(found)


def test_the_administration_is_for_administrators(db: None) -> None:
    found = [each for each in admin_addresses() if "(" not in each]
    assert "/admin/" in found
    open_ones = {"/admin/login/", "/admin/logout/", "/admin/jsi18n/"}
    for role in ("", *(role for role in ROLES if role != "admin")):
        client = Client(raise_request_exception=False)
        if role:
            client.force_login(make_user(role))
        for address in set(found) - open_ones:
            for method in (client.get, client.post):
                response = method(address)
                assert response.status_code in (302, 403), f"{role} {address}: {response.status_code}"
                target = response.headers.get("Location", "")
                assert target.startswith(("/sign-in?", "/admin/login/")) or response.status_code == 403, target
