"""A run beside the one before it of the same plan."""

from typing import TypedDict

from contract.clock import unix
from executions.measuring.rta_rpa import Measured, attempts_before, measure, rows_of
from executions.models import Execution
from executions.querysets import ExecutionQuerySet


class ComparisonShape(TypedDict):
    """The finished run of the plan before this one's first attempt. Changes are this run's figure less the previous
    one's, in seconds from the start of each; null unless both are of one kind and brought every server up (`complete`).
    """

    executionId: str
    executionType: str
    status: str
    startTime: int
    complete: bool
    rtoSeconds: int | None
    rpoSeconds: int | None
    launchedServers: int
    rtoChangeSeconds: int | None
    rpoChangeSeconds: int | None
    planChanged: bool


def compare(execution: Execution, figures: Measured) -> ComparisonShape | None:
    """None for the first run of a plan, and for the runs of plans that are gone."""
    before = previous(execution).with_waves().first()
    if before is None:
        return None
    old = measure(before, rows_of(before), attempts_before(before))
    alike = figures.complete and old.complete and before.kind == execution.kind
    return ComparisonShape(
        executionId=str(before.pk),
        executionType=before.kind,
        status=before.status,
        startTime=unix(before.started_at),
        complete=old.complete,
        rtoSeconds=old.from_start,
        rpoSeconds=old.rpo.seconds,
        launchedServers=sum(each.launched for each in old.servers),
        rtoChangeSeconds=_change(figures.from_start, old.from_start) if alike else None,
        rpoChangeSeconds=_change(figures.rpo.seconds, old.rpo.seconds) if alike else None,
        planChanged=before.plan_copy.get("version") != execution.plan_copy.get("version"),
    )


def previous(execution: Execution) -> ExecutionQuerySet:
    """The runs that it is compared with the first of."""
    earlier = Execution.objects.final().filter(plan=execution.plan_id, started_at__lt=execution.counts_from)
    of_a_plan = earlier.filter(dry_run=execution.dry_run).newest_first()
    return of_a_plan if execution.plan_id else of_a_plan.none()


def _change(new: int | None, old: int | None) -> int | None:
    return None if new is None or old is None else new - old
