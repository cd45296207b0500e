"""Pages of runs: the history, and the live page with its polls."""

import re
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any
from urllib.parse import urlencode

from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe
from django_htmx.http import HTMX_STOP_POLLING

from audit.request_actor import actor_for
from console.asked import wanted_file
from console.pages import HtmxHttpRequest, asked_number, known_revision, wants_fragment, whole_number
from console.tabs import sheet_address
from contract.clock import unix
from contract.storage.prepared import Asked, Prepared, attach
from executions.commands.hide_finished import HIDE
from executions.console.finding.newcomers import Shown, next_address
from executions.console.finding.run_sheet import RUNS_A_PAGE, run_page, run_sheet, run_sorting, run_tabs
from executions.console.forms import RunFilter
from executions.console.gates.panel import broken_glass, panel_of
from executions.console.live_page.page_content import Live
from executions.console.live_page.recent_runs import Read, RecentNews, RecentRuns
from executions.console.live_page.rto_bar import rto_bar
from executions.console.live_page.server_rows import ServerRows, Token, rows_at_first, rows_since, tokens
from executions.console.live_page.story import story, story_key
from executions.models import Execution, LaunchJob, TerminationJob
from executions.pacemaker import beating, is_alive
from executions.runs.allowed.actions import actions_of
from executions.runs.attempts import retry_of
from executions.runs.current_wave import WAVES_OF_RUN
from executions.runs.server_counts import progress_of_one
from executions.states import TerminationStatus

# A run as its page reads it: without its servers, and without what is as long as its plan and is not shown.
SHOWN = Execution.objects.with_jobs().defer("plan_copy", "phase_times")
# The same, as polls read it.
_RUN = Prepared(lambda: Execution.objects.filter(pk=Asked(Execution, "id")).defer("plan_copy", "phase_times"))
_JOBS = Prepared(lambda: LaunchJob.objects.filter(wave__execution=Asked(Execution, "id")).order_by("position"))


# History


@require_safe
def execution_list(request: HtmxHttpRequest) -> HttpResponse:
    """The history, filtered and sorted by what the address says; `after` is where the next rows begin."""
    return history_of(request)


