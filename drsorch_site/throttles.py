"""How many requests one principal, or one stranger's address, may make to the API. Fairness, not defence: the counts
are shared by the web processes of a host through the file cache, and a burst may slip by. The console has no throttle:
its polls are cheap, and a page of a bad hour must never stop."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.throttling import AnonRateThrottle, UserRateThrottle

from contract.errors import DomainError
from contract.handlers import API, body

if TYPE_CHECKING:
    from rest_framework.views import APIView  # DRF imports this module while it makes that class

STARTS = frozenset({"api-executions", "api-plan-execute", "api-execution-retry"})
DISCOVERIES = frozenset({"api-source-servers"})


class _Rate:
    """Reads the rate when it is needed, so that a setting that changes counts at once."""

    scope: str
    duration: int  # DRF derives these two from the rate
    num_requests: int

    def get_rate(self) -> str:
        rates: dict[str, str] = settings.THROTTLES
        return rates[self.scope]


class PrincipalThrottle(_Rate, UserRateThrottle):
    """Everything that a principal asks."""

    scope = "user"


class StartThrottle(_Rate, UserRateThrottle):
    """Starts of runs, which launch instances and cost money."""

    scope = "start"

    def allow_request(self, request: Request, view: "APIView") -> bool:
        match = request._request.resolver_match
        is_start = request.method == "POST" and match is not None and match.url_name in STARTS
        return super().allow_request(request, view) if is_start else True


class DiscoveryThrottle(_Rate, UserRateThrottle):
    """Live reads from DRS, whose own throttle all users share."""

    scope = "discovery"

    def allow_request(self, request: Request, view: "APIView") -> bool:
        match = request._request.resolver_match
        is_discovery = match is not None and match.url_name in DISCOVERIES
        return super().allow_request(request, view) if is_discovery else True


class _Strangers(_Rate, AnonRateThrottle):
    """Requests without a good token, by address."""

    scope = "anon"

    def get_cache_key(self, request: Request, view: "APIView") -> str:
        return str(self.cache_format % {"scope": self.scope, "ident": request.META.get("REMOTE_ADDR", "")})


class StrangerThrottleMiddleware:
    """Counts the 401 answers of the API by address; who has too many is turned away before a token is even read."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith(API):
            return self.get_response(request)
        strangers = _Strangers()
        key, now = strangers.get_cache_key(request, None), strangers.timer()  # type: ignore[arg-type]  # only META
        recent = [at for at in strangers.cache.get(key, []) if at > now - strangers.duration]
        if len(recent) >= strangers.num_requests:
            return _turned_away(max(1, round(recent[-1] + strangers.duration - now)))
        response = self.get_response(request)
        if response.status_code == 401:
            strangers.cache.set(key, [now, *recent], strangers.duration)
        return response


def _turned_away(seconds: int) -> JsonResponse:
    error = DomainError("THROTTLED", f"Too many requests without a valid token. Try again in {seconds} seconds.")
    headers = {"Retry-After": str(seconds), "Cache-Control": "no-store"}
    return JsonResponse(body(error), status=429, headers=headers)
