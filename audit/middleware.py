"""Records every refused request in the journal, wherever it was refused."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from audit import refusals
from audit.journal import record, refusal_detail
from audit.request_actor import actor_for

log = logging.getLogger(__name__)

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# Not journaled, only logged: nobody is known who did it (401), it is no action of ours (405), or it is the flood that
# the throttle keeps from us (429), which must not fill the journal instead.
NOT_ACTIONS = frozenset({401, 405, 429})
CODES = {400: "VALIDATION_ERROR", 403: "FORBIDDEN", 404: "NOT_FOUND", 409: "CONFLICT", 422: "VALIDATION_ERROR"}


class RefusalMiddleware:
    """Writes the refusals that services noted. A request refused before it reached a service (a body that cannot be
    read, a form that is not valid, no CSRF token) or failed behind one is recorded under the verb that
    settings.JOURNAL_VERBS has for its address and method, else as `request.refused`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with refusals.deferred() as noted:
            response = self.get_response(request)
        try:
            if not noted and _is_refused_action(request, response):
                noted.append(lambda: _record(request, response))
            refusals.write_deferred(noted)
        except DatabaseError:
            log.exception("A refused request could not be recorded in the journal: %s %s", request.method, request.path)
        return response


def _is_refused_action(request: HttpRequest, response: HttpResponseBase) -> bool:
    if request.method in SAFE or response.status_code < 400 or response.status_code in NOT_ACTIONS:
        return False
    user = getattr(request, "user", None)
    return request.resolver_match is not None and user is not None and user.is_authenticated


def _record(request: HttpRequest, response: HttpResponseBase) -> None:
    told: Any = getattr(response, "data", None)
    told = told if isinstance(told, Mapping) else {}
    match = request.resolver_match
    name = (match.url_name if match else "") or ""
    verb = settings.JOURNAL_VERBS.get((name, request.method or ""))
    about = next(iter(match.kwargs.values()), "") if match else ""
    record(
        actor_for(request),
        verb or "request.refused",
        subject_kind=verb.partition(".")[0] if verb else "request",
        subject_id=about if verb else name,
        subject_name=f"{request.method} {request.path}",
        outcome=told.get("error") or CODES.get(response.status_code, f"HTTP_{response.status_code}"),
        refused=True,
        detail={"status": response.status_code} | refusal_detail(told.get("message", ""), told.get("details", {})),
    )
