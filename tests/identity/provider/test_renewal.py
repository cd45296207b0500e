"""What a session does when the provider refuses it, is silent or lies; and that asking is nobody's activity."""

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client

from audit.actor import SYSTEM
from audit.models import AuditEntry
from identity import accounts
from identity.models import Grant
from identity.provider import token_endpoint
from tests.identity.conftest import use_provider
from tests.identity.provider import renewal_clock
from tests.identity.provider.hosted_client import begin, come_back, nonce_of, state_of
from tests.identity.provider.hosted_pages import free_port
from tests.identity.provider.minting import Keys
from tests.identity.provider.renewal_clock import after
from tests.identity.provider.token_stub import TokenStub, token_stub
from tests.support.api_client import refusal

POLL = {"X-Background": "1", "HX-Request": "true", "HX-Current-URL": "http://testserver/executions"}


@pytest.fixture
def stub(keys: Keys, settings: Any, db: None) -> Iterator[TokenStub]:
    with token_stub() as running:
        addresses = {"token_url": f"{running.url}/oauth2/token", "revoke_url": f"{running.url}/oauth2/revoke"}
        use_provider(settings, keys.provider(**addresses))
        renewal_clock.put_in(settings)
        yield running


def sign_in(browser: Client, stub: TokenStub, *, minutes_there: float | None = None) -> Client:
    address = begin(browser)
    stub.nonce = nonce_of(address)
    if minutes_there is not None:
        after(minutes_there)
    come_back(browser, f"http://testserver/oidc/callback?code=x&state={state_of(address)}")
    return browser


def poll(browser: Client) -> int:
    return browser.get("/session", headers=POLL).status_code


def roles() -> list[str]:
    return sorted(User.objects.get().groups.values_list("name", flat=True))


def reasons() -> list[str]:
    return [each.detail["reason"] for each in AuditEntry.objects.filter(verb="session.expire")]


def test_it_asks_as_at_the_sign_in_and_only_when_due(client: Client, stub: TokenStub) -> None:
    sign_in(client, stub)
    stub.renewed = {"exp": int(time.time()) + 30, "cognito:groups": ["drsorch-admin"]}
    after(59)
    assert poll(client) == 204
    assert not stub.renewals
    after(61)
    assert poll(client) == 204
    assert roles() == ["admin"]
    after(65)
    poll(client)  # that token has expired as well, but it was asked a moment ago
    assert [each["refresh_token"] for each in stub.renewals] == ["first-refresh-token"]
    after(67)
    poll(client)
    assert len(stub.renewals) == 2
    assert len(stub.authorization) == 1
    assert AuditEntry.objects.filter(verb="session.renew").count() == 1  # only a change is worth an entry


@pytest.mark.django_db(transaction=True)
def test_many_tabs_cause_one_request(client: Client, stub: TokenStub) -> None:
    sign_in(client, stub)
    stub.delay, stub.more = 0.5, {"refresh_token": "second-refresh-token"}
    after(61)
    seen: list[int] = []
    barrier = threading.Barrier(6)

    def tab() -> None:
        browser = Client()
        browser.cookies = client.cookies
        barrier.wait()
        seen.append(poll(browser))
        connection.close()

    tabs = [threading.Thread(target=tab) for _ in range(6)]
    for each in tabs:
        each.start()
    for each in tabs:
        each.join()
    assert seen == [204] * 6
    assert len(stub.renewals) == 1
    after(125)
    assert poll(client) == 204
    assert stub.renewals[1]["refresh_token"] == "second-refresh-token"


def test_renewals_are_no_activity(client: Client, stub: TokenStub) -> None:
    sign_in(client, stub)
    written = Session.objects.get().session_data
    for minute in range(0, 45, 5):
        after(61 + minute)
        after(minute, of_session=True)
        stub.renewed = {"exp": int(time.time())}
        assert poll(client) == 204
    assert len(stub.renewals) == 9
    assert Session.objects.get().session_data == written  # nor can it undo what a person did at the same time
    after(46, of_session=True)
    assert poll(client) == 401
    assert not Grant.objects.exists()
    assert AuditEntry.objects.get(verb="session.expire").detail == {}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, {"error": "slow_down"}),
        (400, {"error": "unauthorized_client"}),
        (302, b""),
        (200, b"<html>"),
        (200, b"[" * 9000),
        (200, {"access_token": "x"}),
    ],
)
def test_it_bears_with_answers_that_say_nothing_for_a_quarter_of_an_hour(
    client: Client, stub: TokenStub, status: int, body: Any
) -> None:
    sign_in(client, stub)
    stub.refuse(status, body)
    for minute in (61, 61.5, 62.5, 70, 75):
        after(minute)
        assert poll(client) == 204
    assert roles() == ["operator"]
    after(77)
    answer = client.get("/executions")
    assert answer["Location"] == "/sign-in?next=%2Fexecutions&expired=unconfirmed"
    assert "has given no valid response for 15 minutes" in client.get(answer["Location"]).content.decode()
    assert reasons() == ["unconfirmed"]


@pytest.mark.parametrize(("status", "body"), [(500, b""), (503, b"<html>"), (200, b" " * 70_000), (0, b"")])
def test_silence_throws_nobody_out_of_a_recovery(
    client: Client, stub: TokenStub, settings: Any, status: int, body: Any
) -> None:
    """The provider's region has failed; the people who recover it stay in until the session's own limits."""
    sign_in(client, stub)
    if status:
        stub.refuse(status, body)
    else:
        address = f"http://127.0.0.1:{free_port()}/oauth2/token"
        use_provider(settings, type(settings.PROVIDER)(**vars(settings.PROVIDER) | {"token_url": address}))
    for minute in (61, 77, 240, 700):
        after(minute)
        assert poll(client) == 204
    assert client.get("/executions").status_code == 200
    after(720, of_session=True)
    assert poll(client) == 401
    assert AuditEntry.objects.get(verb="session.expire").detail == {}


