"""Where a webhook may lead. Whoever may add one must not reach what only this host can: its own services, its cloud's
metadata and credentials, or its network. Allowed are addresses of the public internet, and networks that are named."""

import ipaddress
import socket
from collections.abc import Iterable, Sequence

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(each) for each in text.split())


# Never, even if a network is named that holds it. By rows: this host; link-local, where AWS and others have metadata
# and credentials; multicast; metadata elsewhere (AWS and Google by IPv6, Azure, Alibaba, Oracle); and what is
# deprecated or a tunnel: IPv4-compatible and IPv4-translated, Teredo, 6to4 and its relays, site-local, 6bone.
NEVER = _networks(
    """
    0.0.0.0/8 ::/128
    169.254.0.0/16 fe80::/10
    224.0.0.0/4 255.255.255.255/32 ff00::/8
    fd00:ec2::/32 fd20:ce::/32 168.63.129.16/32 100.100.100.200/32 192.0.0.192/32
    ::ffff:0:0:0/96 2001::/32 2002::/16 192.88.99.0/24 fec0::/10 3ffe::/16
    """
)
COMPATIBLE, LOOPBACK = ipaddress.IPv6Network("::/96"), ipaddress.IPv6Address("::1")
# IANA's special-purpose registries: not public. Listed here because Python's own list differs from version to version.
SPECIAL = _networks(
    """
    10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.168.0.0/16 198.18.0.0/15
    198.51.100.0/24 203.0.113.0/24 240.0.0.0/4 2001::/23 2001:db8::/32 3fff::/20
    """
)
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# Addresses that are IPv4 by another name: mapped, and translated by NAT64 under its well-known prefix.
TRANSPARENT = _networks("::ffff:0:0/96 64:ff9b::/96")
TRANSLATED, TEREDO, SIX_TO_FOUR, LOCAL_NAT64 = _networks("::ffff:0:0:0/96 2001::/32 2002::/16 64:ff9b:1::/48")
ISATAP = (0x00005EFE, 0x02005EFE)  # the upper half of its interface identifiers


class ForbiddenAddress(Exception):
    """This address is not for webhooks."""


def embedded(address: Address) -> list[ipaddress.IPv4Address]:
    """Every IPv4 address that an IPv6 one may stand for, whichever way it is wrapped."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    whole = int(address)
    if _is_in(address, (*TRANSPARENT, TRANSLATED)) or (address in COMPATIBLE and address != LOOPBACK):
        return _as_v4(whole)
    if address in SIX_TO_FOUR:
        return _as_v4(whole >> 80)
    if address in TEREDO:
        return _as_v4(whole >> 64, ~whole)
    if address in LOCAL_NAT64:  # RFC 6052 has it at one of four places, around an octet that says nothing
        high, low = whole >> 64 & 0xFFFF, whole & 0xFFFF_FFFF_FFFF_FFFF
        found = _as_v4(high << 16 | low >> 40 & 0xFFFF, (high & 0xFF) << 24 | low >> 32 & 0xFFFFFF, low >> 24, low)
        return [each for each in found if int(each) >> 24] or found[-1:]
    return _as_v4(whole) if whole >> 32 & 0xFFFFFFFF in ISATAP else []


def _as_v4(*numbers: int) -> list[ipaddress.IPv4Address]:
    return [ipaddress.IPv4Address(each & 0xFFFFFFFF) for each in numbers]


def check(address: Address) -> None:
    """Raise ForbiddenAddress for an address that a webhook must not reach."""
    inside = embedded(address)
    for each in (address, *inside):
        if _is_in(each, NEVER) or (address in COMPATIBLE and address != LOOPBACK):
            raise ForbiddenAddress(
                f"{each} is never allowed for webhooks: hosts serve metadata and credentials at such addresses,"
                " or they are no longer in use."
            )
    meant: Sequence[Address] = inside if _is_in(address, TRANSPARENT) else (address, *inside)
    for each in meant:
        if not _is_public(each) and not _is_in(each, settings.WEBHOOK_NETWORKS):
            raise ForbiddenAddress(
                f"{each} is not a public address. DRSORCH_WEBHOOK_NETWORKS can allow networks of your own."
            )


def _is_public(address: Address) -> bool:
    return (address.version == 4 or address in GLOBAL_UNICAST) and not _is_in(address, SPECIAL) and address.is_global


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == each.version and address in each for each in networks)


def check_literal(host: str) -> None:
    """Raise ForbiddenAddress if `host` is itself a forbidden address. Names are looked up when they are used."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
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
