"""Which two runs are put side by side: by number or id, of those that somebody sees."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Q

from contract.errors import NotFound
from contract.rights import Reach, as_id
from executions.models import Execution
from executions.querysets import ExecutionQuerySet

OFFERED = 20
NO_RUN = UUID(int=0)  # ids are random


def run_named(text: str, sees: Reach) -> Execution:
    """The run of this number or id. Raises NotFound, also for one that somebody does not see."""
    named = text.strip().lower().removeprefix("run").strip()
    is_number = named.isascii() and named.isdecimal() and len(named) < 10
    wanted = Q(number=int(named)) if is_number else Q(pk=as_id(named) or NO_RUN)
    run = Execution.objects.seen_by(sees).filter(wanted).first()
    if run is None:
        raise NotFound(f"There is no run {text.strip()[:64]}.", details={"run": text.strip()[:64]})
    return run


def offered(sees: Reach, beside: Execution | None = None) -> Sequence[Execution]:
    """Finished runs to choose among, newest first: of the same plan where one is chosen."""
    finished: ExecutionQuerySet = Execution.objects.seen_by(sees).final().shown()
    if beside is not None and beside.plan_id is not None:
        finished = finished.filter(plan=beside.plan_id)
    others = finished.exclude(pk=beside.pk) if beside else finished
    return list(others.newest_first().defer("plan_copy", "phase_times")[:OFFERED])
