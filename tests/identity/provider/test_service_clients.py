"""A client of the pool is a program: which of its access tokens come in, what they may do, and what is kept of it."""

import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from audit.actor import SYSTEM
from audit.models import AuditEntry
from contract.errors import Invalid
from identity.models import ServiceClient
from identity.programs import clients, service_tokens
from identity.provider.cognito import Provider
from tests.console import world
from tests.identity.provider.minting import CLIENT, ISSUER, Keys, mint, private_key
from tests.support.api_client import answer, make_user, refusal

pytestmark = [pytest.mark.both, pytest.mark.django_db]

PIPELINE = "5pipeline0client"
SCOPE = "drsorch/use"
PERSON = "11111111-2222-3333-4444-555555555555"


def access(**changes: Any) -> dict[str, Any]:
    """What Cognito puts into the token of a client that asked for itself; None takes a claim away."""
    moment = int(time.time())
    good = {
        "sub": PIPELINE,
        "token_use": "access",
        "scope": f"other/read {SCOPE}",
        "auth_time": moment,
        "iss": ISSUER,
        "exp": moment + 3600,
        "iat": moment,
        "version": 2,
        "jti": "a1b2c3",
        "client_id": PIPELINE,
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def call(token: str, method: str = "GET", path: str = "/recovery-plans", **data: Any) -> Any:
    sent: dict[str, Any] = {"data": data, "content_type": "application/json"} if data else {}
    client = Client(raise_request_exception=False)
    return getattr(client, method.lower())(f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"}, **sent)


@pytest.fixture
def row(cognito: Provider) -> ServiceClient:
    return clients.create(actor=SYSTEM, client_id=PIPELINE, name="pipeline", role="operator", scope=SCOPE)


def test_a_client_acts_as_its_program_in_its_role(row: ServiceClient) -> None:
    run, token = world.paused(), mint(access())
    answer(call(token, "POST", f"/executions/{run.pk}/cancel", comment="Too late."))
    entry = AuditEntry.objects.get(verb="execution.cancel")
    assert (entry.actor, entry.actor_kind) == ("service:pipeline", "service")
    assert refusal(call(token, "POST", "/recovery-plans", planName="x"), 403, "FORBIDDEN") == {
        "right": "plans.add_recoveryplan"
    }
    assert ServiceClient.objects.get().last_used_at
    # One name is one program, whatever it shows: the same account, and no way in to the console.
    other = service_tokens.create(actor=SYSTEM, name="pipeline", role="viewer", days=1)
    assert other.row.user_id == row.user_id
    browser = Client()
    browser.force_login(row.user, backend="identity.auth.RoleBackend")
    assert browser.get("/").status_code == 302


BAD = {
    "forged": mint(access(), key=private_key("stranger")),
    "expired": mint(access(iat=int(time.time()) - 7200, exp=int(time.time()) - 3600)),
    "without an end": mint(access(exp=None)),
    "of another pool": mint(access(iss=ISSUER + "x")),
    "for another audience": mint(access(aud="https://api.example.com")),
    "as an ID token": mint(access(token_use="id")),
    "as an ID token for its client": mint(access(token_use="id", aud=PIPELINE)),
    "without a use": mint(access(token_use=None)),
    "of a client that nobody has named": mint(access(sub="6other", client_id="6other")),
    "of a person through the same client": mint(access(sub=PERSON, username=PERSON, scope=f"openid {SCOPE}")),
    "of a person, without the name": mint(access(sub=PERSON)),
    "with groups": mint(access(**{"cognito:groups": ["drsorch-admin"]})),
    "of the console's client": mint(access(sub=CLIENT, client_id=CLIENT)),
    "without its scope": mint(access(scope="drsorch/users other/read")),
    "without any scope": mint(access(scope=None)),
    "with scopes as a list": mint(access(scope=[SCOPE])),
    "with a client as a list": mint(access(client_id=[PIPELINE])),
}


@pytest.mark.parametrize("name", BAD)
def test_a_token_that_is_not_of_the_client_itself_is_refused(row: ServiceClient, name: str) -> None:
    refusal(call(BAD[name]), 401, "UNAUTHENTICATED")
    assert ServiceClient.objects.get().last_used_at is None


@pytest.mark.parametrize("how", ["revoked", "switched off", "role removed", "the pool is another"])
def test_a_client_that_may_no_more_is_refused(row: ServiceClient, how: str, settings: Any, keys: Keys) -> None:
    token = mint(access())
    answer(call(token))
    if how == "revoked":
        clients.revoke(actor=SYSTEM, client_id=row.pk)
    elif how == "switched off":
        User.objects.filter(pk=row.user_id).update(is_active=False)
    elif how == "role removed":
        ServiceClient.objects.update(role="caretaker")
    else:
        settings.PROVIDER = keys.provider(issuer=ISSUER + "x")
        token = mint(access(iss=ISSUER + "x"))
    refusal(call(token), 401, "UNAUTHENTICATED")


def test_no_program_approves_a_gate_or_lets_others_in(cognito: Provider) -> None:
    admin = clients.create(actor=SYSTEM, client_id=PIPELINE, name="terraform", role="admin")
    token = mint(access(scope=None))  # no scope is asked for
    new = {"clientId": "7more", "name": "more", "role": "admin"}
    refusal(call(token, "POST", "/service-clients", **new), 403, "FORBIDDEN")
    refusal(call(token, "DELETE", f"/service-clients/{admin.pk}"), 403, "FORBIDDEN")
    refusal(call(token, "POST", "/service-tokens", name="more", role="admin", days=1), 403, "FORBIDDEN")
    assert [each["clientId"] for each in answer(call(token, path="/service-clients"))["items"]] == [PIPELINE]
    entry = AuditEntry.objects.filter(verb="service_client.create", refused=True).get()
    assert entry.actor == "service:terraform"


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("clientId", {"client_id": CLIENT}),
        ("clientId", {"client_id": "a b"}),
        ("clientId", {"client_id": PIPELINE}),
        ("name", {"name": "Night ly"}),
        ("name", {"name": "schedule"}),
        ("role", {"role": "owner"}),
        ("scope", {"scope": "two scopes"}),
    ],
)
def test_what_cannot_be_a_program_is_said_by_field(row: ServiceClient, field: str, given: dict[str, str]) -> None:
    good: dict[str, Any] = {"client_id": "8new", "name": "new", "role": "viewer", "scope": ""}
    with pytest.raises(Invalid) as told:
        clients.create(actor=SYSTEM, **good | given)
    assert list(told.value.fields) == [field]


