"""The account behind a program, whatever it shows to come in: found by that, never by its name alone."""

import re
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q

from audit.actor import Actor
from contract.errors import Forbidden, Invalid
from identity.models import ServiceClient, ServiceToken
from identity.roles import ROLES

MANAGE = "drsorch_site.manage_service_tokens"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
USERNAME = "service:"  # no form of ours lets a person have a colon in their name
RESERVED = "schedule"
NOTED_EVERY = timedelta(minutes=1)

Row = ServiceToken | ServiceClient


def is_service(user: Any) -> bool:
    """Whether an account is a program's: nobody signs in with it."""
    return bool(
        user.get_username().startswith(USERNAME) and (user.service_tokens.exists() or user.service_clients.exists())
    )


def admitted(row: Row, now: datetime) -> User | None:
    """The program that showed this, with the rights of its role; None where its account is off or its role is gone."""
    if not row.user.is_active or row.role not in ROLES:
        return None
    _note_use(row, now)
    user = row.user
    user.token_roles = (row.role,)  # type: ignore[attr-defined]  # what identity.auth.Roles goes by
    user.token_groups = ()  # type: ignore[attr-defined]  # nor any role for a part
    user.service_name = row.name  # type: ignore[attr-defined]  # what audit.actor goes by
    user.is_superuser = False  # for this request: Django asks it before any backend
    return user


def _note_use(row: Row, now: datetime) -> None:
    """Once a minute at most, also when many requests come at once."""
    if row.last_used_at is None or row.last_used_at <= now - NOTED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lte=now - NOTED_EVERY)
        type(row)._default_manager.filter(stale, pk=row.pk).update(last_used_at=now)


def require(actor: Actor) -> None:
    """Raise Forbidden for whoever may not say which programs come in."""
    actor.require(MANAGE, "make or revoke tokens of programs")
    if actor.kind == "service":
        raise Forbidden("A program may not make or revoke tokens, its own neither. Ask an administrator.")


def faults(name: str, role: str) -> dict[str, list[str]]:
    """What is wrong with a program's name and role, by field."""
    found: dict[str, list[str]] = {}
    if not NAME.fullmatch(name):
        found["name"] = [
            "Use 1 to 63 lower-case letters, digits, dots, dashes and underscores, a letter or digit first."
        ]
    elif name == RESERVED:
        found["name"] = [f"{RESERVED} is who starts drills by schedule. Use another name."]
    if role not in ROLES:
        found["role"] = [f"Use {', '.join(ROLES)}."]
    return found


def user_named(name: str) -> User:
    """The account of the program of this name. It is found by what programs show: a person's is never taken for it.
    Raises Invalid."""
    known = _known(name)
    if known is not None:
        return known
    try:
        with transaction.atomic():
            return User.objects.create_user(USERNAME + name)
    except IntegrityError:
        faster = _known(name)
        if faster is not None:
            return faster
        raise Invalid({"name": ["An account has this name. Use another one."]}) from None


def _known(name: str) -> User | None:
    for rows in (ServiceToken.objects, ServiceClient.objects):
        row: Row | None = rows.select_related("user").filter(name=name).first()
        if row is not None:
            return row.user
    return None
