"""Only the fields of a list that a client names, in `fields=groupId,groupName`."""

from collections.abc import Iterable, Mapping
from typing import Any

from contract.errors import Invalid

SELECTION = {
    "minLength": 1,
    "description": "Names of the fields of each item, with commas; without it all.",
}


def read_fields(text: str | None, shape: type) -> frozenset[str]:
    """The fields asked for; all of `shape`, a TypedDict, without any. Raises Invalid."""
    known = frozenset(shape.__annotations__)
    if text is None:
        return known
    asked = [each.strip() for each in text.split(",")]
    if unknown := [each for each in asked if each not in known]:
        raise Invalid({"fields": [f"There is no field {unknown[0][:64]!r}; an answer without `fields` shows all."]})
    return frozenset(asked)


def selected(items: Iterable[Mapping[str, Any]], fields: frozenset[str]) -> list[Mapping[str, Any]]:
    """The items with these fields alone, in the order that they have. Whoever wants all pays for no copy."""
    listed = list(items)
    if not listed or fields >= listed[0].keys():
        return listed
    return [{name: value for name, value in item.items() if name in fields} for item in listed]
