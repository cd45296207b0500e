"""Makes text from outside harmless where it is kept or printed: control characters cannot forge a line or a color."""

import re
from collections.abc import Mapping
from typing import Any

# C0 and C1 controls, line and paragraph separators, and marks that reverse the reading direction.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# What a database cannot keep: NUL, and halves of surrogate pairs.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def one_line(text: str) -> str:
    """The text with every control character spelled out."""
    return _CONTROLS.sub(_escaped, _UNSTORABLE.sub(_escaped, text))


def storable(value: Any) -> Any:
    """The same JSON value, with the few characters spelled out that a database refuses."""
    if isinstance(value, str):
        return _UNSTORABLE.sub(_escaped, value)
    if isinstance(value, Mapping):
        return {storable(str(name)): storable(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [storable(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float) else storable(str(value))
