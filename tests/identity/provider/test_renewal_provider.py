"""A session asks a certified provider again when its ID token has expired; nothing of it is made up here."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from audit.models import AuditEntry
from identity.provider import refresh_tokens
from identity.provider.token_endpoint import Revoked, exchange
from tests.identity.conftest import use_provider
from tests.identity.provider import renewal_clock
from tests.identity.provider.hosted_client import CONSOLE, grant, sign_in
from tests.identity.provider.hosted_pages import HostedPages, hosted_pages
from tests.identity.provider.renewal_clock import after

POLL = {"X-Background": "1", "HX-Request": "true", "HX-Current-URL": "http://testserver/executions"}
LIFE_OF_A_TOKEN = 61


@pytest.fixture(scope="module")
def pages() -> Iterator[HostedPages]:
    with hosted_pages(CONSOLE) as running:
        yield running


@pytest.fixture
def hosted(pages: HostedPages, settings: Any, db: None) -> HostedPages:
    use_provider(settings, pages.provider())
    renewal_clock.put_in(settings)
    pages.control(fault="", tokenRequests=0, groups={"alice": ["drsorch-admin"]}, disabled=[], rotate=False)
    return pages


def roles() -> list[str]:
    return sorted(User.objects.get().groups.values_list("name", flat=True))


@pytest.mark.parametrize("rotate", [False, True])
def test_a_group_that_was_taken_away_is_gone_with_the_renewal(
    client: Client, hosted: HostedPages, rotate: bool
) -> None:
    hosted.control(rotate=rotate)
    sign_in(client)
    assert roles() == ["admin"]
    first = refresh_tokens.unseal(grant())
    hosted.control(groups={"alice": ["drsorch-operator"]})
    after(59)
    assert client.get("/session", headers=POLL).status_code == 204
    assert roles() == ["admin"]
    assert hosted.control()["tokenRequests"] == 1

    after(LIFE_OF_A_TOKEN)
    assert client.get("/protection-groups/new").status_code == 403  # the first request after that already
    assert roles() == ["operator"]
    assert not User.objects.get().is_staff
    entry = AuditEntry.objects.get(verb="session.renew")
    assert (entry.before, entry.after) == ({"roles": ["admin"]}, {"roles": ["operator"]})
    assert (refresh_tokens.unseal(grant()) != first) is rotate

    hosted.control(groups={"alice": ["drsorch-planner"]})
    after(2 * LIFE_OF_A_TOKEN)
    assert client.get("/session", headers=POLL).status_code == 204
    assert roles() == ["planner"]  # also with the token that the renewal brought
    assert hosted.control()["tokenRequests"] == 3


def test_whom_the_provider_disables_is_out(client: Client, hosted: HostedPages) -> None:
    sign_in(client)
    hosted.control(disabled=["alice"])
    after(LIFE_OF_A_TOKEN)
    answer = client.get("/session", headers=POLL)
    assert answer.status_code == 401
    assert answer["X-Sign-In"] == "/sign-in?next=%2Fexecutions&expired=refused"
    assert "no longer confirms" in client.get(answer["X-Sign-In"]).content.decode()
    assert client.get("/executions").status_code == 302
    entry = AuditEntry.objects.get(verb="session.expire")
    assert (entry.actor, entry.detail) == ("alice@example.com", {"reason": "refused"})


def test_a_sign_out_revokes_the_refresh_token(client: Client, hosted: HostedPages) -> None:
    sign_in(client)
    mine = refresh_tokens.unseal(grant())
    assert exchange(hosted.provider(), mine).id_token
    assert client.post("/sign-out")["Location"].startswith(f"{hosted.url}/logout?")
    with pytest.raises(Revoked):
        exchange(hosted.provider(), mine)


@pytest.mark.parametrize("fault", ["audience", "issuer", "expired", "use", "nonce", "signature"])
def test_a_token_that_is_not_good_ends_the_session(client: Client, hosted: HostedPages, fault: str) -> None:
    sign_in(client)
    hosted.control(fault=fault, groups={"alice": []})
    after(LIFE_OF_A_TOKEN)
    assert client.get("/executions")["Location"] == "/sign-in?next=%2Fexecutions&expired=untrusted"
    assert roles() == ["admin"]
    assert AuditEntry.objects.get(verb="session.expire").detail == {"reason": "untrusted"}
