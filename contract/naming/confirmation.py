"""What somebody types before something that cannot be undone: a name, or a short code where keyboards lack its letters.

A name in lookalikes, in another script, or with what nobody sees could only be copied, and who copies has not read it.
"""

import hashlib
import re

from contract.names import name_key

# On the keyboards of languages in Latin script; without dotless i, kra and others that are drawn like a plain letter.
_TYPED = re.compile("[ -~\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u0130\u0134-\u0137\u0139-\u0148\u014a-\u017e]*")
_LETTERS = "ABCDEFGHJKMNPQRTUVWXYZ2346789"  # none that is read or heard as another


def is_typeable(name: str) -> bool:
    return _TYPED.fullmatch(name) is not None


def to_type(name: str) -> str:
    """The name itself, or its code: the same each time, and another for a name that looks the same."""
    if is_typeable(name):
        return name
    number = int.from_bytes(hashlib.sha256(name.encode(errors="backslashreplace")).digest())
    letters = [_LETTERS[number // len(_LETTERS) ** place % len(_LETTERS)] for place in range(6)]
    return "".join(letters[:3]) + "-" + "".join(letters[3:])


def mistyped(typed: str, name: str) -> str:
    """What is wrong with what was typed to confirm, as a sentence."""
    if name_key(typed) == name_key(to_type(name)):
        return ""
    return "This is not the plan's name." if is_typeable(name) else f"This is not the code. Type {to_type(name)}."
