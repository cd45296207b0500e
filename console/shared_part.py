"""A part of a page that many are shown: one of those who ask reads and draws it, the others wait and get the same."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

Facts = TypeVar("Facts")


@dataclass
class SharedPart(Generic[Facts]):
    """The part as it was drawn last, with what was known of the world just before."""

    _lock: Lock = field(default_factory=Lock)
    _drawn: tuple[Facts, float, str] | None = None

    def shown(self, facts: Facts, will_do: Callable[[Facts, float], bool], draw: Callable[[], str]) -> str:
        """The last drawing where it `will_do`, by its facts and its age in seconds; else a new one, of these facts."""
        with self._lock:
            if self._drawn is not None:
                known, at, text = self._drawn
                if will_do(known, time.monotonic() - at):
                    return text
            began = time.monotonic()
            text = draw()
            self._drawn = facts, began, text
            return text
