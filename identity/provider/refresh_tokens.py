"""The refresh token that a session keeps: made at the sign-in, given back at its end, and encrypted in between."""

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase

from contract.encryption import Unreadable, decrypt, encrypt
from identity.models import Grant, Identity
from identity.provider.cognito import Provider
from identity.provider.id_token import Claims
from identity.provider.token_endpoint import revoke

log = logging.getLogger(__name__)

KEY = "grant"  # in the session: which grant is its
PURPOSE = "drsorch.site.refresh-token"
MAX_CHARACTERS = 16_384
AT_THE_EARLIEST = timedelta(minutes=5)
LONGEST = timedelta(hours=12)  # no session lives longer (session_expiry)


@dataclass(frozen=True)
class Granted:
    """What a sign-in brought; the refresh token is empty if the provider gave none."""

    claims: Claims
    refresh_token: str = field(repr=False)


def keep(session: SessionBase, granted: Granted, now: datetime) -> None:
    """For a session that has just begun. Without a refresh token it has no grant, and nobody is asked again."""
    forget(session)
    Grant.objects.filter(made_at__lt=now - LONGEST).delete()  # of sessions that nobody came back to
    claims, refresh_token = granted.claims, granted.refresh_token
    if not refresh_token:
        return
    if len(refresh_token) > MAX_CHARACTERS:
        log.warning("The provider's refresh token has %d characters and is not stored", len(refresh_token))
        return
    grant = Grant.objects.create(
        identity=Identity.objects.get(issuer=claims.issuer, subject=claims.subject),
        sealed_token=seal(refresh_token),
        nonce=claims.nonce,
        made_at=now,
        next_try_at=due_at(claims, now),
    )
    session[KEY] = grant.pk


def due_at(claims: Claims, now: datetime) -> datetime:
    """When the provider is to be asked again: once this ID token has expired, but not every moment."""
    longest = now + LONGEST
    expires = datetime.fromtimestamp(min(claims.expires, int(longest.timestamp())), UTC)
    return max(expires, now + AT_THE_EARLIEST)


def seal(refresh_token: str) -> str:
    """As the table has it."""
    return encrypt(refresh_token, PURPOSE)


def unseal(grant: Grant) -> str:
    """The refresh token. Raises Unreadable."""
    return decrypt(grant.sealed_token, PURPOSE)


def forget(session: SessionBase) -> None:
    """Whatever ends a session, or begins another in it."""
    if (known := session.pop(KEY, None)) is not None:
        Grant.objects.filter(pk=known).delete()


def take(session: SessionBase) -> str:
    """The refresh token of a session that its owner ends, for the provider to revoke; empty without one."""
    known: int | None = session.get(KEY)
    grant = Grant.objects.filter(pk=known).first() if known is not None else None
    forget(session)
    try:
        return unseal(grant) if grant else ""
    except Unreadable:
        return ""


def take_all(user: User) -> list[str]:
    """The refresh tokens of every session of somebody, which end with them."""
    tokens = []
    for grant in Grant.objects.filter(identity__user=user):
        try:
            tokens.append(unseal(grant))
        except Unreadable:
            log.warning("A refresh token of account %s cannot be decrypted and is not revoked", user.pk)
        grant.delete()
    return tokens


def give_back(provider: Provider | None, refresh_token: str) -> None:
    """At the sign-out, after the session has ended here."""
    if provider is not None and refresh_token:
        revoke(provider, refresh_token)
