"""What a gate asks for before anything behind it is launched: how it is kept, what is wrong with one, and its words."""

from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

from contract.names import hidden_fault
from contract.plurals import counted

MOST_APPROVALS = 3
MOST_ITEMS, ITEM_MAX = 20, 200
LEAST_MINUTES, MOST_MINUTES = 5, 525_600  # a year


class GateShape(TypedDict):
    """So many approvals of people other than whoever started the run, each with the whole checklist; nobody having
    passed it after so many minutes, the run ends."""

    approvals: int
    checklist: list[str]
    expiresMinutes: int


def cleaned(given: object) -> GateShape | None:
    """As it is kept, texts trimmed; None is no gate. What is wrong is for `faults` to say, whatever it is."""
    if given is None:
        return None
    told: Mapping[str, Any] = given if isinstance(given, Mapping) else {"approvals": given}
    items = told.get("checklist", [])
    return GateShape(
        approvals=told.get("approvals", 0),
        checklist=[str(each).strip() for each in (items if isinstance(items, list) else [""])],
        expiresMinutes=told.get("expiresMinutes", MOST_MINUTES),
    )


def faults(gate: GateShape) -> Iterator[str]:
    """What is wrong with it, in sentences."""
    if not _is_whole(gate["approvals"], 0, MOST_APPROVALS):
        yield f"approvals is a whole number from 0 to {MOST_APPROVALS}."
    if not _is_whole(gate["expiresMinutes"], LEAST_MINUTES, MOST_MINUTES):
        yield f"expiresMinutes is a whole number from {LEAST_MINUTES} to {MOST_MINUTES:,}."
    if fault := many_fault(len(gate["checklist"])):
        yield fault
    for number, item in enumerate(gate["checklist"], 1):
        if fault := item_fault(item):
            yield f"Item {number} of the checklist: {fault}"


def many_fault(items: int) -> str:
    """What is wrong with so many items; empty for nothing."""
    return f"The checklist has at most {MOST_ITEMS} items; this has {items}." if items > MOST_ITEMS else ""


def item_fault(item: str) -> str:
    """What is wrong with one of them; empty for nothing."""
    if not 1 <= len(item) <= ITEM_MAX:
        return f"1 to {ITEM_MAX} characters are expected; this has {len(item)}."
    return hidden_fault(item)


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def words(gate: GateShape) -> str:
    """It for people, in a few words."""
    asked = counted(gate["approvals"], "approval") if gate["approvals"] else "somebody resumes"
    items = gate["checklist"]
    within = "" if gate["expiresMinutes"] == MOST_MINUTES else f", within {gate['expiresMinutes']:,} min"
    checks = f", {counted(len(items), 'check')}" if items else ""
    return f"{asked}{checks}{within}"
