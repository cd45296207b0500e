"""The lists of the administration answer what their pages ask, and nothing that costs or tells more."""

import itertools
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Field
from django.urls import reverse

from tests.console import world
from tests.security.conftest import browser  # noqa: F401  (a fixture)
from tests.security.test_methods import administrator

pytestmark = pytest.mark.django_db

LOOKUPS = {
    "regex": "^(.?.?.?.?){25}Q$",
    "iregex": "(",
    "startswith": "a",
    "contains": "x" * 6_000,
    "year": "99999999999999999999",
    "gt": "0",
    "range": "1",
    "exact": "%",
    "": "%",
}


def lists() -> list[tuple[str, type[Any], Any]]:
    return [
        (reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"), model, page)
        for model, page in admin.site._registry.items()
    ]


def filters(page: Any) -> set[str]:
    return {each if isinstance(each, str) else str(each) for each in page.list_filter}


@pytest.mark.slow
def test_no_list_answers_what_its_page_does_not_ask(browser: Any) -> None:  # noqa: F811
    world.plan()
    client = administrator(browser)
    client.raise_request_exception = False
    asked = 0
    for address, model, page in lists():
        fields = [each for each in model._meta.get_fields() if isinstance(each, Field)]
        for at, each in enumerate(fields):
            for lookup, value in itertools.islice(LOOKUPS.items(), at % 8, None, 8):
                name = f"{each.name}__{lookup}" if lookup else each.name
                if each.name in filters(page) and lookup in ("exact", ""):
                    assert client.get(address, {name: value}).status_code in (200, 302), name
                else:
                    assert client.get(address, {name: value}).status_code == 400, (address, name)
                asked += 1
            if each.is_relation:
                assert client.get(address, {f"{each.name}__pk__regex": "("}).status_code == 400
    assert asked > 100


def test_filters_work_that_are_shown(browser: Any) -> None:  # noqa: F811
    client = administrator(browser)
    assert client.get("/admin/audit/auditentry/", {"refused__exact": "1", "verb": "session.start"}).status_code == 200
    assert client.get("/admin/auth/user/", {"groups__id__exact": "1", "is_active__exact": "1"}).status_code == 200
    assert client.get("/admin/executions/execution/", {"status__exact": "PAUSED"}).status_code == 200


def test_a_search_for_very_many_words_is_none_for_more_than_twenty(browser: Any) -> None:  # noqa: F811
    client = administrator(browser)
    for address, _, page in lists():
        if page.search_fields:
            assert client.get(address, {"q": "a " * 2_000}).status_code == 200, address
