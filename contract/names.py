"""Names that people give: refused where they would lie, kept as typed, unique by the form that a reader takes for the
same, and shown with every hidden character spelled out."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from uuid import UUID

from drsorch_verify.visible import hidden, visible

__all__ = ["ACCOUNT", "NO_ACCOUNT", "as_stored", "hidden_fault", "name_key", "new_keys", "visible"]

LONGEST, KEY_MAX, DIGEST = 512, 512, 64

ACCOUNT = re.compile("[0-9]{12}")  # of AWS
NO_ACCOUNT = "An AWS account is its twelve digits, such as 123456789012."


def name_key(name: str) -> str:
    """The form in which two names that a person takes for the same are equal: NFKC, casefolded. No name is as long as
    what is cut off, and to put many accents of one letter in order takes the square of their number. One letter can
    become eighteen; what would not fit its column ends in the digest of all."""
    found = unicodedata.normalize("NFKC", _picture(name.strip()[:LONGEST]))
    found = unicodedata.normalize("NFKC", found.casefold()).strip()
    if len(found) <= KEY_MAX:
        return found
    return found[: KEY_MAX - DIGEST] + hashlib.sha256(found.encode(errors="backslashreplace")).hexdigest()


def _picture(name: str) -> str:
    """Without what says only whether a picture is drawn in color."""
    return name.replace("\ufe0e", "").replace("\ufe0f", "")


def hidden_fault(name: str, stored: Iterable[str] = ()) -> str:
    """Why a name cannot be given: it has a character that cannot be seen, or that reorders what is read. Empty for
    one that can, or that stands among the `stored` ones from before this rule."""
    found = hidden().search(name)
    if found is None or name in stored:
        return ""
    code = ord(found[0])
    called = unicodedata.name(found[0], "")
    what = f"U+{code:04X} ({called.lower()})" if called else f"U+{code:04X}"
    return (
        f"Character {found.start() + 1} is {what}: it cannot be seen, or it changes the order in which the name is"
        " read. Remove it."
    )


def as_stored(name: str, stored: Iterable[str]) -> str:
    """The name that somebody means who sends back what a page shows of a stored one."""
    return next((each for each in stored if each != name and visible(each) == name), name)


def new_keys(rows: Iterable[tuple[UUID, str, str]]) -> Mapping[UUID, str]:
    """Of rows as (id, name, key), the keys that have to change. A row keeps its key where another has the new one."""
    known = list(rows)
    taken = {key for _, _, key in known}
    found = {}
    for pk, name, _key in known:
        wanted = name_key(name)
        if wanted not in taken:
            taken.add(wanted)
            found[pk] = wanted
    return found
