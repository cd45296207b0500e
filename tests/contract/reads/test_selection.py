"""Parts of the lists: the fields that a client names, and a page at a time."""

import pytest

from bench.seed import seed
from tests.support.api_client import Api, answer, refusal

pytestmark = [pytest.mark.django_db, pytest.mark.slow, pytest.mark.both]

LISTS = [("/protection-groups", "groups", "groupName"), ("/recovery-plans", "plans", "planName")]


@pytest.fixture(autouse=True)
def rows() -> None:
    seed(groups=25, servers=1, plans=25, executions=0)


@pytest.mark.parametrize(("path", "name", "field"), LISTS)
def test_pages_are_the_whole_list(admin: Api, path: str, name: str, field: str) -> None:
    whole = answer(admin.get(path))
    assert "nextToken" not in whole
    first = answer(admin.get(f"{path}?limit=10"))
    second = answer(admin.get(f"{path}?limit=10&nextToken={first['nextToken']}"))
    last = answer(admin.get(f"{path}?limit=10&nextToken={second['nextToken']}"))
    assert [each["count"] for each in (first, second, last)] == [10, 10, 5]
    assert last["nextToken"] is None
    assert first[name] + second[name] + last[name] == whole[name]


@pytest.mark.parametrize(("path", "name", "field"), LISTS)
def test_only_the_named_fields_come(admin: Api, path: str, name: str, field: str) -> None:
    whole = answer(admin.get(path))[name]
    some = answer(admin.get(f"{path}?fields={field},version"))[name]
    assert some == [{field: each[field], "version": each["version"]} for each in whole]
    refusal(admin.get(f"{path}?fields={field},secret"), 400, "VALIDATION_ERROR")


@pytest.mark.parametrize(("path", "name", "field"), LISTS)
@pytest.mark.parametrize("wrong", ["limit=0", "limit=101", "limit=x", "nextToken=x", "nextToken=%00"])
def test_what_is_no_page_is_refused(admin: Api, path: str, name: str, field: str, wrong: str) -> None:
    refusal(admin.get(f"{path}?{wrong}"), 400, "VALIDATION_ERROR")
