"""What a sign-in leaves behind: an ID token, and a refresh token with which the next one is asked for."""

import hmac
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from drsorch_cli.exits import Dropped, Exit, Stop, usage
from drsorch_cli.oidc.provider import Provider, ask, claims_of
from drsorch_cli.server import checked_token

MARGIN = 60.0  # seconds before its end at which an ID token is renewed


@dataclass(frozen=True)
class Session:
    """As the file of `drsorch login` keeps it. `expires` is by this machine's clock, which need not be the issuer's."""

    issuer: str
    client_id: str
    token_endpoint: str
    revocation_endpoint: str
    subject: str
    name: str
    expires: float
    id_token: str = field(repr=False)
    refresh_token: str = field(repr=False)

    @classmethod
    def of(cls, provider: Provider, answer: Mapping[str, Any], nonce: str | None) -> "Session":
        """Of the token endpoint's answer; None for a sign-in that has no nonce. Raises Stop."""
        claims = _checked(provider.issuer, provider.client_id, answer)
        if nonce is not None and not hmac.compare_digest(str(claims.get("nonce", "")), nonce):
            raise _wrong("its token is of another sign-in")
        return cls(
            issuer=provider.issuer,
            client_id=provider.client_id,
            token_endpoint=provider.token_endpoint,
            revocation_endpoint=provider.revocation_endpoint,
            subject=str(claims["sub"]),
            name=_name(claims),
            expires=_end(claims),
            id_token=answer["id_token"],
            refresh_token=_text(answer.get("refresh_token")),
        )

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> "Session":
        """Of what `record` made. Raises TypeError or ValueError."""
        texts = {name: value for name, value in kept.items() if name != "expires"}
        if not all(isinstance(each, str) for each in texts.values()):
            raise ValueError("not a session")
        return cls(**texts, expires=float(kept["expires"]))

    @property
    def record(self) -> dict[str, Any]:
        return asdict(self)

    def is_good(self, margin: float = 0.0) -> bool:
        return time.time() < self.expires - margin

    def renewed(self, address: str) -> "Session":
        """With a fresh ID token of the same person. Raises Stop where the provider says no, Dropped where it is
        silent."""
        again = f"Sign in again: drsorch login {address}"
        if not self.refresh_token:
            raise usage(f"The sign-in of {self.name} has expired. {again}")
        form = {"grant_type": "refresh_token", "client_id": self.client_id, "refresh_token": self.refresh_token}
        status, answer = ask(self.token_endpoint, form)
        if status == 400 and answer.get("error") == "invalid_grant":
            raise usage(f"The identity provider has ended the sign-in of {self.name}. {again}")
        if status != 200:
            raise Dropped(f"the identity provider answered {status} {_text(answer.get('error'))[:60]}".strip())
        claims = _checked(self.issuer, self.client_id, answer)
        if claims["sub"] != self.subject:
            raise _wrong("its token is somebody else's")
        refresh_token = _text(answer.get("refresh_token")) or self.refresh_token  # Cognito keeps it
        return replace(self, id_token=answer["id_token"], refresh_token=refresh_token, expires=_end(claims))

    def revoke(self) -> bool:
        """Have the provider forget it; answers whether it has. It expires in any case."""
        if not self.revocation_endpoint or not self.refresh_token:
            return False
        try:
            status, _ = ask(self.revocation_endpoint, {"token": self.refresh_token, "client_id": self.client_id})
        except Dropped:
            return False
        return status == 200


def _checked(issuer: str, client_id: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    """The claims of the ID token of an answer. Raises Stop."""
    token = answer.get("id_token")
    if not isinstance(token, str):
        raise _wrong("it sent no ID token")
    claims = claims_of(checked_token(token))
    if claims.get("iss") != issuer or claims.get("aud") != client_id:
        raise _wrong("its token is for another program")
    whole = [claims.get(name) for name in ("iat", "exp")]
    if not all(isinstance(each, int) for each in whole) or not isinstance(claims.get("sub"), str):
        raise _wrong("its token says not whose it is, or until when")
    return claims


def _end(claims: Mapping[str, Any]) -> float:
    return time.time() + int(claims["exp"]) - int(claims["iat"])


def _name(claims: Mapping[str, Any]) -> str:
    given = (claims.get(name) for name in ("email", "cognito:username", "preferred_username", "sub"))
    return next((each for each in given if isinstance(each, str) and each), "?")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _wrong(why: str) -> Stop:
    return Stop(Exit.FAILED, f"The identity provider's answer cannot be used: {why}.")
