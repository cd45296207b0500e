"""Answers that a client has already: 304 and not a byte, when If-None-Match names them."""

import re
from collections.abc import Iterable
from hashlib import sha256

from django.http import HttpRequest
from rest_framework.request import Request

_OPAQUE = re.compile(r'(?:W/)?"([^"]*)"')


def tag(*parts: object) -> str:
    """A weak ETag of whatever an answer is made of."""
    return tag_of_bytes(["\x1f".join(map(repr, parts)).encode()])


def tag_of_bytes(content: Iterable[bytes]) -> str:
    """A weak ETag of an answer itself: weak, because it is sent with compression or without."""
    made = sha256()  # processors have it built in
    for each in content:
        made.update(each)
    return f'W/"{made.hexdigest()[:24]}"'


def is_known(request: HttpRequest | Request, etag: str) -> bool:
    """Whether the client names the ETag among those that it has."""
    asked = request.headers.get("If-None-Match", "")
    return bool(asked) and _OPAQUE.findall(etag)[0] in _OPAQUE.findall(asked)
