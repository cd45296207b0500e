"""What names an account: told by the rooms above, which this one does not know."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Use:
    """Something that cannot do without an account."""

    kind: str
    id: str
    name: str


_asked: list[Callable[[str], Sequence[Use]]] = []


def register(uses_of: Callable[[str], Sequence[Use]]) -> None:
    """Have it asked for what uses an account, before one is deleted."""
    if uses_of not in _asked:
        _asked.append(uses_of)


def uses_of(account: str) -> list[Use]:
    return [use for ask in _asked for use in ask(account)]
