"""Pages of runs: the history, and the live page with its polls."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.core.cache import cache
from django.db.models import Exists, OuterRef, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string as _render
from django.urls import reverse
from django.views.decorators.http import require_safe
from django_htmx.http import HTMX_STOP_POLLING

from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, known_revision, wants_fragment, whole_number
from contract.rest.answers.unchanged import tag
from contract.rest.paging import page
from executions.commands.hide_finished import HIDE
from executions.console.forms import RunFilter
from executions.console.live_page.page_content import Live
from executions.console.live_page.server_rows import ServerRows, Token, rows_at_first, rows_since, tokens
from executions.console.live_page.story import story, story_key
from executions.models import Execution, LaunchJob
from executions.pacemaker import beating, is_alive
from executions.runs.allowed.actions import actions_of
from executions.runs.allowed.terminable_instances import terminable_counts
from executions.runs.attempts import attempts_of, retry_of
from executions.states import TerminationStatus
from executions.terminating.outcome import result

RUNS_A_PAGE = 50
PART_SECONDS = 30
# A run as its page reads it: without its servers, and without what is as long as its plan and is not shown.
SHOWN = Execution.objects.with_jobs().defer("plan_copy", "phase_times")


# History


@require_safe
def execution_list(request: HtmxHttpRequest) -> HttpResponse:
    """The history, newest first, filtered by what the address says; `after` is where the next rows begin."""
    form = RunFilter(request)
    chosen = form.chosen()
    known = Execution.objects.hidden() if chosen.pop("hidden", False) else Execution.objects.shown()
    after = request.GET.get("after") or None
    listed = known.filter(**chosen).defer("plan_copy", "phase_times")
    runs, token = page(listed, time="started_at", limit=RUNS_A_PAGE, token=after)
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
    """The live page. `wave`, from 0, is one whose servers somebody wants to see, `most` how many of them."""
    execution = get_object_or_404(SHOWN, pk=execution_id)
    alive = is_alive()
    live = Live(execution, engine_alive=alive)
    wanted = whole_number(request.GET.get("wave"))
    context = {
        **_context(request, live),
        "story": story_key(live),
        **story(live),
        "engine_alive": alive,
        "waves": rows_at_first(live, wanted, whole_number(request.GET.get("most"))),
        "wanted": wanted,
    }
    return render(request, "executions/execution_detail.html", context)


@require_safe
def wave_rows(request: HtmxHttpRequest, execution_id: uuid.UUID, wave: int) -> HttpResponse:
    """The servers of one wave, for a page that comes to show it."""
    most = whole_number(request.GET.get("most"))
    if not request.htmx:
        return redirect(f"{reverse('execution', args=[execution_id])}?wave={wave}&most={most or 0}#wave-{wave + 1}")
    live = Live(get_object_or_404(SHOWN, pk=execution_id))
    card = next((each for each in live.waves if each.run.number == wave), None)
    if card is None:
        raise Http404
    rows = ServerRows(card, live.execution.revision, most).shown()
    return render(request, "executions/_servers.html", {"wave": card, "rows": rows})


def _context(request: HttpRequest, live: Live) -> dict[str, Any]:
    is_ending = live.cleanup is TerminationStatus.IN_PROGRESS  # then some may be asked for already
    standing = terminable_counts([live.execution]).get(live.execution.pk, 0) if is_ending else live.up + live.not_usable
    return {
        "live": live,
        "execution": live.execution,
        "standing": standing,
        "actions": actions_of(live.execution, actor_for(request), stands=bool(standing)),
        "attempts": attempts_of(live.execution) if live.execution.attempt > 1 or live.state.fell_short else [],
        "retry": retry_of(live.execution, actor_for(request)) if live.state.fell_short else None,
        "cleanup": result(live.execution) if live.state.is_final else None,
    }


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
    page = Page.of(request)
    if revision == page.oldest and not is_over and request.GET.get("engine") == str(int(alive)):
        return HttpResponse(status=204, headers={"X-Told-At": told_at.isoformat()} if told_at else {})
    return _changes(request, execution_id, page, alive)


@dataclass(frozen=True)
class Page:
    """What a page shows, by its own word."""

    since: int
    had_gate: bool
    story: str
    rows: list[Token]

    @classmethod
    def of(cls, request: HttpRequest) -> "Page":
        sent = request.GET
        return cls(known_revision(request), "gate" in sent, sent.get("story", ""), tokens(sent.getlist("rows")))

    @property
    def oldest(self) -> int:
        """The revision of what it shows that is oldest: rows may have been read before the rest, and come after it."""
        return min([self.since, *(each.revision for each in self.rows)])


def _changes(request: HttpRequest, execution_id: uuid.UUID, page: Page, alive: bool) -> HttpResponse:
    execution = get_object_or_404(SHOWN, pk=execution_id)
    live = Live(execution, since=page.since, had_gate=page.had_gate, engine_alive=alive)
    new_story, shared = _shared(live, page)
    context = {**_context(request, live), "story": new_story, "engine_alive": alive, "is_poll": True}
    parts = [_render("executions/_live.html", context, request), shared, _render("_engine.html", context, request)]
    return HttpResponse("".join(parts), status=HTMX_STOP_POLLING if live.is_over else 200)


def _shared(live: Live, page: Page) -> tuple[str, str]:
    """The key of the story, and what everybody is sent whose page shows the same: it says nothing of who looks, and is
    made once a revision; console.js moves its times on. Rows are read after the revision, so what is kept may be newer
    than its key, never older."""
    key = f"news-{live.execution.pk}-{live.execution.revision}-{tag(page)}"
    kept: tuple[str, str] | None = cache.get(key)
    if kept is None:
        new_story = story_key(live)
        kept = new_story, "".join(_news(live, page, new_story))
        cache.set(key, kept, PART_SECONDS)
    return kept


def _news(live: Live, page: Page, new_story: str) -> Iterator[str]:
    if page.story != new_story:
        context = {**story(live), "is_poll": True}
        yield from (_render(f"executions/{part}.html", context) for part in ("_timeline", "_feed"))
    for wave in live.changed_waves:
        yield _render("executions/_wave.html", {"wave": wave, "is_poll": True})
    waves = {each.run.number: each for each in live.waves}
    for seen in page.rows:
        if seen.number in waves:
            yield rows_since(waves[seen.number], live.execution.revision, seen)