def history_of(request: HtmxHttpRequest, pages: int = 1) -> HttpResponse:
    """The same, with so many pages of rows at once."""
    form = RunFilter(request)
    every = form.narrowed(Execution.objects.seen_by(actor_for(request).sees))
    listed = form.of_status(every).defer("plan_copy", "phase_times")
    sorting = run_sorting(request)
    if wanted_file(request, ("csv",), form):
        return run_sheet(sorting.sorted(listed))
    after = request.GET.get("after") or None
    runs, token = run_page(listed, sorting, after, RUNS_A_PAGE * pages)
    shown = (Shown.of(request) if after else Shown()).and_then(runs) if form.is_of_one_status else None
    chosen = form.chosen()
    filters = {name: request.GET[name] for name in chosen}
    rest = {**filters, **sorting.parameter, "after": token, **(shown.parameters if shown else {})}
    adds = bool(after) and wants_fragment(request)  # rows below those that the page has
    context = {
        "form": form,
        "runs": runs,
        "more": urlencode(rest) if token else "",
        "newcomers": next_address(runs, empty=not runs, shown=shown) if not after or (adds and shown) else "",
        "adds": adds,
        "heads": sorting.heads(),
        "tabs": run_tabs(request, every, chosen.get("status", "")),
        "sheet": sheet_address(request),
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
    wanted = asked_number(request, "wave", 0, len(live.waves) - 1)
    context = {
        **_context(request, live),
        "story": story_key(live),
        **story(live),
        "engine_alive": alive,
        "waves": rows_at_first(live, wanted, asked_number(request, "most", 0)),
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
    return {
        "live": live,
        "execution": live.execution,
        "standing": live.standing,
        "gate": panel_of(live.execution, actor_for(request)),
        "broken_glass": broken_glass(live.execution),
        "actions": actions_of(live.execution, actor_for(request), stands=bool(live.standing)),
        "attempts": live.attempts,
        "retry": retry_of(live.execution, actor_for(request)) if live.state.fell_short else None,
        "cleanup": live.termination,
        "bar": rto_bar(live, timezone.now()),
    }


def _last_answer(jobs: QuerySet[Any]) -> Subquery:
    return Subquery(jobs.filter(seen_at__isnull=False).order_by("-seen_at").values("seen_at")[:1])


# What a poll asks first: most polls ask nothing else. `told_at` is when AWS last answered for the run's launches,
# `cleanup_told_at` for its clean-up.
NEWS = Prepared(
    lambda: (
        Execution.objects.order_by()
        .filter(pk=Asked(Execution, "id"))
        .annotate(
            alive=Exists(beating()),
            told_at=_last_answer(LaunchJob.objects.filter(wave__execution=OuterRef("pk"))),
            cleanup_told_at=_last_answer(TerminationJob.objects.filter(execution=OuterRef("pk"))),
        )
        .values_list(
            "revision",
            "ended_at",
            "next_step_at",
            "termination_status",
            "proof_due",
            "hidden_at",
            "told_at",
            "cleanup_told_at",
            "alive",
        )
    )
)
RECENT, SAME = RecentRuns(), RecentNews()


# What every changed poll is sent: it says what whoever looks may do.
HEADS = ("executions/_live.html", "executions/_facts.html")
INDENT = re.compile(r"\n\s+")


def _render(template: str, context: dict[str, Any], request: HttpRequest | None = None) -> str:
    """A part of a poll, without the spaces that only people who read templates need."""
    return INDENT.sub("\n", render_to_string(template, context, request))


@require_safe
def execution_live(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """What changed since the revision that the page shows: nothing (204), some waves, or the end (286)."""
    if not request.htmx:
        return redirect("execution", execution_id)
    seen = NEWS.row(id=execution_id)
    if seen is None:
        raise Http404
    *state, alive = seen
    revision, ended_at, next_step_at, termination, proof_due, _, *told = state
    is_over = ended_at is not None and next_step_at is None and termination != TerminationStatus.IN_PROGRESS
    is_over &= not proof_due
    page = Page.of(request)
    if revision == page.oldest and (page.knows_the_end or not is_over) and request.GET.get("engine") == str(int(alive)):
        told_at = max(filter(None, told), default=None)
        return HttpResponse(status=204, headers={"X-Told-At": told_at.isoformat()} if told_at else {})
    read = RECENT.get(execution_id, state, partial(_read, execution_id))
    return _changes(request, read, page, alive)


@dataclass(frozen=True)
class Page:
    """What a page shows, by its own word."""

    since: int
    had_gate: bool
    story: str
    rows: tuple[Token, ...]
    knows_the_end: bool = False  # it asks on while instances stand, which others may end

    @classmethod
    def of(cls, request: HttpRequest) -> "Page":
        sent = request.GET
        rows = tuple(tokens(sent.getlist("rows")))
        return cls(known_revision(request), "gate" in sent, sent.get("story", ""), rows, "over" in sent)

    @property
    def oldest(self) -> int:
        """The revision of what it shows that is oldest: rows may have been read before the rest, and come after it."""
        return min([self.since, *(each.revision for each in self.rows)])


def _read(execution_id: uuid.UUID) -> Read:
    """The run, then its waves, then their jobs: no part is older than what the run's revision says."""
    execution = next(iter(_RUN.objects(id=execution_id)), None)
    if execution is None:
        raise Http404
    waves, jobs = WAVES_OF_RUN.objects(id=execution_id), defaultdict[int, list[LaunchJob]](list)
    for job in _JOBS.objects(id=execution_id):
        jobs[job.wave_id].append(job)
    attach(execution, "waves", waves)
    for wave in waves:
        attach(wave, "jobs", jobs[wave.pk])
    return Read(execution, progress_of_one(execution))


def _changes(request: HttpRequest, read: Read, page: Page, alive: bool) -> HttpResponse:
    live = Live(read.execution, since=page.since, had_gate=page.had_gate, engine_alive=alive, progress=read.progress)
    new_story, shared = _shared(live, page)
    context = {**_context(request, live), "story": new_story, "engine_alive": alive, "is_poll": True}
    head, facts = (_render(each, context, request) for each in HEADS)
    said = _outdated(request, read.execution)
    return HttpResponse(
        "".join([head, facts, shared, _engine_part(alive), said]), status=HTMX_STOP_POLLING if live.is_over else 200
    )


def _outdated(request: HttpRequest, execution: Execution) -> str:
    """Takes away what the page says of somebody's deed, once the run has ended since: nothing green stands above it."""
    said_at, ended_at = request.GET.get("done", ""), execution.ended_at
    is_over = said_at and ended_at and str(unix(ended_at)) > said_at
    return '<div id="done" hx-swap-oob="delete"></div>' if is_over else ""


@cache
def _engine_part(alive: bool) -> str:
    """Whether an engine runs is told everybody in the same words."""
    return _render("_engine.html", {"engine_alive": alive, "live": True, "is_poll": True})


def _shared(live: Live, page: Page) -> tuple[str, str]:
    """The key of the story, and what everybody is sent whose page shows the same: it says nothing of who looks, and is
    made once a revision; console.js moves its times on."""

    def made() -> tuple[str, str]:
        new_story = story_key(live)
        return new_story, "".join(_news(live, page, new_story))

    return SAME.get((live.execution.pk, live.execution.revision, page), made)


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