def test_a_refusal_after_silence_ends_it_at_once_and_so_does_an_administrator(client: Client, stub: TokenStub) -> None:
    browsers = [sign_in(each, stub) for each in (client, Client())]
    stub.refuse(503)
    after(300)
    assert [poll(each) for each in browsers] == [204] * 2
    stub.refuse(400, {"error": "invalid_grant"})
    after(302)
    assert poll(client) == 401
    stub.refuse(503)
    accounts.switch_off(actor=SYSTEM, user_id=User.objects.get().pk)
    assert poll(browsers[1]) == 401


def test_an_answer_ends_the_wait(client: Client, stub: TokenStub) -> None:
    sign_in(client, stub)
    stub.refuse(429)
    for minute in (61, 61.5, 61.9, 63, 75):
        after(minute)
        assert poll(client) == 204
    assert len(stub.renewals) == 3  # once a minute
    stub.recover()
    after(76.5)
    assert poll(client) == 204
    stub.refuse(429)
    after(140)
    assert poll(client) == 204  # another quarter of an hour
    after(154)
    assert poll(client) == 204
    after(156)
    assert poll(client) == 401


def test_nobody_there_is_no_reason_to_end_it_and_costs_little(client: Client, stub: TokenStub, settings: Any) -> None:
    browsers = [sign_in(each, stub) for each in (client, Client(), Client())]
    address = f"http://127.0.0.1:{free_port()}/oauth2/token"
    use_provider(settings, type(settings.PROVIDER)(**vars(settings.PROVIDER) | {"token_url": address}))
    after(61)
    assert [poll(each) for each in browsers] == [204] * 3
    assert Grant.objects.count() == 3


def test_it_waits_five_seconds_and_the_others_do_not(client: Client, stub: TokenStub) -> None:
    browsers = [sign_in(each, stub) for each in (client, Client())]
    stub.delay = 6.0
    after(61)
    began = time.monotonic()
    assert [poll(each) for each in browsers] == [204] * 2
    assert 4.9 < time.monotonic() - began < 9.5  # ten, if the second one waited, too
    assert len(stub.renewals) == 1


@pytest.mark.parametrize(
    "renewed",
    [
        {"sub": "somebody-else"},
        {"nonce": "another"},
        {"aud": "another-client"},
        {"iss": "https://x.example"},
        {"exp": 1},
    ],
)
def test_somebody_elses_token_ends_it_and_changes_nothing(
    client: Client, stub: TokenStub, renewed: dict[str, Any]
) -> None:
    sign_in(client, stub)
    stub.renewed = renewed | {"cognito:groups": ["drsorch-admin"]}
    after(61)
    assert client.post("/session").status_code == 302
    assert User.objects.count() == 1
    assert roles() == ["operator"]
    assert reasons() == ["untrusted"]


def test_a_refused_session_is_over_on_the_api_too(client: Client, stub: TokenStub) -> None:
    sign_in(client, stub)
    assert client.get("/api/v1/executions").status_code == 200
    stub.refuse(400, {"error": "invalid_grant"})
    after(61)
    refusal(client.get("/api/v1/executions"), 401, "UNAUTHENTICATED")
    assert not Session.objects.exists()
    assert reasons() == ["refused"]


def test_a_session_whose_grant_is_gone_is_over(client: Client, stub: TokenStub) -> None:
    sign_in(client, stub)
    Grant.objects.all().delete()
    assert poll(client) == 401
    assert not reasons()  # whoever took it away has said why


def test_without_a_refresh_token_nobody_is_asked(client: Client, stub: TokenStub) -> None:
    stub.refresh_token = None
    sign_in(client, stub)
    after(11 * 60)
    assert poll(client) == 204
    assert not stub.renewals
    assert not Grant.objects.exists()


def test_a_sign_out_succeeds_whatever_the_provider_does(client: Client, stub: TokenStub) -> None:
    sign_in(client, stub)
    after(61)
    stub.refuse(500)
    assert "/logout?" in client.post("/sign-out")["Location"]
    assert (stub.revoked, stub.renewals) == (["first-refresh-token"], [])
    assert not Session.objects.exists()
    assert not Grant.objects.exists()


def test_the_refresh_token_is_seen_nowhere(client: Client, stub: TokenStub, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    stub.refresh_token = "secret-that-nobody-may-see"
    sign_in(client, stub)
    after(61)
    stub.refuse(400, {"error": "unauthorized_client", "error_description": stub.refresh_token})
    shown = [client.get("/settings").content.decode(), str(client.cookies), caplog.text]
    stored = Session.objects.get()
    shown += [str(stored.get_decoded()), Grant.objects.values_list("sealed_token", flat=True)[0]]
    shown += [str(list(AuditEntry.objects.values())), repr(token_endpoint.Fresh("", stub.refresh_token))]
    assert len(stub.renewals) == 1
    assert "unauthorized_client" in caplog.text
    assert not [text for text in shown if stub.refresh_token in text]


def test_another_sign_in_leaves_nothing_of_the_first(client: Client, stub: TokenStub) -> None:
    sign_in(client, stub)
    stub.refuse(400, {"error": "invalid_grant"})
    sign_in(client, stub, minutes_there=61)  # whoever is on the way back is not asked about before
    assert Grant.objects.count() == 1
    assert not stub.renewals
    sign_in(Client(), stub)
    Grant.objects.update(made_at="2020-01-01T00:00:00Z")
    sign_in(Client(), stub)
    assert Grant.objects.count() == 1
