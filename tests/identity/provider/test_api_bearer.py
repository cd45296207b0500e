"""The API in Cognito mode, with tokens that moto's Cognito mints: who somebody is, and what that person may do."""

import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from django.contrib.auth.models import User
from django.test import Client

from identity.models import Identity
from identity.provider.cognito import Provider
from identity.provider.id_token import InvalidToken, verifier
from tests.identity.provider.minting import Keys, claims, mint
from tests.support.api_client import answer, make_user, refusal

PASSWORD = "Correct-horse-battery-1"
BODY = {"groupName": "", "region": "us-east-1", "sourceServerIds": ["s-1"]}


def call(token: str, method: str = "GET", path: str = "/executions", body: Any = None) -> Any:
    return Client(raise_request_exception=False).generic(
        method, f"/api/v1{path}", body or b"", "application/json", headers={"Authorization": f"Bearer {token}"}
    )


class Pool:
    """A user pool of moto with our app client in it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cognito: Any = boto3.client("cognito-idp", region_name="us-east-1", endpoint_url=url)
        self.id = self.cognito.create_user_pool(PoolName="console")["UserPool"]["Id"]
        self.client_id = self.new_client()

    def new_client(self) -> str:
        made = self.cognito.create_user_pool_client(
            UserPoolId=self.id,
            ClientName="api",
            ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
            ReadAttributes=["email", "email_verified"],
        )
        return str(made["UserPoolClient"]["ClientId"])

    def add(self, name: str, *groups: str) -> None:
        attributes = [
            {"Name": "email", "Value": f"{name}@example.com"},
            {"Name": "email_verified", "Value": "true"},
        ]
        self.cognito.admin_create_user(UserPoolId=self.id, Username=name, UserAttributes=attributes)
        self.cognito.admin_set_user_password(UserPoolId=self.id, Username=name, Password=PASSWORD, Permanent=True)
        for group in groups:
            self.cognito.create_group(UserPoolId=self.id, GroupName=group)
            self.cognito.admin_add_user_to_group(UserPoolId=self.id, Username=name, GroupName=group)

    def tokens(self, name: str, client_id: str = "") -> Any:
        return self.cognito.initiate_auth(
            ClientId=client_id or self.client_id,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": name, "PASSWORD": PASSWORD},
        )["AuthenticationResult"]

    def provider(self, keys: Keys, **changes: Any) -> Provider:
        settings = {
            "issuer": f"https://cognito-idp.us-east-1.amazonaws.com/{self.id}",
            "jwks_url": f"{self.url}/{self.id}/.well-known/jwks.json",
            "client_id": self.client_id,
            "is_test": True,
        }
        return keys.provider(**settings | changes)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    from moto.server import ThreadedMotoServer  # not above: every process that collects tests would wait for it

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def pool(moto: str, keys: Keys, cognito: Provider, settings: Any) -> Pool:
    made = Pool(moto)
    settings.PROVIDER = made.provider(keys)
    return made


def test_a_token_of_cognito_opens_the_api_with_the_rights_of_its_groups(pool: Pool) -> None:
    pool.add("alice", "drsorch-operator", "somebody-elses-group")
    token = pool.tokens("alice")["IdToken"]
    assert answer(call(token))["items"] == []
    may_not = refusal(call(token, "DELETE"), 403, "FORBIDDEN")
    assert may_not == {"right": "executions.delete_execution"}
    assert refusal(call(token, "POST", f"/executions/{uuid.uuid4()}/cancel"), 404, "NOT_FOUND")
    user = Identity.objects.get().user
    assert user.email == "alice@example.com"
    assert not user.has_usable_password()
    assert not user.is_staff


def test_a_group_that_was_taken_away_is_gone_with_the_next_token(pool: Pool) -> None:
    pool.add("alice", "drsorch-admin")
    old = pool.tokens("alice")["IdToken"]
    assert answer(call(old, "DELETE"))["deletedCount"] == 0
    pool.cognito.admin_remove_user_from_group(UserPoolId=pool.id, Username="alice", GroupName="drsorch-admin")
    refusal(call(pool.tokens("alice")["IdToken"], "DELETE"), 403, "FORBIDDEN")


def test_an_access_token_and_a_token_for_another_client_are_refused(pool: Pool) -> None:
    pool.add("alice", "drsorch-admin")
    refusal(call(pool.tokens("alice")["AccessToken"]), 401, "UNAUTHENTICATED")
    other = pool.new_client()
    refusal(call(pool.tokens("alice", other)["IdToken"]), 401, "UNAUTHENTICATED")


def test_the_command_line_has_a_client_of_its_own(cognito: Provider, keys: Keys, settings: Any) -> None:
    token = mint(claims(aud="drsorch"))
    refusal(call(token), 401, "UNAUTHENTICATED")
    settings.PROVIDER = keys.provider(cli_client_id="drsorch")
    assert call(token).status_code == 200
    refusal(call(token, "DELETE"), 403, "FORBIDDEN")  # its groups are an operator's
    assert call(mint()).status_code == 200
    with pytest.raises(InvalidToken, match="audience"):  # the console takes its own client's alone
        verifier(settings.PROVIDER).verify(token)
    told = {"signIn": "oidc", "issuer": cognito.issuer, "clientId": "drsorch", "scope": "openid email profile"}
    assert Client().get("/.well-known/drsorch").json() == told
    settings.PROVIDER = None
    assert Client().get("/.well-known/drsorch").json() == {"signIn": "local"}


def test_motos_published_key_opens_nothing_outside_of_tests(pool: Pool, keys: Keys, settings: Any) -> None:
    pool.add("alice", "drsorch-admin")
    settings.PROVIDER = pool.provider(keys, is_test=False)
    refusal(call(pool.tokens("alice")["IdToken"]), 401, "UNAUTHENTICATED")


def test_a_disabled_user_is_refused(cognito: Provider) -> None:
    assert call(mint()).status_code == 200
    User.objects.update(is_active=False)
    refusal(call(mint()), 401, "UNAUTHENTICATED")


def test_a_user_is_a_subject_of_an_issuer_never_an_address(cognito: Provider) -> None:
    local = make_user("admin")
    local.email = "alice@example.com"
    local.save()
    for subject in ("one", "two", "one"):
        refusal(call(mint(claims(sub=subject)), "DELETE"), 403, "FORBIDDEN")
    call(mint(claims(sub="one", email="renamed@example.com")))
    assert Identity.objects.count() == 2
    assert not Identity.objects.filter(user=local).exists()


def test_somebody_without_a_group_of_ours_has_the_default_role(cognito: Provider, settings: Any) -> None:
    token = mint(claims(**{"cognito:groups": None}))
    assert call(token).status_code == 200
    refusal(call(token, "DELETE"), 403, "FORBIDDEN")
    settings.DEFAULT_ROLE = "admin"
    assert call(token, "DELETE").status_code == 200


def test_a_good_token_asks_one_question_about_its_user(cognito: Provider, django_assert_max_num_queries: Any) -> None:
    token = mint()
    call(token)
    with django_assert_max_num_queries(4):
        assert call(token).status_code == 200


def test_it_says_when_the_provider_is_silent_instead_of_blaming_the_token(cognito: Provider, keys: Keys) -> None:
    keys.status = 503
    response = call(mint())
    refusal(response, 401, "UNAUTHENTICATED")
    assert "does not answer" in response.json()["message"]
