"""An installation that signs people in through a provider, and the provider's published keys."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from identity.provider.cognito import Provider, settings_of
from tests.identity.provider.minting import Keys, published_keys


@pytest.fixture
def keys() -> Iterator[Keys]:
    with published_keys() as published:
        yield published


def use_provider(settings: Any, provider: Provider) -> None:
    """What drsorch_site/settings.py does with DRSORCH_AUTH=cognito."""
    settings.PROVIDER = provider
    for name, value in settings_of(provider).items():
        setattr(settings, name, value)
    policy = copy.deepcopy(settings.CONTENT_SECURITY_POLICY)
    policy["DIRECTIVES"]["form-action"] += provider.form_origins
    settings.CONTENT_SECURITY_POLICY = policy


@pytest.fixture
def cognito(keys: Keys, settings: Any, db: None) -> Provider:
    """Cognito mode, with keys of ours."""
    use_provider(settings, keys.provider())
    return keys.provider()
