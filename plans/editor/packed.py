"""Many ids of servers in one hidden field of a form: eleven letters each, instead of a field each."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable

ID = re.compile(r"s-([0-9a-f]{17})")
DIGITS = 17
MARK = "^"
MARK_BEFORE, BYTES_BEFORE = "~", 9  # of a page that the version before has sent


def packed(ids: Iterable[str]) -> list[str]:
    """The values of a field that stand for these ids: one for all, and one for each that DRS would not give."""
    found = list(ids)
    digits = "".join(each[2:] for each in found if ID.fullmatch(each))
    content = bytes.fromhex(digits + "0" * (len(digits) % 2))
    whole = [MARK + urlsafe_b64encode(content).decode()] if content else []
    return [*whole, *(each for each in found if not ID.fullmatch(each))]


def unpacked(values: Iterable[str]) -> list[str]:
    """The ids that values of a form stand for, each once; what was not packed here stands for itself."""
    return list(dict.fromkeys(each for value in values for each in _ids(value)))


def _ids(value: str) -> list[str]:
    try:
        content = urlsafe_b64decode(value[1:]) if value[:1] in (MARK, MARK_BEFORE) else b""
    except ValueError:
        content = b""
    if value[:1] == MARK_BEFORE:
        return _before(content) or [value]
    digits = content.hex()
    many, left = divmod(len(digits), DIGITS)
    if not many or left != many % 2 or (left and digits[-1] != "0"):
        return [value]
    return [f"s-{digits[at * DIGITS : (at + 1) * DIGITS]}" for at in range(many)]


def _before(content: bytes) -> list[str]:
    """The same as the version before packed them: each in bytes of its own."""
    if len(content) % BYTES_BEFORE:
        return []
    return [f"s-{content[at : at + BYTES_BEFORE].hex()[1:]}" for at in range(0, len(content), BYTES_BEFORE)]
