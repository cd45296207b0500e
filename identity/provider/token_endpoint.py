"""What we ask of the provider after the sign-in, without a browser: a fresh ID token, and to forget a refresh token."""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from identity.provider.cognito import Provider
from identity.provider.jwks import sane_body

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0
REVOKE_SECONDS = 2.0  # a sign-out waits for it
SILENCE_SECONDS = 10.0  # after nobody answered, the sessions of a process do not all wait for nobody
_silent_until: dict[str, float] = {}


class Revoked(Exception):
    """The provider says that the refresh token is worth nothing: revoked, expired, or its owner is switched off."""


class NoAnswer(Exception):
    """Nothing that says yes or no; for our log."""


class Silence(NoAnswer):
    """The provider is out of reach or out of order: nothing was answered, or an error of its own (5xx)."""


@dataclass(frozen=True)
class Fresh:
    """Tokens, not judged yet. The refresh token is empty if the one that was sent goes on."""

    id_token: str = field(repr=False)
    refresh_token: str = field(repr=False)


def exchange(provider: Provider, refresh_token: str) -> Fresh:
    """A fresh ID token for a refresh token. Raises Revoked, Silence or NoAnswer. Takes ten seconds at the worst."""
    if time.monotonic() < _silent_until.get(provider.token_url, 0.0):
        raise Silence("it did not answer a moment ago")
    form = {"grant_type": "refresh_token", "client_id": provider.client_id, "refresh_token": refresh_token}
    try:
        status, body = _post(provider, provider.token_url, form, TIMEOUT_SECONDS)
    except (requests.RequestException, OSError, ValueError) as error:
        _silent_until[provider.token_url] = time.monotonic() + SILENCE_SECONDS
        raise Silence(type(error).__name__) from error
    answer = _object(body)
    if status == 400 and answer.get("error") == "invalid_grant":
        raise Revoked
    id_token, rotated = answer.get("id_token"), answer.get("refresh_token", "")
    if status >= 500:
        raise Silence(f"it answered {status}")
    if status != 200 or not isinstance(id_token, str) or not isinstance(rotated, str):
        raise NoAnswer(f"it answered {status} {str(answer.get('error', ''))[:60]!r}")
    return Fresh(id_token, rotated)


def revoke(provider: Provider, refresh_token: str) -> None:
    """Have the provider forget a refresh token, if it can be done quickly; it expires in any case."""
    if not provider.revoke_url:
        return
    form = {"token": refresh_token, "client_id": provider.client_id}
    try:
        status, _ = _post(provider, provider.revoke_url, form, REVOKE_SECONDS)
    except (requests.RequestException, OSError, ValueError) as error:
        log.warning("A refresh token could not be revoked at the provider: %s", type(error).__name__)
        return
    if status != 200:
        log.warning("A refresh token could not be revoked at the provider: it answered %d", status)


def _post(provider: Provider, url: str, form: Mapping[str, str], seconds: float) -> tuple[int, bytes]:
    """Status and body, the client proven as at the sign-in."""
    deadline = time.monotonic() + seconds
    who = (provider.client_id, provider.client_secret)
    with requests.post(url, data=form, auth=who, timeout=seconds, stream=True, allow_redirects=False) as response:
        return response.status_code, sane_body(response, deadline)


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object that it is, else nothing."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
