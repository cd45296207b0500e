"""What has happened, oldest first, as typed events: the journal's sealed entries, for programs that follow it.

The number of an event is that of its seal: numbers have an order that nothing is put into afterwards, so whoever asks
for what comes after the last one that they have misses nothing and sees nothing twice, whenever they come back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from audit.models import AuditEntry, AuditSeal
from contract.clock import unix
from contract.events.declared import version_of

PRIVATE = ("session", "request")  # who signed in, and what was no action


class SubjectShape(TypedDict):
    kind: str
    id: str
    name: str


class EventShape(TypedDict):
    """Something that happened. `type` is the journal's verb, such as `execution.start`, `wave.completed`,
    `launch.sent`, `gate.approved`, `lease.over`; `data` is what the journal keeps of it, by type
    (docs/schema/events-v1.json)."""

    number: int
    type: str
    version: int
    time: int
    subject: SubjectShape
    actor: str
    actorKind: str
    outcome: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Part:
    """Some of the stream. `last` is the number up to which it was read, whatever of that is an event."""

    events: Sequence[EventShape]
    last: int
    more: bool
    is_known: bool = True  # whether there ever was such a number


def after(number: int, limit: int) -> Part:
    """What came after an event. What was refused did not happen, and is not in it. Two queries, one when there is
    nothing."""
    found = AuditSeal.objects.filter(seq__gte=number).order_by("seq").values_list("seq", "entry")[: limit + 2]
    seals = [each for each in found if each[0] > number][: limit + 1]
    if not seals:
        return Part([], number, more=False, is_known=bool(found) or not number)
    shown = seals[:limit]
    entries = AuditEntry.objects.in_bulk([entry for _, entry in shown])
    kept = [(seq, entries[entry]) for seq, entry in shown if entry in entries]
    events = [event_of(seq, each) for seq, each in kept if not each.refused and each.subject_kind not in PRIVATE]
    return Part(events, shown[-1][0], more=len(seals) > limit)


def event_of(seq: int, entry: AuditEntry) -> EventShape:
    """A sealed entry as an event."""
    return EventShape(
        number=seq,
        type=entry.verb,
        version=version_of(entry.verb),
        time=unix(entry.at),
        subject=SubjectShape(kind=entry.subject_kind, id=entry.subject_id, name=entry.subject_name),
        actor=entry.actor,
        actorKind=entry.actor_kind,
        outcome=entry.outcome,
        data=entry.detail,
    )
