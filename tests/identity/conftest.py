"""An installation that signs people in through a provider, and the provider's published keys."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as project
from django.test import override_settings

from drsorch_site.cognito import Provider
from drsorch_site.roles import sync
from tests.identity.minting import Keys, published_keys


@pytest.fixture(scope="session", autouse=True)
def static_root() -> Iterator[None]:
    """WhiteNoise warns of a directory that only collectstatic makes, and a fresh checkout does not have it."""
    with override_settings(STATIC_ROOT=project.BASE_DIR / "static"):
        yield


@pytest.fixture
def keys() -> Iterator[Keys]:
    with published_keys() as published:
        yield published


@pytest.fixture
def cognito(keys: Keys, settings: Any, db: None) -> Provider:
    """Cognito mode in this process; the settings of a whole one are tried in test_browser.py."""
    sync(apps)  # tests with real transactions flush the roles away
    settings.PROVIDER = keys.provider()
    settings.AUTHENTICATION_BACKENDS = ["drsorch_site.oidc.CognitoBackend"]
    settings.AXES_ENABLED = False
    for name in ("RP_CLIENT_ID", "RP_CLIENT_SECRET", "OP_TOKEN_ENDPOINT", "OP_USER_ENDPOINT", "OP_JWKS_ENDPOINT"):
        setattr(settings, f"OIDC_{name}", "unused")
    settings.OIDC_RP_SIGN_ALGO = "RS256"
    return keys.provider()
