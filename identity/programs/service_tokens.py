"""Tokens of programs: service principals, which act under a role of their own and never sign in.

A token is 256 random bits, so its plain SHA-256 is as good as a slow hash: nothing can be guessed from it, and one
indexed query finds it.
"""

import hashlib
import re
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from audit.actor import Actor
from audit.journal import attempt, record
from contract.clock import Clock, db_clock, unix
from contract.errors import Invalid, NotFound
from identity.models import ServiceToken
from identity.programs.principals import admitted, faults, require, user_named
from identity.programs.states import TokenStatus

PREFIX = "drsorch_"  # by which scanners of repositories and logs know one
TOKEN = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}", re.ASCII)
DAYS_MAX = 366


@dataclass(frozen=True)
class Made:
    """A new token, and its row; `token` is shown this once."""

    row: ServiceToken
    token: str


def looks_like(token: str) -> bool:
    """Whether this is meant to be a program's token, good or not."""
    return token.startswith(PREFIX)


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def user_of(token: str, clock: Clock = db_clock) -> User | None:
    """The program whose token this is, with the rights of its role; None for a token that is not good (any more)."""
    if not TOKEN.fullmatch(token):
        return None
    row = ServiceToken.objects.select_related("user").filter(hashed=hashed(token)).first()
    if row is None:
        return None
    now = clock()
    return admitted(row, now) if status_of(row, now) is TokenStatus.ACTIVE else None


def status_of(row: ServiceToken, now: datetime) -> TokenStatus:
    if row.revoked_at is not None:
        return TokenStatus.REVOKED
    return TokenStatus.EXPIRED if row.expires_at <= now else TokenStatus.ACTIVE


@attempt("service_token.create", "service_token", subject="name")
def create(*, actor: Actor, name: str, role: str, days: int, clock: Clock = db_clock) -> Made:
    """A new token for a program. Several of one name are one program, so that a token can be replaced before it
    expires. Raises Forbidden, Invalid."""
    require(actor)
    name = name.strip()
    _check(name, role, days)
    token = PREFIX + secrets.token_urlsafe(32)
    now = clock()
    with transaction.atomic():
        row = ServiceToken.objects.create(
            user=user_named(name),
            name=name,
            role=role,
            hashed=hashed(token),
            created_by=actor.name[:254],
            created_at=now,
            expires_at=now + timedelta(days=days),
        )
        _journal(actor, "service_token.create", row, after=_state(row))
    return Made(row, token)


@attempt("service_token.revoke", "service_token", subject="token_id")
def revoke(*, actor: Actor, token_id: uuid.UUID, clock: Clock = db_clock) -> ServiceToken:
    """Refuse a token from the next request on; one that is revoked already stays so. Raises Forbidden, NotFound."""
    require(actor)
    with transaction.atomic():
        row = ServiceToken.objects.select_for_update().filter(pk=token_id).first()
        if row is None:
            raise NotFound(f"There is no token {token_id}.", details={"tokenId": str(token_id)})
        if row.revoked_at is None:
            before = _state(row)
            row.revoked_at, row.revoked_by = clock(), actor.name[:254]
            row.save(update_fields=["revoked_at", "revoked_by"])
            _journal(actor, "service_token.revoke", row, before=before, after=_state(row))
    return row


def _check(name: str, role: str, days: int) -> None:
    fields = faults(name, role)
    if not 1 <= days <= DAYS_MAX:
        fields["days"] = [f"Use 1 to {DAYS_MAX} days."]
    if fields:
        raise Invalid(fields)


def _state(row: ServiceToken) -> dict[str, Any]:
    return {
        "name": row.name,
        "role": row.role,
        "expiresTime": unix(row.expires_at),
        "revokedTime": unix(row.revoked_at),
    }


def _journal(actor: Actor, verb: str, row: ServiceToken, **kept: Any) -> None:
    record(actor, verb, subject_kind="service_token", subject_id=row.pk, subject_name=f"service:{row.name}", **kept)
