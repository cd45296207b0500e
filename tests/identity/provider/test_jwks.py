"""The key cache: no storm of fetches, no waiting for what is known, and a day of patience with a silent provider."""

import threading
import time
from collections.abc import Callable

import pytest

from identity.provider import jwks
from identity.provider.id_token import InvalidToken, Verifier
from identity.provider.jwks import KeySet, KeysUnavailable
from tests.identity.provider.minting import KID, Keys, jwk, mint, private_key

HOUR = 3600.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def key_set(keys: Keys, clock: Clock) -> KeySet:
    return KeySet(keys.url, clock=clock)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_5000_unknown_ids_cost_one_fetch_in_30_seconds(keys: Keys, key_set: KeySet, clock: Clock) -> None:
    assert key_set.key(KID)
    clock.now += 31
    for number in range(5000):
        assert key_set.key(f"unknown-{number}") is None
    assert keys.fetches == 2
    assert key_set.key(KID)
    clock.now += 31
    assert key_set.key("unknown") is None
    assert keys.fetches == 3


def test_5000_unknown_ids_of_20_threads_cost_one_fetch(keys: Keys, key_set: KeySet) -> None:
    keys.delay = 0.2
    threads = [threading.Thread(target=lambda: [key_set.key(f"unknown-{n}") for n in range(250)]) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert keys.fetches == 1


def test_a_new_key_is_found_after_the_pause(keys: Keys, key_set: KeySet, clock: Clock) -> None:
    assert key_set.key(KID)
    keys.keys.append(jwk("key-2"))
    assert key_set.key("key-2") is None
    clock.now += 31
    assert key_set.key("key-2")


def test_valid_tokens_work_while_the_provider_is_down_for_an_hour(keys: Keys, key_set: KeySet, clock: Clock) -> None:
    verifier = Verifier(keys.provider(), key_set)
    assert verifier.verify(mint()).name == "alice"
    keys.status = 503
    for _ in range(120):
        clock.now += 60
        assert verifier.verify(mint()).name == "alice"
        until(lambda: all(each.name != "jwks" for each in threading.enumerate()))
    assert keys.fetches == 1 + 61  # from the end of the first hour on, once a minute
    clock.now += 24 * HOUR
    with pytest.raises(KeysUnavailable):
        verifier.verify(mint())
    keys.status = 200
    clock.now += 31
    assert verifier.verify(mint()).name == "alice"


def test_a_key_that_is_gone_stops_working_after_an_hour(keys: Keys, key_set: KeySet, clock: Clock) -> None:
    assert key_set.key(KID)
    keys.keys = [jwk("key-2")]
    clock.now += HOUR + 1
    assert key_set.key(KID)  # answered at once; the refresh runs beside it
    until(lambda: key_set.key(KID) is None)


def test_a_hanging_provider_delays_no_valid_token(keys: Keys, key_set: KeySet, clock: Clock) -> None:
    assert key_set.key(KID)
    keys.delay = 6
    clock.now += HOUR + 1
    stranger = threading.Thread(target=lambda: key_set.key("unknown"))
    stranger.start()
    began = time.monotonic()
    for _ in range(1000):
        assert key_set.key(KID)
    assert key_set.key("unknown", may_wait=False) is None  # what an address that fails often asks
    assert time.monotonic() - began < 2.8
    stranger.join()
    assert time.monotonic() - began < 5.5


def test_nothing_is_accepted_while_no_keys_were_ever_read(keys: Keys, key_set: KeySet) -> None:
    keys.status = 503
    for _ in range(3):
        with pytest.raises(KeysUnavailable):
            Verifier(keys.provider(), key_set).verify(mint())
    assert keys.fetches == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"keys": 1}',
        b'{"keys": []}',
        b'{"keys": [1]}',
        b"[" * 60_000,
        b"\xff",
        b" " * 70_000,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_nonsense_never_replaces_good_keys(keys: Keys, key_set: KeySet, clock: Clock, body: bytes) -> None:
    assert key_set.key(KID)
    keys.body = body
    clock.now += HOUR + 1
    assert key_set.key("unknown") is None
    assert keys.fetches == 2
    assert key_set.key(KID)


@pytest.mark.parametrize(
    "entry",
    [
        jwk("odd", use="enc"),
        jwk("odd", use=None),
        jwk("odd", alg="RS512"),
        jwk("odd", kty="EC"),
        jwk("odd", n="!"),
        jwk("odd", name="small"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "odd", "use": "sig"},
        {**jwk("odd"), "kid": 1},
    ],
)
def test_only_rsa_signing_keys_of_2048_bits_count(entry: dict[str, object]) -> None:
    import json

    assert list(jwks.parse(json.dumps({"keys": [entry, jwk()]}).encode())) == [KID]


def test_the_provider_cannot_send_us_elsewhere(keys: Keys, key_set: KeySet) -> None:
    keys.status = 302
    with pytest.raises(KeysUnavailable):
        key_set.key(KID)


def test_a_good_signature_with_a_key_of_another_id_is_bad(keys: Keys, key_set: KeySet) -> None:
    keys.keys = [jwk(), jwk("key-2")]
    with pytest.raises(InvalidToken):
        Verifier(keys.provider(), key_set).verify(mint(key=private_key("key-2"), kid=KID))
