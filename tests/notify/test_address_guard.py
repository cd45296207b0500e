"""Which addresses a webhook may reach, over generated ones: however an address is wrapped, the one inside is judged."""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import example, given, settings
from hypothesis import strategies as st

from notify.channels import webhook
from notify.channels.address_guard import ForbiddenAddress, check, check_literal
from notify.channels.batch import Batch
from notify.channels.message import DeliveryFailed
from notify.channels.recipients import problem_of
from tests.notify.receivers import http_receiver
from tests.notify.test_channels import outgoing

V4, V6 = ipaddress.IPv4Address, ipaddress.IPv6Address
EVERYTHING = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]

# As IANA's registries have it (iana-ipv4-special-registry, iana-ipv6-special-registry, ipv6-unicast), by hand.
NOT_PUBLIC_V4 = (
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24"
    " 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4"
    " 168.63.129.16/32"
)
NOT_PUBLIC_V6 = (
    "::/3 4000::/2 8000::/1 2001::/32 2001:2::/48 2001:10::/28 2001:20::/28 2001:db8::/32 2002::/16 3fff::/20 3ffe::/16"
    " fc00::/7 fe80::/10 fec0::/10 ff00::/8 100::/64 5f00::/16"
)
METADATA = ["169.254.169.254", "169.254.170.2", "169.254.170.23", "168.63.129.16", "100.100.100.200", "0.0.0.0"]

# How IPv4 hides in IPv6: each makes an address out of one.
WRAPPED: dict[str, Callable[[int], int]] = {
    "mapped": lambda v4: int(V6("::ffff:0:0")) | v4,
    "compatible": lambda v4: v4,
    "translated": lambda v4: int(V6("::ffff:0:0:0")) | v4,
    "6to4": lambda v4: int(V6("2002::1")) | v4 << 80,
    "teredo client": lambda v4: int(V6("2001:0:808:808::")) | v4 ^ 0xFFFFFFFF,
    "teredo server": lambda v4: int(V6("2001::f7f7:f7f7")) | v4 << 64,
    "nat64": lambda v4: int(V6("64:ff9b::")) | v4,
    "nat64 local /48": lambda v4: int(V6("64:ff9b:1::")) | v4 >> 16 << 64 | (v4 & 0xFFFF) << 40,
    "nat64 local /56": lambda v4: int(V6("64:ff9b:1::")) | v4 >> 24 << 64 | (v4 & 0xFFFFFF) << 32,
    "nat64 local /64": lambda v4: int(V6("64:ff9b:1::")) | v4 << 24,
    "nat64 local /96": lambda v4: int(V6("64:ff9b:1::")) | v4,
    "isatap": lambda v4: int(V6("2a01:4f8::5efe:0:0")) | v4,
    "isatap public": lambda v4: int(V6("2a01:4f8::200:5efe:0:0")) | v4,
}
PASSED_THROUGH = {"mapped", "nat64", "isatap", "isatap public"}


