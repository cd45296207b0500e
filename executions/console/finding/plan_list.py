"""The list of plans: whether each would work, and what it has proven."""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence

from django.db.models import (
    Case,
    Count,
    DateTimeField,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    IntegerField,
    OuterRef,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from audit.actor import Actor
from audit.request_actor import actor_for
from console.asked import wanted_file
from console.pages import HtmxHttpRequest, list_behind, page_of, wants_fragment
from console.sorting import Column, Sorting
from console.tabs import Kind as TabKind
from console.tabs import Tab, sheet_address, tabs
from contract.rest.sheets import MOST, sheet
from contract.rights import ANYTHING
from executions.console.finding.plan_updates import ROW, Listed, answer, next_address, shown, with_tabs
from executions.console.forms import RUNNING, PlanFilter
from executions.measuring.proven import Achieved, achieved_of
from executions.measuring.rta_rpa import Verdict as Figure
from executions.models import Execution, ServerRun
from executions.pacemaker import is_alive
from executions.runs.allowed.actions import right_to_start
from executions.states import ExecutionStatus, Kind, Verdict
from plans.models import RecoveryPlan, RecoveryPlanQuerySet
from plans.services import CHANGE
from plans.views import plan_rows, with_drills

WORST_FIRST = (Verdict.NOT_READY, Verdict.UNKNOWN, Verdict.READY_WITH_WARNINGS, Verdict.READY)
STATES = (*(each.value for each in WORST_FIRST), RUNNING)  # of a plan, in the order of _verdict


@require_safe
def plan_list(request: HtmxHttpRequest) -> HttpResponse:
    """All plans, searched by name, each with its readiness, its figures, its last run and the button that drills it."""
    if request.htmx and ROW in request.GET:
        return _updates(request)
    form = PlanFilter(request.GET)
    chosen = form.chosen()
    actor = actor_for(request)
    plans = form.narrowed(RecoveryPlan.objects.seen_by(actor.sees))
    alive = is_alive()
    place = _verdict(engine_alive=alive)
    plans, state_tabs = _by_state(request, plans, place, chosen.get("readiness", ""))
    chooses = any(map(actor.at(ANYTHING).may, (right_to_start(Kind.DRILL)[0], CHANGE)))
    sorting = _sorting(request, place, chooses=chooses)
    plans = sorting.sorted(plans).select_related("readiness").prefetch_related("labels")
    if wanted_file(request, ("csv",), form):
        return _sheet(plans, actor)
    page = page_of(plans, request)
    rows = _listed(list(page), actor)
    context = {
        "form": form,
        "page": page,
        "heads": sorting.heads(),
        "chooses": chooses,
        "tabs": state_tabs,
        "sheet": sheet_address(request),
        "rows": rows,
        "poll": next_address(rows, engine_alive=alive),
        "is_filtered": bool(chosen),
    }
    template = "plans/_plans.html" if wants_fragment(request) else "plans/plan_list.html"
    return render(request, template, context)


def _updates(request: HtmxHttpRequest) -> HttpResponse:
    """The rows of the list that lies open which have changed, and its tabs; 204 if none has."""
    actor, marks, alive = actor_for(request), shown(request), is_alive()
    plans = RecoveryPlan.objects.seen_by(actor.sees).select_related("readiness").prefetch_related("labels")
    rows = {each.row.plan.pk: each for each in _listed(list(plans.filter(pk__in=list(marks))), actor)}
    parts = answer(request, marks, [rows[each] for each in marks if each in rows], engine_alive=alive)
    if not parts:
        return HttpResponse(status=204)
    of = list_behind(request, "plans") or request
    form = PlanFilter(of.GET)
    found, chosen = form.narrowed(RecoveryPlan.objects.seen_by(actor.sees)), form.chosen().get("readiness", "")
    return with_tabs(parts, of, _by_state(of, found, _verdict(engine_alive=alive), chosen)[1])


def _by_state(
    request: HttpRequest, plans: RecoveryPlanQuerySet, place: Case, chosen: str
) -> tuple[RecoveryPlanQuerySet, list[Tab]]:
    """Those of some plans that are in a state, and how many are in each."""
    placed = plans.annotate(place=place).order_by().values("place")
    counts = Counter(dict(placed.annotate(count=Count("pk")).values_list("place", "count")))
    states = [(RUNNING, "Running now"), *((each.value, each.label) for each in reversed(WORST_FIRST))]
    kinds = [TabKind(each, label, counts[STATES.index(each)]) for each, label in states]
    found = plans.alias(place=place).filter(place=STATES.index(chosen)) if chosen else plans
    return found, tabs(request, "readiness", [TabKind("", "All", counts.total()), *kinds], chosen)


def _sorting(request: HttpRequest, place: Case, *, chooses: bool) -> Sorting:
    drilled = {"kind": Kind.DRILL, "status": ExecutionStatus.COMPLETED}
    columns = (
        *([Column("Choose", unseen=True, kind="pick")] if chooses else []),
        Column("Plan", "name", "name_key"),
        Column("Would work", "ready", place),
        Column("Owner", "owner", Lower("owner")),
        Column("Achieved", "achieved", _recovery_time(), newest=True),
        Column("Last good drill", "drilled", _last_start(**drilled), newest=True),
        Column("Last run", "run", _last_start(), newest=True),
        Column("Start", unseen=True),
    )
    return Sorting(request, columns, "name", ["name_key"])


def _last_start(**wanted: str) -> Subquery:
    """When the last run of each was started, found through the index of its plan."""
    runs = Execution.objects.filter(plan=OuterRef("pk"), dry_run=False, **wanted)
    return Subquery(runs.order_by("-started_at").values("started_at")[:1], output_field=DateTimeField())


def _recovery_time() -> Subquery:
    """What the last run that proves a plan achieved, as its report counts it: until its last server was up."""
    servers = ServerRun.objects.filter(wave__execution=OuterRef("pk"), launched_at__isnull=False)
    last_up = Subquery(servers.order_by("-launched_at").values("launched_at")[:1])
    since = Coalesce("outage_at", "first_started_at", "started_at")
    complete = Execution.objects.filter(
        plan=OuterRef("pk"), status=ExecutionStatus.COMPLETED, dry_run=False, servers_left_out=0
    )
    took = complete.annotate(took=ExpressionWrapper(last_up - since, output_field=DurationField()))
    return Subquery(took.order_by("-started_at", "-id").values("took")[:1], output_field=DurationField())


def _verdict(*, engine_alive: bool) -> Case:
    """The worst first, as the list tells it: what is too old, or of another version, is not known, and without an
    engine none is ready."""
    known = {"readiness__expires_at__gt": timezone.now(), "readiness__plan_version": F("version")}
    running = Execution.objects.active().filter(plan=OuterRef("pk"), dry_run=False)
    weighed = [When(readiness__verdict=each, **known, then=Value(at)) for at, each in enumerate(WORST_FIRST)]
    return Case(
        When(Exists(running), then=Value(STATES.index(RUNNING))),
        *(weighed if engine_alive else ()),
        default=Value(WORST_FIRST.index(Verdict.UNKNOWN if engine_alive else Verdict.NOT_READY)),
        output_field=IntegerField(),
    )


def _listed(plans: Sequence[RecoveryPlan], actor: Actor) -> list[Listed]:
    found: Mapping[uuid.UUID, Achieved] = achieved_of({each.pk: each for each in plans})
    return [Listed(row, found.get(row.plan.pk)) for row in with_drills(plan_rows(plans, actor))]


SHEET = [
    *("planId", "planName", "owner", "waves", "servers", "readiness", "rtoMinutes", "recoveryTimeSeconds", "rto"),
    *("rpoMinutes", "recoveryPointSeconds", "rpo", "lastGoodDrill", "lastRun", "lastRunType", "lastRunStatus"),
]


def _sheet(plans: RecoveryPlanQuerySet, actor: Actor) -> HttpResponse:
    """All plans that the filters leave, whatever page is shown."""
    return sheet("recovery-plans", SHEET, [_cells(each) for each in _listed(list(plans[:MOST]), actor)], timezone.now())


def _cells(each: Listed) -> list[object]:
    row, plan, achieved = each.row, each.row.plan, each.achieved
    drilled = row.drilled.started_at if row.drilled else None
    last = [row.last.started_at, row.last.kind, row.last.status] if row.last else ["", "", ""]
    return [
        *(plan.pk, plan.name, plan.owner, row.waves, row.servers, row.verdict or ""),
        *(plan.rto_minutes, *_figure(achieved.rta if achieved else None)),
        *(plan.rpo_minutes, *_figure(achieved.rpa if achieved else None), drilled, *last),
    ]


def _figure(figure: Figure | None) -> tuple[object, object]:
    return (figure.seconds, figure.reached) if figure else ("", "")
