"""Lists in sentences: the first few by name, and how many more there are."""

from collections.abc import Iterable

NAMED = 10


def some(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return f"{', '.join(every[:NAMED])}{more}"
