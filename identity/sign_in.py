"""The doors of the console: sign-in by password or through the provider, sign-out, and staying signed in."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from identity.forms import SignInForm
from identity.journal_sign_ins import note
from identity.provider import oidc, refresh_tokens, session_renewal
from identity.throttles import origin

View = Callable[..., HttpResponseBase]

LOCKED = "Too many failed attempts. Wait 15 minutes, or ask an administrator to run: manage.py axes_reset"
LOCKED_SECONDS = 900

WHY = {
    "state": "This sign-in was not started in this browser, was already used, or took too long.",
    "denied": "The identity provider refused the sign-in.",
    "refused": "The identity provider's response could not be trusted. If this happens again, tell an administrator.",
    "provider": "The identity provider does not answer. Try again in a minute.",
    "inactive": "Your account is switched off here. Ask an administrator.",
}
ENDED = {
    "": "",
    "1": "Your session has ended. Sign in to continue.",
    session_renewal.REFUSED: "Your session has ended because your organization's sign-in no longer confirms it: you"
    " signed out there, or your account was changed. Sign in to continue.",
    session_renewal.UNTRUSTED: "Your session has ended because a response from the identity provider could not be"
    " trusted. If this happens again, tell an administrator.",
    session_renewal.UNCONFIRMED: "Your session has ended because the identity provider has given no valid response for"
    " 15 minutes. Runs continue without you. Tell an administrator, and sign in again.",
}


class LocalSignIn(LoginView):
    """The door in local mode."""

    template_name = "sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        answer = super().form_valid(form)
        note(self.request, "session.start", user=form.get_user())
        return answer

    def form_invalid(self, form: Any) -> HttpResponse:
        name = form.cleaned_data.get("username", "")
        user = _named(name)
        if not getattr(self.request, "axes_locked_out", False) and (user or _first_of(self.request)):
            note(self.request, "session.start", user=user, refused="password")
        return self.render_to_response(self.get_context_data(form=form), status=422)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(expired="expired" in self.request.GET, **kwargs)


def _first_of(request: HttpRequest) -> bool:
    """Names that nobody has can be made up without end: the journal has one try a minute and address."""
    return cache.add(f"unknown-name-{origin(request.META.get('REMOTE_ADDR', ''))}", 1, 60)


def _named(name: str) -> User | None:
    return User.objects.filter(username=name).first() if name else None


def locked_out(request: HttpRequest, credentials: Mapping[str, Any] | None = None, *_: Any) -> HttpResponse:
    """django-axes' answer to a sixth try. It also counts the fifth, which closes the door."""
    if getattr(request, "axes_failures_since_start", None):  # this try closed the door; none behind it counts
        note(request, "session.start", user=_named(request.POST.get("username", "")), refused="locked")
    context = {"form": SignInForm(request), "next": request.POST.get("next", ""), "locked": LOCKED}
    response = render(request, "sign_in.html", context, status=429)
    response.headers["Retry-After"] = str(LOCKED_SECONDS)
    return response


_local = LocalSignIn.as_view()
_local_anew = LocalSignIn.as_view(redirect_authenticated_user=False)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponseBase:
    """The door of this installation; the administration has no other. `again`: in place of a session that must end."""
    anew = "again" in request.GET
    if settings.PROVIDER is None:
        return _local_anew(request) if anew else _local(request)
    if request.user.is_authenticated and not anew:
        return redirect("dashboard")
    ended = ENDED.get(request.GET.get("expired", ""), ENDED["1"])
    return render(request, "sign_in_provider.html", {"next": _safe_next_page(request), "ended": ended, "anew": anew})


def _safe_next_page(request: HttpRequest) -> str:
    page = request.GET.get("next", "")
    ours = url_has_allowed_host_and_scheme(page, {request.get_host()}, require_https=request.is_secure())
    return page if ours else ""


def with_provider(view: View) -> View:
    """An address that exists only with an identity provider."""

    @wraps(view)
    def wrapped(request: HttpRequest, **parts: Any) -> HttpResponseBase:
        if settings.PROVIDER is None:
            raise Http404("This installation has its own passwords.")
        return never_cache(view)(request, **parts)

    return wrapped


oidc_begin = with_provider(oidc.Begin.as_view())
oidc_callback = with_provider(oidc.Callback.as_view())


@never_cache
@require_safe
def sign_in_failed(request: HttpRequest) -> HttpResponse:
    """Says why, in words that help; the journal and the log know more."""
    return render(request, "sign_in_failed.html", {"why": WHY.get(request.GET.get("why", ""), WHY["refused"])})


@never_cache
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Ends the session here and at the provider, which would otherwise let the next person in without asking."""
    if isinstance(request.user, User):
        note(request, "session.end", user=request.user)
    refresh_token = refresh_tokens.take(request.session)
    logout(request)
    refresh_tokens.give_back(settings.PROVIDER, refresh_token)
    return redirect("signed-out" if settings.PROVIDER is None else oidc.logout_address(request))


@never_cache
@require_safe
def signed_out(request: HttpRequest) -> HttpResponse:
    return render(request, "signed_out.html")


@require_http_methods(["GET", "HEAD", "POST"])
def session(request: HttpRequest) -> HttpResponse:
    """How long the session still lasts, in a header (SessionClock); a POST is activity, so it lasts longer."""
    return HttpResponse(status=204)
