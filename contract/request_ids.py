"""Gives every request an id that stands in its answer, in the journal and in the log."""

import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

HEADER = "X-Request-ID"
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def request_id(request: HttpRequest) -> str:
    """The id of a request: the proxy's, if it sent a sane one, else our own."""
    known: str | None = getattr(request, "request_id", None)
    if known is None:
        sent = request.headers.get(HEADER, "")
        known = sent if _ACCEPTABLE.fullmatch(sent) else uuid.uuid4().hex
        request.request_id = known  # type: ignore[attr-defined]  # ours, kept for the length of the request
    return known


class RequestIdMiddleware:
    """Answers with the request's id, so that a person who reports an error can name it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        known = request_id(request)
        response = self.get_response(request)
        response.headers[HEADER] = known
        return response
