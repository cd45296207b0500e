"""Where the identity provider is, and which of its groups gives which role. Judged once, when the settings are read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from identity.roles import ROLES

CLIENT_ID = re.compile(r"[A-Za-z0-9_.~-]{1,128}")
_POOL_ID = re.compile(r"([a-z0-9-]+)_[0-9a-zA-Z]+")
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class WrongSetting(ValueError):
    """One sentence that names the variable."""

    def __init__(self, variable: str, sentence: str) -> None:
        super().__init__(f'Environment variable "{variable}" {sentence}')


@dataclass(frozen=True)
class Provider:
    """A Cognito user pool with our app client, or anything that speaks OpenID Connect at these addresses."""

    issuer: str
    jwks_url: str
    authorize_url: str
    token_url: str
    logout_url: str
    client_id: str
    client_secret: str
    groups: tuple[tuple[str, str], ...]  # (group of the provider, role)
    is_test: bool = False
    revoke_url: str = ""  # where a sign-out has the refresh token forgotten; empty: nowhere
    cli_client_id: str = ""  # the public app client of `drsorch login`; empty: people do not sign in with it

    @property
    def form_origins(self) -> list[str]:
        """Where the answer to a form of ours may lead: the sign-out goes through the provider."""
        addresses = (urlsplit(url) for url in (self.authorize_url, self.logout_url))
        return sorted({f"{each.scheme}://{each.netloc}" for each in addresses})

    @property
    def api_audiences(self) -> frozenset[str]:
        """Whose ID tokens the API takes. The console takes its own client's alone."""
        return frozenset({self.client_id, self.cli_client_id} - {""})

    def roles(self, groups: tuple[str, ...]) -> tuple[str, ...]:
        """The roles that these groups of the provider give, in our order; an unknown group gives none."""
        given = {role for group, role in self.groups if group in groups}
        return tuple(role for role in ROLES if role in given)

    def other_groups(self, groups: tuple[str, ...]) -> tuple[str, ...]:
        """Those that give no role everywhere: an administrator may have given roles for parts to their names."""
        everywhere = {group for group, _ in self.groups}
        return tuple(each for each in groups if each not in everywhere and each not in ROLES)


def read_provider(given: Mapping[str, str], role_groups: Mapping[str, str], *, is_test: bool) -> Provider:
    """The provider of the `COGNITO_*` variables. Raises WrongSetting."""
    issuer = given["COGNITO_ISSUER"] or _issuer(given["COGNITO_REGION"], given["COGNITO_USER_POOL_ID"])
    domain = _domain(given["COGNITO_DOMAIN"])

    def address(variable: str, default: str, missing: str) -> str:
        return _address(variable, given[variable] or default, missing, is_test=is_test)

    revoke_url = given["COGNITO_REVOKE_URL"] or (domain and f"{domain}/oauth2/revoke")

    return Provider(
        issuer=_address("COGNITO_ISSUER", issuer, "COGNITO_USER_POOL_ID", is_test=is_test),
        jwks_url=address("COGNITO_JWKS_URL", f"{issuer}/.well-known/jwks.json", "COGNITO_JWKS_URL"),
        authorize_url=address("COGNITO_AUTHORIZE_URL", domain and f"{domain}/oauth2/authorize", "COGNITO_DOMAIN"),
        token_url=address("COGNITO_TOKEN_URL", domain and f"{domain}/oauth2/token", "COGNITO_DOMAIN"),
        logout_url=address("COGNITO_LOGOUT_URL", domain and f"{domain}/logout", "COGNITO_DOMAIN"),
        client_id=_client_id(given["COGNITO_CLIENT_ID"]),
        cli_client_id=_cli_client_id(given["COGNITO_CLI_CLIENT_ID"], given["COGNITO_CLIENT_ID"]),
        client_secret=_required("COGNITO_CLIENT_SECRET", given["COGNITO_CLIENT_SECRET"].strip()),
        groups=_groups(role_groups),
        is_test=is_test,
        revoke_url=address("COGNITO_REVOKE_URL", revoke_url, "") if revoke_url else "",
    )


