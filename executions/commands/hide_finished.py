"""Clearing the history: runs that are over leave the lists, but for those whose instances stand or of which AWS owes an
answer. Nothing is deleted: report, logs, evidence, forecasts and guards have their rows as before.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, Q, QuerySet

from audit.actor import Actor
from audit.journal import attempt, record
from contract.chunks import chunks
from contract.clock import Clock, db_clock
from contract.plurals import counted
from executions.models import Execution, LaunchJob, ServerRun, TerminationJob
from executions.querysets import STANDING
from executions.states import FINAL, JobStatus

BATCH = 200
HIDE = "executions.delete_execution"  # Django's own right of these rows, from when they were deleted
VERB = "execution.hide"


@dataclass(frozen=True)
class Kept:
    """A finished run that stays in the lists, and why, as a sentence."""

    execution_id: uuid.UUID
    reason: str


@dataclass(frozen=True)
class Hidden:
    """How many runs left the lists of how many were in them, and which finished ones were kept."""

    hidden: int
    scanned: int
    kept: list[Kept] = field(default_factory=list)


@attempt(VERB, "execution")
def hide_finished(*, actor: Actor, clock: Clock = db_clock) -> Hidden:
    """Hide every run that is over, of which nothing stands and of which AWS owes nothing."""
    actor.require(HIDE, "hide finished runs")
    scanned, hidden = Execution.objects.shown().count(), 0
    for batch in chunks(list(_done().values_list("pk", flat=True)), BATCH):
        with transaction.atomic():
            hidden += _hide(actor, batch, clock())
    kept = list(_kept())
    for some in chunks(kept, BATCH):
        _note(actor, {"kept": [{"executionId": str(each.execution_id), "reason": each.reason} for each in some]})
    if not hidden and not kept:
        _note(actor, {})
    return Hidden(hidden, scanned, kept)


def what_would_be_hidden() -> Hidden:
    """What it would do now, for the question before it."""
    return Hidden(_done().count(), Execution.objects.shown().count(), list(_kept()))


def is_done_with() -> Q:
    """Of runs that are over: nothing of them stands, is being terminated, or is still to be told."""
    return ~Q(pk__in=_standing()) & ~Q(pk__in=_ending()) & ~Q(pk__in=_launching())


def _note(actor: Actor, detail: dict[str, Any]) -> None:
    unchanged = {"changed": False, **detail}
    record(actor, VERB, subject_kind="execution", subject_id="finished", detail=unchanged)


def _over() -> QuerySet[Execution]:
    return Execution.objects.shown().filter(status__in=sorted(FINAL))


# Runs by what they are not done with: few, however long the history is.


def _standing() -> QuerySet[ServerRun, Any]:
    """What a run launched and what was not terminated since, whatever it was for."""
    return ServerRun.launches.filter(STANDING).order_by().values("wave__execution")


def _ending() -> QuerySet[TerminationJob, Any]:
    jobs = TerminationJob.objects.exclude(status__in=[JobStatus.REJECTED, JobStatus.COMPLETED])
    return jobs.order_by().values("execution")


def _launching() -> QuerySet[LaunchJob, Any]:
    """Launches that are watched or in doubt."""
    jobs = LaunchJob.objects.filter(Q(watched=True) | Q(status=JobStatus.INITIATED, job_id=""))
    return jobs.order_by().values("wave__execution")


def _done() -> QuerySet[Execution]:
    return _over().filter(is_done_with())


def _kept() -> Iterator[Kept]:
    runs = _over().filter(~is_done_with()).order_by("-started_at", "-pk")
    up = dict(_standing().annotate(n=Count("pk")).values_list("wave__execution", "n"))
    ending = set(_ending().values_list("execution", flat=True))
    for pk in runs.values_list("pk", flat=True):
        yield Kept(pk, _reason(up.get(pk, 0), pk in ending))


def _reason(up: int, is_ending: bool) -> str:
    if is_ending:
        return "AWS is terminating its instances."
    if up:
        return f"{counted(up, 'instance')} still {'stands' if up == 1 else 'stand'}. Terminate first, then hide."
    return "AWS has not said yet what became of all its launches."


def _hide(actor: Actor, ids: Sequence[uuid.UUID], now: datetime) -> int:
    """Hide those of `ids` that may still go when nobody else can write them; answers how many."""
    list(Execution.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk"))
    batch = [str(each) for each in _done().filter(pk__in=ids).values_list("pk", flat=True)]
    if batch:
        Execution.objects.filter(pk__in=batch).update(hidden_at=now)
        record(
            actor,
            VERB,
            subject_kind="execution",
            subject_id="finished",
            detail={"executionIds": batch},
            before={"hidden": False},
            after={"hidden": True},
        )
    return len(batch)
