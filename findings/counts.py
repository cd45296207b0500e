"""How many findings are open of a run, of a plan, or of all that somebody sees, and who vouches for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, Func, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from contract.rights import Reach
from executions.models import Execution
from findings.models import Finding, SignOff
from plans.models import RecoveryPlan


@dataclass(frozen=True)
class Counts:
    """What is overdue is open, too."""

    open: int
    overdue: int


@dataclass(frozen=True)
class SaidOf:
    """What people said of a run, or of a plan and its runs: `query` is how addresses of findings name it; `sign_offs`
    those of the run, or the plan's last one."""

    query: str
    counts: Counts
    sign_offs: Sequence[SignOff]


def _count_of(**of: object) -> Subquery:
    """How many findings there are of what the row around it is, as a subquery."""
    rows = Finding.objects.order_by().filter(closed_at=None, **of)
    return Subquery(rows.values(n=Func("pk", function="COUNT", output_field=IntegerField())))


def _said(query: str, rows: QuerySet[Any], link: str, sign_offs: QuerySet[SignOff]) -> SaidOf:
    """All in one question, and another for sign-offs where there are any."""
    columns = {"open": _count_of(**{link: OuterRef("pk")})}
    columns["overdue"] = _count_of(**{link: OuterRef("pk"), "due__lt": timezone.now().date()})
    columns["signed"] = Exists(sign_offs)
    found = rows.order_by().annotate(**columns).values_list(*columns).first()
    open_, overdue, signed = found or (0, 0, False)  # deleted meanwhile
    return SaidOf(query, Counts(open_, overdue), list(sign_offs) if signed else [])


def said_of_run(execution: Execution) -> SaidOf:
    rows, signed = Execution.objects.filter(pk=execution.pk), SignOff.objects.filter(execution=execution)
    return _said(f"execution={execution.pk}", rows, "execution", signed)


def said_of_plan(plan: RecoveryPlan) -> SaidOf:
    last = SignOff.objects.filter(execution__plan=plan).select_related("execution").order_by("-at", "-id")[:1]
    return _said(f"plan={plan.pk}", RecoveryPlan.objects.filter(pk=plan.pk), "plan", last)


def counts_of_all(sees: Reach) -> Counts:
    left = Finding.objects.seen_by(sees).order_by().filter(closed_at=None)
    found = left.aggregate(open=Count("pk"), overdue=Count("pk", filter=Q(due__lt=timezone.now().date())))
    return Counts(found["open"], found["overdue"])
