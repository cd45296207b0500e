"""The address under which people reach the product, and what must be true of the other settings because of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from identity.provider.cognito import WrongSetting

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "[::1]", "testserver"})
_ADDRESS = re.compile(r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:]+\])(?P<port>:\d{1,5})?/?")
SECRET_MIN = 50  # what `check --deploy` asks for


@dataclass(frozen=True)
class Address:
    """`is_https` decides about cookies, redirects and HSTS: the browser must come by https, whoever ends it."""

    host: str
    is_https: bool
    origin: str


def read_address(url: str, *, may_be_plain: bool = False) -> Address:
    """The address of DRSORCH_PUBLIC_URL. Raises WrongSetting."""
    found = _ADDRESS.fullmatch(url.lower())
    if found is None:
        raise WrongSetting(
            "DRSORCH_PUBLIC_URL", "invalid: use an address without a path, such as https://dr.example.com"
        )
    scheme, host, port = found["scheme"], found["host"], found["port"] or ""
    if scheme == "http" and host not in LOOPBACK and not may_be_plain:
        raise WrongSetting(
            "DRSORCH_PUBLIC_URL",
            f"invalid: {host} is reached over plain http, where anybody on the way reads sessions and tokens; use https"
            " (DRSORCH_PLAIN_HTTP=true allows it nevertheless)",
        )
    return Address(host, scheme == "https", f"{scheme}://{host}{port}")


def check_exposure(address: Address, *, hosts: Sequence[str], debug: bool, secret: str) -> None:
    """Raise WrongSetting for combinations that would give the product away."""
    if any(host.strip() in ("*", ".") for host in hosts):
        raise WrongSetting(
            "DJANGO_ALLOWED_HOSTS", "invalid: name the hosts; * lets a forged Host header into links and caches"
        )
    public = [host for host in (address.host, *hosts) if host not in LOOPBACK]
    if debug and (public or address.is_https):
        raise WrongSetting(
            "DJANGO_DEBUG", f"invalid: the error pages of true show settings and code to whoever reaches {public[0]}"
        )
    if address.is_https and not _is_allowed(address.host, hosts):
        raise WrongSetting("DJANGO_ALLOWED_HOSTS", f"invalid: {address.host} of DRSORCH_PUBLIC_URL is not among them")
    if address.is_https and (len(secret) < SECRET_MIN or len(set(secret)) < 5):
        raise WrongSetting(
            "DJANGO_SECRET_KEY", f"invalid: too weak for a public address; use at least {SECRET_MIN} random characters"
        )


def _is_allowed(host: str, hosts: Sequence[str]) -> bool:
    return any(host == each.lower() or (each.startswith(".") and host.endswith(each.lower())) for each in hosts)
