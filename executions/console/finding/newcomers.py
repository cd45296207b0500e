"""Runs that begin while a list of runs lies open: it asks for those alone, and is sent their rows.

Runs get to a list of one status however long ago they began, and leave it: such a list asks whether its first rows are
still the same, as many as it shows by now, and is sent as many anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from operator import attrgetter
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, list_behind, whole_number
from contract.rights import as_id
from executions.console.finding.run_sheet import RUNS_A_PAGE, run_page, run_sorting
from executions.console.forms import RunFilter
from executions.models import Execution
from executions.querysets import ExecutionQuerySet
from plans.models import RecoveryPlan

OVERLAP = timedelta(seconds=30)  # what began may have been committed after something that began later
MOST_PAGES = 20  # of a list of one status that a poll watches
MOST = 20  # more than these at once are not put above a list, but lead to it anew


@dataclass(frozen=True)
class Shown:
    """The rows that a list of one status shows: how many pages of them, and what stands for them, page by page."""

    pages: int = 0
    first: str = ""

    @classmethod
    def of(cls, request: HttpRequest) -> "Shown":
        """By the page's own word."""
        return cls(min(whole_number(request.GET.get("pages")) or 0, MOST_PAGES), request.GET.get("first", ""))

    def and_then(self, runs: Sequence[Execution]) -> "Shown":
        """With these below them. What is past the most that a poll looks at, no poll watches."""
        if self.pages == MOST_PAGES:
            return self
        rows = [runs[at : at + RUNS_A_PAGE] for at in range(0, len(runs), RUNS_A_PAGE)] or [[]]
        first = self.first
        for each in rows:
            first = blake2b(repr((first, [run.pk for run in each])).encode(), digest_size=8).hexdigest()
        return Shown(self.pages + len(rows), first)

    @property
    def parameters(self) -> dict[str, str]:
        return {"first": self.first, "pages": str(self.pages)}


def next_address(
    runs: Sequence[Execution], plan: RecoveryPlan | None = None, *, empty: bool = False, shown: Shown | None = None
) -> str:
    """What a list that shows these runs asks next; `empty`: it has no rows, above which new ones could be put. `shown`
    is for one of one status."""
    now = timezone.now()
    recent = sorted((each for each in runs if each.started_at > now - 2 * OVERLAP), key=attrgetter("started_at"))
    told = [("told", str(each.pk)) for each in recent[-2 * MOST :]]  # more than an answer looks at
    query = [("since", (now - OVERLAP).isoformat()), *told]
    query += [("plan", str(plan.pk))] if plan else []
    query += [("empty", "")] if empty else []
    query += list(shown.parameters.items()) if shown else []
    return f"{reverse('execution-rows')}?{urlencode(query)}"


def has_other_rows(request: HtmxHttpRequest, shown: Shown) -> bool:
    """Whether the history that lies open begins with other rows by now."""
    history, runs = list_behind(request, "executions"), _listed(request, None)
    if history is None or runs is None:
        return False
    many = max(1, shown.pages) * RUNS_A_PAGE
    return Shown().and_then(run_page(runs.only("started_at"), run_sorting(history), None, many)[0]).first != shown.first


def since(request: HttpRequest) -> datetime | None:
    """The time that an address of ours names; None for anything else."""
    try:
        found = parse_datetime(request.GET.get("since", ""))
    except ValueError:
        return None
    return found if found and found.tzinfo and 1970 < found.year < 9000 else None


def newcomers(
    request: HtmxHttpRequest, begun: datetime, plan: RecoveryPlan | None
) -> tuple[list[Execution], list[Execution]]:
    """The runs that began since then and that the page lists, the newest first: all of them, and those that it does
    not show yet."""
    runs = _listed(request, plan)
    found = list(runs.filter(started_at__gt=begun).newest_first()[: MOST + 1]) if runs is not None else []
    told = {as_id(each) for each in request.GET.getlist("told")[: 2 * MOST]}
    return found, [each for each in found if each.pk not in told]


def _listed(request: HtmxHttpRequest, plan: RecoveryPlan | None) -> ExecutionQuerySet | None:
    seen = Execution.objects.seen_by(actor_for(request).sees).defer("plan_copy", "phase_times")
    if plan:
        return seen.shown().filter(plan=plan)
    history = list_behind(request, "executions")
    if history is None:
        return None
    form = RunFilter(history)
    return form.of_status(form.narrowed(seen))


def puts_on_top(request: HtmxHttpRequest, plan: RecoveryPlan | None) -> bool:
    """Whether what is new stands at the head of the list."""
    history = list_behind(request, "executions")
    return plan is not None or (history is not None and run_sorting(history).is_default)
