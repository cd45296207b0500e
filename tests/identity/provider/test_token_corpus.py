"""Every bad token is refused with 401 in the contract's shape, none is an error of ours, and the good ones pass."""

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client

from identity.provider.cognito import Provider
from identity.provider.id_token import InvalidToken, Verifier
from identity.provider.jwks import KeySet
from identity.tokens import make_token
from tests.identity.provider.minting import CLIENT, ISSUER, KID, Keys, claims, jwk, mint, part, private_key, raw
from tests.support.api_client import make_user, refusal
from tests.yardstick import is_quick

NOW = int(time.time())
PUBLIC_PEM = (
    private_key().public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
)
RS256 = {"alg": "RS256", "kid": KID}


def signed_with_the_public_key() -> str:
    """The classic: HMAC with the published key as its secret. The library refuses to make one."""
    import hashlib
    import hmac

    content = f"{part({'alg': 'HS256', 'kid': KID})}.{part(claims())}"
    return f"{content}.{part(hmac.new(PUBLIC_PEM, content.encode(), hashlib.sha256).digest())}"


def tampered() -> str:
    header, _, signature = mint().split(".")
    return f"{header}.{part(claims(**{'cognito:groups': ['drsorch-admin']}))}.{signature}"


BAD = {
    "another audience": mint(claims(aud="another-client")),
    "audience as a list": mint(claims(aud=[CLIENT])),
    "audience as a list of two": mint(claims(aud=[CLIENT, "another-client"])),
    "no audience": mint(claims(aud=None)),
    "another issuer": mint(claims(iss=ISSUER + "x")),
    "another pool": mint(claims(iss="https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Other")),
    "no issuer": mint(claims(iss=None)),
    "issuer with a slash": mint(claims(iss=ISSUER + "/")),
    "access token": mint(claims(token_use="access", client_id=CLIENT)),
    "no use": mint(claims(token_use=None)),
    "expired an hour ago": mint(claims(iat=NOW - 7200, exp=NOW - 3600)),
    "expired 61 s ago": mint(claims(exp=NOW - 61)),
    "no expiry": mint(claims(exp=None)),
    "expiry as text": raw(RS256, claims(exp=str(NOW + 3600))),
    "expiry as a fraction": raw(RS256, claims(exp=NOW + 3600.5)),
    "expiry as a truth": raw(RS256, claims(exp=True)),
    "expiry in infinity": raw(RS256, claims(exp=float("inf"))),
    "issued ahead": mint(claims(iat=NOW + 3600)),
    "no issue time": mint(claims(iat=None)),
    "not yet": mint(claims(nbf=NOW + 3600)),
    "not before, as text": raw(RS256, claims(nbf="0")),
    "no subject": mint(claims(sub=None)),
    "empty subject": mint(claims(sub=" ")),
    "subject as a number": raw(RS256, claims(sub=7)),
    "subject with NUL": mint(claims(sub="a\0b")),
    "subject with half a character": raw(RS256, claims(sub="\ud800")),
    "subject without end": mint(claims(sub="a" * 256)),
    "groups as text": mint(claims(**{"cognito:groups": "drsorch-admin"})),
    "groups of numbers": mint(claims(**{"cognito:groups": [1]})),
    "no algorithm": raw({"alg": "none", "kid": KID}),
    "no algorithm, no signature": f"{part({'alg': 'none', 'kid': KID})}.{part(claims())}.",
    "HS256 with the public key": signed_with_the_public_key(),
    "RS512": mint(alg="RS512"),
    "PS256": mint(alg="PS256"),
    "ES256": mint(key=ec.generate_private_key(ec.SECP256R1()), alg="ES256"),
    "algorithm as a list": raw({"alg": ["RS256"], "kid": KID}),
    "a stranger's key": mint(key=private_key("stranger")),
    "a stranger's key in the header": mint(key=private_key("stranger"), jwk=jwk("stranger")),
    "a stranger's key elsewhere": mint(key=private_key("stranger"), jku="https://evil.example/jwks.json"),
    "unknown key id": mint(kid="another"),
    "no key id": mint(kid=None),
    "key id as a number": raw({"alg": "RS256", "kid": 1}),
    "key id as a list": raw({"alg": "RS256", "kid": [KID]}),
    "empty key id": raw({"alg": "RS256", "kid": ""}),
    "key id of 1 KB": mint(kid="k" * 1024),
    "unknown critical header": mint(crit=["x"], x=1),
    "9 KiB": mint(claims(padding="a" * 9000)),
    "tampered payload": tampered(),
    "payload as a list": raw(RS256, [1, 2]),
    "payload as text": raw(RS256, b"not json"),
    "payload without end": raw(RS256, b"[" * 4000),
    "header without end": f"{part(b'[' * 5000)}.{part(claims())}.x",
    "header as a list": raw([1]),
    "header as text": raw(b"\xff\xfe"),
    "two parts": ".".join(mint().split(".")[:2]),
    "five parts": mint() + ".a.b",
    "not base64": "a.b.c",
    "only dots": "..",
    "one word": "x",
    "not ASCII": mint() + "é",
    "line break": mint()[:30] + "\t" + mint()[30:],
}
GOOD = {
    "as it comes": {},
    "expired 59 s ago": {"exp": NOW - 50},
    "issued 59 s ahead": {"iat": NOW + 50},
    "not before, just past": {"nbf": NOW - 10},
    "no groups": {"cognito:groups": None},
    "no e-mail": {"email": None},
    "no name": {"cognito:username": None},
    "odd e-mail": {"email": ["a"]},
    "half an e-mail": {"email": "a\0b"},
    "more claims": {"custom:x": {"deep": [1]}},
}


