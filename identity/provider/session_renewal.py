"""Asks the provider again, once the ID token of a session has expired, whether its owner is still who they were and
which roles they have. A refusal ends the session at once, an answer that says neither after a quarter of an hour.
Silence does not: a region that has failed must not throw out those who recover it. Then the session's own limits hold.

This is nobody's activity: it touches neither the idle nor the absolute limit of the session (session_expiry).
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from contract.encryption import Unreadable
from identity.journal_sign_ins import note
from identity.models import Grant
from identity.provider import refresh_tokens
from identity.provider.cognito import Provider
from identity.provider.id_token import Claims, InvalidToken, KeysUnavailable, verifier
from identity.provider.token_endpoint import NoAnswer, Revoked, Silence, exchange
from identity.provider.users import signed_in
from identity.roles import ROLES

log = logging.getLogger(__name__)

RETRY = timedelta(minutes=1)
GRACE = timedelta(minutes=15)  # for somebody who puts settings of the provider right

# Why a session ended, for the journal and for the sign-in page's sentence.
REFUSED, UNTRUSTED, UNCONFIRMED = "refused", "untrusted", "unconfirmed"


class Renewal:
    """Middleware, behind SessionClock and before anybody is recognized by the session."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def now(self) -> datetime:
        return timezone.now()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        provider: Provider | None = settings.PROVIDER
        if provider and settings.SESSION_COOKIE_NAME in request.COOKIES and not _ends_session_itself(request):
            self._renew_if_due(request, provider)
        return self.get_response(request)

    def _renew_if_due(self, request: HttpRequest, provider: Provider) -> None:
        session, now = request.session, self.now()
        if SESSION_KEY not in session or refresh_tokens.KEY not in session:
            return
        grant = Grant.objects.filter(pk=session[refresh_tokens.KEY], identity__user=session[SESSION_KEY]).first()
        if grant is None:
            _end_session(request, "1")  # another request has ended this session, and said why
        elif grant.next_try_at <= now and _claim(grant, now):
            _renew(request, grant, provider, now)


def _ends_session_itself(request: HttpRequest) -> bool:
    """Out, or back from the provider with a sign-in that takes this session's place."""
    return request.path_info in (reverse("sign-out"), reverse("oidc-callback"))


def _claim(grant: Grant, now: datetime) -> bool:
    """Whether this request is the one that asks. Nobody else will for a minute, also if this process dies."""
    return Grant.objects.filter(pk=grant.pk, next_try_at=grant.next_try_at).update(next_try_at=now + RETRY) == 1


def _renew(request: HttpRequest, grant: Grant, provider: Provider, now: datetime) -> None:
    try:
        fresh = exchange(provider, refresh_tokens.unseal(grant))
        if fresh.refresh_token:  # the old one may be dead from here on
            Grant.objects.filter(pk=grant.pk).update(sealed_token=refresh_tokens.seal(fresh.refresh_token))
        claims = _check_same_person(grant, verifier(provider).verify(fresh.id_token))
    except (Revoked, Unreadable):
        _end(request, grant, REFUSED)
    except InvalidToken as error:
        log.warning("A session renewal returned an invalid token: %r", str(error)[:300])
        _end(request, grant, UNTRUSTED)
    except (NoAnswer, KeysUnavailable) as error:
        log.warning("The identity provider could not be reached to renew a session: %s", error)
        if isinstance(error, Silence | KeysUnavailable):
            Grant.objects.filter(pk=grant.pk).update(unanswered_since=None)
        else:
            _allow_grace_period(request, grant, now)
    else:
        _update(request, grant, claims, provider, now)


def _check_same_person(grant: Grant, claims: Claims) -> Claims:
    """Raises InvalidToken. A renewed token needs no nonce, but never has another (OpenID Connect Core 12.2)."""
    if (claims.issuer, claims.subject) != (grant.identity.issuer, grant.identity.subject):
        raise InvalidToken("another subject")
    if claims.nonce not in ("", grant.nonce):
        raise InvalidToken("another nonce")
    return claims


@transaction.atomic
def _update(request: HttpRequest, grant: Grant, claims: Claims, provider: Provider, now: datetime) -> None:
    before = _roles(grant.identity.user)
    user = signed_in(claims, provider)
    after = _roles(user)
    if before != after:
        note(request, "session.renew", user=user, before={"roles": before}, after={"roles": after})
    Grant.objects.filter(pk=grant.pk).update(next_try_at=refresh_tokens.due_at(claims, now), unanswered_since=None)


def _roles(user: User) -> list[str]:
    return list(user.groups.filter(name__in=ROLES).order_by("name").values_list("name", flat=True))


def _allow_grace_period(request: HttpRequest, grant: Grant, now: datetime) -> None:
    """Keep the session until there was no valid response for 15 minutes; each one is retried once a minute."""
    if grant.unanswered_since is None:
        Grant.objects.filter(pk=grant.pk).update(unanswered_since=now)
    elif now - grant.unanswered_since >= GRACE:
        _end(request, grant, UNCONFIRMED)


def _end(request: HttpRequest, grant: Grant, reason: str) -> None:
    with transaction.atomic():
        deleted, _ = Grant.objects.filter(pk=grant.pk).delete()
        if deleted:  # else the owner has signed out meanwhile
            note(request, "session.expire", user=grant.identity.user, detail={"reason": reason})
    _end_session(request, reason)


def _end_session(request: HttpRequest, reason: str) -> None:
    request.session.flush()
    request.session_has_ended = reason  # type: ignore[attr-defined]  # the sign-in page says so
