"""Long lists in parts: a statement takes any number of parameters only for a price."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

PARAMETERS = 500  # how many a statement is given


def chunks(items: Sequence[T], size: int = PARAMETERS) -> Iterator[Sequence[T]]:
    """The items in order, at most `size` at a time."""
    return (items[at : at + size] for at in range(0, len(items), size))
