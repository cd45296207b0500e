"""Changes of a run's rows that both people and engines make. Call them inside a transaction."""

import uuid
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from django.db.models import F, OuterRef, Subquery

from executions.models import Execution, LaunchJob, ServerHold, WaveRun
from executions.states import ExecutionStatus, WaveStatus


def touch(execution: Execution, now: datetime, waves: Iterable[WaveRun] = ()) -> int:
    """Give the run, and the waves that changed, a new revision, so that readers see what is new to them."""
    Execution.objects.filter(pk=execution.pk).update(revision=F("revision") + 1, updated_at=now)
    revision: int = Execution.objects.values_list("revision", flat=True).get(pk=execution.pk)
    numbers = [wave.number for wave in waves]
    if numbers:
        WaveRun.objects.filter(execution=execution, number__in=numbers).update(revision=revision)
    execution.revision = revision
    return revision


def touch_all(executions: Collection[uuid.UUID], now: datetime, waves: Collection[int]) -> None:
    """The same for many runs and waves at once, by their keys."""
    runs = Execution.objects.filter(pk__in=executions)
    runs.update(revision=F("revision") + 1, updated_at=now)
    its_own = Execution.objects.filter(pk=OuterRef("execution")).values("revision")
    WaveRun.objects.filter(pk__in=waves).update(revision=Subquery(its_own))


def skip(waves: Iterable[WaveRun], reason: str, now: datetime) -> None:
    """Mark waves that will not run, with the reason a person reads."""
    for wave in waves:
        wave.status, wave.status_message, wave.ended_at = WaveStatus.SKIPPED, reason, now
        wave.save(update_fields=["status", "status_message", "ended_at"])


def release(execution: Execution) -> None:
    """Give the servers back: other plans may use them."""
    ServerHold.objects.filter(execution=execution).delete()


def is_watched(execution: Execution) -> bool:
    """Whether DRS may still have news of one of the run's launches."""
    return LaunchJob.objects.filter(wave__execution=execution, watched=True).exists()


def end_columns(execution: Execution, status: ExecutionStatus, now: datetime) -> dict[str, object]:
    """The columns that end a run, for the caller's guarded UPDATE; it is looked at again while DRS owes us news."""
    return {
        "status": status,
        "ended_at": now,
        "claim": None,
        "next_step_at": now if is_watched(execution) else None,
        "aws_error": "",
        "failing_since": None,
        "stalled_since": None,
        "lease_ends_at": lease_end(execution, now),
    }


def lease_end(execution: Execution, now: datetime) -> datetime | None:
    """Until when the instances of a drill that ends now may run; None without a lease."""
    hours = None if execution.dry_run or execution.purpose.is_recovery else execution.drill_lease_hours
    return None if hours is None else now + timedelta(hours=hours)
