"""Where a webhook may lead. Whoever may add one must not reach what only this host can: its own services, its cloud's
metadata and credentials, or its network."""

import ipaddress
import socket
from collections.abc import Iterable

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

NAT64 = ipaddress.ip_network("64:ff9b::/96")
# AWS's metadata, time and DNS by IPv6; those by IPv4 are link-local.
NEVER = (ipaddress.ip_network("fd00:ec2::/32"), ipaddress.ip_network("168.63.129.16/32"))


class ForbiddenAddress(Exception):
    """This address is not for webhooks."""


def inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, whichever way it is wrapped."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    wrapped = address.ipv4_mapped or address.sixtofour
    if wrapped is None and address in NAT64:
        wrapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return wrapped or address


def check(address: Address) -> None:
    """Raise ForbiddenAddress for an address that a webhook must not reach."""
    found = inner(address)
    if found.is_link_local or found.is_multicast or found.is_unspecified or _is_in(found, NEVER):
        raise ForbiddenAddress(
            f"{found} is never allowed for webhooks: hosts serve metadata and credentials at such addresses."
        )
    if found.is_global or _is_in(found, settings.WEBHOOK_NETWORKS):
        return
    raise ForbiddenAddress(f"{found} is not a public address. DRSORCH_WEBHOOK_NETWORKS can allow networks of your own.")


def _is_in(address: Address, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return any(address.version == each.version and address in each for each in networks)


def check_literal(host: str) -> None:
    """Raise ForbiddenAddress if `host` is itself a forbidden address. Names are looked up when they are used."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return
    check(address)


def resolve(host: str, port: int) -> str:
    """An address of `host` to connect to, once each that the name has was checked: connect to this one, not to the
    name, which may mean something else a moment later. Raises ForbiddenAddress, OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]
    for address in addresses:
        check(address)
    return str(addresses[0])