def test_without_a_provider_there_are_none(db: None) -> None:
    with pytest.raises(Invalid, match="no identity provider"):
        clients.create(actor=SYSTEM, client_id="8new", name="new", role="viewer")
    browser = Client()
    browser.force_login(make_user("admin"))
    assert "Clients of the identity provider" not in browser.get("/settings/tokens").text
    assert browser.get("/settings/clients").status_code == 404


def test_an_administrator_adds_and_revokes_one_on_the_page(cognito: Provider) -> None:
    browser = Client()
    browser.force_login(make_user("admin"), backend="identity.provider.oidc.CognitoBackend")
    assert "No client of the identity provider is a program" in browser.get("/settings/tokens").text
    asked = {"client_id": PIPELINE, "name": "pipeline", "role": "viewer", "scope": SCOPE}
    assert "without spaces" in browser.post("/settings/clients", asked | {"client_id": "a b"}).text
    assert browser.post("/settings/clients", asked).status_code == 302
    answer(call(mint(access())))
    listed = browser.get("/settings/tokens").text
    assert PIPELINE in listed
    row = ServiceClient.objects.get()
    assert "from the next request on" in browser.get(f"/settings/clients/{row.pk}/revoke").text
    browser.post(f"/settings/clients/{row.pk}/revoke")
    refusal(call(mint(access())), 401, "UNAUTHENTICATED")
    # It can be another program afterwards.
    clients.create(actor=SYSTEM, client_id=PIPELINE, name="other", role="viewer")
    answer(call(mint(access())))
