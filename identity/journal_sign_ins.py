"""Sign-ins, sign-outs and refusals in the journal."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest

from audit.actor import Actor, person
from audit.journal import OK, record
from contract.request_ids import request_id


def note(
    request: HttpRequest,
    verb: str,
    *,
    user: User | None = None,
    refused: str = "",
    detail: Mapping[str, Any] | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """One entry; `refused` says why, the mappings are those of audit.journal. A name that nobody has stays out: people
    type passwords into the wrong field."""
    address, known = request.META.get("REMOTE_ADDR", ""), request_id(request)
    if user is None:
        actor = Actor("unknown", address=address, request_id=known)
    else:
        actor = person(user, address=address, request_id=known)
    record(
        actor,
        verb,
        subject_kind="session",
        subject_id="-" if user is None else user.pk,
        subject_name=actor.name,
        outcome=refused or OK,
        refused=bool(refused),
        detail=detail,
        before=before,
        after=after,
    )
