"""Clearing the history: runs that are over go, but for those whose instances stand or of which DRS owes an answer.

What a run launched must not be forgotten while it runs: its rows are what guards it, and what finds it again.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from audit.actor import Actor
from audit.journal import attempt, record
from contract.chunks import chunks
from contract.plurals import counted
from executions.models import Execution, LaunchJob, ServerRun, TerminationJob
from executions.states import FINAL, JobStatus, LaunchStatus

BATCH = 200


@dataclass(frozen=True)
class Kept:
    """A finished run that stays, and why, as a sentence."""

    execution_id: uuid.UUID
    reason: str


@dataclass(frozen=True)
class Cleared:
    """How many runs were deleted of how many there were, and which finished ones were kept."""

    deleted: int
    scanned: int
    kept: list[Kept] = field(default_factory=list)


@attempt("execution.delete", "execution")
def delete_finished(*, actor: Actor) -> Cleared:
    """Delete every run that is over, of which nothing stands and of which DRS owes nothing. The journal stays."""
    actor.require("executions.delete_execution", "delete finished runs")
    scanned, deleted = Execution.objects.count(), 0
    for batch in chunks(list(_done().values_list("pk", flat=True)), BATCH):
        with transaction.atomic():
            deleted += _delete(actor, batch)
    kept = list(_kept())
    for some in chunks(kept, BATCH):
        _note(actor, {"kept": [{"executionId": str(each.execution_id), "reason": each.reason} for each in some]})
    if not deleted and not kept:
        _note(actor, {})
    return Cleared(deleted, scanned, kept)


def _note(actor: Actor, detail: dict[str, Any]) -> None:
    unchanged = {"changed": False, **detail}
    record(actor, "execution.delete", subject_kind="execution", subject_id="finished", detail=unchanged)


def _over() -> QuerySet[Execution]:
    return Execution.objects.filter(status__in=sorted(FINAL))


def _standing() -> QuerySet[ServerRun]:
    """What a run launched and what was not terminated since, whatever it was for."""
    return ServerRun.objects.filter(wave__execution=OuterRef("pk"), launch_status=LaunchStatus.LAUNCHED)


def _ending() -> QuerySet[TerminationJob]:
    jobs = TerminationJob.objects.filter(execution=OuterRef("pk"))
    return jobs.exclude(status__in=[JobStatus.REJECTED, JobStatus.COMPLETED])


def _launching() -> QuerySet[LaunchJob]:
    """Launches that are watched or in doubt."""
    jobs = LaunchJob.objects.filter(wave__execution=OuterRef("pk"))
    return jobs.filter(Q(watched=True) | Q(status=JobStatus.INITIATED, job_id=""))


def _done() -> QuerySet[Execution]:
    return _over().filter(~Exists(_standing()), ~Exists(_ending()), ~Exists(_launching()))


def _kept() -> Iterator[Kept]:
    runs = _over().filter(Exists(_standing()) | Exists(_ending()) | Exists(_launching()))
    number = _standing().order_by().values("wave__execution").annotate(n=Count("pk")).values("n")
    runs = runs.order_by("-started_at", "-pk")
    up = Coalesce(Subquery(number, output_field=IntegerField()), 0)
    for pk, standing, is_ending in runs.values_list("pk", up, Exists(_ending())):
        yield Kept(pk, _reason(standing, is_ending))


def _reason(up: int, is_ending: bool) -> str:
    if is_ending:
        return "AWS is terminating its instances."
    if up:
        return f"{counted(up, 'instance')} still {'stands' if up == 1 else 'stand'}. Terminate first, then delete."
    return "AWS has not said yet what became of all its launches."


def _delete(actor: Actor, ids: Sequence[uuid.UUID]) -> int:
    """Delete those of `ids` that may still go when nobody else can write them; answers how many."""
    list(Execution.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk"))
    batch = dict(_done().filter(pk__in=ids).values_list("pk", "status"))
    if batch:
        Execution.objects.filter(pk__in=list(batch)).delete()
        record(
            actor,
            "execution.delete",
            subject_kind="execution",
            subject_id="finished",
            detail={"executionIds": [str(each) for each in batch]},
            before={"executions": {str(each): status for each, status in batch.items()}},
            after={"executions": {}},
        )
    return len(batch)
