"""What the journal says of a run, in its report."""

from collections.abc import Sequence
from typing import TypedDict

from audit.models import AuditEntry
from audit.reading.sentences import sentence
from contract.clock import unix
from executions.console.live_page.event_feed import journal_line


class JournalShape(TypedDict):
    entryId: int
    time: int
    actor: str
    verb: str
    outcome: str
    refused: bool
    text: str


def entries_of(*execution_ids: object) -> Sequence[AuditEntry]:
    """The journal of these runs, oldest first."""
    ids = [str(each) for each in execution_ids]
    return list(AuditEntry.objects.filter(subject_kind="execution", subject_id__in=ids).order_by("pk"))


def journal_shape(entry: AuditEntry) -> JournalShape:
    return JournalShape(
        entryId=entry.pk,
        time=unix(entry.at),
        actor=entry.actor,
        verb=entry.verb,
        outcome=entry.outcome,
        refused=entry.refused,
        text=sentence(entry) if entry.refused else journal_line(entry).text,
    )
