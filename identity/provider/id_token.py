"""The one judge of the provider's tokens: ID tokens of people, for the console's sign-in and the API's Bearer tokens,
and access tokens of programs (client credentials), for the API alone."""

import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

from jwt import PyJWS, PyJWTError, get_unverified_header

from identity.provider.cognito import CLIENT_ID, Provider
from identity.provider.jwks import KeySet, KeysUnavailable

MAX_CHARACTERS = 8192
MAX_KID = 128
MAX_SUBJECT = 255
MAX_TEXT = 254
LEEWAY_SECONDS = 60
ALGORITHM = "RS256"
PERSONAL = frozenset({"username", "cognito:username", "cognito:groups", "email"})  # no program's token has these


class InvalidToken(Exception):
    """Why a token is not good: for our log. Whoever sent it learns only that it is not."""


@dataclass(frozen=True)
class Claims:
    """What a good token says."""

    issuer: str
    subject: str
    name: str
    email: str
    groups: tuple[str, ...]
    nonce: str
    expires: int  # seconds since 1970


@dataclass(frozen=True)
class ProgramClaims:
    """What a good access token says that a client got on its own behalf, with no user behind it."""

    issuer: str
    client_id: str
    scopes: frozenset[str]


class Verifier:
    """Knows the provider's keys and what a token of ours must look like."""

    def __init__(self, provider: Provider, keys: KeySet, *, clock: Callable[[], float] = time.time) -> None:
        self._provider = provider
        self._keys = keys
        self._clock = clock
        self._jws = PyJWS(algorithms=[ALGORITHM])

    def verify(self, token: str, *, may_wait: bool = True) -> Claims:
        """The claims of a good ID token of the console's own client. Raises InvalidToken, or KeysUnavailable when
        nobody can tell.

        One that may not wait is good only if its key is known: whoever fails often must not hold threads.
        """
        return self._person(self._payload(token, may_wait), {self._provider.client_id})

    def verify_bearer(self, token: str, *, may_wait: bool = True) -> Claims | ProgramClaims:
        """The claims of a token that the API takes: an ID token of the console's client or of `drsorch`, or an access
        token that a client got for itself. Raises as `verify`."""
        claims = self._payload(token, may_wait)
        if claims.get("token_use") == "access":
            return self._program(claims)
        return self._person(claims, self._provider.api_audiences)

    def _payload(self, token: str, may_wait: bool) -> dict[str, Any]:
        try:
            return self._signed(token, may_wait)
        except (PyJWTError, ValueError, RecursionError) as error:  # what a hostile token can raise in the parsers
            raise InvalidToken(f"{type(error).__name__}: {error}") from error

    def _signed(self, token: str, may_wait: bool) -> dict[str, Any]:
        if len(token) > MAX_CHARACTERS:
            raise InvalidToken(f"{len(token)} characters")
        header = get_unverified_header(token)
        kid = header.get("kid")
        if header.get("alg") != ALGORITHM:
            raise InvalidToken("another algorithm")
        if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID:
            raise InvalidToken("no sane kid")
        key = self._keys.key(kid, may_wait=may_wait)
        if key is None:
            raise InvalidToken("unknown kid")
        claims = json.loads(self._jws.decode(token, key, algorithms=[ALGORITHM]))
        if not isinstance(claims, dict):
            raise InvalidToken("the payload is no object")
        return claims

    def _person(self, claims: dict[str, Any], audiences: Collection[str]) -> Claims:
        if claims.get("iss") != self._provider.issuer:
            raise InvalidToken("another issuer")
        # A list would be legal JWT, but Cognito never sends one: it would be somebody else's token.
        audience = claims.get("aud")
        if not isinstance(audience, str) or audience not in audiences:
            raise InvalidToken("another audience")
        if claims.get("token_use") != "id":
            raise InvalidToken("not an ID token")
        self._judge_times(claims)
        subject, groups = claims.get("sub"), claims.get("cognito:groups", [])
        if not isinstance(subject, str) or not subject.strip() or not storable(subject) or len(subject) > MAX_SUBJECT:
            raise InvalidToken("no sane subject")
        if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
            raise InvalidToken("groups are no list of names")
        return Claims(
            issuer=self._provider.issuer,
            subject=subject,
            name=_text(claims, "cognito:username"),
            # Unverified, it is whatever its owner has typed: the journal would show somebody else's.
            email=_text(claims, "email") if claims.get("email_verified") in (True, "true") else "",
            groups=tuple(groups),
            nonce=_text(claims, "nonce"),
            expires=claims["exp"],
        )

    def _program(self, claims: dict[str, Any]) -> ProgramClaims:
        """Cognito's access tokens name no audience: they are for whoever knows the client, so an administrator has to
        have said which clients are ours. A person's access token, which the same client may have got, is none."""
        if claims.get("iss") != self._provider.issuer:
            raise InvalidToken("another issuer")
        client_id, scope = claims.get("client_id"), claims.get("scope", "")
        if not isinstance(client_id, str) or not CLIENT_ID.fullmatch(client_id):
            raise InvalidToken("no sane client")
        if claims.get("aud", client_id) != client_id:
            raise InvalidToken("another audience")
        if claims.get("sub") != client_id or not PERSONAL.isdisjoint(claims):
            raise InvalidToken("an access token of a person")
        if not isinstance(scope, str):
            raise InvalidToken("scopes are no text")
        self._judge_times(claims)
        return ProgramClaims(self._provider.issuer, client_id, frozenset(scope.split()))

    def _judge_times(self, claims: dict[str, Any]) -> None:
        now = self._clock()
        for name in ("exp", "iat", "nbf"):
            value = claims.get(name, 0 if name == "nbf" else None)
            if not isinstance(value, int) or isinstance(value, bool):
                raise InvalidToken(f"{name} is no whole number")
            if name == "exp" and now >= value + LEEWAY_SECONDS:
                raise InvalidToken("expired")
            if name != "exp" and now < value - LEEWAY_SECONDS:
                raise InvalidToken(f"{name} lies ahead")


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name, "")
    return value if isinstance(value, str) and storable(value) and len(value) <= MAX_TEXT else ""


def storable(text: str) -> bool:
    """No control characters and no half characters, which a database would choke on."""
    return text.isprintable()


@cache
def verifier(provider: Provider) -> Verifier:
    """The verifier of this process for a provider; its keys are read at the first token."""
    return Verifier(provider, KeySet(provider.jwks_url, accept_known_keys=provider.is_test))


__all__ = ["Claims", "InvalidToken", "KeysUnavailable", "ProgramClaims", "Verifier", "verifier"]
