"""What became of the runs that a list shows as under way, which began since, and whether an engine that is missed is
back: a page asks for those alone and is sent what changed."""

import re
import uuid
from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe
from django_htmx.http import HTMX_STOP_POLLING, reswap, retarget

from accounts.registry import way_of
from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, list_behind
from console.tabs import sheet_address
from contract.clock import db_clock
from executions.console.finding.newcomers import (
    MOST,
    Shown,
    has_other_rows,
    newcomers,
    next_address,
    puts_on_top,
    since,
)
from executions.console.finding.run_sheet import run_tabs
from executions.console.forms import RunFilter
from executions.console.plan_views import last_runs
from executions.console.run_views import history_of
from executions.models import Execution
from executions.pacemaker import is_alive
from executions.readiness.facts import readiness_of
from plans.models import RecoveryPlan
from plans.views import plan_rows
from protection.models import ProtectionGroup
from protection.views import region_ages

MOST_ROWS = 100
RUN = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([0-9]{1,9})")
# What no row shows, and may be long.
UNSHOWN = ("plan_copy", "forecast", "phase_times", "rehearsal", "aws_error", "error_message")


@require_safe
def execution_rows(request: HtmxHttpRequest) -> HttpResponse:
    """The rows that changed since the revisions that the page shows, 204 if none did, 286 if all these runs are over.

    On the page of a plan (`plan`) the end of a run also changes whether the plan can be started, in the history how
    many are so.
    """
    if not request.htmx:
        return redirect("executions")
    begun = since(request)
    if begun is not None:
        return _new_rows(request, begun)
    shown = _shown(request)
    seen = Execution.objects.seen_by(actor_for(request).sees)
    now = dict(seen.filter(pk__in=list(shown)).values_list("pk", "revision"))
    changed = [pk for pk, revision in shown.items() if now.get(pk) != revision]
    if shown and not changed:
        return HttpResponse(status=204)
    return _changes(request, list(shown), changed)


@require_safe
def engine_back(request: HtmxHttpRequest) -> HttpResponse:
    """204 while no engine runs; once one does, the banner is taken away, and a plan's page says anew whether it would
    work."""
    if not request.htmx:
        return redirect("dashboard")
    if not is_alive():
        return HttpResponse(status=204)
    plan = _plan(request)
    parts = [render_to_string("_engine.html", {"engine_alive": True})]
    return HttpResponse(
        "".join(parts + (_whether_it_can_start(request, plan) if plan else [])), status=HTMX_STOP_POLLING
    )


def _new_rows(request: HtmxHttpRequest, begun: datetime) -> HttpResponse:
    """The rows of runs that began since the page was read, above its others; 204 if none did. A list without rows is
    sent as a whole, and so is one that has missed many, or of one status, whose rows come and go: never the page, on
    which somebody may be doing something."""
    plan = _plan(request)
    if "first" in request.GET:
        shown = Shown.of(request)
        return _whole_list(request, plan, shown.pages) if has_other_rows(request, shown) else HttpResponse(status=204)
    found, new = newcomers(request, begun, plan)
    if not new:
        return HttpResponse(status=204)
    if "empty" in request.GET or len(new) > MOST:
        return _whole_list(request, plan)
    on_top = puts_on_top(request, plan)
    table = {"plan": plan, "chooses": plan is None, "is_poll": False}
    rows = [render_to_string("executions/_row.html", {"run": run, **table}) for run in new if on_top]
    under_way = [run for run in new if run.ended_at is None and on_top]
    if under_way:
        rows.insert(0, render_to_string("executions/_under_way.html", {"under_way": under_way, **table}))
    of = "#newcomers + .table-scroll tbody"
    parts = [
        render_to_string("executions/_newcomers.html", {"newcomers": next_address(found, plan), "plan": plan}),
        f'<template><tbody hx-swap-oob="afterbegin:{of}">', *rows, "</tbody></template>",
    ]  # fmt: skip
    parts += _whether_it_can_start(request, plan) if plan else []
    return HttpResponse("".join(parts + _tabs(request)))


def _whole_list(request: HtmxHttpRequest, plan: RecoveryPlan | None, pages: int = 1) -> HttpResponse:
    history = list_behind(request, "executions")
    if plan is None:
        return reswap(retarget(history_of(history or request, max(1, pages)), "#executions"), "outerHTML")
    runs = last_runs(plan)
    table = {"runs": runs, "plan": plan, "instead_of": "#newcomers + *"}
    parts = [
        render_to_string("executions/_newcomers.html", {"newcomers": next_address(runs, plan), "plan": plan}),
        render_to_string("executions/_runs.html", table),
    ]
    return HttpResponse("".join(parts + _whether_it_can_start(request, plan)))


def _changes(request: HtmxHttpRequest, shown: list[uuid.UUID], changed: list[uuid.UUID]) -> HttpResponse:
    seen = Execution.objects.seen_by(actor_for(request).sees)
    runs = {run.pk: run for run in seen.defer(*UNSHOWN).filter(pk__in=shown)}
    under_way = [runs[pk] for pk in shown if pk in runs and runs[pk].ended_at is None]
    plan, parts = _plan(request), list[str]()
    table = {"plan": plan, "chooses": "choose" in request.GET}
    if under_way:
        parts.append(render_to_string("executions/_under_way.html", {"under_way": under_way, **table}))
    for pk in changed:
        row = {"run": runs.get(pk), "gone": pk, "is_poll": True, **table}
        parts.append(render_to_string("executions/_row.html", row))
    if plan and len(under_way) < len(shown):
        parts += _whether_it_can_start(request, plan)
    parts += _tabs(request)
    return HttpResponse("".join(parts), status=200 if under_way else HTMX_STOP_POLLING)


def _tabs(request: HtmxHttpRequest) -> list[str]:
    """The tabs above the history as its address filters it; nothing on other pages."""
    list_request = list_behind(request, "executions")
    if list_request is None:
        return []
    form = RunFilter(list_request)
    runs = form.narrowed(Execution.objects.seen_by(actor_for(request).sees))
    context = {
        "tabs": run_tabs(list_request, runs, form.chosen().get("status", "")),
        "sheet": sheet_address(list_request),
        "is_poll": True,
    }
    return ["<template>", render_to_string("_tabs.html", context), "</template>"]


def _shown(request: HttpRequest) -> dict[uuid.UUID, int]:
    """The runs of the page with the revisions that it shows; what is not of our making is left out."""
    found = [RUN.fullmatch(each) for each in request.GET.getlist("run")[:MOST_ROWS]]
    return {uuid.UUID(each[1]): int(each[2]) for each in found if each}


def _plan(request: HttpRequest) -> RecoveryPlan | None:
    try:
        seen = RecoveryPlan.objects.seen_by(actor_for(request).sees)
        return seen.filter(pk=uuid.UUID(request.GET.get("plan", ""))).first()
    except ValueError:
        return None


def _whether_it_can_start(request: HttpRequest, plan: RecoveryPlan) -> list[str]:
    """The parts of a plan's page that change when a run of it ends."""
    groups = ProtectionGroup.objects.filter(waves__plan=plan).values_list("account_id", "region")
    used = {(way_of(account), region) for account, region in groups}
    context = {
        "plan": plan,
        "row": plan_rows([plan], actor_for(request))[0],
        "assessed": readiness_of([plan.pk], db_clock())[plan.pk],
        "regions": [each for each in region_ages() if each.place in used],
        "is_poll": True,
    }
    parts = [render_to_string(f"executions/{part}.html", context, request) for part in ("_assessed", "_startable")]
    return ["<template>", *parts, "</template>"]  # a parser that has read a row drops the tags of forms
