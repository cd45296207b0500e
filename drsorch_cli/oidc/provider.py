"""The identity provider of a server: where it is, and what it is asked."""

import base64
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from drsorch_cli import __version__
from drsorch_cli.exits import Dropped, Exit, Stop
from drsorch_cli.server import is_here

SECONDS = 15.0  # for an answer
MAX_BYTES = 262_144
PUBLISHED = "/.well-known/drsorch"
DISCOVERY = "/.well-known/openid-configuration"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A refresh token is not carried to where a redirect leads."""

    def redirect_request(self, *args: Any, **given: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects())


@dataclass(frozen=True)
class Provider:
    """What the server says of its provider, and what that says of itself. An empty address: it has no such thing."""

    issuer: str
    client_id: str
    scope: str
    authorization_endpoint: str
    token_endpoint: str
    device_endpoint: str
    revocation_endpoint: str


def provider_of(address: str) -> Provider | None:
    """The provider by which people sign in at a server with this program, None for none. Raises Stop."""
    try:
        status, told = ask(address + PUBLISHED)
    except Dropped as dropped:
        raise Stop(Exit.UNREACHABLE, f"{address} cannot be reached: {dropped.reason}.") from dropped
    if status != 200 or told.get("signIn") != "oidc" or not told.get("clientId"):
        return None  # local accounts, nothing set up for this program, or a server of an earlier release
    issuer = _safe(told.get("issuer"), "its issuer")
    try:
        status, found = ask(issuer + DISCOVERY)
    except Dropped as dropped:
        raise Stop(
            Exit.UNREACHABLE, f"The identity provider {issuer} cannot be reached: {dropped.reason}."
        ) from dropped
    if status != 200 or found.get("issuer") != issuer:
        raise Stop(Exit.UNREACHABLE, f"The identity provider {issuer} does not describe itself (it answered {status}).")
    return Provider(
        issuer=issuer,
        client_id=str(told["clientId"]),
        scope=str(told.get("scope", "openid")),
        authorization_endpoint=_safe(found.get("authorization_endpoint"), "its sign-in page"),
        token_endpoint=_safe(found.get("token_endpoint"), "its token endpoint"),
        device_endpoint=_safe(found.get("device_authorization_endpoint") or "", "its device endpoint"),
        revocation_endpoint=_safe(found.get("revocation_endpoint") or "", "its revocation endpoint"),
    )


def _safe(address: object, what: str) -> str:
    """An address to which tokens may be sent; an empty one is none. Raises Stop."""
    if address == "":
        return ""
    parts = urlsplit(address) if isinstance(address, str) else urlsplit("")
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_here(parts.hostname or ""))
    if not is_safe or not parts.hostname or parts.username or parts.fragment:
        raise Stop(Exit.UNREACHABLE, f"The identity provider's address cannot be used ({what}): {str(address)[:200]!r}")
    return cast("str", address)


def ask(address: str, form: Mapping[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of an answer; an empty object for anything else. Raises Dropped."""
    request = urllib.request.Request(  # noqa: S310  (_safe and address_of let http and https through)
        address,
        data=None if form is None else urlencode(form).encode(),
        headers={"Accept": "application/json", "User-Agent": f"drsorch/{__version__}"},
    )
    try:
        try:
            response = _opener.open(request, timeout=SECONDS)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            return response.status, _object(response.read(MAX_BYTES))
    except urllib.error.URLError as error:
        raise Dropped(_reason(error.reason), never_sent=True) from error
    except (OSError, HTTPException) as error:
        raise Dropped(_reason(error)) from error


def _reason(cause: object) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate cannot be trusted ({cause.verify_message})"
    if isinstance(cause, TimeoutError):
        return "it does not answer in time"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return str(cause).strip(" .").lower() or "the connection broke"


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def claims_of(token: str) -> dict[str, Any]:
    """What an ID token says. It came from the token endpoint over TLS, which stands for its signature (OpenID Connect
    Core 3.1.3.7); the server checks that once more. Empty for what is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        return _object(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
