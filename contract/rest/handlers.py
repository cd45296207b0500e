"""Turns whatever went wrong under /api/ into `{"error", "message", "details"}`; nothing else leaves the house."""

import json
import logging
import sys
from collections.abc import Mapping
from itertools import islice
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.template import loader
from django.utils.cache import add_never_cache_headers
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response

from contract.database_errors import outage
from contract.errors import BadRequest, DomainError, Forbidden, Invalid, NotFound, PayloadTooLarge, Unauthenticated
from contract.request_ids import request_id
from contract.rest.parsers import MAX_BYTES

log = logging.getLogger(__name__)

API = "/api/"
MESSAGE_MAX = 1_000  # characters
DETAILS_MAX = 55_000  # so that an answer has less than 64 KB


class _Refused(DomainError):
    """A refusal of the framework that has a status of its own."""

    def __init__(self, status: int, code: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(code, message, retry_after=retry_after)
        self.status = status


def api_exception_handler(error: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's EXCEPTION_HANDLER."""
    request: HttpRequest = getattr(context.get("request"), "_request", None) or HttpRequest()
    known = _domain_error(error, request)
    if known is None and (known := outage(error)):
        log.error("%s %s failed: %s [%s]", request.method, request.path, error, request_id(request))
    if known is None:
        log.error("%s %s failed [%s]", request.method, request.path, request_id(request), exc_info=error)
        known = _internal(request)
    return Response(body(known), status=known.status, headers=_headers(known, error))


def body(error: DomainError) -> dict[str, Any]:
    """The one shape of an error. It stays short whatever was sent: long lists in `details` are cut, and say so."""
    message, details = error.message[:MESSAGE_MAX], error.details
    for most in (200, 40, 5):
        if len(json.dumps(details, default=str)) <= DETAILS_MAX:
            break
        details = {**_cut(error.details, most), "truncated": True}
    return {"error": error.code, "message": message, "details": details}


def _cut(value: Any, most: int) -> Any:
    """The same with no more than so many of anything."""
    if isinstance(value, Mapping):
        return {str(name)[:100]: _cut(inner, most) for name, inner in islice(value.items(), most)}
    if isinstance(value, list | tuple):
        return [_cut(each, most) for each in value[:most]]
    return value[: most * 5] if isinstance(value, str) else value


def _headers(known: DomainError, error: Exception) -> dict[str, str]:
    headers: dict[str, str] = {}
    if known.retry_after is not None:
        headers["Retry-After"] = str(known.retry_after)
    if known.status == 401:
        headers["WWW-Authenticate"] = (
            'Bearer error="invalid_token"' if isinstance(error, exceptions.AuthenticationFailed) else "Bearer"
        )
    return headers


def _internal(request: HttpRequest) -> DomainError:
    known = request_id(request)
    return DomainError(
        "INTERNAL_ERROR",
        f"Something went wrong on our side. Tell an administrator the request id {known}.",
        details={"requestId": known},
    )


def _domain_error(error: Exception, request: HttpRequest) -> DomainError | None:
    """The contract's error for anything that we know; None for a bug."""
    if isinstance(error, DomainError):
        return error
    if isinstance(error, exceptions.APIException):
        return _of_framework(error, request)
    if isinstance(error, Http404):
        return _nothing_here(request)
    if isinstance(error, DjangoPermissionDenied):
        return Forbidden("You may not do that.")
    if isinstance(error, RequestDataTooBig):
        return PayloadTooLarge(MAX_BYTES)
    if isinstance(error, SuspiciousOperation | UnreadablePostError):
        return BadRequest("VALIDATION_ERROR", "The request cannot be read.")
    return None


def _nothing_here(request: HttpRequest) -> NotFound:
    return NotFound(f"There is nothing at {request.path}. The API is described at /api/v1/docs.")


def _of_framework(error: exceptions.APIException, request: HttpRequest) -> DomainError | None:
    match error:
        case exceptions.AuthenticationFailed():
            return Unauthenticated(str(error.detail))
        case exceptions.NotAuthenticated():
            return Unauthenticated()
        case exceptions.PermissionDenied():
            return Forbidden(str(error.detail))
        case exceptions.NotFound():
            return _nothing_here(request)
        case exceptions.MethodNotAllowed():
            return _Refused(405, "METHOD_NOT_ALLOWED", f"{request.method} is not possible on {request.path}.")
        case exceptions.UnsupportedMediaType():
            return _Refused(415, "UNSUPPORTED_MEDIA_TYPE", "Send JSON, with Content-Type: application/json.")
        case exceptions.Throttled():
            wait = max(1, round(getattr(error, "wait", None) or 1))
            return _Refused(429, "THROTTLED", f"Too many requests. Try again in {wait} seconds.", retry_after=wait)
        case exceptions.ValidationError():
            return Invalid(flat(error.detail))
        case exceptions.ParseError():
            return BadRequest("MALFORMED_JSON", str(error.detail))
    return None


def flat(detail: object, path: str = "") -> dict[str, list[str]]:
    """DRF's nested error detail as `{"waves[1].serverIds": ["…"]}`."""
    found: dict[str, list[str]] = {}
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            found |= flat(inner, _step(path, name))
    elif isinstance(detail, list) and any(isinstance(each, Mapping | list) for each in detail):
        for index, inner in enumerate(detail):
            found |= flat(inner, f"{path}[{index}]")
    elif isinstance(detail, list):
        if detail:
            found[path] = [str(each) for each in detail]
    else:
        found[path] = [str(detail)]
    return found


def _step(path: str, name: object) -> str:
    if isinstance(name, int):
        return f"{path}[{name}]"
    if name in ("", "non_field_errors"):
        return path
    return f"{path}.{name}" if path else str(name)


# What Django itself answers, before or after any view of ours.


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith(API)


def _answer(error: DomainError) -> HttpResponse:
    return JsonResponse(
        body(error), status=error.status, headers={"Cache-Control": "no-store", **_headers(error, error)}
    )


def _page(response: HttpResponse) -> HttpResponse:
    """It may name whoever is signed in, so nothing of it stays in a cache."""
    add_never_cache_headers(response)
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler400"""
    if _is_api(request):
        return _answer(_domain_error(exception, request) or BadRequest("VALIDATION_ERROR", "The request is not valid."))
    return _page(defaults.bad_request(request, exception))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler404"""
    return _answer(_nothing_here(request)) if _is_api(request) else _page(defaults.page_not_found(request, exception))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler403"""
    if _is_api(request):
        return _answer(Forbidden("You may not do that."))
    return _page(defaults.permission_denied(request, exception))


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500; Django has logged the exception. Trouble of the database is told as such."""
    error = sys.exc_info()[1]
    known = outage(error) if error is not None else None
    if _is_api(request):
        return _answer(known or _internal(request))
    if known is None:
        return defaults.server_error(request)
    page = loader.get_template("503.html").render({"problem": known})
    return HttpResponse(page, status=known.status, headers={"Retry-After": str(known.retry_after)})
