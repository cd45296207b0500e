"""Which engine beats. One row, one holder at a time; its age tells whether any engine is alive.

This is for efficiency and for the console only: two beats at once would be harmless, because rows decide.
"""

import uuid
from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from contract.storage.prepared import Asked, Prepared, PreparedUpdate
from executions.models import Installation, Pacemaker

TURN = timedelta(seconds=5)
SILENT_AFTER = timedelta(seconds=30)


def take(holder: uuid.UUID, now: datetime) -> bool:
    """Become the one that beats, or go on, unless another's turn still lasts. No turn lasts longer than TURN: one that
    seems to was given by a clock that was wrong."""
    turn = {"holder": holder, "until": now + TURN, "beat_at": now}
    if _TAKE.run(**turn, now=now, too_far=now + 2 * TURN):
        return True
    return not Pacemaker.objects.exists() and Pacemaker.objects.get_or_create(pk=1, defaults=turn)[1]


def _mine_or_free() -> QuerySet[Pacemaker]:
    over = Q(until__lt=Asked(Pacemaker, "until", "now")) | Q(until__gt=Asked(Pacemaker, "until", "too_far"))
    return Pacemaker.objects.filter(Q(holder=Asked(Pacemaker, "holder")) | Q(until=None) | over, pk=1)


_TAKE = PreparedUpdate(_mine_or_free, "holder", "until", "beat_at")


def hand_over(holder: uuid.UUID) -> None:
    """Let the next one take its turn at once."""
    Pacemaker.objects.filter(pk=1, holder=holder).update(until=None, holder=None)


def beating() -> QuerySet[Pacemaker]:
    """The one row, if an engine sent a heartbeat lately: by the database's clock, because the host of a page may be
    wrong. Made for `Exists` in a query that is asked anyway."""
    return Pacemaker.objects.filter(pk=1, beat_at__gt=Now() - SILENT_AFTER)


def is_alive() -> bool:
    """Whether an engine sent a heartbeat lately. One query."""
    return beating().exists()


def alive_and_superseded() -> tuple[bool, bool]:
    """Whether an engine sent a heartbeat lately, and whether this installation has seen that another one took over,
    which only engines see. One query, written once."""
    alive, superseded = _BEAT.row() or (False, False)
    return alive, superseded


_BEAT = Prepared(
    lambda: Pacemaker.objects.filter(pk=1).values_list(
        models.Case(models.When(beat_at__gt=Now() - SILENT_AFTER, then=True), default=False),
        models.Exists(Installation.objects.exclude(superseded_by="")),
    )
)


def last_beat() -> datetime | None:
    """When an engine last sent a heartbeat."""
    return Pacemaker.objects.filter(pk=1).values_list("beat_at", flat=True).first()