def call(token: str) -> Any:
    return Client(raise_request_exception=False).get(
        "/api/v1/executions", headers={"Authorization": f"Bearer {token}".encode().decode("latin-1")}
    )


def test_the_corpus_is_large() -> None:
    assert len(BAD) >= 25


@pytest.mark.parametrize("token", BAD.values(), ids=BAD.keys())
def test_a_bad_token_is_refused(cognito: Provider, token: str) -> None:
    response = call(token)
    refusal(response, 401, "UNAUTHENTICATED")
    assert response["WWW-Authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD.keys())
def test_a_good_token_is_accepted(cognito: Provider, changes: dict[str, Any]) -> None:
    late = int(time.time()) - NOW
    moved = {name: value + late if isinstance(value, int) else value for name, value in changes.items()}
    response = call(mint(claims(**moved)))
    assert response.status_code == 200, response.content


@pytest.mark.parametrize("alg", ["RS256", None])
def test_published_keys_need_not_name_their_algorithm(cognito: Provider, keys: Keys, alg: str | None) -> None:
    keys.keys = [jwk(alg=alg)]
    assert call(mint()).status_code == 200


@pytest.mark.parametrize("seconds", [59, 61])
def test_the_leeway_is_a_minute(keys: Keys, seconds: int) -> None:
    verifier = Verifier(keys.provider(), KeySet(keys.url), clock=lambda: float(NOW))
    expired = mint(claims(iat=NOW - 3600, exp=NOW - seconds))
    early = mint(claims(iat=NOW + seconds, nbf=NOW + seconds))
    for token in (expired, early):
        if seconds < 60:
            assert verifier.verify(token).name == "alice"
        else:
            with pytest.raises(InvalidToken):
                verifier.verify(token)


def test_each_mode_refuses_the_tokens_of_the_other(cognito: Provider, settings: Any) -> None:
    from datetime import timedelta

    ours = make_token(make_user("admin"), timedelta(hours=1))
    refusal(call(ours), 401, "UNAUTHENTICATED")
    settings.PROVIDER = None
    assert call(ours).status_code == 200
    refusal(call(mint()), 401, "UNAUTHENTICATED")


def test_no_token_reaches_the_log(cognito: Provider, caplog: pytest.LogCaptureFixture) -> None:
    token = mint(claims(aud="another-client"))
    call(token)
    call(mint())
    assert "another audience" in caplog.text
    assert not any(piece in caplog.text for piece in token.split("."))


def test_a_public_test_key_is_refused_outside_of_tests(keys: Keys) -> None:
    keys.keys = [jwk("dummy"), jwk()]
    token = mint(key=private_key("dummy"), kid="dummy")
    with pytest.raises(InvalidToken, match="unknown kid"):
        Verifier(keys.provider(), KeySet(keys.url)).verify(token)
    assert Verifier(keys.provider(), KeySet(keys.url, accept_known_keys=True)).verify(token).name == "alice"


def test_it_costs_less_than_a_millisecond(keys: Keys) -> None:
    verifier, token = Verifier(keys.provider(), KeySet(keys.url)), mint()
    verifier.verify(token)
    times = []
    for _ in range(500):
        began = time.thread_time()
        verifier.verify(token)
        times.append(time.thread_time() - began)
    times.sort()
    print(f"verification: p50 {times[250] * 1e6:.0f} µs, p99 {times[495] * 1e6:.0f} µs")
    assert is_quick(times[250], 0.001, time.thread_time)


def test_the_library_agrees_that_the_good_one_is_good(keys: Keys) -> None:
    key = jwt.PyJWK(jwk())
    assert jwt.decode(mint(), key, algorithms=["RS256"], audience=CLIENT, issuer=ISSUER)["email"] == "alice@example.com"
