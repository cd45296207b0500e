"""The provider's public keys, kept in the process. A known key is answered at once, whatever the provider does."""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import requests
from jwt import PyJWK, PyJWTError
from urllib3.exceptions import HTTPError

log = logging.getLogger(__name__)

FRESH_SECONDS = 3600.0
STALE_SECONDS = 86400.0  # a provider that does not answer must not lock everybody out in a disaster
PAUSE_SECONDS = 30.0  # between two attempts, whatever asks for them
TIMEOUT_SECONDS = 3.0
MAX_BYTES = 65536
MIN_BITS = 2048
# moto signs with a key that it ships; whoever has the package can sign with it too.
PUBLICLY_KNOWN = {"dummy"}


class KeysUnavailable(Exception):
    """The provider's keys could not be read, or not for a day."""


class KeySet:
    """Keys by their id. Fetched at most once in 30 s and kept for a day if they cannot be."""

    def __init__(
        self, url: str, *, accept_known_keys: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = url
        self._refused = frozenset() if accept_known_keys else frozenset(PUBLICLY_KNOWN)
        self._clock = clock
        self._keys: Mapping[str, PyJWK] = {}
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._starting = threading.Lock()
        self._attempt = threading.Event()
        self._attempt.set()  # none is under way

    def key(self, kid: str, *, may_wait: bool = True) -> PyJWK | None:
        """The key of this id, None if the provider has none. Raises KeysUnavailable. Only an unknown id ever waits,
        and only if it may."""
        age = self._clock() - self._read_at
        known = self._keys.get(kid) if age < STALE_SECONDS else None
        if known and age < FRESH_SECONDS:
            return known
        self._refresh()
        if known or not may_wait:
            return known
        self._attempt.wait(TIMEOUT_SECONDS)
        if self._clock() - self._read_at >= STALE_SECONDS:
            raise KeysUnavailable(f"{self._url} could not be read")
        return self._keys.get(kid)

    def _refresh(self) -> None:
        """Start an attempt in the background, unless one runs or was made a moment ago."""
        with self._starting:
            if not self._attempt.is_set() or self._clock() - self._tried_at < PAUSE_SECONDS:
                return
            self._tried_at = self._clock()
            self._attempt.clear()
        threading.Thread(target=self._read, name="jwks", daemon=True).start()

    def _read(self) -> None:
        try:
            self._keys = parse(fetch(self._url), self._refused)
            self._read_at = self._clock()
        except (requests.RequestException, OSError, ValueError, RecursionError) as error:
            log.warning("The sign-in provider's keys at %s could not be read: %s", self._url, error)
        finally:
            self._attempt.set()


def fetch(url: str) -> bytes:
    """The body at this address, if it comes in time and is of a sane size."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    with requests.get(url, timeout=TIMEOUT_SECONDS, stream=True, allow_redirects=False) as response:
        if response.status_code != 200:
            raise ValueError(f"status {response.status_code}")
        return sane_body(response, deadline)


def sane_body(response: requests.Response, deadline: float) -> bytes:
    """The body of a streamed answer. Raises ValueError if it breaks off, is too long, or not there by `deadline`
    (time.monotonic)."""
    body = b""
    try:
        while chunk := response.raw.read1(MAX_BYTES, decode_content=True):
            body += chunk
            if len(body) > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES} bytes")
            if time.monotonic() > deadline:
                raise ValueError("too slow")
    except HTTPError as error:  # below requests, its own errors are urllib3's
        raise ValueError(f"it broke off: {type(error).__name__}") from error
    return body


def parse(body: bytes, refused: frozenset[str] = frozenset()) -> dict[str, PyJWK]:
    """The RSA signing keys of a key set. Raises ValueError if there is none: an empty set never replaces a good one."""
    listed = json.loads(body)
    entries = listed.get("keys") if isinstance(listed, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it is no key set")
    found = {kid: key for entry in entries if (key := _key(entry)) and (kid := entry["kid"]) not in refused}
    if not found:
        raise ValueError("it lists no usable RSA key")
    return found


def _key(entry: Any) -> PyJWK | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str) or not entry["kid"]:
        return None
    if entry.get("kty") != "RSA" or entry.get("use") != "sig" or entry.get("alg", "RS256") != "RS256":
        return None
    try:
        key = PyJWK(entry, algorithm="RS256")
    except (PyJWTError, ValueError, TypeError):
        return None
    return key if getattr(key.key, "key_size", 0) >= MIN_BITS else None
