"""How many requests one principal, or one stranger's address, may make to the API, and an address to the doors of the
console. Fairness, not defense: the counts are shared by the web processes of a host through the file cache, and a burst
may slip by. Behind its doors the console has no throttle: its polls are cheap, a page of a bad hour must never stop.
Neither has /readyz, whose answer is kept for a second instead: load balancers must never be turned away."""

import math
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from rest_framework.request import Request
from rest_framework.throttling import AnonRateThrottle, UserRateThrottle

from contract.errors import DomainError
from contract.rest.handlers import API, body
from contract.rest.idempotency import has_answer

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
    """Starts of runs, which launch instances and cost money. Only what was started counts: no refusal, and no request
    that is sent again, which is always let through."""

    scope = "start"

    def allow_request(self, request: Request, view: "APIView") -> bool:
        match = request._request.resolver_match
        is_start = request.method == "POST" and match is not None and match.url_name in STARTS
        if not is_start or has_answer(f"user:{request.user.pk}", request.headers.get("Idempotency-Key")):
            return True
        request._request.start_throttle = self  # type: ignore[attr-defined]  # for StartCountMiddleware
        return super().allow_request(request, view)

    def throttle_success(self) -> bool:
        return True

    def count(self) -> None:
        self.cache.set(self.key, [self.now, *self.cache.get(self.key, [])], self.duration)


class StartCountMiddleware:
    """Counts the runs that were started."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        throttle: StartThrottle | None = getattr(request, "start_throttle", None)
        if throttle and response.status_code == 202 and "Idempotent-Replay" not in response.headers:
            throttle.count()
        return response


class DiscoveryThrottle(_Rate, UserRateThrottle):
    """Live reads from DRS, whose own throttle all users share."""

    scope = "discovery"

    def allow_request(self, request: Request, view: "APIView") -> bool:
        match = request._request.resolver_match
        is_discovery = match is not None and match.url_name in DISCOVERIES
        return super().allow_request(request, view) if is_discovery else True


class _Addresses(_Rate, AnonRateThrottle):
    """Requests by address, whoever makes them."""

    scope = "anon"

    def get_cache_key(self, request: Request, view: "APIView") -> str:
        return str(self.cache_format % {"scope": self.scope, "ident": origin(request.META.get("REMOTE_ADDR", ""))})


NAT64 = IPv6Network("64:ff9b::/96")


def origin(address: str) -> str:
    """What one stranger can hardly have many of: an IPv4 address, or the network that a home or a host gets of IPv6.
    An IPv4 address that IPv6 wraps, as a socket for both or a translator does, is itself: all of them are in one
    network, and strangers must not count for each other."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and (found.ipv4_mapped or found in NAT64):
        found = IPv4Address(int(found) & 0xFFFF_FFFF)
    return str(IPv6Address(int(found) >> 64 << 64)) if isinstance(found, IPv6Address) else str(found)


def origin_of(request: HttpRequest) -> str:
    """Whose tries django-axes counts together: who has one IPv6 address has 2**64 of them."""
    return origin(request.META.get("REMOTE_ADDR", "")) or "0.0.0.0"  # noqa: S104  # a column, not an interface


class _AnonymousRate(_Addresses):
    """Requests without a good token."""


class _SignInRate(_Addresses):
    """Tries to get in, each of which costs a password's hash, a session's row or a question to the provider."""

    scope = "door"


class AnonymousThrottleMiddleware:
    """Counts the 401 answers of the API by address; who has too many gets 429 for the next. A good token is let through
    all the same, for many people may share an address, but its key must be known by then (`fails_often`)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(API):
            return self.get_response(request)
        strangers = _AnonymousRate()
        key, now = strangers.get_cache_key(request, None), strangers.timer()  # type: ignore[arg-type]  # only META
        recent = [at for at in strangers.cache.get(key, []) if at > now - strangers.duration]
        fails_often = len(recent) >= strangers.num_requests
        request.fails_often = fails_often  # type: ignore[attr-defined]  # for BearerAuthentication
        response = self.get_response(request)
        if response.status_code == 401 and fails_often:
            return _too_many_requests(max(1, round(recent[-1] + strangers.duration - now)))
        if response.status_code == 401:
            strangers.cache.set(key, [now, *recent], strangers.duration)
        return response


def _too_many_requests(seconds: int) -> JsonResponse:
    error = DomainError("THROTTLED", f"Too many requests without a valid token. Try again in {seconds} seconds.")
    headers = {"Retry-After": str(seconds), "Cache-Control": "no-store"}
    return JsonResponse(body(error), status=429, headers=headers)


DOORS = frozenset({("POST", "/sign-in"), ("POST", "/settings/password")})
PROVIDER_DOORS = "/oidc/"


class SignInThrottleMiddleware:
    """Turns away an address that knocks too often, before a session is read."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if (request.method, request.path_info) in DOORS or request.path_info.startswith(PROVIDER_DOORS):
            doors = _SignInRate()
            if not doors.allow_request(request, None):  # type: ignore[arg-type]  # only META is looked at
                seconds = max(1, math.ceil(doors.wait() or 1))
                answer = render(request, "429.html", {"seconds": seconds}, status=429)
                answer["Retry-After"], answer["Cache-Control"] = str(seconds), "no-store"
                return answer
        return self.get_response(request)