def settings_of(provider: Provider) -> dict[str, Any]:
    """The settings of Django and mozilla-django-oidc that make this provider the only way in."""
    return {
        "AUTHENTICATION_BACKENDS": ["identity.provider.oidc.CognitoBackend"],
        "AXES_ENABLED": False,
        "OIDC_RP_CLIENT_ID": provider.client_id,
        "OIDC_RP_CLIENT_SECRET": provider.client_secret,
        "OIDC_RP_SIGN_ALGO": "RS256",
        "OIDC_RP_SCOPES": "openid email profile",
        "OIDC_OP_AUTHORIZATION_ENDPOINT": provider.authorize_url,
        "OIDC_OP_TOKEN_ENDPOINT": provider.token_url,
        "OIDC_OP_USER_ENDPOINT": provider.issuer,  # wanted, but never asked: only ID tokens carry the groups
        "OIDC_OP_JWKS_ENDPOINT": provider.jwks_url,
        "OIDC_USE_PKCE": True,
        "OIDC_USE_NONCE": True,
        "OIDC_TIMEOUT": 5,
        "OIDC_TOKEN_USE_BASIC_AUTH": True,
        "OIDC_STORE_ACCESS_TOKEN": False,
        "OIDC_STORE_ID_TOKEN": False,
        "OIDC_MAX_STATES": 10,
        "OIDC_AUTHENTICATION_CALLBACK_URL": "oidc-callback",
    }


def _required(variable: str, value: str) -> str:
    if not value:
        raise WrongSetting(variable, "not set; DRSORCH_AUTH=cognito needs it")
    return value


def _client_id(value: str) -> str:
    if not CLIENT_ID.fullmatch(_required("COGNITO_CLIENT_ID", value)):
        raise WrongSetting("COGNITO_CLIENT_ID", "invalid: it is the id of one app client, without spaces")
    return value


def _cli_client_id(value: str, console: str) -> str:
    if value and not CLIENT_ID.fullmatch(value):
        raise WrongSetting("COGNITO_CLI_CLIENT_ID", "invalid: it is the id of one app client, without spaces")
    if value and value == console:
        raise WrongSetting(
            "COGNITO_CLI_CLIENT_ID", "invalid: the console's client has a secret; give drsorch a public one of its own"
        )
    return value


def _issuer(region: str, pool: str) -> str:
    _required("COGNITO_USER_POOL_ID", pool)
    parts = _POOL_ID.fullmatch(pool)
    if not parts:
        raise WrongSetting("COGNITO_USER_POOL_ID", "invalid: a pool id looks like eu-west-1_Ab12Cd34E")
    if region and parts[1] != region:
        raise WrongSetting("COGNITO_REGION", f"invalid: the pool {pool} is in {parts[1]}")
    return f"https://cognito-idp.{parts[1]}.amazonaws.com/{pool}"


def _domain(value: str) -> str:
    """`auth.example.com` or `https://auth.example.com`, without anything after it."""
    if not value:
        return ""
    address = value if "://" in value else f"https://{value}"
    if urlsplit(address).path not in ("", "/"):
        raise WrongSetting("COGNITO_DOMAIN", "invalid: give the host alone, such as auth.example.com")
    return address.rstrip("/")


def _address(variable: str, value: str, missing: str, *, is_test: bool) -> str:
    if not value:
        raise WrongSetting(missing, "not set; DRSORCH_AUTH=cognito needs it")
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.fragment or parts.username or parts.query:
        raise WrongSetting(variable, "invalid: it must be a plain https:// address")
    if parts.scheme == "http" and not (is_test and parts.hostname in _LOOPBACK):
        raise WrongSetting(
            variable, "invalid: http:// can be forged; use https:// (COGNITO_TEST_MODE=true allows it on this machine)"
        )
    return value


def _groups(named: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    for group, role in named.items():
        if role not in ROLES:
            raise WrongSetting("DRSORCH_ROLE_GROUPS", f"invalid: {role} is no role; use {', '.join(ROLES)}")
        if not group:
            raise WrongSetting("DRSORCH_ROLE_GROUPS", "invalid: write group=role,group=role")
    return tuple(named.items()) or tuple((f"drsorch-{role}", role) for role in ROLES)
