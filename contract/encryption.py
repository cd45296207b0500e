"""Encrypts what we must keep but nobody is to read in the database or its backup: with the installation's secret key,
for one purpose each, so that it serves no other."""

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Unreadable(Exception):
    """It was encrypted with a secret key of the installation that is no longer known, or for another purpose."""


def encrypt(text: str, purpose: str) -> str:
    """The text as it is kept; longer than it was by a third and a hundred characters."""
    return _box(purpose).encrypt(text.encode()).decode()


def decrypt(kept: str, purpose: str) -> str:
    """The text again. Raises Unreadable."""
    try:
        return _box(purpose).decrypt(kept.encode()).decode()
    except InvalidToken:
        raise Unreadable(purpose) from None


def _box(purpose: str) -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derived(key, purpose))) for key in keys])


def _derived(key: str, purpose: str) -> bytes:
    return hmac.new(key.encode(), purpose.encode(), hashlib.sha256).digest()
