"""An installation: its address, and what opens it."""

import ipaddress
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from drsorch_cli.exits import usage

API = "/api/v1"
PLAIN = "DRSORCH_PLAIN_HTTP"


@dataclass(frozen=True)
class Server:
    """An installation. `bearer` answers the token that opens it now; it raises Stop where there is none any more, and
    Dropped where the identity provider is silent."""

    address: str
    bearer: Callable[[], str] = field(repr=False)

    @classmethod
    def with_token(cls, address: str, token: str) -> "Server":
        return cls(address, lambda: token)

    @property
    def api(self) -> str:
        return self.address + API


def address_of(text: str) -> str:
    """An installation's address as it was typed, without what leads to one of its pages. Raises Stop."""
    text = text.strip()
    parts, host = urlsplit(""), ""
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    is_one = parts.scheme in ("https", "http") and bool(host) and " " not in text and text.isprintable()
    if not is_one or parts.username or parts.query or parts.fragment:
        raise usage(f"{text!r} is no address of a server. Use one such as https://drsorch.example.com.")
    if parts.scheme == "http" and not is_here(host) and os.environ.get(PLAIN, "").lower() not in ("1", "true"):
        raise usage(f"http:// would send the token to {host} readable by everybody on the way. Use https://.")
    path = parts.path.rstrip("/").removesuffix(API)
    return f"{parts.scheme}://{parts.netloc}{path}"


def is_here(host: str) -> bool:
    """Whether a host is this machine, whatever a name server says."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def checked_token(token: str) -> str:
    """The token, if it can be sent in a header. Raises Stop without showing it."""
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise usage("That is no token: one is a single word of printable ASCII characters.")
    return token
