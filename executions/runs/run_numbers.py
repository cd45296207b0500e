"""The number by which people call a run."""

import uuid
from collections.abc import Sequence

from executions.models import Execution, RunNumber

AT_ONCE = 500


def next_number(execution_id: uuid.UUID) -> int:
    """A number for a new run, which no other gets."""
    return RunNumber.objects.create(execution_id=execution_id).pk


def number_the_others() -> None:
    """Runs that a process of the release before has started have none yet. Engines may do it at the same time."""
    while ids := list(
        Execution.objects.filter(number=None).order_by("started_at", "id").values_list("pk", flat=True)[:AT_ONCE]
    ):
        _number(ids)


def _number(ids: Sequence[uuid.UUID]) -> None:
    RunNumber.objects.bulk_create([RunNumber(execution_id=each) for each in ids], ignore_conflicts=True)
    for number, execution_id in RunNumber.objects.filter(execution_id__in=ids).values_list("pk", "execution_id"):
        Execution.objects.filter(pk=execution_id, number=None).update(number=number)
