"""Names that look the same: their skeletons, by Unicode's own table (UTS #39, `confusables.txt`), are equal."""

import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TypedDict

from contract.names import name_key, visible
from drsorch_verify.visible import hidden

MOST = 3  # are named
CODE = "NAME_LOOKS_ALIKE"


class NameWarning(TypedDict):
    code: str
    message: str


@cache
def _prototypes() -> Mapping[int, str]:
    """What stands for each character that looks like another, or like several."""
    text = Path(__file__).with_name("confusables.txt").read_text(encoding="utf-8")
    rows = (line.split(";") for line in text.splitlines() if line and not line.startswith("#"))
    return {int(one, 16): "".join(chr(int(each, 16)) for each in other.split()) for one, other in rows}


def skeleton(text: str) -> str:
    """Equal for texts that look the same: decomposed, without what nobody sees, each character by its prototype. Any
    number of blanks is one, as pages draw them."""
    seen = hidden().sub("", unicodedata.normalize("NFD", text))
    return " ".join(unicodedata.normalize("NFD", seen.translate(_prototypes())).split())


@lru_cache(maxsize=8192)
def _looks(name: str) -> frozenset[str]:
    """As it is typed, and without case."""
    return frozenset((skeleton(name), skeleton(name_key(name))))


def look_alike(name: str, others: Iterable[str]) -> list[str]:
    """Those of other names that somebody could take for this one."""
    mine = _looks(name)
    return [each for each in others if not mine.isdisjoint(_looks(each))]


def warnings(name: str, others: Iterable[str]) -> list[NameWarning]:
    """The warning for a name that looks like others, as an answer has it."""
    found = look_alike(name, others)
    if not found:
        return []
    named = ", ".join(f"“{visible(each)}”" for each in found[:MOST])
    more = f" and {len(found) - MOST} more" if len(found) > MOST else ""
    said = f"The name “{visible(name)}” looks like {named}{more}."
    return [NameWarning(code=CODE, message=f"{said} Rename one of them, so that nobody takes one for the other.")]
