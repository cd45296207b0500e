"""Which launches have replaced the instances of a run, as its journal has it: what a page and a report say of them."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from audit.models import AuditEntry
from executions.models import Execution


@dataclass(frozen=True)
class Replacement:
    """Instances of a run that another run's launches have replaced, or, without a run, a DRS job started elsewhere."""

    instances: Sequence[str]
    execution_id: uuid.UUID | None
    number: int | None
    plan_name: str
    job_id: str

    @property
    def by(self) -> str:
        """Who launched anew, in words. A run that is not in the history any more has no number."""
        if self.execution_id is None:
            return f"DRS job {self.job_id}, started outside this product"
        return f"run {self.number} of {self.plan_name}" if self.number else f"a run of {self.plan_name}"


def replacements(execution: Execution, gone: Collection[str]) -> list[Replacement]:
    """By whom these of its instances were replaced: each run or DRS job once, the first to launch first."""
    entries = AuditEntry.objects.filter(
        subject_kind="execution", subject_id=str(execution.pk), verb="instances.replaced"
    )
    told: dict[tuple[str, str, str], dict[str, None]] = {}
    for detail in entries.order_by("pk").values_list("detail", flat=True):
        mine = dict.fromkeys(each for each in detail["instances"] if each in gone)
        if mine:
            told.setdefault(_launch(detail), {}).update(mine)
    runs = Execution.objects.filter(pk__in=[run for run, *_ in told if run]) if told else Execution.objects.none()
    numbers = dict(runs.values_list("pk", "number"))
    return [
        Replacement(list(ids), key := uuid.UUID(run) if run else None, numbers.get(key) if key else None, plan, job)
        for (run, plan, job), ids in told.items()
    ]


def _launch(detail: Mapping[str, str]) -> tuple[str, str, str]:
    """Whose it was: run and plan, or the job alone; a run may have launched them in several jobs."""
    run = detail.get("byExecution", "")
    return (run, detail.get("byPlan", ""), "") if run else ("", "", detail.get("byJob", ""))