def allowed(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        check(address)
    except ForbiddenAddress:
        return False
    return True


def within(networks: str, kind: type) -> st.SearchStrategy[Any]:
    """Of any of the networks, often at its edges and just outside."""
    found = [ipaddress.ip_network(each) for each in networks.split()]
    edges = [int(each[at]) + by for each in found for at in (0, -1) for by in (-1, 0, 1)]
    top = 2 ** (32 if kind is V4 else 128)
    inside = [st.integers(int(each[0]), int(each[-1])) for each in found]
    return st.one_of(st.sampled_from([each for each in edges if 0 <= each < top]), *inside).map(kind)


def named(address: Any, networks: str) -> bool:
    return any(address in ipaddress.ip_network(each) for each in networks.split())


any_v4 = st.one_of(within(NOT_PUBLIC_V4, V4), st.sampled_from(METADATA).map(V4), st.integers(0, 2**32 - 1).map(V4))
any_v6 = st.one_of(
    within(NOT_PUBLIC_V6, V6),
    st.integers(0, 2**128 - 1).map(V6),
    st.integers(2 << 124, (4 << 124) - 1).map(V6),
)


@pytest.mark.slow
@settings(max_examples=700)
@given(any_v4)
@example(V4("192.0.0.8"))
@example(V4("192.88.99.1"))
@example(V4("192.0.0.192"))
def test_of_ipv4_the_public_internet_is_allowed_and_nothing_else(address: ipaddress.IPv4Address) -> None:
    special = address in {V4("100.100.100.200"), V4("192.0.0.192")}
    assert allowed(address) == (not named(address, NOT_PUBLIC_V4) and not special)


@pytest.mark.slow
@settings(max_examples=700)
@given(any_v6)
@example(V6("fec0::1"))
@example(V6("3ffe::1"))
@example(V6("3fff::1"))
@example(V6("2001:4::1"))
@example(V6("5f00::1"))
@example(V6("8000::1"))
def test_of_ipv6_only_global_unicast_is_allowed(address: ipaddress.IPv6Address) -> None:
    inside = [V4(int(address) & 0xFFFFFFFF)] if named(address, "::ffff:0:0/96 64:ff9b::/96") else []
    if inside:
        assert allowed(address) == allowed(inside[0])
    elif named(address, NOT_PUBLIC_V6):
        assert not allowed(address)
    elif allowed(address):
        assert address in ipaddress.ip_network("2000::/3")
        assert address.is_global


@pytest.mark.slow
@settings(max_examples=500)
@given(any_v4, st.sampled_from(sorted(WRAPPED)))
def test_what_is_wrapped_is_judged_as_what_is_inside(inner: ipaddress.IPv4Address, how: str) -> None:
    outer = V6(WRAPPED[how](int(inner)))
    expected = allowed(inner) and how in PASSED_THROUGH
    assert allowed(outer) == expected or (outer == V6("::1"))
    assert not allowed(V6("::1"))


@settings(max_examples=500)
@given(
    st.sampled_from([*METADATA, "169.254.0.1", "224.0.0.1", "192.88.99.1"]).map(V4), st.sampled_from(sorted(WRAPPED))
)
def test_no_setting_and_no_wrapping_leads_to_metadata(inner: ipaddress.IPv4Address, how: str) -> None:
    with override_settings(WEBHOOK_NETWORKS=EVERYTHING):
        assert not allowed(inner)
        assert not allowed(V6(WRAPPED[how](int(inner))))


@pytest.mark.parametrize(
    "address", ["fec0::1", "3ffe::1", "2002:808:808::1", "2001:0:808:808::1", "::8.8.8.8", "ff0e::1"]
)
def test_what_is_deprecated_is_not_allowed_even_if_it_is_named(address: str) -> None:
    with override_settings(WEBHOOK_NETWORKS=EVERYTHING):
        assert not allowed(V6(address))
    with pytest.raises(ForbiddenAddress):
        check_literal(f"{address}%25eth0")


def test_a_local_nat64_is_allowed_where_it_and_what_is_behind_it_are_named() -> None:
    outer = V6(WRAPPED["nat64 local /96"](int(V4("10.0.0.1"))))
    prefix, behind = ipaddress.ip_network("64:ff9b:1::/48"), ipaddress.ip_network("10.0.0.0/8")
    for networks, expected in (([], False), ([prefix], False), ([behind], False), ([prefix, behind], True)):
        with override_settings(WEBHOOK_NETWORKS=networks):
            assert allowed(outer) == expected


def test_a_name_that_changes_is_looked_up_once_and_that_address_connected_to(
    here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the second answer would be another address."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def lookup(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if host == "rebinding.example":
            asked.append(host)
            host = "127.0.0.1" if len(asked) == 1 else "169.254.169.254"
        return real(host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with http_receiver() as receiver:
        webhook.send(outgoing(receiver.url.replace("127.0.0.1", "rebinding.example")))
        assert len(receiver.requests) == 1
        assert receiver.requests[0].headers["host"].startswith("rebinding.example")
        assert len(asked) == 1
        with pytest.raises(DeliveryFailed, match="never allowed"):
            webhook.send(outgoing(receiver.url.replace("127.0.0.1", "rebinding.example")))
        assert len(receiver.requests) == 1
    asked.clear()
    with http_receiver(keeps=True) as receiver:
        receiver.lasts = 2
        batch = Batch([outgoing(receiver.url.replace("127.0.0.1", "rebinding.example")) for _ in range(4)])
        batch.run(webhook.send, 30)
        assert (len(batch.sent), len(asked)) == (2, 2), "one that is opened anew is looked up and checked anew"
        assert batch.failure is not None
        assert "never allowed" in str(batch.failure.error)
        assert len(receiver.requests) == 2


@pytest.mark.parametrize("digits", ["١٢٣٤٥٦٧٨٩٠١٢", "१२३४५६७८९०१२", "１２３４５６７８９０１２", "12345678901²"])
def test_an_account_has_digits_of_ascii_alone(digits: str) -> None:
    assert problem_of("SNS", "arn:aws:sns:us-east-1:123456789012:drsorch") == ""
    assert "A topic's ARN" in problem_of("SNS", f"arn:aws:sns:us-east-1:{digits}:drsorch")
