"""Every case of docs/field.md has a test that plays it, or is named there as open; every marker names a case of it."""

import pytest

from tests import field_table


def test_every_case_is_played_or_said_to_be_open() -> None:
    page, tests = field_table.PAGE.read_text(), field_table.played()
    without = {each for each in field_table.cases(page) if each not in tests}
    assert without == field_table.still_open(page) - set(tests), "a case has lost its test, or is new and has none"


def test_every_marker_names_a_case() -> None:
    unknown = {case: tests for case, tests in field_table.played().items() if case not in field_table.cases(_page())}
    assert unknown == {}, "docs/field.md has no such case"


def test_the_page_names_the_tests() -> None:
    page = _page()
    assert field_table.written(page, field_table.played()) == page, "run: python -m tests.field_table"


def test_each_case_stands_there_once_and_in_order() -> None:
    found = field_table.cases(_page())
    assert found == sorted(set(found), key=field_table.key)
    assert len(found) >= 40


@pytest.mark.parametrize(
    ("tests", "shown", "left"),
    [
        ({}, "| A1 | x | y | open |", "A1, B2"),
        ({"A1": ["t.py::a", "u.py::b"]}, "| A1 | x | y | `t.py::a`<br>`u.py::b` |", "B2"),
        ({"A1": ["t.py::a"], "B2": ["t.py::a"]}, "| B2 | z | w | `t.py::a` |", "none"),
    ],
)
def test_a_test_takes_its_case_off_the_list(tests: dict[str, list[str]], shown: str, left: str) -> None:
    page = "Still open, with no test yet: A1, B2.\n\n| A1 | x | y | old |\n| B2 | z | w |  |\n"
    found = field_table.written(page, tests)
    assert shown in found.splitlines()
    assert f"Still open, with no test yet: {left}." in found


def _page() -> str:
    return field_table.PAGE.read_text()
