"""What became of the runs that a list shows as under way, and of an engine that is missed: a page asks for those alone
and is sent what changed."""

import re
import uuid

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe
from django_htmx.http import HTMX_STOP_POLLING

from console.pages import HtmxHttpRequest
from contract.clock import db_clock
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

    On the page of a plan (`plan`) the end of a run also changes whether the plan can be started.
    """
    if not request.htmx:
        return redirect("executions")
    shown = _shown(request)
    now = dict(Execution.objects.filter(pk__in=list(shown)).values_list("pk", "revision"))
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


def _changes(request: HttpRequest, shown: list[uuid.UUID], changed: list[uuid.UUID]) -> HttpResponse:
    runs = {run.pk: run for run in Execution.objects.defer(*UNSHOWN).filter(pk__in=shown)}
    under_way = [runs[pk] for pk in shown if pk in runs and runs[pk].ended_at is None]
    plan, parts = _plan(request), list[str]()
    if under_way:
        parts.append(render_to_string("executions/_under_way.html", {"under_way": under_way, "plan": plan}))
    for pk in changed:
        parts.append(render_to_string("executions/_row.html", {"run": runs.get(pk), "gone": pk, "is_poll": True}))
    if plan and len(under_way) < len(shown):
        parts += _whether_it_can_start(request, plan)
    return HttpResponse("".join(parts), status=200 if under_way else HTMX_STOP_POLLING)


def _shown(request: HttpRequest) -> dict[uuid.UUID, int]:
    """The runs of the page with the revisions that it shows; what is not of our making is left out."""
    found = [RUN.fullmatch(each) for each in request.GET.getlist("run")[:MOST_ROWS]]
    return {uuid.UUID(each[1]): int(each[2]) for each in found if each}


def _plan(request: HttpRequest) -> RecoveryPlan | None:
    try:
        return RecoveryPlan.objects.filter(pk=uuid.UUID(request.GET.get("plan", ""))).first()
    except ValueError:
        return None


def _whether_it_can_start(request: HttpRequest, plan: RecoveryPlan) -> list[str]:
    """The parts of a plan's page that change when a run of it ends."""
    used = set(ProtectionGroup.objects.filter(waves__plan=plan).values_list("region", flat=True))
    context = {
        "plan": plan,
        "row": plan_rows([plan])[0],
        "assessed": readiness_of([plan.pk], db_clock())[plan.pk],
        "regions": [each for each in region_ages() if each.inventory.region in used],
        "is_poll": True,
    }
    parts = [render_to_string(f"executions/{part}.html", context, request) for part in ("_assessed", "_startable")]
    return ["<template>", *parts, "</template>"]  # a parser that has read a row drops the tags of forms
