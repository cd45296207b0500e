"""A piece of the sealed journal that leaves the house: one subject's entries, the others as their digests alone."""

from collections.abc import Collection, Iterable
from typing import TypedDict

from audit.models import AuditEntry, AuditSeal
from audit.sealing import BATCH, columns, content_of, seal, seal_digest


class Link(TypedDict, total=False):
    """One seal: with the entry that it seals, or with the digest of an entry that is none of the reader's business."""

    seq: int
    digest: str
    entry: dict[str, object]
    content: str


class Slice(TypedDict):
    """Seals without a gap; `previous` is the digest before the first."""

    previous: str
    links: list[Link]


class Unsealable(RuntimeError):
    """The journal was tampered with: an entry is in neither the chain nor the queue for it."""


def seals_of(ids: Collection[int]) -> list[AuditSeal]:
    """The seals of these committed entries, in order; entries that still wait are sealed now. Raises Unsealable."""
    idle = 0
    while True:
        found = list(AuditSeal.objects.filter(entry__in=ids).order_by("seq"))
        if len(found) == len(ids):
            return found
        if idle == 2:  # once, because another sealer may have been faster
            lost = sorted(set(ids) - {each.entry for each in found})
            raise Unsealable(
                f"Journal entries {lost} have no seal and are not waiting for one. Run manage.py audit_verify."
            )
        idle = 0 if seal() else idle + 1


def slice_of(first: AuditSeal, last: AuditSeal, ids: Collection[int]) -> Slice:
    """The journal from one seal to another, with the entries `ids` in full."""
    return Slice(previous=first.previous, links=[_link(each, entry, ids) for each, entry in _sealed(first, last)])


def _sealed(first: AuditSeal, last: AuditSeal) -> Iterable[tuple[AuditSeal, AuditEntry]]:
    at = first.seq - 1
    while batch := list(AuditSeal.objects.filter(seq__gt=at, seq__lte=last.seq).order_by("seq")[:BATCH]):
        entries = AuditEntry.objects.in_bulk([each.entry for each in batch])
        yield from ((each, entries[each.entry]) for each in batch)
        at = batch[-1].seq


def _link(link: AuditSeal, entry: AuditEntry, ids: Collection[int]) -> Link:
    content = content_of(entry)
    if entry.pk in ids or link.digest != seal_digest(link.previous, content):  # sealed in the old way: shown in full
        return Link(seq=link.seq, digest=link.digest, entry=columns(entry))
    return Link(seq=link.seq, digest=link.digest, content=content)
