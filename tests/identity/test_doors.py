"""What strangers can do at the doors: little, and they cannot fill the journal, from which nothing is ever deleted."""

import ast
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client
from django.utils.module_loading import import_string
from django_q.models import Schedule

from audit.models import AuditEntry
from drsorch_site import health
from executions.tasks import ensure_schedule
from identity.provider.cognito import Provider
from identity.throttles import origin
from tests.security.test_throttles import rates
from tests.support.api_client import make_user


@pytest.fixture(autouse=True)
def unconfirmed_launches() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.mark.parametrize("behind_proxy", [False, True])
def test_an_address_that_knocks_too_often_is_turned_away(db: None, settings: Any, behind_proxy: bool) -> None:
    settings.TRUSTED_PROXY = behind_proxy

    def knock(address: str = "198.51.100.1", name: str = "x", **more: Any) -> Any:
        seen = {"headers": {"X-Forwarded-For": f"10.0.0.1, {address}"}} if behind_proxy else {"REMOTE_ADDR": address}
        return Client().post("/sign-in", {"username": name, "password": "x"}, **seen)

    with rates(door="3/min"):
        answers = [knock(name=f"name-{n}") for n in range(5)]
        assert [each.status_code for each in answers] == [422] * 3 + [429] * 2
        assert 1 <= int(answers[4]["Retry-After"]) <= 60
        assert "Too many attempts" in answers[4].content.decode()
        assert answers[4]["Content-Security-Policy"]
        assert knock("198.51.100.2").status_code == 422
    assert AuditEntry.objects.count() == 2  # names that nobody has: one a minute and address


def test_the_doors_to_the_provider_are_counted_too(cognito: Provider, client: Client) -> None:
    with rates(door="3/min"):
        found = [client.get("/oidc/callback?state=x&code=y").status_code for _ in range(2)]
        found += [client.get("/oidc/authenticate").status_code for _ in range(2)]
        assert found == [302, 302, 302, 429]
        assert client.get("/sign-in").status_code == 200
        assert client.get("/readyz").status_code != 429


def test_one_network_of_ipv6_is_one_address() -> None:
    assert origin("2001:db8::1") == origin("2001:db8::ffff:1") != origin("2001:db8:0:1::1")
    assert origin("192.0.2.1") != origin("192.0.2.2")
    for wrapped in (
        "::ffff:192.0.2.{}",
        "64:ff9b::192.0.2.{}",
        "::ffff:192.0.2.{}%eth0",
    ):  # strangers do not share a count
        assert [origin(wrapped.format(n)) for n in (1, 2)] == ["192.0.2.1", "192.0.2.2"]


def test_the_first_lock_is_in_the_journal_and_the_others_are_not(db: None) -> None:
    name = make_user().username
    for _ in range(8):
        Client().post("/sign-in", {"username": name, "password": "x"}, REMOTE_ADDR="198.51.100.7")
    found = AuditEntry.objects.order_by("id").values_list("outcome", flat=True)
    assert list(found) == ["password"] * 4 + ["locked"]


def test_a_callback_that_nobody_began_is_in_no_journal(cognito: Provider, client: Client) -> None:
    client.get("/oidc/authenticate")
    for _ in range(3):
        assert "why=state" in client.get("/oidc/callback?state=foreign&code=x")["Location"]
    assert not AuditEntry.objects.exists()
    (state,) = client.session["oidc_states"]
    assert "why=denied" in client.get(f"/oidc/callback?state={state}&error=access_denied")["Location"]
    assert AuditEntry.objects.get().outcome == "denied"


def test_old_sessions_go_by_themselves(db: None) -> None:
    kept, gone = SessionStore(), SessionStore()
    for each, seconds in ((kept, 60), (gone, -60)):
        each.set_expiry(seconds)
        each.save()
    ensure_schedule()
    task = Schedule.objects.get(name="clear expired sessions")
    assert (task.schedule_type, task.repeats) == (Schedule.HOURLY, -1)
    import_string(task.func)(*ast.literal_eval(f"({task.args},)"))
    assert [each.pk for each in Session.objects.all()] == [kept.session_key]


def test_readyz_is_looked_up_once_a_second(db: None, django_assert_num_queries: Any) -> None:
    health.latest.forget()
    first = Client().get("/readyz")
    health.latest.made_at = time.monotonic()  # a moment ago, however slow this machine is
    with django_assert_num_queries(0):
        again = Client().get("/readyz")
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    health.latest.made_at = before = time.monotonic() - 1.1
    Client().get("/readyz")
    assert health.latest.made_at > before


def test_a_door_is_closed_for_a_whole_network_of_ipv6(db: None) -> None:
    """Whoever has one address of IPv6 has as many as they like."""
    name = make_user("viewer").username

    def tries(network: str, number: int) -> int:
        return (
            Client()
            .post("/sign-in", {"username": name, "password": "x"}, REMOTE_ADDR=f"{network}::{number:x}")
            .status_code
        )

    assert [tries("2001:db8:1:1", number) for number in range(1, 7)] == [422] * 4 + [429] * 2
    assert tries("2001:db8:1:2", 1) == 422
