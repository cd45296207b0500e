"""ID tokens as Cognito makes them, good and bad, and a web server that publishes the keys."""

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from identity.provider.cognito import Provider
from identity.roles import ROLES

ISSUER = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_TestPool"
CLIENT = "our-app-client"
KID = "key-1"


def private_key(name: str = KID) -> rsa.RSAPrivateKey:
    """Always the same key for a name."""
    return _new_key(name)


@cache
def _new_key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024 if name == "small" else 2048)


def jwk(kid: str = KID, name: str = "", **changes: Any) -> dict[str, Any]:
    public: dict[str, Any] = RSAAlgorithm.to_jwk(private_key(name or kid).public_key(), as_dict=True)
    public |= {"kid": kid, "use": "sig", "alg": "RS256"} | changes
    public.pop("key_ops", None)
    return {name: value for name, value in public.items() if value is not None}


def claims(**changes: Any) -> dict[str, Any]:
    """What a good token says; None takes a claim away."""
    moment = int(time.time())
    good = {
        "sub": "11111111-2222-3333-4444-555555555555",
        "iss": ISSUER,
        "aud": CLIENT,
        "token_use": "id",
        "cognito:username": "alice",
        "email": "alice@example.com",
        "email_verified": True,
        "cognito:groups": ["drsorch-operator"],
        "auth_time": moment,
        "iat": moment,
        "exp": moment + 3600,
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def mint(payload: Mapping[str, Any] | None = None, *, key: Any = None, alg: str = "RS256", **header: Any) -> str:
    named = {"kid": KID} | header
    return jwt.encode(
        claims() if payload is None else dict(payload),
        private_key() if key is None else key,
        algorithm=alg,
        headers={name: value for name, value in named.items() if value is not None},
    )


def part(content: Any) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def raw(header: Any, payload: Any = None) -> str:
    """A signed token with any header at all, also one that no library would write."""
    signed = f"{part(header)}.{part(claims() if payload is None else payload)}"
    signature = RSAAlgorithm(RSAAlgorithm.SHA256).sign(signed.encode(), private_key())
    return f"{signed}.{part(signature)}"


class Keys:
    """A key set at an address, that counts who asks and can fail in several ways."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: list[dict[str, Any]] = [jwk()]
        self.status = 200
        self.delay = 0.0
        self.fetches = 0
        self.body: bytes | None = None

    def provider(self, **changes: Any) -> Provider:
        base = self.url.rsplit("/", 1)[0]
        settings: dict[str, Any] = {
            "issuer": ISSUER,
            "jwks_url": self.url,
            "authorize_url": f"{base}/oauth2/authorize",
            "token_url": f"{base}/oauth2/token",
            "logout_url": f"{base}/logout",
            "revoke_url": f"{base}/oauth2/revoke",
            "client_id": CLIENT,
            "client_secret": "a-secret-of-at-least-thirty-two-characters",
            "groups": tuple((f"drsorch-{role}", role) for role in ROLES),
        }
        return Provider(**settings | changes)


@contextmanager
def published_keys() -> Iterator[Keys]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.fetches += 1
            time.sleep(keys.delay)
            body = json.dumps({"keys": keys.keys}).encode() if keys.body is None else keys.body
            self.send_response(keys.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except ConnectionError:
                return

        def log_message(self, *_: object) -> None:
            """Nothing on the screen."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    keys = Keys(f"http://127.0.0.1:{server.server_address[1]}/jwks.json")
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield keys
    finally:
        server.shutdown()
        server.server_close()
