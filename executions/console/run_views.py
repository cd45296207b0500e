"""Pages of runs: the history, and the live page with its polls."""

import uuid
from typing import Any
from urllib.parse import urlencode

from django.core.cache import cache
from django.db.models import Exists, OuterRef, Subquery, prefetch_related_objects
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string as _render
from django.utils import timezone
from django.views.decorators.http import require_safe
from django_htmx.http import HTMX_STOP_POLLING

from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, known_revision, wants_fragment
from contract.rest.paging import page
from executions.commands.hide_finished import HIDE
from executions.console.forms import RunFilter
from executions.console.live_page.event_feed import feed
from executions.console.live_page.page_content import Live
from executions.console.live_page.timeline import Timeline
from executions.models import Execution, LaunchJob
from executions.pacemaker import beating, is_alive
from executions.runs.allowed.actions import actions_of
from executions.runs.allowed.terminable_instances import terminable_counts
from executions.runs.attempts import attempts_of, retry_of
from executions.states import TerminationStatus
from executions.terminating.outcome import result

RUNS_A_PAGE = 50
PART_SECONDS = 30


# History


@require_safe
def execution_list(request: HtmxHttpRequest) -> HttpResponse:
    """The history, newest first, filtered by what the address says; `after` is where the next rows begin."""
    form = RunFilter(request)
    chosen = form.chosen()
    known = Execution.objects.hidden() if chosen.pop("hidden", False) else Execution.objects.shown()
    after = request.GET.get("after") or None
    runs, token = page(known.filter(**chosen), time="started_at", limit=RUNS_A_PAGE, token=after)
    filters = {name: request.GET[name] for name in form.chosen()}
    more = urlencode({**filters, "after": token}) if token else ""
    context = {
        "form": form,
        "runs": runs,
        "more": more,
        "is_filtered": bool(filters),
        "may_hide": actor_for(request).may(HIDE),
    }
    template = "executions/_executions.html" if wants_fragment(request) else "executions/execution_list.html"
    return render(request, template, context)


# One run


@require_safe
def execution_detail(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """The live page."""
    execution = get_object_or_404(Execution.objects.with_waves(), pk=execution_id)
    alive = is_alive()
    live = Live(execution, engine_alive=alive)
    context = {**_context(request, live), **_story(live), "engine_alive": alive}
    return render(request, "executions/execution_detail.html", context)


def _context(request: HttpRequest, live: Live) -> dict[str, Any]:
    is_ending = live.cleanup is TerminationStatus.IN_PROGRESS  # then some may be asked for already
    standing = terminable_counts([live.execution]).get(live.execution.pk, 0) if is_ending else live.up
    return {
        "live": live,
        "execution": live.execution,
        "standing": standing,
        "actions": actions_of(live.execution, actor_for(request), stands=bool(standing)),
        "attempts": attempts_of(live.execution) if live.execution.attempt > 1 or live.state.fell_short else [],
        "retry": retry_of(live.execution, actor_for(request)) if live.state.fell_short else None,
        "cleanup": result(live.execution) if live.state.is_final else None,
    }


def _story(live: Live) -> dict[str, Any]:
    return {"feed": feed(live.execution), "timeline": Timeline(live, timezone.now())}


# What a poll asks first, built once: most polls ask nothing else. `told_at` is when AWS last answered for the run.
NEWS = (
    Execution.objects.order_by()
    .annotate(
        alive=Exists(beating()),
        told_at=Subquery(
            LaunchJob.objects.filter(wave__execution=OuterRef("pk"), seen_at__isnull=False)
            .order_by("-seen_at")
            .values("seen_at")[:1]
        ),
    )
    .values_list("revision", "ended_at", "next_step_at", "termination_status", "proof_due", "alive", "told_at")
)


@require_safe
def execution_live(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """What changed since the revision that the page shows: nothing (204), some waves, or the end (286)."""
    if not request.htmx:
        return redirect("execution", execution_id)
    seen = NEWS.filter(pk=execution_id).first()
    if seen is None:
        raise Http404
    revision, ended_at, next_step_at, termination, proof_due, alive, told_at = seen
    is_over = ended_at is not None and next_step_at is None and termination != TerminationStatus.IN_PROGRESS
    is_over &= not proof_due
    since = known_revision(request)
    if revision == since and not is_over and request.GET.get("engine") == str(int(alive)):
        return HttpResponse(status=204, headers={"X-Told-At": told_at.isoformat()} if told_at else {})
    return _changes(request, execution_id, since, alive)


def _changes(request: HttpRequest, execution_id: uuid.UUID, since: int, alive: bool) -> HttpResponse:
    execution = get_object_or_404(Execution.objects.with_jobs(), pk=execution_id)
    live = Live(execution, since=since, had_gate="gate" in request.GET, engine_alive=alive)
    context = {**_context(request, live), "engine_alive": alive, "is_poll": True}
    parts = [_render("executions/_live.html", context, request), *_shared_parts(live)]
    parts.append(_render("_engine.html", context, request))
    return HttpResponse("".join(parts), status=HTMX_STOP_POLLING if live.is_over else 200)


def _shared_parts(live: Live) -> list[str]:
    """The parts that everybody is sent: they say nothing of who looks, and are made once a revision; console.js moves
    their times on. Rows are read after the revision, so what is kept may be newer than its key, never older."""
    run = live.execution
    story = f"story-{run.pk}-{run.revision}"
    keys = {
        wave.number: f"wave-{run.pk}-{wave.number}-{wave.run.revision}-{wave.pause_asked}"
        for wave in live.changed_waves
    }
    kept: dict[str, str] = cache.get_many([story, *keys.values()])
    if story not in kept:
        context = {**_story(live), "is_poll": True}
        kept[story] = "".join(_render(f"executions/{part}.html", context) for part in ("_timeline", "_feed"))
        cache.set(story, kept[story], PART_SECONDS)
    missing = [wave for wave in live.changed_waves if keys[wave.number] not in kept]
    prefetch_related_objects([wave.run for wave in missing], "servers")
    for wave in missing:
        key = keys[wave.number]
        kept[key] = _render("executions/_wave.html", {"wave": wave, "is_poll": True})
        cache.set(key, kept[key], PART_SECONDS)
    return [kept[story], *(kept[key] for key in keys.values())]
