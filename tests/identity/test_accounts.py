"""Accounts: an administrator switches one off, and it is out everywhere; what Cognito does not give, nobody has."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from audit.models import AuditEntry
from identity.models import Grant, Identity
from identity.provider.cognito import Provider
from identity.provider.id_token import verifier
from identity.provider.users import signed_in
from tests.identity.provider.minting import claims, mint
from tests.identity.provider.test_api_bearer import call
from tests.support.api_client import Api, make_user, refusal

ACCOUNTS = "/admin/auth/user/"
People = Callable[..., Client]


def claims_of(provider: Provider, **changes: Any) -> Any:
    return verifier(provider).verify(mint(claims(**changes)))


@pytest.fixture
def people(cognito: Provider) -> People:
    """`people("alice", "drsorch-admin")` is the browser of somebody whom the provider has let in."""

    def sign_in(name: str, *groups: str) -> Client:
        told = {"sub": name, "cognito:username": name, "email": f"{name}@example.com", "cognito:groups": [*groups]}
        client = Client()
        client.force_login(signed_in(claims_of(cognito, **told), cognito), "identity.provider.oidc.CognitoBackend")
        return client

    return sign_in


def account(name: str) -> User:
    return Identity.objects.get(subject=name).user


def choose(client: Client, action: str, user: User) -> str:
    sent = {"action": action, "_selected_action": [user.pk]}
    return str(client.post(ACCOUNTS, sent, follow=True).content.decode())


def last_entry(verb: str) -> AuditEntry:
    return AuditEntry.objects.filter(verb=verb).latest("id")


def test_an_administrator_of_cognito_mode_throws_somebody_out_at_once(people: People) -> None:
    admin, mallory = people("ada", "drsorch-admin"), people("mallory", "drsorch-recovery-manager")
    user, token = account("mallory"), mint(claims(sub="mallory"))
    Grant.objects.create(
        identity=user.identity, sealed_token="x", nonce="", made_at=timezone.now(), next_try_at=timezone.now()
    )
    assert mallory.get("/executions").status_code == 200
    assert call(token).status_code == 200
    assert not account("ada").is_superuser
    assert "switched off" in choose(admin, "switch_off", user)
    assert mallory.get("/executions")["Location"].startswith("/sign-in")
    refusal(call(token), 401, "UNAUTHENTICATED")
    assert not Grant.objects.exists()
    assert Session.objects.count() == 1  # the administrator's
    entry = last_entry("user.switch_off")
    assert (entry.actor, entry.subject_id, entry.refused) == ("ada@example.com", str(user.pk), False)
    assert (entry.before, entry.after) == ({"active": True}, {"active": False})
    assert entry.detail == {"changed": True, "endedSessions": 1}
    choose(admin, "switch_on", user)
    assert call(token).status_code == 200
    assert mallory.get("/executions").status_code == 302  # an ended session does not come back


def test_a_local_administrator_does_it_too_and_tokens_of_ours_are_refused(db: None) -> None:
    admin, user = Client(), make_user("operator")
    admin.force_login(make_user("admin"), "identity.auth.RoleBackend")
    api = Api(user)
    assert api.get("/executions").status_code == 200
    choose(admin, "switch_off", user)
    refusal(api.get("/executions"), 401, "UNAUTHENTICATED")


def test_nobody_else_may_and_nobody_locks_out_themselves_or_a_superuser(people: People) -> None:
    admin, manager = people("ada", "drsorch-admin"), people("mallory", "drsorch-recovery-manager")
    assert manager.post(ACCOUNTS, {"action": "switch_off"}).status_code == 302
    assert "your own account" in choose(admin, "switch_off", account("ada"))
    root = User.objects.create_superuser("root")
    assert "Only a superuser" in choose(admin, "switch_off", root)
    assert not User.objects.filter(is_active=False).exists()
    assert [last_entry("user.switch_off").outcome, last_entry("user.switch_off").refused] == ["FORBIDDEN", True]


def test_who_may_only_switch_sees_no_password_and_changes_nothing_else(people: People) -> None:
    admin, user = people("ada", "drsorch-admin"), make_user("viewer")
    page = admin.get(f"{ACCOUNTS}{user.pk}/change/")
    assert page.status_code == 200
    assert user.password not in page.content.decode()
    assert "algorithm" not in page.content.decode()
    assert admin.post(f"{ACCOUNTS}{user.pk}/change/", {"username": "x"}).status_code == 403
    assert admin.post(f"{ACCOUNTS}add/", {"username": "x"}).status_code == 403
    assert admin.post(f"{ACCOUNTS}{user.pk}/delete/", {"post": "yes"}).status_code == 403


def test_rights_given_here_end_with_the_next_sign_in(cognito: Provider, people: People) -> None:
    people("mallory", "drsorch-viewer")
    user = account("mallory")
    user.is_superuser = user.is_staff = True
    user.save()
    user.user_permissions.add(Permission.objects.get(codename="start_recovery"))
    people("mallory", "drsorch-viewer")
    user = account("mallory")
    assert (user.is_superuser, user.is_staff, user.user_permissions.count()) == (False, False, 0)


def test_rights_given_here_count_nothing_beside_a_token(people: People) -> None:
    people("mallory")
    user = account("mallory")
    User.objects.update(is_superuser=True)
    user.user_permissions.add(Permission.objects.get(codename="delete_execution"))
    token = mint(claims(sub="mallory", **{"cognito:groups": ["drsorch-viewer"]}))
    refusal(call(token, "DELETE"), 403, "FORBIDDEN")
    User.objects.update(is_superuser=False)
    refusal(call(token, "DELETE"), 403, "FORBIDDEN")


@pytest.mark.parametrize(
    ("verified", "shown"), [(True, True), ("true", True), (False, False), ("false", False), (None, False)]
)
def test_the_journal_names_a_subject_and_only_an_address_that_is_verified(
    people: People, cognito: Provider, verified: Any, shown: bool
) -> None:
    people("victim")
    told = {"sub": "mallory", "cognito:username": "mallory", "email": "victim@example.com", "email_verified": verified}
    call(mint(claims(**told)), "POST", "/protection-groups", b"{}")
    entry = AuditEntry.objects.latest("id")
    assert entry.actor_id == f"mallory at {cognito.issuer}"
    assert (entry.actor == "victim@example.com") is shown
    assert entry.actor.startswith("victim@" if shown else "mallory-")


def test_the_journal_names_a_local_account_by_its_number(db: None) -> None:
    user = make_user("viewer")
    Api(user).post("/protection-groups", {})
    assert AuditEntry.objects.get().actor_id == f"user {user.pk}"
