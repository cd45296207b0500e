"""Bearer tokens of the local sign-in: signed, short-lived, and dead once the password changes."""

import hashlib
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core import signing

from identity.models import people
from identity.programs.principals import is_service

SALT = "drsorch.api-token"
MAX_CHARACTERS = 8192


def make_token(user: User, lifetime: timedelta) -> str:
    """A token that acts as `user`."""
    claims = {"user": user.pk, "seconds": int(lifetime.total_seconds()), "bound": _bound(user.get_session_auth_hash())}
    return signing.dumps(claims, salt=SALT)


def _bound(session_hash: str) -> str:
    # The session's hash itself stays with us: a token is read by whoever holds it.
    return hashlib.sha256(f"{SALT}:{session_hash}".encode()).hexdigest()[:32]


def user_of(token: str) -> User | None:
    """The active user whose token this is, None for a token that is not good (any more)."""
    try:
        if len(token) > MAX_CHARACTERS:
            return None
        claims: dict[str, Any] = signing.loads(token, salt=SALT)
        signing.loads(token, salt=SALT, max_age=claims["seconds"])
    except (signing.BadSignature, ValueError, KeyError, TypeError):  # ValueError: signed, but not by us in this form
        return None
    user = people().filter(pk=claims["user"], is_active=True).first()
    if user is None or is_service(user):
        return None
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return user if claims["bound"] in map(_bound, hashes) else None
