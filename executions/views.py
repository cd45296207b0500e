"""Pages of runs: the history, the live page and its polls, and the commands that a person gives."""

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect

from audit.requests import actor_for
from contract.errors import DomainError
from contract.paging import page
from executions import services
from executions.actions import Actions, actions_of
from executions.feed import feed
from executions.forms import CommentForm, RunFilter
from executions.live import Live
from executions.models import Execution, Pacemaker, ServerRun
from executions.pacemaker import SILENT_AFTER
from executions.states import Kind, LaunchStatus
from plans.models import RecoveryPlan, WaveServer
from plans.views import plan_rows
from protection.models import ProtectionGroup, SourceServer
from protection.pages import HtmxHttpRequest, wants_fragment
from protection.views import Readiness

RUNS_A_PAGE = 50
STOP_POLLING = 286


# History


@require_safe
def execution_list(request: HtmxHttpRequest) -> HttpResponse:
    """The history, newest first, filtered by what the address says; `after` is where the next rows begin."""
    form = RunFilter(request)
    chosen = form.chosen()
    after = request.GET.get("after") or None
    runs, token = page(Execution.objects.filter(**chosen), time="started_at", limit=RUNS_A_PAGE, token=after)
    filters = {name: request.GET[name] for name in chosen}
    more = urlencode({**filters, "after": token}) if token else ""
    context = {"form": form, "runs": runs, "more": more, "is_filtered": bool(chosen)}
    template = "executions/_executions.html" if wants_fragment(request) else "executions/execution_list.html"
    return render(request, template, context)


# One run


@require_safe
def execution_detail(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """The live page."""
    return _page(request, execution_id)


def _page(request: HttpRequest, execution_id: uuid.UUID, problem: DomainError | None = None) -> HttpResponse:
    execution = get_object_or_404(Execution.objects.with_waves(), pk=execution_id)
    context = {**_context(request, Live(execution)), "problem": problem}
    return render(request, "executions/execution_detail.html", context, status=problem.status if problem else 200)


def _context(request: HttpRequest, live: Live) -> dict[str, Any]:
    return {
        "live": live,
        "execution": live.execution,
        "feed": feed(live.execution),
        "actions": _actions(request, live),
    }


def _actions(request: HttpRequest, live: Live) -> Actions:
    return actions_of(live.execution, actor_for(request), has_instances=bool(live.up))


@require_safe
def execution_live(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """What changed since the revision that the page shows: nothing (204), some waves, or the end (286)."""
    if not request.htmx:
        return redirect("execution", execution_id)
    beat = Pacemaker.objects.filter(pk=1).values("beat_at")[:1]
    seen = (
        Execution.objects.filter(pk=execution_id)
        .annotate(beat_at=Subquery(beat))
        .values_list("revision", "ended_at", "beat_at")
        .first()
    )
    if seen is None:
        raise Http404
    revision, ended_at, beat_at = seen
    since = _number(request.GET.get("rev"))
    alive = is_alive(beat_at)
    if revision == since and ended_at is None and request.GET.get("engine") == str(int(alive)):
        return HttpResponse(status=204)
    return _changes(request, execution_id, since, alive)


def _changes(request: HttpRequest, execution_id: uuid.UUID, since: int, alive: bool) -> HttpResponse:
    execution = get_object_or_404(Execution.objects.with_waves(), pk=execution_id)
    live = Live(execution, since=since)
    context = {**_context(request, live), "engine_alive": alive, "is_poll": True}
    parts = ["_live", "_feed"]
    body = "".join(render_to_string(f"executions/{part}.html", context, request) for part in parts)
    for wave in live.changed_waves:
        body += render_to_string("executions/_wave.html", {**context, "wave": wave}, request)
    body += render_to_string("_engine.html", context, request)
    return HttpResponse(body, status=200 if execution.ended_at is None else STOP_POLLING)


def _number(text: str | None) -> int:
    """The revision that the page has; an unreadable one means everything is news to it."""
    return int(text) if text and text.isdecimal() and len(text) < 10 else 0


def is_alive(beat_at: datetime | None) -> bool:
    """Whether an engine gave a sign of life lately."""
    return beat_at is not None and timezone.now() - beat_at < SILENT_AFTER


# Commands


@require_POST
def execution_resume(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """Let a paused run go on, or take back a pause that was asked for."""
    return _command(request, execution_id, services.resume)


@require_POST
def execution_pause(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """Let a run wait before its next wave."""
    return _command(request, execution_id, services.pause)


def _command(request: HttpRequest, execution_id: uuid.UUID, verb: Callable[..., Execution]) -> HttpResponse:
    try:
        verb(actor=actor_for(request), execution_id=execution_id)
    except DomainError as problem:
        return _page(request, execution_id, problem)
    return redirect("execution", execution_id)


@require_http_methods(["GET", "HEAD", "POST"])
def execution_cancel(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """Ask, then cancel: what runs at AWS is finished first."""
    execution = get_object_or_404(Execution.objects.with_waves(), pk=execution_id)
    form = CommentForm(request.POST if request.method == "POST" else None)
    problem = None
    if request.method == "POST" and form.is_valid():
        try:
            services.cancel(actor=actor_for(request), execution_id=execution_id, comment=form.cleaned_data["comment"])
            return _go(request, execution_id)
        except DomainError as error:
            problem = error
    live = Live(execution)
    context = {
        "live": live,
        "execution": execution,
        "form": form,
        "problem": problem,
        "actions": _actions(request, live),
    }
    status = problem.status if problem else 422 if form.errors else 200
    return render(request, _dialog_or_page(request, "executions", "cancel"), context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
def drill_start(request: HtmxHttpRequest, plan_id: uuid.UUID) -> HttpResponse:
    """Say what a drill will launch and cost, then start it."""
    plan = get_object_or_404(RecoveryPlan, pk=plan_id)
    problem = None
    if request.method == "POST":
        try:
            execution = services.start(actor=actor_for(request), plan_id=plan_id, kind=Kind.DRILL)
            return _go(request, execution.pk)
        except DomainError as error:
            problem = error
    context = {
        "row": plan_rows([plan])[0],
        "plan": plan,
        "problem": problem,
        "may_start": request.user.has_perm("executions.start_drill"),
        **_consequences(plan),
    }
    status = problem.status if problem else 200
    return render(request, _dialog_or_page(request, "executions", "start_drill"), context, status=status)


def _consequences(plan: RecoveryPlan) -> dict[str, object]:
    """What a drill would meet: where it launches, what still runs of earlier ones, which servers lag."""
    ids = list(WaveServer.objects.filter(plan=plan).values_list("assignment_id", flat=True))
    known = SourceServer.objects.in_bulk(ids)
    regions = ProtectionGroup.objects.filter(waves__plan=plan).order_by("region")
    left = ServerRun.objects.filter(
        wave__execution__plan=plan, launch_status=LaunchStatus.LAUNCHED, terminated_at=None
    ).exclude(recovery_instance_id="")
    return {
        "regions": regions.values_list("region", flat=True).distinct(),
        "readiness": Readiness.of(known.get(each) for each in ids),
        "left_running": left.filter(wave__execution__kind=Kind.DRILL).count(),
    }


def _go(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """To the run's page: by htmx out of a dialog, by redirect out of a page."""
    if request.htmx:
        return HttpResponseClientRedirect(reverse("execution", args=[execution_id]))
    return redirect("execution", execution_id)


def _dialog_or_page(request: HtmxHttpRequest, room: str, name: str) -> str:
    return f"{room}/_{name}.html" if wants_fragment(request) else f"{room}/{name}.html"
