"""The console's sign-in through the identity provider: authorization code with PKCE, state and nonce.

mozilla-django-oidc drives the redirects. What it does not check (audience, issuer, use, times) is checked by the
verifier that also guards the API, and whatever a provider can do wrong ends on a page of ours.
"""

import logging
from typing import Any, cast
from urllib.parse import urlencode

import requests
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from mozilla_django_oidc.auth import OIDCAuthenticationBackend
from mozilla_django_oidc.views import OIDCAuthenticationCallbackView, OIDCAuthenticationRequestView

from identity.auth import Roles
from identity.journal_sign_ins import note
from identity.provider import refresh_tokens
from identity.provider.cognito import Provider
from identity.provider.id_token import Claims, InvalidToken, KeysUnavailable, verifier
from identity.provider.users import signed_in

log = logging.getLogger(__name__)


def provider() -> Provider:
    """The provider of this installation; only asked where there is one."""
    return cast("Provider", settings.PROVIDER)


class CognitoBackend(Roles, OIDCAuthenticationBackend):
    """Recognizes whoever comes back from the provider with a code."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **sent: Any
    ) -> User | None:
        if request is None or "nonce" not in sent:
            return None  # a name and a password open nothing here
        try:
            user: User | None = super().authenticate(request, **sent)
        except (InvalidToken, KeysUnavailable, requests.RequestException, SuspiciousOperation) as error:
            _remember(request, _reason(error))
            log.warning("A sign-in was refused: %s", _told(error))
            return None
        if user is not None and not self.user_can_authenticate(user):
            _remember(request, "inactive")
            return None
        return user

    def get_token(self, payload: dict[str, Any]) -> dict[str, Any]:
        answer = super().get_token(payload)
        if not isinstance(answer, dict) or not isinstance(answer.get("id_token"), str):
            raise InvalidToken("the token endpoint sent no ID token")
        refresh_token = answer.get("refresh_token")
        self.refresh_token = refresh_token if isinstance(refresh_token, str) else ""
        return answer

    def verify_token(self, token: str, **expected: Any) -> Claims:
        claims = verifier(provider()).verify(token)
        if not claims.nonce or claims.nonce != expected.get("nonce"):
            raise InvalidToken("another nonce")
        return claims

    def get_or_create_user(self, access_token: str, id_token: str, payload: Claims) -> User:
        # For the view: the session that is to keep it begins only after this.
        self.request.granted = refresh_tokens.Granted(payload, self.refresh_token)
        return signed_in(payload, provider())

    def get_user(self, user_id: int) -> Any:
        # The library's own does not ask whether the user is still active.
        return ModelBackend.get_user(self, user_id)


def _reason(error: Exception) -> str:
    answer = getattr(error, "response", None)
    rejected = answer is not None and 400 <= answer.status_code < 500
    unreachable = isinstance(error, KeysUnavailable | requests.RequestException) and not rejected
    return "provider" if unreachable else "refused"


def _told(error: Exception) -> str:
    """For the log: the library puts the provider's whole answer into its message."""
    answer = getattr(error, "response", None)
    return f"the token endpoint answered {answer.status_code}" if answer is not None else repr(str(error)[:300])


def _remember(request: HttpRequest, reason: str) -> None:
    request.refused_because = reason  # type: ignore[attr-defined]  # for the view that called authenticate()


class Begin(OIDCAuthenticationRequestView):
    """To the provider, with a fresh state, nonce and PKCE challenge."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            return redirect("sign-in")  # another site may not start a sign-in behind a person's back
        return cast("HttpResponse", super().get(request))

    def get_extra_params(self, request: HttpRequest) -> dict[str, str]:
        # The provider may still know the person whose session has ended here: ask it for the password again.
        return {"prompt": "login"} if "expired" in request.GET else {}


class Callback(OIDCAuthenticationCallbackView):
    """Back from the provider. Nothing happens without a state that this browser was given, and each serves once."""

    def get(self, request: HttpRequest) -> HttpResponse:
        states = request.session.get("oidc_states", {})
        state = request.GET.get("state", "")
        if state not in states:
            return self._failed("state")
        if "error" in request.GET or not request.GET.get("code"):
            del states[state]
            request.session.modified = True
            return self._failed("denied")
        return cast("HttpResponse", super().get(request))

    def login_success(self) -> HttpResponse:
        self.request.user = AnonymousUser()  # else the library lets the session go on of somebody who signs in again
        answer = super().login_success()
        refresh_tokens.keep(self.request.session, self.request.granted, timezone.now())  # type: ignore[attr-defined]
        note(self.request, "session.start", user=self.user)
        return cast("HttpResponse", answer)

    def login_failure(self) -> HttpResponse:
        return self._failed(getattr(self.request, "refused_because", "refused"))

    def _failed(self, reason: str) -> HttpResponse:
        if reason != "state":  # which anybody can make up, as often as they like
            note(self.request, "session.start", refused=reason)
        return redirect(f"{reverse('sign-in-failed')}?{urlencode({'why': reason})}")


def logout_address(request: HttpRequest) -> str:
    """Where the provider forgets the browser and sends it back; Cognito wants exactly these two parameters."""
    back = request.build_absolute_uri(reverse("signed-out"))
    return f"{provider().logout_url}?{urlencode({'client_id': provider().client_id, 'logout_uri': back})}"
