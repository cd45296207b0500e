"""Whether the journal was cut at its end, as far as the database itself can tell: see docs/adr/0005-journal.md."""

from dataclasses import dataclass

from django.db import connection
from django.db.models import Max

from audit.append_only import ENTRIES
from audit.models import AuditEntry, SealMark


@dataclass(frozen=True)
class Counted:
    """How many seals were ever made (None if nobody counted), and the last id that the database gave an entry."""

    seals: int | None
    ids: int


def counted() -> Counted:
    """Ask before the journal is read: whatever is added meanwhile is not taken for a loss then."""
    return Counted(SealMark.objects.filter(pk=SealMark.ONLY).values_list("seq", flat=True).first(), _ids_given())


def _ids_given() -> int:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [ENTRIES])
        else:
            cursor.execute("SELECT pg_sequence_last_value(pg_get_serial_sequence(%s, 'id')::regclass)", [ENTRIES])
        found = cursor.fetchone()
    return found[0] or 0 if found else 0


def problem(before: Counted, seals: int) -> str:
    """What is gone for certain behind the seals that are there."""
    if before.seals is None:
        return "the count of its seals is gone" if seals else ""
    if before.seals > seals:
        return f"its end was cut off: seals {seals + 1} to {before.seals} are gone"
    last = _last_id()
    if connection.vendor == "sqlite" and before.ids > last:  # what is rolled back gives its id back there
        return f"its end was cut off: entries {last + 1} to {before.ids} are gone"
    return ""


def note(before: Counted) -> str:
    """What may be gone. PostgreSQL takes back no id of a transaction that is rolled back, and does not have it yet
    while it is under way."""
    last = _last_id()
    if connection.vendor == "sqlite" or before.ids <= last:
        return ""
    return (
        f"Ids {last + 1} to {before.ids} were given out and are not in the journal. Transactions that were rolled back,"
        " or are under way, leave such gaps; so would entries that were removed before they were sealed."
    )


def _last_id() -> int:
    return AuditEntry.objects.aggregate(last=Max("pk"))["last"] or 0
