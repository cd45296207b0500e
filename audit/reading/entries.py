"""How the journal is read: filters and keyset paging, the same for the API and the console."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q, QuerySet

from audit.journal import OK
from audit.models import AuditEntry
from contract.errors import Invalid
from contract.rest.paging import Cursor

REFUSED = "refused"


def matching(asked: Mapping[str, Any]) -> "QuerySet[AuditEntry]":
    """Entries by `actor` and `subject` (part of a name, or the id), `verb` (or its beginning, such as `plan`),
    `outcome` (ok, refused, or a code), and the times `since` and `until`."""
    entries = AuditEntry.objects.all()
    if asked.get("actor"):
        entries = entries.filter(Q(actor_id=asked["actor"]) | Q(actor__icontains=asked["actor"]))
    if asked.get("verb"):
        entries = entries.filter(Q(verb=asked["verb"]) | Q(verb__startswith=f"{asked['verb']}."))
    if asked.get("subject"):
        entries = entries.filter(Q(subject_id=asked["subject"]) | Q(subject_name__icontains=asked["subject"]))
    if asked.get("outcome"):
        entries = entries.filter(_outcome(asked["outcome"]))
    if asked.get("since"):
        entries = entries.filter(at__gte=asked["since"])
    if asked.get("until"):
        entries = entries.filter(at__lt=asked["until"])
    return entries


def _outcome(word: str) -> Q:
    if word.lower() == REFUSED:
        return Q(refused=True)
    return Q(outcome=OK if word.lower() == OK else word.upper())


def page_of(entries: "QuerySet[AuditEntry]", *, limit: int, token: str | None) -> tuple[list[AuditEntry], str | None]:
    """One page, newest first, and the token of the next page or None. Entries are numbered as they come in."""
    if token is not None:
        entries = entries.filter(pk__lt=Cursor.read(token).id.int)
    found = list(entries.order_by("-pk")[: limit + 1])
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], Cursor(last.at, uuid.UUID(int=last.pk)).token()


def read_time(text: str, field: str) -> datetime:
    """Unix seconds as a time. Raises Invalid."""
    if text.isascii() and text.isdigit() and len(text) <= 11:
        return datetime.fromtimestamp(int(text), UTC)
    raise Invalid({field: ["Unix seconds are expected: a whole number."]})
