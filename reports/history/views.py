"""Pages of how plans and their runs have done over time. Other pages fetch their parts when they are looked at."""

import uuid

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from audit.request_actor import actor_for
from console.asked import wanted_file
from console.pages import HtmxHttpRequest, page_of, wants_fragment
from console.tabs import sheet_address
from contract.clock import db_clock
from contract.rest.sheets import MOST, sheet
from executions.models import Execution
from plans.forms import PlanSearch
from plans.models import RecoveryPlan
from reports.history import exercises as year
from reports.history.phases import phases_of
from reports.history.readiness_days import days_of_all, days_of_plan
from reports.history.strips import PlanStrip, WholeStrip
from reports.history.trend import trend_of


@require_safe
def plan_history(request: HtmxHttpRequest, plan_id: uuid.UUID) -> HttpResponse:
    """What the last runs of a plan achieved, and how ready it was."""
    plan, today = get_object_or_404(RecoveryPlan, pk=plan_id), db_clock().date()
    context = {"plan": plan, "trend": trend_of(plan.pk), "strip": PlanStrip(days_of_plan(plan.pk, today), today)}
    template = "reports/_history.html" if wants_fragment(request) else "reports/plan_history.html"
    return render(request, template, context)


@require_safe
def run_phases(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """On what the time of each wave of a run went, beside the runs of its plan before it."""
    run = get_object_or_404(Execution, pk=execution_id)
    context = {"execution": run, "phases": phases_of(run)}
    template = "reports/_phases.html" if wants_fragment(request) else "reports/run_phases.html"
    return render(request, template, context)


@require_safe
def readiness_history(request: HtmxHttpRequest) -> HttpResponse:
    """How ready all plans were that one sees."""
    today = db_clock().date()
    context = {"strip": WholeStrip(days_of_all(actor_for(request).sees, today), today)}
    template = "reports/_ready_days.html" if wants_fragment(request) else "reports/readiness_history.html"
    return render(request, template, context)


@require_safe
def exercises(request: HtmxHttpRequest) -> HttpResponse:
    """Plans by month, as a page or a file."""
    form, now = PlanSearch(request.GET), db_clock()
    chosen = form.chosen()
    plans = form.narrowed(RecoveryPlan.objects.seen_by(actor_for(request).sees))
    if wanted_file(request, ("csv",), form):
        found = year.exercises(list(plans[: MOST // year.MONTHS]), now)
        return sheet("exercises", year.COLUMNS, year.lines(found), now)
    page = page_of(plans, request)
    context = {
        "form": form,
        "page": page,
        "years": year.exercises(list(page), now),
        "months": year.months(now),
        "days": year.DUE_AFTER.days,
        "sheet": sheet_address(request),
        "is_filtered": bool(chosen),
    }
    template = "reports/_exercises.html" if wants_fragment(request) else "reports/exercises.html"
    return render(request, template, context)
