"""The saved versions of a plan or a group, as the journal keeps them: what it was after each change."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from audit.models import AuditEntry
from audit.reading.sentences import changed_fields, field_words
from contract.errors import NotFound

A_PAGE = 25


@dataclass(frozen=True)
class Version:
    """One version: who saved it and when, in which fields it differs from the one before, and the whole of it."""

    number: int
    at: datetime
    by: str
    changed: str
    kept: Mapping[str, Any]

    @classmethod
    def of(cls, entry: AuditEntry) -> "Version":
        kept = entry.after or {}
        changed = [field_words(name) for name in changed_fields(entry)] if entry.before else []
        return cls(kept["version"], entry.at, entry.actor, ", ".join(changed), kept)


def entries_of(kind: str, key: uuid.UUID) -> "QuerySet[AuditEntry]":
    """Those of the journal that tell a version, the newest first."""
    verbs = [f"{kind}.create", f"{kind}.update"]
    found = AuditEntry.objects.filter(subject_kind=kind, subject_id=str(key), verb__in=verbs, refused=False)
    return found.filter(after__version__isnull=False).order_by("-pk")


def versions(entries: Sequence[AuditEntry]) -> list[Version]:
    return [Version.of(each) for each in entries]


def version(kind: str, key: uuid.UUID, number: int) -> Version:
    """One of them; of two that have a number, as after a restore of the database, the later one. Raises NotFound."""
    entry = entries_of(kind, key).filter(after__version=number).first()
    if entry is None:
        raise NotFound(f"The journal has no version {number} of this {kind}.", details={"version": str(number)})
    return Version.of(entry)
