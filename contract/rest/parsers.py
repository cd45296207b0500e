"""Reads JSON bodies strictly: what one parser would read differently from another is refused, never guessed."""

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser

from contract.errors import BadRequest, Invalid, PayloadTooLarge

MAX_BYTES = 1_048_576
MAX_DEPTH = 32
MOST_BRACKETS = 100_000  # each list costs Python more than its two bytes say
MOST_DIGITS = 400  # of an integer; what JSON writes as a float has 309 at most
_ENDLESS = object()  # in place of a longer one


class StrictJSONParser(BaseParser):
    """One JSON object of at most 1 MiB: UTF-8, no duplicate names, no NaN, no infinite numbers."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        return read_object(stream.read(MAX_BYTES + 1))


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises PayloadTooLarge, or BadRequest with MALFORMED_JSON and the reason."""
    if len(body) > MAX_BYTES:
        raise PayloadTooLarge(MAX_BYTES)
    if body.count(b"[") + body.count(b"{") > MOST_BRACKETS:  # also in texts, none of which may have so many
        raise _malformed(f"it has more than {MOST_BRACKETS:,} lists and objects")
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_int,
            parse_float=_float,
            parse_constant=_constant,
        )
        _refuse_depth(value)
    except UnicodeDecodeError:
        raise _malformed("it is not UTF-8") from None
    except RecursionError:
        raise _malformed(f"it is nested more than {MAX_DEPTH} levels deep") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    if not isinstance(value, dict):
        raise Invalid({"": ["The body must be a JSON object, such as {}."]})
    return value


def _malformed(reason: str) -> BadRequest:
    return BadRequest("MALFORMED_JSON", f"The body cannot be read as JSON: {reason}.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _malformed(f"an object names {name!r:.64} twice")
        if not name.isascii() and any("\ud800" <= each <= "\udfff" for each in name):
            raise _malformed(f"the name {name!r:.64} is no text")  # half a character cannot be written in an answer
        if value is _ENDLESS:
            raise _malformed(f"the number of {name!r:.64} has too many digits")
        found[name] = value
    return found


def _int(text: str) -> object:
    """Python refuses to read very long numbers, which would take it long; what they are of is not known here."""
    return int(text) if len(text) <= MOST_DIGITS else _ENDLESS


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _malformed(f"the number {text[:20]} is too large")
    return number


def _constant(text: str) -> float:
    raise _malformed(f"{text} is not a JSON value")


def _refuse_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for each in level for child in _children(each)]
        if not level:
            return
    raise RecursionError


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    if value is _ENDLESS:
        raise _malformed("a number has too many digits")
    return value if isinstance(value, list) else []
