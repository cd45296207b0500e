"""How a webhook proves that it comes from us and now: HMAC-SHA256 with a key of the subscription's own.

The key is made here, shown once, and kept encrypted with the installation's secret key, so that neither a database nor
its backup is enough to forge a notification.
"""

import hashlib
import hmac
import secrets

from contract.encryption import Unreadable, decrypt, encrypt

PURPOSE = "drsorch.notify.webhook-key"
PREFIX = "whsec_"
SCHEME = "v1"
TOLERANCE_SECONDS = 300


class UnreadableSecret(Exception):
    """The key was encrypted with a secret key of the installation that is no longer known."""


def new_secret() -> str:
    """A fresh key of 256 bits, as it is shown."""
    return PREFIX + secrets.token_urlsafe(32)


def seal(secret: str) -> str:
    """The key as it is kept."""
    return encrypt(secret, PURPOSE)


def unseal(sealed: str) -> str:
    """The key again. Raises UnreadableSecret."""
    try:
        return decrypt(sealed, PURPOSE)
    except Unreadable:
        raise UnreadableSecret("The signing key cannot be decrypted; create a new one for the subscription.") from None


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """What the header says: over the time and the body, so that neither can be exchanged."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"{SCHEME}={digest}"
