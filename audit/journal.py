"""The one way to write the journal: `record` what is done, in the transaction of the change; `attempt` around a verb
also records that it was refused."""

import json
import logging
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from django.db import transaction

from audit import refusals
from audit.actor import Actor
from audit.models import AuditEntry
from audit.safe_text import storable
from contract import log_context
from contract.errors import DomainError
from contract.names import visible

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

OK = "ok"
DETAILS_MAX = 8_000
MESSAGE_MAX = 1_000

# Every function that `attempt` guards, by module and name, and its verb.
VERBS: dict[str, str] = {}


def record(
    actor: Actor,
    verb: str,
    *,
    subject_kind: str,
    subject_id: object,
    subject_name: str = "",
    outcome: str = OK,
    refused: bool = False,
    detail: Mapping[str, Any] | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Add one entry. `verb` is a stable word such as `execution.start`; the mappings must be JSON without secrets."""
    entry = AuditEntry.objects.create(
        actor=visible(actor.name)[:254],
        actor_id=visible(actor.id)[:520],
        actor_kind=actor.kind,
        verb=verb,
        subject_kind=subject_kind,
        subject_id=visible(str(subject_id))[:64],
        subject_name=visible(subject_name)[:200],
        outcome=outcome,
        refused=refused,
        detail=storable(detail or {}),
        before=storable(before),
        after=storable(after),
        address=visible(actor.address)[:64],
        request_id=visible(actor.request_id)[:64],
    )
    transaction.on_commit(lambda: _log_entry(entry), robust=True)
    return entry


def _log_entry(entry: AuditEntry) -> None:
    """The same entry as a log line, for the day when the database is not at hand."""
    shown = {field.attname: getattr(entry, field.attname) for field in AuditEntry._meta.concrete_fields}
    level = logging.WARNING if entry.refused else logging.INFO
    about: dict[str, object] = {"execution_id": entry.subject_id} if entry.subject_kind == "execution" else {}
    with log_context.bound(about):
        log.log(level, "%s", entry, extra={"journal": {**shown, "at": entry.at.isoformat()}})


def attempt(verb: str, kind: str, *, subject: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """For a function `f(*, actor, …)` that people call: if it raises a DomainError, the journal says what was refused
    and why. `subject` names the argument that says what it was about: an id, or the name of something new."""

    def decorate(work: Callable[P, R]) -> Callable[P, R]:
        VERBS[f"{work.__module__}.{work.__qualname__}"] = verb

        @wraps(work)
        def tried(*args: P.args, **given: P.kwargs) -> R:
            try:
                return work(*args, **given)
            except DomainError as error:
                note_refusal(verb, kind, given, subject, error)
                raise

        return tried

    return decorate


def note_refusal(verb: str, kind: str, given: Mapping[str, Any], subject: str, error: DomainError) -> None:
    """Have the journal say that a verb was refused, as soon as no transaction can take that away."""
    about = given.get(subject, "")
    is_name = isinstance(about, str)
    comment = given.get("comment")
    actor = cast("Actor", given["actor"])

    def write() -> None:
        record(
            actor,
            verb,
            subject_kind=kind,
            subject_id="" if is_name else about,
            subject_name=about if is_name else "",
            outcome=error.code,
            refused=True,
            detail=refusal_detail(error.message, error.details) | ({"comment": comment[:512]} if comment else {}),
        )

    refusals.note(write)


def refusal_detail(message: str, details: Mapping[str, Any]) -> dict[str, Any]:
    """What was said to the person; long lists are left out, they would fill the journal."""
    said: dict[str, Any] = {"message": message[:MESSAGE_MAX]}
    if details and len(json.dumps(details, default=str)) <= DETAILS_MAX:
        said["details"] = dict(details)
    return said
