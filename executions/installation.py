"""Which installation this is, and whether another one has taken over from it (docs/adr/0114-takeover.md).

DRS keeps the answer, in a tag of each source server. Whoever reads source servers shows them to `notice`: once another
installation of the same line is seen, this one launches and terminates nothing any more, until a person says otherwise.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from audit.actor import ENGINE
from audit.journal import record
from contract.clock import utc
from drs.shapes import SourceServer
from executions.models import Installation

log = logging.getLogger(__name__)

SUPERSEDED = "installation.superseded"
STOPPED = (
    "Another installation has taken over. This one launches and terminates nothing any more: work with the other one."
    " If it was made by mistake: manage.py takeover --reclaim."
)


@dataclass(frozen=True, order=True)
class Mark:
    """Who may launch a server: the value of its tag."""

    epoch: int
    line: str
    key: str

    @classmethod
    def read(cls, tag: str) -> "Mark | None":
        """None for no tag, and for what is not of this product."""
        epoch, _, rest = tag.partition(":")
        line, _, key = rest.partition(":")
        return cls(int(epoch), line, key) if epoch.isdecimal() and len(epoch) < 10 and line and key else None

    def __str__(self) -> str:
        return f"{self.epoch}:{self.line}:{self.key}"

    def is_successor_of(self, other: "Mark") -> bool:
        """Whether that one must stop. Of two that took over at once the one that marked a server last goes on."""
        return self.line == other.line and (
            self.epoch > other.epoch or (self.epoch == other.epoch and self.key != other.key)
        )


def own() -> Installation:
    """The one row, made when it is first asked for."""
    found = Installation.objects.filter(pk=1).first()
    return found or Installation.objects.get_or_create(pk=1)[0]


def own_or_new() -> Installation:
    """The same, where nothing may be written."""
    return Installation.objects.filter(pk=1).first() or Installation()


def mark_of(installation: Installation) -> Mark:
    return Mark(installation.epoch, str(installation.line), str(installation.key))


def is_superseded() -> bool:
    """Whether another installation was seen to have taken over. One query."""
    return Installation.objects.exclude(superseded_by="").exists()


def notice(servers: Iterable[SourceServer], now: datetime) -> bool:
    """Whether another installation has taken over, by what DRS tells of these servers now and what was seen before."""
    marks = {mark for each in servers if (mark := Mark.read(each.installation)) is not None}
    if not marks:
        return is_superseded()
    installation = own()
    mine = mark_of(installation)
    successors = [each for each in marks if each.is_successor_of(mine)]
    if successors and not installation.superseded_by:
        _stop(installation, max(successors), now)
    return bool(successors or installation.superseded_by)


def _stop(installation: Installation, successor: Mark, now: datetime) -> None:
    """The first to see it writes it down, for all processes."""
    with transaction.atomic():
        rows = Installation.objects.filter(pk=1, superseded_by="", epoch=installation.epoch)
        if not rows.update(superseded_by=str(successor), superseded_at=now):
            return
        record(
            ENGINE,
            SUPERSEDED,
            subject_kind="installation",
            subject_id=installation.key,
            detail={"epoch": installation.epoch, "by": str(successor)},
        )
    log.critical("%s Seen at %s on source servers in DRS: %s", STOPPED, utc(now), successor)
