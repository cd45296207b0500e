"""What a database can keep of text from outside."""

import re
from collections.abc import Mapping
from typing import Any

# What a database cannot keep: NUL, and halves of surrogate pairs.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def storable(value: Any) -> Any:
    """The same JSON value, with the few characters spelled out that a database refuses."""
    if isinstance(value, str):
        return _UNSTORABLE.sub(_escaped, value)
    if isinstance(value, Mapping):
        return {storable(str(name)): storable(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [storable(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float) else storable(str(value))
