"""Keyset paging, newest first: a page begins behind the last row of the page before, whatever was added since."""

import base64
import binascii
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet

from contract.errors import Invalid

DEFAULT_LIMIT = 50
MAX_LIMIT = 100

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Cursor:
    """The place behind one row, by its time and id."""

    at: datetime
    id: uuid.UUID

    def token(self) -> str:
        """Opaque text for `nextToken`."""
        return base64.urlsafe_b64encode(f"{self.at.isoformat()}|{self.id.hex}".encode()).decode().rstrip("=")

    @classmethod
    def read(cls, token: str) -> "Cursor":
        """Raises Invalid for anything that `token` did not make, and for times that UTC does not have."""
        try:
            padded = token.encode("ascii") + b"=" * (-len(token) % 4)
            at, _, key = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii").partition("|")
            given = cls(datetime.fromisoformat(at), uuid.UUID(hex=key))
            cursor = cls(given.at.astimezone(UTC), given.id) if given.at.tzinfo and given.token() == token else None
        except (ValueError, OverflowError, binascii.Error):
            cursor = None
        if cursor is None:
            raise Invalid({"nextToken": ["Not a token of this list. Start again without one."]})
        return cursor


def read_limit(text: str | None) -> int:
    """The `limit` parameter, 1 to 100. Raises Invalid."""
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_LIMIT):
        raise Invalid({"limit": [f"A whole number from 1 to {MAX_LIMIT} is expected."]})
    return int(text)


def page(rows: QuerySet[M], *, time: str, limit: int, token: str | None) -> tuple[list[M], str | None]:
    """One page of `rows`, newest `time` first, and the token of the next page or None."""
    if token is not None:
        cursor = Cursor.read(token)
        earlier = Q(**{f"{time}__lt": cursor.at}) | Q(**{time: cursor.at, "pk__lt": cursor.id})
        rows = rows.filter(**{f"{time}__lte": cursor.at}).filter(earlier)  # the first alone uses the index
    found = list(rows.order_by(f"-{time}", "-pk")[: limit + 1])
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], Cursor(getattr(last, time), last.pk).token()


N = TypeVar("N", bound=QuerySet[Any])


def named_page(rows: N, *, limit: int | None, token: str | None) -> tuple[N, str | None]:
    """One page of rows in the order of their `name_key`, which is unique, and the token of the next page or None; all
    of them without a limit."""
    if token is not None:
        rows = rows.filter(name_key__gt=_read_name(token))
    if limit is None:
        return rows, None
    keys = list(rows.order_by("name_key").values_list("name_key", flat=True)[: limit + 1])
    if len(keys) <= limit:
        return rows, None
    return rows.filter(name_key__lte=keys[limit - 1]), _name_token(keys[limit - 1])


def _name_token(name: str) -> str:
    return base64.urlsafe_b64encode(f"name|{name}".encode()).decode().rstrip("=")


def _read_name(token: str) -> str:
    """Raises Invalid for anything that `_name_token` did not make."""
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        kind, _, name = base64.b64decode(padded, altchars=b"-_", validate=True).decode().partition("|")
    except (ValueError, binascii.Error):
        kind = name = ""
    if kind != "name" or "\0" in name or _name_token(name) != token:
        raise Invalid({"nextToken": ["Not a token of this list. Start again without one."]})
    return name
