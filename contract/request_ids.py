"""Gives every request an id that stands in its answer, in the journal and in the log."""

import re
import uuid
from collections.abc import Callable, Sequence

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from contract import log_context

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
        with log_context.bound(request_id=known):
            response = self.get_response(request)
        response.headers[HEADER] = known
        return response

    def process_view(
        self, request: HttpRequest, view: object, args: Sequence[object], parts: dict[str, object]
    ) -> None:
        """Django's hook between address and view: lines about a run say about which."""
        if "execution_id" in parts:
            log_context.note(execution_id=str(parts["execution_id"]))
