"""Sign-in with a password of ours: five tries, rules for passwords, and none of it in Cognito mode."""

from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client, override_settings

from audit.models import AuditEntry
from identity.provider.cognito import Provider
from tests.support.api_client import Api, make_user

PASSWORD = "correct-horse-battery"


@pytest.fixture
def user(db: None) -> User:
    return make_user("viewer")


def attempt(name: str, password: str, address: str = "192.0.2.1") -> Any:
    return Client().post("/sign-in", {"username": name, "password": password}, REMOTE_ADDR=address)


def outcomes() -> list[str]:
    return list(AuditEntry.objects.filter(verb="session.start").order_by("pk").values_list("outcome", flat=True))


def test_five_wrong_tries_close_the_door_for_a_quarter_of_an_hour(user: User) -> None:
    name = user.username
    assert [attempt(name, "wrong").status_code for _ in range(4)] == [422] * 4
    fifth = attempt(name, "wrong")
    assert fifth.status_code == 429
    assert fifth["Retry-After"] == "900"
    assert "Too many failed attempts" in fifth.content.decode()
    assert attempt(name, PASSWORD).status_code == 429
    assert attempt(name, PASSWORD, "192.0.2.2").status_code == 302  # nobody locks an administrator out from elsewhere
    assert attempt(make_user().username, PASSWORD).status_code == 302
    AccessAttempt.objects.update(attempt_time=AccessAttempt.objects.get().attempt_time - timedelta(minutes=16))
    assert attempt(name, PASSWORD).status_code == 302
    assert outcomes() == ["password"] * 4 + ["locked"] + ["ok"] * 3


def test_behind_a_proxy_the_door_closes_for_the_client_not_for_the_proxy(user: User) -> None:
    def behind_proxy(client: str, password: str) -> int:
        form = {"username": user.username, "password": password}
        return int(Client().post("/sign-in", form, headers={"X-Forwarded-For": f"10.0.0.1, {client}"}).status_code)

    with override_settings(TRUSTED_PROXY=True):
        assert [behind_proxy("198.51.100.9", "wrong") for _ in range(5)] == [422] * 4 + [429]
        assert AccessAttempt.objects.get().ip_address == "198.51.100.9"
        assert behind_proxy("198.51.100.10", PASSWORD) == 302


def test_a_good_sign_in_forgets_the_wrong_ones(user: User) -> None:
    for _ in range(3):
        assert [attempt(user.username, "wrong").status_code for _ in range(4)] == [422] * 4
        assert attempt(user.username, PASSWORD).status_code == 302


def test_an_administrator_can_open_the_door(user: User) -> None:
    for _ in range(5):
        attempt(user.username, "wrong")
    call_command("axes_reset", verbosity=0)
    assert attempt(user.username, PASSWORD).status_code == 302


def test_a_password_in_the_wrong_field_stays_out_of_the_journal(db: None) -> None:
    attempt("my-secret-password", "x")
    entry = AuditEntry.objects.get()
    assert entry.actor == "unknown"
    assert entry.refused


def test_a_sign_in_makes_a_new_session(user: User, settings: Any) -> None:
    client = Client()
    client.cookies[settings.SESSION_COOKIE_NAME] = "a" * 32
    client.post("/sign-in", {"username": user.username, "password": PASSWORD})
    assert client.cookies[settings.SESSION_COOKIE_NAME].value != "a" * 32


@pytest.mark.parametrize("password", ["short-one-1", "password1234", "planner-1@example.com"])
def test_weak_passwords_are_refused(db: None, password: str) -> None:
    with pytest.raises(ValidationError):
        validate_password(password, User(username="planner-1", email="planner-1@example.com"))


@pytest.mark.parametrize("role", ["viewer", "admin"])
def test_everybody_can_change_their_password_and_must_know_the_old_one(db: None, role: str) -> None:
    user = make_user(role)
    here, elsewhere = Client(), Client()
    for each in (here, elsewhere):
        each.post("/sign-in", {"username": user.username, "password": PASSWORD})
    api, new = Api(user), "a-longer-and-better-passphrase"
    assert "/settings/password" in here.get("/settings").content.decode()

    def change(old: str, first: str, second: str) -> int:
        sent = {"old_password": old, "new_password1": first, "new_password2": second}
        return int(here.post("/settings/password", sent).status_code)

    assert change("wrong", new, new) == change(PASSWORD, new, new + "x") == change(PASSWORD, "short", "short") == 422
    assert api.get("/executions").status_code == 200
    assert change(PASSWORD, new, new) == 302
    assert here.get("/session").status_code == 204
    assert elsewhere.get("/session").status_code == 302
    assert api.get("/executions").status_code == 401
    assert attempt(user.username, PASSWORD).status_code == 422
    entries = AuditEntry.objects.filter(verb="user.password").order_by("pk")
    assert [each.outcome for each in entries] == ["VALIDATION_ERROR"] * 3 + ["ok"]
    assert entries[3].subject_id == str(user.pk)
    kept = str(list(AuditEntry.objects.values()))
    assert new not in kept
    assert PASSWORD not in kept


def test_there_are_no_passwords_to_change_in_cognito_mode(cognito: Provider, client: Client) -> None:
    client.force_login(make_user("admin"), "identity.provider.oidc.CognitoBackend")
    assert client.get("/settings/password").status_code == 404
    assert client.post("/settings/password", {}).status_code == 404
    assert "/settings/password" not in client.get("/settings").content.decode()
    assert client.get("/admin/password_change/", follow=True).status_code == 404


def test_long_passwords_are_allowed(db: None) -> None:
    validate_password("wonderful weather in the mountains, " * 3)


def test_nobody_can_sign_in_to_a_fresh_installation(db: None) -> None:
    assert not User.objects.exists()


@pytest.mark.parametrize("path", ["/oidc/authenticate", "/oidc/callback?code=a&state=b"])
def test_there_is_no_provider_in_local_mode(db: None, client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_passwords_open_nothing_in_cognito_mode(cognito: Provider, user: User, client: Client) -> None:
    for path in ("/sign-in", "/sign-in?next=/admin/"):
        page = client.post(path, {"username": user.username, "password": PASSWORD})
        assert page.status_code == 200
        assert 'type="password"' not in page.content.decode()
    assert not client.login(username=user.username, password=PASSWORD)
    assert client.get("/executions").status_code == 302


def test_a_session_of_local_mode_is_dead_in_cognito_mode(user: User, client: Client, request: Any) -> None:
    client.post("/sign-in", {"username": user.username, "password": PASSWORD})
    assert client.get("/session").status_code == 204
    request.getfixturevalue("cognito")
    assert client.get("/session").status_code == 302


def test_no_token_of_ours_is_made_in_cognito_mode(user: User, settings: Any) -> None:
    settings.AUTH_MODE = "cognito"
    with pytest.raises(CommandError, match="identity provider"):
        call_command("api_token", user=user.username)


def test_the_administration_has_no_door_of_its_own(client: Client, db: None) -> None:
    response = client.get("/admin/", follow=True)
    if response.status_code == 404:
        pytest.skip("there is no administration yet")
    assert response.redirect_chain[-1][0].startswith("/sign-in")
    inner = client.get("/admin/login/", follow=True)
    assert inner.status_code == 404 or inner.redirect_chain[-1][0].startswith("/sign-in")
