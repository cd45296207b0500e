"""Pages that look at everything: the dashboard, the settings, and errors."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import connection
from django.db.models import Count, Exists, F, Func, IntegerField, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from accounts.registry import way_of
from audit.actor import Actor
from audit.models import AuditEntry
from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question
from console.shared_part import SharedPart
from contract.rights import EVERYWHERE, Reach
from contract.storage.prepared import Asked, Prepared
from doctor.first_steps import steps as first_steps
from drill_requests.models import DrillRequest
from drill_requests.services import open_ones
from drsorch_site.page_context import THEMES
from drsorch_verify import digest_of_sources as verifier_digest
from executions.commands.standing import left_running_seen
from executions.console.live_page.page_content import Live
from executions.models import Execution, LaunchJob, PlanReadiness, TerminationJob
from executions.pacemaker import beating, is_alive, last_beat
from executions.readiness.stored_verdicts import overview
from executions.runs.server_counts import progress_of
from executions.states import ExecutionStatus, JobStatus, Kind, Verdict
from findings.counts import counts_of_all
from findings.models import Finding
from plans.models import RecoveryPlan
from protection.inventory import launch_details
from protection.inventory.source_servers import Place
from protection.models import RegionInventory, SourceServer
from protection.states import COUNTED, ServerState
from protection.views import region_ages, stale_before, state_counts

DRILL_IS_DUE = timedelta(days=90)
ROWS = 5
ACTIVE_ROWS = 20
THEME_SECONDS = 365 * 86400
SHARED_SECONDS = 3.0  # as often as pages poll
FRESH_SECONDS = 1.0
MOST_SHARED = 200  # of people who see a part each


@cache
def _icon() -> bytes:
    return (settings.BASE_DIR / "static" / "icon.svg").read_bytes()


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """What browsers ask for beside answers that are no pages, whoever looks."""
    return HttpResponse(_icon(), content_type="image/svg+xml", headers={"Cache-Control": "public, max-age=86400"})


@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """Is anything running, can recovery be trusted today, what happened last."""
    actor = actor_for(request)
    is_needed = actor.sees.everywhere and first_steps.is_needed()
    told = AuditEntry.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    facts = _poll_state(request), told
    live = _live_part(request, actor, facts, lambda known, age: known == facts and age < SHARED_SECONDS)
    return render(request, "dashboard.html", {"live": live, "shows_first_steps": is_needed})


@require_safe
def dashboard_live(request: HtmxHttpRequest) -> HttpResponse:
    """All of the dashboard again if anything changed since `mark`, else 204."""
    if not request.htmx:
        return redirect("dashboard")
    poll_state = _poll_state(request)
    if request.GET.get("mark") == poll_state.mark and request.GET.get("engine") == str(int(poll_state.engine_alive)):
        return HttpResponse(status=204)
    shown = request.GET.get("mark")
    live = _live_part(
        request, actor_for(request), (poll_state, 0), lambda known, age: known[0].mark != shown and age < FRESH_SECONDS
    )
    context = {"engine_alive": poll_state.engine_alive, "is_poll": True}
    return HttpResponse(live + render_to_string("_engine.html", context, request))


@dataclass(frozen=True)
class PollState:
    """`mark` changes with all that the dashboard shows, also with what only grows too old to be believed. It is read
    first: a page may be newer than it, never older."""

    mark: str
    active: int
    engine_alive: bool
    asked_for: int  # drills that wait for a person


def _figures() -> QuerySet[User, tuple[Any, ...]]:
    """All that the dashboard changes with, in the row of whoever asks, which is always there."""
    now: Any = Asked(PlanReadiness, "expires_at")
    active = Execution.objects.active().order_by()
    weighed = PlanReadiness.objects.order_by()
    believed = weighed.filter(expires_at__gt=now, plan_version=F("plan__version"))
    stale = RegionInventory.objects.filter(as_of__lt=Asked(RegionInventory, "as_of")).order_by()
    figures = (
        active.values(n=_figure("COUNT", "pk")),
        active.values(n=_figure("SUM", "revision")),
        Execution.objects.final().order_by("-ended_at").values("ended_at")[:1],
        Execution.objects.hidden().order_by("-hidden_at").values("hidden_at")[:1],
        RegionInventory.objects.filter(tried_at__isnull=False).order_by("-tried_at").values("tried_at")[:1],
        *(weighed.filter(verdict=each).values(n=_figure("COUNT", "pk")) for each in Verdict),
        believed.values(n=_figure("COUNT", "pk")),
        SourceServer.objects.present().order_by().values(n=_figure("COUNT", "details_as_of")),
        stale.values(n=_figure("COUNT", "pk")),
        Finding.objects.order_by().values(n=_figure("SUM", "version")),
        DrillRequest.objects.order_by().values(n=_figure("COUNT", "pk")),
        open_ones(EVERYWHERE, now).order_by().values(n=_figure("COUNT", "pk")),
    )
    names = [f"figure{at}" for at in range(len(figures))]
    asker = User.objects.filter(username=Asked(User, "username")).annotate(
        **{name: Subquery(figure) for name, figure in zip(names, figures, strict=True)}, alive=Exists(beating())
    )
    return asker.values_list(*names, "alive")


_FIGURES = Prepared(_figures)


def _poll_state(request: HttpRequest) -> PollState:
    now = timezone.now()
    ((*found, alive),) = _FIGURES.rows(username=request.user.get_username(), expires_at=now, as_of=stale_before())
    shown = (*found, now.date())  # drills become due with the days, and times show their date
    return PollState(sha256(repr(shown).encode()).hexdigest()[:16], found[0], alive, found[-1])


def _figure(function: str, column: str) -> Func:
    """An aggregate that groups nothing, for use in a subquery."""
    return Func(column, function=function, output_field=IntegerField())


Facts = tuple[PollState, int]  # with the journal's last entry, where a page is opened
_shared = defaultdict[Reach, SharedPart[Facts]](SharedPart)


def _live_part(request: HttpRequest, actor: Actor, facts: Facts, will_do: Callable[[Facts, float], bool]) -> str:
    """What everybody is shown who sees as much. A page that somebody opens shows what no mark tells of, too, so one is
    shared only until somebody does something. A poll may be given what was drawn a moment ago for others: it is sent
    with the mark that it was drawn by, so that the next one asks for what is newer. Both are one, so that no poll is
    given what is older than the page that its reader has opened."""
    if len(_shared) > MOST_SHARED:
        _shared.clear()

    def draw() -> str:
        return render_to_string("_live.html", _dashboard(facts[0], actor), request)

    return _shared[actor.sees].shown(facts, will_do, draw)


def _dashboard(poll_state: PollState, actor: Actor) -> dict[str, object]:
    sees = actor.sees
    seen = Execution.objects.seen_by(sees)
    shown = list(seen.active().newest_first().with_jobs()[:ACTIVE_ROWS])
    progress = progress_of(shown)
    return {
        "active": [Live(each, progress=progress, engine_alive=poll_state.engine_alive) for each in shown],
        "active_count": poll_state.active if sees.everywhere else seen.active().count(),
        "asked_for": list(open_ones(sees, timezone.now())) if poll_state.asked_for else [],
        "last": list(seen.final().shown().newest_first()[:ROWS]),
        "overview": overview(timezone.now(), ROWS, engine_alive=poll_state.engine_alive, sees=sees),
        **_readiness(sees),
        **_due_drills(sees),
        "findings": counts_of_all(sees),
        "left_running": left_running_seen(actor, poll_state.mark, timezone.now()),
        "mark": poll_state.mark,
        "engine_alive": poll_state.engine_alive,
    }


def _readiness(sees: Reach) -> dict[str, object]:
    counts = state_counts(sees)
    regions = []
    jobs = _jobs_now()
    for age in region_ages():
        states = counts.get(age.place, Counter())
        if not age.inventory.initialized and not states:  # somebody only looked whether DRS is set up there
            continue
        cells = [
            (word, label, tone, sum(states[each] for each in members))
            for word, (label, tone, members) in COUNTED.items()
        ]
        regions.append((age, cells, jobs.get(age.place, NO_JOBS)))
    return {
        "columns": [label for label, _, _ in COUNTED.values()],
        "regions": regions,
        "details": launch_details.progress(),
        "unassigned": SourceServer.objects.seen_by(sees, with_free=False).present().unassigned().count(),
        "servers_total": sum(sum(each.values()) for each in counts.values()),
        "servers_ready": sum(each[ServerState.READY_FOR_RECOVERY] for each in counts.values()),
    }


def _due_drills(sees: Reach) -> dict[str, object]:
    """Plans without a completed drill in the last 90 days; the worst, those never drilled, first."""
    drills = Execution.objects.filter(
        plan=OuterRef("pk"), kind=Kind.DRILL, status=ExecutionStatus.COMPLETED, dry_run=False
    )
    fresh = drills.filter(started_at__gte=timezone.now() - DRILL_IS_DUE)
    due = RecoveryPlan.objects.seen_by(sees).filter(~Exists(fresh)).annotate(was_drilled=Exists(drills))
    return {
        "due_count": due.count(),
        "due": list(due.order_by("was_drilled", "name_key")[:ROWS]),
    }


# DRS takes so many jobs at once in a region, with so many servers in them together.
MOST_JOBS, MOST_SERVERS = 20, 500


@dataclass(frozen=True)
class Load:
    """What our own jobs take of a region's room; other people's are not counted."""

    jobs: int
    servers: int

    @property
    def is_tight(self) -> bool:
        return self.jobs >= MOST_JOBS or self.servers >= MOST_SERVERS


NO_JOBS = Load(0, 0)


def _jobs_now() -> dict[Place, Load]:
    """Our jobs that DRS works on, by account and region: of runs that the engine looks at, not of the whole history."""
    runs = Execution.objects.filter(next_step_at__isnull=False).values("pk")
    open_now = LaunchJob.objects.filter(
        wave__execution__in=runs, status__in=[JobStatus.INITIATED, JobStatus.PENDING, JobStatus.STARTED]
    )
    places = open_now.order_by().values("account_id", "region")
    rows = places.annotate(jobs=Count("pk", distinct=True), members=Count("servers"))
    found = {(way_of(row["account_id"]), row["region"]): Load(row["jobs"], row["members"]) for row in rows}
    # A clean-up is a job like others.
    ending = TerminationJob.objects.filter(watched=True, status__in=[JobStatus.PENDING, JobStatus.STARTED]).order_by()
    for account, region, ids in ending.values_list("account_id", "region", "instance_ids"):
        had = found.get((way_of(account), region), NO_JOBS)
        found[way_of(account), region] = Load(had.jobs + 1, had.servers + len(ids))
    return found


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """How the console is to be in this browser, kept in cookies: light or dark, with shortcuts or
    without, times in UTC or in local time."""
    target = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = "/"
    response = HttpResponseRedirect(target)  # `redirect` would take it for the name of a view
    for name, kept in (("theme", THEMES), ("keys", ("off",)), ("times", ("local",))):
        chosen = request.POST.get(name)
        if chosen is not None and chosen in kept:
            response.set_cookie(
                name, chosen, max_age=THEME_SECONDS, samesite="Lax", httponly=True, secure=request.is_secure()
            )
        elif chosen is not None:
            response.delete_cookie(name, samesite="Lax")
    return response


@require_safe
def settings_page(request: HttpRequest) -> HttpResponse:
    """What this installation is, whether its engine and its regions are well, and how it looks to one."""
    beat_at = last_beat()
    regions = region_ages()
    context = {
        "accounts": sorted({age.inventory.owner for age in regions if age.inventory.owner}),
        "regions": regions,
        "beat_at": beat_at,
        "is_alive": is_alive(),
        "version": settings.VERSION,
        "verifier": verifier_digest(),
        "database": connection.display_name,
        "session_minutes": settings.SESSION_MINUTES,
        "has_passwords": settings.PROVIDER is None,
        "poll_seconds": settings.POLL_SECONDS,
        "roles": Group.objects.filter(user=request.user.pk).order_by("name").values_list("name", flat=True),
    }
    return render(request, "settings.html", context)


@require_safe
def shortcuts(request: HtmxHttpRequest) -> HttpResponse:
    """What can be done with the keyboard."""
    return Question("_shortcuts.html", "Keyboard shortcuts").answer(request, {})


def server_error(request: HttpRequest) -> HttpResponse:
    """The page of last resort: it needs neither the database nor the session."""
    return render(None, "500.html", status=500)  # no request: no context processor runs
