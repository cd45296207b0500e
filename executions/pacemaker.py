"""Which engine beats. One row, one holder at a time; its age tells whether any engine is alive.

This is for efficiency and for the console only: two beats at once would be harmless, because rows decide.
"""

import uuid
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from executions.models import Pacemaker

TURN = timedelta(seconds=5)
SILENT_AFTER = timedelta(seconds=30)


def take(holder: uuid.UUID, now: datetime) -> bool:
    """Become the one that beats, unless another's turn still lasts."""
    Pacemaker.objects.get_or_create(pk=1)
    free = Pacemaker.objects.filter(Q(until=None) | Q(until__lt=now), pk=1)
    return bool(free.update(holder=holder, until=now + TURN, beat_at=now))


def renew(holder: uuid.UUID, now: datetime) -> bool:
    """Go on beating; False when the turn was lost."""
    return bool(Pacemaker.objects.filter(pk=1, holder=holder).update(until=now + TURN, beat_at=now))


def hand_over(holder: uuid.UUID) -> None:
    """Let the next one take its turn at once."""
    Pacemaker.objects.filter(pk=1, holder=holder).update(until=None, holder=None)


def is_silent(now: datetime) -> bool:
    """Whether it is nobody's turn, or an engine has not beaten within its own, so that a new beat is needed."""
    row = Pacemaker.objects.filter(pk=1).first()
    return row is None or row.until is None or row.beat_at is None or (now - row.beat_at > TURN)


def beating() -> QuerySet[Pacemaker]:
    """The one row, if an engine sent a heartbeat lately: by the database's clock, because the host of a page may be
    wrong. Made for `Exists` in a query that is asked anyway."""
    return Pacemaker.objects.filter(pk=1, beat_at__gt=Now() - SILENT_AFTER)


def is_alive() -> bool:
    """Whether an engine sent a heartbeat lately. One query."""
    return beating().exists()


def last_beat() -> datetime | None:
    """When an engine last sent a heartbeat."""
    return Pacemaker.objects.filter(pk=1).values_list("beat_at", flat=True).first()
