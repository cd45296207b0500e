"""Every field is read in either spelling, and in no other."""

import pytest

from contract.errors import Invalid
from contract.rest.handlers import flat
from contract.rest.serializers import spelling
from plans.api import PlanIn
from protection.api import GroupIn


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("GroupName", "groupName"),
        ("groupName", "groupName"),
        ("SourceServerIDs", "sourceServerIds"),
        ("sourceServerIds", "sourceServerIds"),
        ("PlanID", "planId"),
        ("planId", "planId"),
        ("DependsOnWaveId", "dependsOnWaveId"),
        ("region", "region"),
        ("ID", "id"),
        ("", ""),
    ],
)
def test_it_knows_both_spellings(given: str, expected: str) -> None:
    assert spelling(given) == expected


def fields_of(shape: PlanIn | GroupIn) -> dict[str, list[str]]:
    return {} if shape.is_valid() else flat(shape.errors)


GROUP = {"groupName": "A", "region": "us-east-1", "sourceServerIds": ["s-1"]}


def test_the_same_value_twice_is_no_contradiction() -> None:
    assert fields_of(GroupIn(data=GROUP | {"GroupName": "A"})) == {}


@pytest.mark.parametrize("other", ["B", 1, None, ["A"]])
def test_two_spellings_must_agree(other: object) -> None:
    assert list(fields_of(GroupIn(data=GROUP | {"GroupName": other}))) == ["groupName"]


def test_an_unknown_field_is_named_with_its_path() -> None:
    wave = {"name": "a", "protectionGroupIds": [], "serverIds": [], "pauseBeforeWav": True}
    found = fields_of(PlanIn(data={"planName": "P", "waves": [{"name": "ok"}, wave]}))
    assert found == {"waves[1].pauseBeforeWav": ["There is no such field. Did you mean pauseBeforeWave?"]}


def test_what_is_missing_is_told_with_what_is_unknown() -> None:
    found = fields_of(GroupIn(data={"name": "A", "sourceServerIds": ["s-1"], "x": 1}))
    assert found == {
        "name": ["There is no such field. Did you mean groupName?"],
        "x": ["There is no such field."],
        "groupName": ["This field is required."],
        "region": ["This field is required."],
    }


@pytest.mark.parametrize("name", ["GROUPNAME", "group_name", "groupname", "Group Name", "__proto__", "name"])
def test_it_guesses_nothing(name: str) -> None:
    assert list(fields_of(GroupIn(data=GROUP | {name: "A"}))) == [name]


def test_nested_problems_have_a_path() -> None:
    found = fields_of(PlanIn(data={"planName": "P", "waves": [{"dependencies": [{}, {"dependsOnWaveId": 1}]}, 7]}))
    assert set(found) == {
        "waves[0].dependencies[0].dependsOnWaveId",
        "waves[0].dependencies[1].dependsOnWaveId",
        "waves[1]",
    }


def test_an_error_says_its_first_problem() -> None:
    assert Invalid({"waves[0].name": ["Too long."]}).message == "waves[0].name: Too long."
