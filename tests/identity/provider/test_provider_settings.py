"""A missing or unsafe setting stops the start with one sentence that names it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from identity.provider.cognito import WrongSetting, read_provider

NAMES = ("REGION", "USER_POOL_ID", "CLIENT_ID", "CLIENT_SECRET", "CLI_CLIENT_ID", "DOMAIN")
ADDRESSES = ("ISSUER", "JWKS_URL", "AUTHORIZE_URL", "TOKEN_URL", "LOGOUT_URL", "REVOKE_URL")
GOOD = dict.fromkeys((f"COGNITO_{name}" for name in (*NAMES, *ADDRESSES)), "") | {
    "COGNITO_REGION": "eu-west-1",
    "COGNITO_USER_POOL_ID": "eu-west-1_Ab12Cd34E",
    "COGNITO_CLIENT_ID": "7lkj3client",
    "COGNITO_CLIENT_SECRET": "secret",
    "COGNITO_DOMAIN": "console.auth.eu-west-1.amazoncognito.com",
}


def test_a_pool_and_its_domain_give_all_addresses() -> None:
    provider = read_provider(GOOD, {}, is_test=False)
    pool = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12Cd34E"
    domain = "https://console.auth.eu-west-1.amazoncognito.com"
    assert provider.issuer == pool
    assert provider.jwks_url == f"{pool}/.well-known/jwks.json"
    assert provider.authorize_url == f"{domain}/oauth2/authorize"
    assert provider.token_url == f"{domain}/oauth2/token"
    assert provider.logout_url == f"{domain}/logout"
    assert provider.revoke_url == f"{domain}/oauth2/revoke"
    assert provider.form_origins == [domain]
    assert provider.roles(("x", "drsorch-recovery-manager", "drsorch-viewer")) == ("viewer", "recovery-manager")


def test_the_names_of_the_groups_can_be_others() -> None:
    provider = read_provider(GOOD, {"DR-Admins": "admin", "DR-Ops": "operator", "On-Call": "operator"}, is_test=False)
    assert provider.roles(("On-Call",)) == ("operator",)
    assert provider.roles(("drsorch-admin", "DR-Ops ", "dr-ops")) == ()


@pytest.mark.parametrize(
    ("changed", "value", "named"),
    [
        ("COGNITO_CLIENT_ID", "", "COGNITO_CLIENT_ID"),
        ("COGNITO_CLIENT_ID", "one,two", "COGNITO_CLIENT_ID"),
        ("COGNITO_CLI_CLIENT_ID", "one two", "COGNITO_CLI_CLIENT_ID"),
        ("COGNITO_CLI_CLIENT_ID", "7lkj3client", "COGNITO_CLI_CLIENT_ID"),
        ("COGNITO_CLIENT_SECRET", "", "COGNITO_CLIENT_SECRET"),
        ("COGNITO_DOMAIN", "", "COGNITO_DOMAIN"),
        ("COGNITO_DOMAIN", "auth.example.com/login", "COGNITO_DOMAIN"),
        ("COGNITO_DOMAIN", "http://auth.example.com", "COGNITO_AUTHORIZE_URL"),
        ("COGNITO_USER_POOL_ID", "", "COGNITO_USER_POOL_ID"),
        ("COGNITO_USER_POOL_ID", "a pool", "COGNITO_USER_POOL_ID"),
        ("COGNITO_REGION", "us-east-1", "COGNITO_REGION"),
        ("COGNITO_ISSUER", "http://issuer.example.com", "COGNITO_ISSUER"),
        ("COGNITO_JWKS_URL", "http://127.0.0.1:5055/pool/jwks.json", "COGNITO_JWKS_URL"),
        ("COGNITO_JWKS_URL", "file:///etc/keys", "COGNITO_JWKS_URL"),
        ("COGNITO_JWKS_URL", "https://user@example.com/jwks.json", "COGNITO_JWKS_URL"),
        ("COGNITO_TOKEN_URL", "ftp://example.com", "COGNITO_TOKEN_URL"),
        ("COGNITO_LOGOUT_URL", "https://example.com/logout#a", "COGNITO_LOGOUT_URL"),
        ("COGNITO_REVOKE_URL", "http://example.com/revoke", "COGNITO_REVOKE_URL"),
        ("COGNITO_AUTHORIZE_URL", "auth.example.com", "COGNITO_AUTHORIZE_URL"),
    ],
)
def test_it_names_what_is_wrong(changed: str, value: str, named: str) -> None:
    with pytest.raises(WrongSetting, match=f'"{named}"') as caught:
        read_provider(GOOD | {changed: value}, {}, is_test=False)
    assert "\n" not in str(caught.value)


def test_http_is_for_tests_on_this_machine_only() -> None:
    local = {"COGNITO_JWKS_URL": "http://127.0.0.1:5055/pool/jwks.json"}
    assert read_provider(GOOD | local, {}, is_test=True).jwks_url == local["COGNITO_JWKS_URL"]
    with pytest.raises(WrongSetting, match="COGNITO_JWKS_URL"):
        read_provider(GOOD | {"COGNITO_JWKS_URL": "http://192.0.2.1/jwks.json"}, {}, is_test=True)


def test_only_roles_of_ours_can_be_given() -> None:
    with pytest.raises(WrongSetting, match="DRSORCH_ROLE_GROUPS"):
        read_provider(GOOD, {"everybody": "superuser"}, is_test=False)


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    show = "from django.conf import settings; print(settings.PROVIDER.client_secret, settings.CONTENT_SECURITY_POLICY)"
    return subprocess.run(
        [sys.executable, "-c", show], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_a_process_starts_with_a_secret_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from-a-file\n")
    given = {name: value for name, value in GOOD.items() if value and name != "COGNITO_CLIENT_SECRET"}
    started = start(DRSORCH_AUTH="cognito", COGNITO_CLIENT_SECRET_FILE=str(secret), **given)
    assert started.stdout.startswith("from-a-file "), started.stderr
    assert "https://console.auth.eu-west-1.amazoncognito.com" in started.stdout


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, '"COGNITO_USER_POOL_ID" not set'),
        ({"COGNITO_CLIENT_SECRET_FILE": "/nowhere/secret"}, "COGNITO_CLIENT_SECRET_FILE"),
        ({"DRSORCH_AUTH": "both"}, '"DRSORCH_AUTH" invalid'),
        ({"COGNITO_TEST_MODE": "perhaps"}, '"COGNITO_TEST_MODE" invalid'),
    ],
)
def test_a_process_does_not_start_half_configured(environment: dict[str, str], named: str) -> None:
    stopped = start(**{"DRSORCH_AUTH": "cognito"} | environment)
    assert stopped.returncode != 0
    last = stopped.stderr.strip().splitlines()[-1]
    assert last.startswith("django.core.exceptions.ImproperlyConfigured")
    assert named in last
