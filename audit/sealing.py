"""The hash chain over the journal, made shortly after the entries: see docs/adr/0005-journal.md."""

import hashlib
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, OuterRef, Q

from audit import append_only, journal_end
from audit.models import AuditEntry, AuditSeal, SealMark, UnsealedEntry
from contract.storage.prepared import Prepared

log = logging.getLogger(__name__)

GENESIS = "0" * 64
BATCH = 500


_WAITING = Prepared(lambda: UnsealedEntry.objects.order_by("pk").values_list("pk")[:BATCH])


def seal(limit: int = BATCH) -> int:
    """Seal committed entries that wait for it, and say how many. One query when there are none.

    Of two sealers at once one fails on the constraints of AuditSeal, and what it did is undone.
    """
    waiting = [pk for (pk,) in _WAITING.rows()][:limit]
    if not waiting:
        return 0
    try:
        with transaction.atomic():
            made = _extend(waiting)
    except IntegrityError:
        return 0  # the other one has done it
    if made:
        log.info("Journal sealed: %s", made[-1], extra={"seal": made[-1].seq, "digest": made[-1].digest})
    return len(made)


def _extend(waiting: list[int]) -> list[AuditSeal]:
    mark = SealMark.objects.filter(pk=SealMark.ONLY).values_list("seq", flat=True).first() or 0
    head = AuditSeal.objects.order_by("-seq").first()  # after the mark: what others seal in between is no loss then
    seq, previous = (head.seq, head.digest) if head else (0, GENESIS)
    seq = _after_a_cut(seq, mark)
    sealed = set(AuditSeal.objects.filter(entry__in=waiting).values_list("entry", flat=True))
    made = []
    for entry in AuditEntry.objects.filter(pk__in=waiting).exclude(pk__in=sealed).order_by("pk"):
        seq, digest = seq + 1, digest_of(entry, previous)
        made.append(AuditSeal(seq=seq, entry=entry.pk, previous=previous, digest=digest))
        previous = digest
    AuditSeal.objects.bulk_create(made)
    if made and not SealMark.objects.filter(pk=SealMark.ONLY).update(seq=seq):
        SealMark.objects.create(pk=SealMark.ONLY, seq=seq)
    # An entry that waits and is not there stays in the queue, as a witness for `verify`.
    UnsealedEntry.objects.filter(pk__in=[*sealed, *(each.entry for each in made)]).delete()
    return made


def _after_a_cut(last: int, mark: int) -> int:
    """The number after which seals go on. Those that were cut off leave their numbers free, so that the loss is still
    seen when the journal has grown again."""
    if mark > last:
        log.error("The journal was cut at its end: seals %s to %s are gone", last + 1, mark)
    return max(last, mark)


def claim_head(now: datetime, *, every: timedelta) -> str | None:
    """The chain's head, if it was not told for so long: to the one who asks first. Call inside a transaction."""
    due = Q(told_at=None) | Q(told_at__lte=now - every)
    head = AuditSeal.objects.order_by("-seq").first()
    if head is None or not SealMark.objects.filter(due, pk=SealMark.ONLY).update(told_at=now):
        return None
    return str(head)


def digest_of(entry: AuditEntry, previous: str) -> str:
    """The digest of a seal: over the digest before and the content of the entry."""
    return seal_digest(previous, content_of(entry))


def seal_digest(previous: str, content: str) -> str:
    """As an evidence pack follows the chain, past entries of which it has the content's digest alone."""
    return hashlib.sha256(f"{previous}\n{content}".encode()).hexdigest()


def content_of(entry: AuditEntry) -> str:
    """SHA-256 over the entry as canonical JSON."""
    return hashlib.sha256(canonical(entry).encode()).hexdigest()


def canonical(entry: AuditEntry) -> str:
    """Every column of the entry, in one spelling."""
    return json.dumps(columns(entry), sort_keys=True, separators=(",", ":"))


# Columns that came later. An entry from before has null there, and is sealed without them; nothing else is ever null
# there, so that neither form can pass for the other.
LATER = ("actor_id",)


def columns(entry: AuditEntry) -> dict[str, Any]:
    """Every column of the entry, ready for JSON."""
    found = {field.attname: getattr(entry, field.attname) for field in AuditEntry._meta.concrete_fields}
    found = {name: value for name, value in found.items() if value is not None or name not in LATER}
    return found | {"at": entry.at.astimezone(UTC).isoformat(timespec="microseconds")}


def _is_sealed(link: AuditSeal, entry: AuditEntry, previous: str) -> bool:
    """Seals made before there were content digests cover the entry's JSON itself; neither can pass for the other."""
    old = hashlib.sha256(f"{previous}\n{canonical(entry)}".encode()).hexdigest()
    return link.digest in (digest_of(entry, previous), old)


@dataclass(frozen=True)
class Verdict:
    """How far the chain holds, its head (`seq:digest`), the first thing that is wrong, if any, and what may be."""

    checked: int
    head: str
    problem: str = ""
    note: str = ""


def verify(known_head: str = "") -> Verdict:
    """Seal what is open, then follow the whole chain; `known_head`, noted earlier, must still be in it."""
    while seal():
        pass
    before = journal_end.counted()
    checked, previous = 0, GENESIS
    problem = _guards()
    witness = "" if known_head else "not asked for"
    for link, entry in _links():
        problem = problem or _link_problem(link, entry, checked + 1, previous)
        if problem:
            break
        checked, previous = checked + 1, link.digest
        witness = witness or ("found" if str(link) == known_head else "")
    if not problem and not witness:
        problem = f"the head {known_head} that was recorded earlier is not in the chain"
    problem = problem or _unchained() or journal_end.problem(before, checked)
    return Verdict(checked, f"{checked}:{previous}", problem, journal_end.note(before))


def _guards() -> str:
    lost = append_only.missing(connection)
    return f"the database lacks the triggers that make the journal append-only: {', '.join(lost)}" if lost else ""


def _links() -> Iterable[tuple[AuditSeal, AuditEntry | None]]:
    """Every seal with its entry, in order, a batch at a time."""
    last = 0
    while batch := list(AuditSeal.objects.filter(seq__gt=last).order_by("seq")[:BATCH]):
        entries = AuditEntry.objects.in_bulk([each.entry for each in batch])
        yield from ((each, entries.get(each.entry)) for each in batch)
        last = batch[-1].seq


def _link_problem(link: AuditSeal, entry: AuditEntry | None, seq: int, previous: str) -> str:
    if link.seq != seq:
        return f"seal {seq} is missing"
    if entry is None:
        return f"entry {link.entry} (seal {seq}) is missing"
    if link.previous != previous or not _is_sealed(link, entry, previous):
        return f"entry {link.entry} (seal {seq}: {entry}) does not match its seal"
    return ""


def _unchained() -> str:
    """An entry that is neither sealed nor waiting, or one that waited and is gone."""
    sealed = AuditSeal.objects.filter(entry=OuterRef("pk"))
    waiting = UnsealedEntry.objects.filter(pk=OuterRef("pk"))
    stray = AuditEntry.objects.filter(~Exists(sealed), ~Exists(waiting)).order_by("pk").first()
    if stray is not None:
        return f"entry {stray.pk} ({stray}) has no seal"
    lost = UnsealedEntry.objects.filter(~Exists(AuditEntry.objects.filter(pk=OuterRef("pk")))).order_by("pk").first()
    return f"{lost} was removed before it was sealed" if lost else ""
