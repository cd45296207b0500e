"""The headers that every answer carries, whoever made it: a view, the static files, or an error on the way there."""

from collections.abc import Callable
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, UnreadablePostError
from django.http.response import HttpResponseBase

from contract.rest.handlers import API, bad_request

# What the browser may do on our behalf: nothing of it is needed.
UNUSED = ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{each}=()" for each in UNUSED),
}


class HeadersMiddleware:
    """Stands before everything that could answer by itself. What a view has set itself stays."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response


# What load balancers and supervisors ask; the answers name no host and need none.
PROBES = frozenset({"/healthz", "/readyz"})


class ProbeHostMiddleware:
    """A load balancer asks a process by its address, which is none of the allowed hosts and changes with each task."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info in PROBES:
            request.META["HTTP_HOST"] = next(iter(settings.ALLOWED_HOSTS), "localhost").lstrip(".")
        return self.get_response(request)


class ClientAddressMiddleware:
    """Behind a trusted proxy REMOTE_ADDR is the proxy: the address it saw is the last one in X-Forwarded-For. Without
    DRSORCH_TRUSTED_PROXY that header is whatever the client wrote, and is ignored."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.TRUSTED_PROXY:
            seen = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
            if _is_address(seen):
                request.META["REMOTE_ADDR"] = seen
        return self.get_response(request)


class BrokenFormMiddleware:
    """A form whose sender left before its end is refused, and no view acts on the half of it that came. Stands before
    the CSRF check, behind which such a form looks like an empty one. The API reads its bodies by itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method == "POST" and not request.path_info.startswith(API) and _is_cut(request):
            return bad_request(request, UnreadablePostError())
        return self.get_response(request)


def _is_cut(request: HttpRequest) -> bool:
    length = request.META.get("CONTENT_LENGTH") or "0"
    try:
        return length.isascii() and length.isdigit() and len(request.body) < int(length)
    except UnreadablePostError:
        return True


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
