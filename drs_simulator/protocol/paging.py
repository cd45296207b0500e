"""Pages: opaque tokens, page sizes, and the short or empty pages that the real service is free to send."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from drs_simulator.protocol.call_log import Call
from drs_simulator.world import scenarios
from drs_simulator.world.errors import invalid
from drs_simulator.world.state_file import Store

T = TypeVar("T")
LARGEST_PAGE = 1000


class Keyed(NamedTuple, Generic[T]):
    """An item and the key that orders its listing."""

    key: str | int
    item: T


class Page(NamedTuple, Generic[T]):
    items: list[T]
    next_token: str | None


class Position(NamedTuple):
    """Where a listing goes on: after which key (None: at the start), as which page."""

    operation: str
    after: str | int | None
    page: int


def _token(position: Position) -> str:
    return urlsafe_b64encode(json.dumps(position).encode()).decode()


def _position(call: Call) -> Position:
    token = call.params.get("nextToken")
    if not token:
        return Position(call.operation, None, 0)
    try:
        position = Position(*json.loads(urlsafe_b64decode(str(token))))
    except (ValueError, TypeError) as error:
        raise invalid([("nextToken", "is invalid")]) from error
    if position.operation != call.operation:
        raise invalid([("nextToken", "belongs to another listing")])
    return position


def page_of(store: Store, call: Call, fetch: Callable[[str | int | None, int], list[Keyed[T]]]) -> Page[T]:
    """One page of a listing; `fetch(after, limit)` gives the items after a key, in order.

    Raises ValidationException for a token that is not of this listing.
    """
    position = _position(call)
    wanted = call.params.get("maxResults")
    size = min(wanted, LARGEST_PAGE) if isinstance(wanted, int) else store.settings.page_size
    if short := scenarios.view(store, call.region, "short_pages", call.operation):
        size = min(size, max(int(short.number("size")), 1))
        every = int(short.number("empty_every"))
        if every > 1 and position.page % every == 0:
            return Page([], _token(position._replace(page=position.page + 1)))
    found = fetch(position.after, size + 1)
    items = [keyed.item for keyed in found[:size]]
    if len(found) <= size:
        return Page(items, None)
    return Page(items, _token(Position(call.operation, found[size - 1].key, position.page + 1)))
