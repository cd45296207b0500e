"""What stands between an address of the console and its view."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.cache import add_never_cache_headers
from django.utils.http import urlencode

from console.pages import is_background
from contract.errors import DomainError, Forbidden, NotFound
from contract.rights import Shows, enter

View = Callable[..., HttpResponse]


def page(route: str, view: Any, name: str, shows: Shows = Shows.EVERYTHING) -> URLPattern:
    """An address of the console; closed to strangers. `shows` is for those that name no single thing."""
    return path(route, signed_in(view, shows), name=name)


def signed_in(view: View, shows: Shows = Shows.EVERYTHING) -> View:
    """Only for people who are signed in; nothing of it stays in a cache; a refusal becomes a page of ours."""

    @wraps(view)
    def wrapped(request: HttpRequest, **parts: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        response = _answer(view, request, parts, shows)
        add_never_cache_headers(response)
        return response

    return wrapped


def _answer(view: View, request: HttpRequest, parts: dict[str, Any], shows: Shows) -> HttpResponse:
    try:
        enter(request.user, parts, shows)
        return view(request, **parts)
    except NotFound as error:
        raise Http404(error.message) from error
    except Forbidden as error:
        raise PermissionDenied(error.message) from error
    except DomainError as error:
        return render(request, "refused.html", {"problem": error}, status=error.status)


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    """A redirect that a page follows; for htmx a 401, lest a sign-in form is put into a fragment. What a page
    asks by itself is followed by static/session.js, once: htmx would ask whoever stays for unsaved work each time."""
    why = getattr(request, "session_has_ended", "")
    if request.headers.get("HX-Request") == "true":
        follows = "X-Sign-In" if is_background(request) else "HX-Redirect"
        headers = {follows: _sign_in_address(_current_page(request), expired=why or "1")}
        return HttpResponse(status=401, headers=headers)
    page = request.get_full_path() if request.method in ("GET", "HEAD") else "/"
    return redirect(_sign_in_address(page, expired=why))


def _current_page(request: HttpRequest) -> str:
    """The page from which htmx asks, by its own word, which may be anything."""
    try:
        asked = urlsplit(request.headers.get("HX-Current-URL", ""))
    except ValueError:
        return "/"
    return (asked.path or "/") + (f"?{asked.query}" if asked.query else "")


def _sign_in_address(page: str, *, expired: str) -> str:
    return f"{reverse('sign-in')}?{urlencode({'next': page} | ({'expired': expired} if expired else {}))}"
