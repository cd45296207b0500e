"""Programs come in by tokens of their own: which ones do, what they may do, and what is kept of them."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from audit.actor import SYSTEM
from audit.models import AuditEntry
from contract.clock import db_clock
from contract.errors import Invalid
from identity.models import ServiceToken
from identity.programs import service_tokens
from identity.provider.cognito import Provider
from tests.console import world
from tests.support.api_client import Api, answer, make_user, refusal

pytestmark = [pytest.mark.both, pytest.mark.django_db]

TOKENS = "/api/v1/service-tokens"


def made(name: str = "nightly", role: str = "operator", days: int = 90) -> service_tokens.Made:
    return service_tokens.create(actor=SYSTEM, name=name, role=role, days=days)


def call(token: str, method: str = "GET", path: str = "/api/v1/recovery-plans", **data: Any) -> Any:
    sent: dict[str, Any] = {"data": data, "content_type": "application/json"} if data else {}
    client = Client(raise_request_exception=False)
    return getattr(client, method.lower())(path, headers={"Authorization": f"Bearer {token}"}, **sent)


def test_a_program_acts_under_its_name_and_in_its_role() -> None:
    run, token = world.paused(), made().token
    answer(call(token, "POST", f"/api/v1/executions/{run.pk}/cancel", comment="Too late."))
    entry = AuditEntry.objects.get(verb="execution.cancel")
    assert (entry.actor, entry.actor_kind, entry.refused) == ("service:nightly", "service", False)
    # An operator starts no recoveries and edits no plans: the same table as for people.
    details = refusal(call(token, "POST", "/api/v1/recovery-plans", planName="x"), 403, "FORBIDDEN")
    assert details == {"right": "plans.add_recoveryplan"}
    assert AuditEntry.objects.get(verb="plan.create", refused=True).actor == "service:nightly"


@pytest.mark.parametrize("how", ["wrong", "cut", "expired", "revoked", "switched off", "role removed", "as a session"])
def test_a_token_that_is_not_good_is_refused(how: str) -> None:
    new = made()
    token = {"wrong": service_tokens.PREFIX + "a" * 43, "cut": new.token[:-1]}.get(how, new.token)
    rows = ServiceToken.objects.filter(pk=new.row.pk)
    if how == "expired":
        rows.update(expires_at=db_clock())
    elif how == "revoked":
        service_tokens.revoke(actor=SYSTEM, token_id=new.row.pk)
    elif how == "switched off":
        User.objects.filter(pk=new.row.user_id).update(is_active=False)
    elif how == "role removed":
        rows.update(role="caretaker")
    elif how == "as a session":
        client = Client()
        client.force_login(new.row.user)  # as if somebody had given its account a password
        assert client.get("/").status_code == 302
        return
    assert "drsorch_" not in call(token).content.decode()
    refusal(call(token), 401, "UNAUTHENTICATED")
    assert rows.get().last_used_at is None


def test_it_is_one_indexed_query_and_its_use_is_noted_once_a_minute(django_assert_max_num_queries: Any) -> None:
    new = made()
    with django_assert_max_num_queries(3):  # the row and its account, the clock, the note of its use
        assert service_tokens.user_of(new.token)
    first = ServiceToken.objects.get().last_used_at
    with django_assert_max_num_queries(2):
        service_tokens.user_of(new.token)
    assert first == ServiceToken.objects.get().last_used_at
    service_tokens.user_of(new.token, clock=lambda: db_clock() + timedelta(seconds=61))
    later = ServiceToken.objects.get().last_used_at
    assert first
    assert later
    assert later > first


def test_only_its_hash_is_kept_and_it_can_be_replaced() -> None:
    old, new = made(), made(role="viewer")
    assert old.token != new.token
    assert old.row.user_id == new.row.user_id
    assert old.token not in str(list(ServiceToken.objects.values())) + str(list(AuditEntry.objects.values()))
    answer(call(old.token))
    # Each token has its own role, whatever the other one may.
    refusal(call(new.token, "POST", f"/api/v1/executions/{world.paused().pk}/cancel"), 403, "FORBIDDEN")


def test_no_program_makes_or_revokes_tokens() -> None:
    admin = made("terraform", "admin")
    refusal(call(admin.token, "POST", TOKENS, name="more", role="admin", days=366), 403, "FORBIDDEN")
    refusal(call(admin.token, "DELETE", f"{TOKENS}/{admin.row.pk}"), 403, "FORBIDDEN")
    assert [each["status"] for each in answer(call(admin.token, path=TOKENS))["items"]] == ["ACTIVE"]


def test_a_persons_account_is_never_taken_for_a_programs() -> None:
    User.objects.create_user("service:nightly", password="correct-horse-battery")
    with pytest.raises(Invalid, match="An account has this name"):
        made()
    with pytest.raises(CommandError, match="is a program"):
        call_command("api_token", "--user", made("other").row.user.username)


def test_an_administrator_makes_lists_and_revokes_them(admin: Api) -> None:
    body = answer(admin.post("/service-tokens", {"name": "nightly", "role": "operator", "days": 30}), 201)
    token = body.pop("token")
    assert len(token) == len("drsorch_") + 43
    answer(call(token))
    listed = answer(admin.get("/service-tokens"))["items"]
    assert [each | {"lastUsedTime": None} for each in listed] == [body]
    assert listed[0]["lastUsedTime"]
    gone = answer(admin.delete(f"/service-tokens/{body['tokenId']}"))
    assert (gone["status"], gone["revokedBy"]) == ("REVOKED", admin.user.email)
    refusal(call(token), 401, "UNAUTHENTICATED")
    fields = refusal(
        admin.post("/service-tokens", {"name": "Night ly", "role": "operator", "days": 30}), 400, "VALIDATION_ERROR"
    )
    assert list(fields["fields"]) == ["name"]
    refusal(admin.post("/service-tokens", {"name": "x", "role": "operator", "days": 367}), 400, "VALIDATION_ERROR")
    verbs = AuditEntry.objects.filter(subject_kind="service_token", refused=False).order_by("id")
    assert [each.verb for each in verbs] == ["service_token.create", "service_token.revoke"]


def test_the_page_shows_a_token_once() -> None:
    client = Client()
    client.force_login(make_user("admin"))
    assert "There are no tokens yet" in client.get("/settings/tokens").content.decode()
    page = client.post("/settings/tokens", {"name": "nightly", "role": "operator", "days": "30"}).content.decode()
    token = service_tokens.TOKEN.search(page)
    assert token
    answer(call(token[0]))
    row = ServiceToken.objects.get()
    listed = client.get("/settings/tokens").content.decode()
    assert "service:nightly" in listed
    assert token[0] not in listed
    assert "Use 1 to 366 days." in client.post("/settings/tokens", {"name": "x", "role": "viewer", "days": "400"}).text
    assert "from the next request on" in client.get(f"/settings/tokens/{row.pk}/revoke").content.decode()
    client.post(f"/settings/tokens/{row.pk}/revoke")
    refusal(call(token[0]), 401, "UNAUTHENTICATED")


def test_the_command_prints_one_that_works() -> None:
    out = StringIO()
    call_command("service_token", "--name", "nightly", "--role", "viewer", "--days", "7", stdout=out)
    answer(call(out.getvalue().strip()))
    with pytest.raises(CommandError, match="--days: Use 1 to 366 days"):
        call_command("service_token", "--name", "nightly", "--role", "viewer", "--days", "0", stdout=out)


def test_it_works_beside_an_identity_provider(cognito: Provider) -> None:
    answer(call(made().token))
    refusal(call(service_tokens.PREFIX + "a" * 43), 401, "UNAUTHENTICATED")
