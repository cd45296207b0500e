"""Answers of a size that an assistant can read. Lists are cut to what fits, each says how much of it is left out, and
any of them can be asked for by its path, page by page."""

import json
from collections.abc import Iterator
from typing import Any

from drsorch_cli.exits import Stop, usage

Record = dict[str, Any]
MOST = 40_000  # characters of an answer
CAPS = (200, 100, 50, 25, 12, 6, 3, 1, 0)  # of every list; the largest that fits
HOW = "Lists were cut. For the rest of one, call again with its `part`, and `skip` for how many were shown."


def bounded(record: Record, part: str = "", skip: int = 0) -> Record:
    """The record, or what comes after the first `skip` in one of its lists. Raises Stop for one that is not there."""
    if part:
        return _page(record, part, max(skip, 0))
    if _size(record) <= MOST:
        return record
    for cap in CAPS:
        cuts: list[Record] = []
        cut = _cut(record, cap, "", cuts)
        found = {**cut, "notShown": {"lists": cuts, "how": HOW}}
        if _size(found) <= MOST:
            return found
    raise _too_large()


def _page(record: Record, part: str, skip: int) -> Record:
    lists = dict(_lists(record, ""))
    if part not in lists:
        some = ", ".join(sorted(lists, key=lambda each: -len(lists[each]))[:10])
        raise usage(f"There is no list {part[:80]!r} here. There are: {some or 'none'}.")
    whole = lists[part]
    items, cuts, room = list[Any](), list[Record](), MOST - 1_000
    for number, each in enumerate(whole[skip:], skip):
        found = _cut(each, CAPS[-1], f"{part}[{number}]", cuts) if _size(each) > room and not items else each
        room -= _size(found) + 2
        if room < 0:
            break
        items.append(found)
    if not items and skip < len(whole):
        raise _too_large()
    after = skip + len(items)
    page = {"part": part, "skip": skip, "of": len(whole), "items": items}
    page |= {"next": after if after < len(whole) else None}
    return {**page, "notShown": {"lists": cuts, "how": HOW}} if cuts else page


def _too_large() -> Stop:
    return usage("The answer is too large for an assistant. A person can read it in the console.")


def _size(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False))


def _cut(value: Any, cap: int, path: str, cuts: list[Record]) -> Any:
    """The same with at most `cap` items in each list; what is left out is noted in `cuts`."""
    if isinstance(value, dict):
        return {name: _cut(each, cap, f"{path}.{name}" if path else name, cuts) for name, each in value.items()}
    if not isinstance(value, list):
        return value
    if len(value) > cap:
        cuts.append({"part": path, "shown": cap, "of": len(value)})
    return [_cut(each, cap, f"{path}[{number}]", cuts) for number, each in enumerate(value[:cap])]


def _lists(value: Any, path: str) -> Iterator[tuple[str, list[Any]]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _lists(each, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        yield path, value
        for number, each in enumerate(value):
            yield from _lists(each, f"{path}[{number}]")
