"""The history by status, sorted, and as a file."""

from collections import Counter

from django.db.models import Case, DurationField, ExpressionWrapper, F, IntegerField, Value, When
from django.db.models.functions import Coalesce, Lower
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from console.sorting import Column, Sorting, rows_behind
from console.tabs import Kind, Tab, tabs
from contract.rest.paging import page
from contract.rest.sheets import MOST, sheet
from executions.console.forms import UNDER_WAY
from executions.models import Execution
from executions.querysets import ExecutionQuerySet
from executions.states import ACTIVE, ExecutionStatus

COUNTED = 250
RUNS_A_PAGE = 50
SHEET = [
    *("runNumber", "executionId", "planName", "executionType", "dryRun", "status", "startTime", "endTime"),
    *("startedBy", "initiatedBy", "attempt", "totalWaves", "rtoMinutes", "rpoMinutes", "serversLeftOut"),
    *("terminationStatus", "errorCode"),
]


def run_tabs(request: HttpRequest, runs: ExecutionQuerySet, chosen: str) -> list[Tab]:
    """How many of some runs are under way, how many of those wait for a person, and how the others ended. The newest
    are counted: of a longer history the figures are the least that there are, and the tabs say so."""
    newest = list(runs.newest_first().values_list("status", flat=True)[: COUNTED + 1])
    counts, more = Counter(newest[:COUNTED]), len(newest) > COUNTED
    under_way = Counter(runs.active().order_by().values_list("status", flat=True))
    alone = [each for each in ExecutionStatus if each.is_final or each.value in (ExecutionStatus.PAUSED, chosen)]
    kinds = [
        Kind(
            each.value,
            each.label,
            (counts if each.is_final else under_way)[each.value],
            at_least=more and each.is_final,
        )
        for each in alone
    ]
    active = Kind(UNDER_WAY, "Under way", sum(under_way[each.value] for each in ACTIVE))
    return tabs(request, "status", [Kind("", "All", counts.total(), at_least=more), active, *kinds], chosen)


def run_sorting(request: HttpRequest) -> Sorting:
    """What the history can be sorted by; by status as they are declared, from the begin of a run to its ends."""
    places = [When(status=each, then=Value(at)) for at, each in enumerate(ExecutionStatus)]
    status = Case(*places, default=Value(len(places)), output_field=IntegerField())
    took = ExpressionWrapper(Coalesce("ended_at", timezone.now()) - F("started_at"), DurationField())
    columns = (
        Column("Choose", unseen=True, kind="pick"),
        Column("Run", "plan", Lower("plan_name")),
        Column("Type", "type", "kind"),
        Column("Status", "status", status),
        Column("Started", "started", "started_at", newest=True),
        Column("Started by", "by", Lower("started_by")),
        Column("Took", "took", took, newest=True, kind="num"),
    )
    return Sorting(request, columns, "-started", ["-started_at", "-id"])


def run_page(
    runs: ExecutionQuerySet, sorting: Sorting, after: str | None, limit: int
) -> tuple[list[Execution], str | None]:
    """One page of the history, and what names the next one. As it is by itself, the list is read through its index."""
    if sorting.is_default:
        return page(runs, time="started_at", limit=limit, token=after)
    return rows_behind(runs, sorting, after, limit)


def run_sheet(runs: ExecutionQuerySet) -> HttpResponse:
    """The runs that the filters leave, as they are sorted."""
    rows = [_cells(each) for each in runs[:MOST]]
    return sheet("runs", SHEET, rows, timezone.now())


def _cells(run: Execution) -> list[object]:
    return [
        *(run.number, run.pk, run.plan_name, run.kind, "yes" if run.dry_run else "no", run.status),
        *(run.started_at, run.ended_at, run.started_by, run.initiated_by, run.attempt, run.total_waves),
        *(run.rto_minutes, run.rpo_minutes, run.servers_left_out, run.termination_status, run.error_code),
    ]
