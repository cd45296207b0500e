"""Many ids of servers in one hidden field of a form: twelve letters each, instead of a field each."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable

ID = re.compile(r"s-[0-9a-f]{17}")
MARK, BYTES = "~", 9


def packed(ids: Iterable[str]) -> list[str]:
    """The values of a field that stand for these ids: one for all, and one for each that DRS would not give."""
    found = list(ids)
    usual = [each for each in found if ID.fullmatch(each)]
    content = b"".join(bytes.fromhex(f"0{each[2:]}") for each in usual)
    whole = [MARK + urlsafe_b64encode(content).decode()] if content else []
    return [*whole, *(each for each in found if not ID.fullmatch(each))]


def unpacked(values: Iterable[str]) -> list[str]:
    """The ids that values of a form stand for, each once; what was not packed here stands for itself."""
    return list(dict.fromkeys(each for value in values for each in _ids(value)))


def _ids(value: str) -> list[str]:
    try:
        content = urlsafe_b64decode(value[len(MARK) :]) if value.startswith(MARK) else b""
    except ValueError:
        content = b""
    if not content or len(content) % BYTES:
        return [value]
    return [f"s-{content[at : at + BYTES].hex()[1:]}" for at in range(0, len(content), BYTES)]
