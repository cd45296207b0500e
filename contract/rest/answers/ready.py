"""Parts of an answer that are JSON already: of a list of thousands most is what it was when somebody last asked."""

import secrets
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar, cast

from rest_framework.utils.encoders import JSONEncoder

MARK = secrets.token_hex(16)  # stands in an answer for a part until all is made; nobody outside can know it
_MARKED = f'"{MARK}"'

T = TypeVar("T")


class Ready:
    """A part of an answer, as JSON."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class _Encoder(JSONEncoder):
    """Notes the parts that are ready, in the order in which they come."""

    def __init__(self) -> None:
        # Answers are trees that we have just made: nobody need look for circles in them, which costs a tenth of the
        # time.
        super().__init__(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"))
        self.parts: list[str] = []

    def default(self, obj: Any) -> Any:
        if isinstance(obj, Ready):
            self.parts.append(obj.text)
            return MARK
        return super().default(obj)


def encoded(data: Any) -> str:
    """An answer, or a part of one, as JSON in as few characters as it takes."""
    encoder = _Encoder()
    text: str = encoder.encode(data)
    if not encoder.parts:
        return text
    pieces = text.split(_MARKED)
    if len(pieces) != len(encoder.parts) + 1:
        raise ValueError("An answer has the mark of a part where no part is")
    whole = [""] * (2 * len(encoder.parts) + 1)
    whole[::2], whole[1::2] = pieces, encoder.parts
    return "".join(whole)


class KeptParts:
    """What was made of the same before, by its key. All that a part is made of is compared, so that none is older than
    the rows that were read for it; when they are more than `most` characters, all are forgotten and made anew."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: dict[Hashable, tuple[object, Ready]] = {}
        self.characters = 0
        self._lock = Lock()

    def part(self, key: Hashable, made_of: object, make: Callable[[], T]) -> T:
        """As `make` makes it, though it is JSON already: only an answer takes it, whole."""
        found = self.find(key, made_of)
        return self.keep(key, made_of, make()) if found is None else found

    def find(self, key: Hashable, made_of: object) -> Any:
        """The part, or None if it has to be made."""
        kept = self._parts.get(key)
        return kept[1] if kept is not None and kept[0] == made_of else None

    def keep(self, key: Hashable, made_of: object, made: T) -> T:
        """The same, JSON from now on."""
        part = Ready(encoded(made))
        with self._lock:
            before = self._parts.pop(key, None)
            self.characters += len(part.text) - (len(before[1].text) if before else 0)
            if self.characters > self._most:
                self._parts, self.characters = {}, len(part.text)
            self._parts[key] = made_of, part
        return cast("T", part)
