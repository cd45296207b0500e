"""Pages that look at everything: the dashboard, the settings, and errors."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from hashlib import sha256

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import connection
from django.db.models import Count, Exists, F, Func, IntegerField, OuterRef, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from console.pages import HtmxHttpRequest, Question
from contract.status import Tone
from doctor.first_steps import steps as first_steps
from drsorch_site.page_context import THEMES
from drsorch_verify.sources import digest as verifier_digest
from executions.commands.standing import left_running
from executions.console.live_page.page_content import Live
from executions.models import Execution, LaunchJob, PlanReadiness
from executions.pacemaker import beating, is_alive, last_beat
from executions.readiness.stored_verdicts import overview
from executions.runs.server_counts import progress_of
from executions.states import ExecutionStatus, JobStatus, Kind, Verdict
from plans.models import RecoveryPlan
from protection.inventory import launch_details
from protection.models import RegionInventory, SourceServer
from protection.states import ServerState
from protection.views import region_ages, stale_before, state_counts

DRILL_IS_DUE = timedelta(days=90)
ROWS = 5
ACTIVE_ROWS = 20
THEME_SECONDS = 365 * 86400


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
    context = {**_dashboard(_poll_state(request)), "shows_first_steps": first_steps.is_needed()}
    return render(request, "dashboard.html", context)


@require_safe
def dashboard_live(request: HtmxHttpRequest) -> HttpResponse:
    """All of the dashboard again if anything changed since `mark`, else 204."""
    if not request.htmx:
        return redirect("dashboard")
    poll_state = _poll_state(request)
    if request.GET.get("mark") == poll_state.mark and request.GET.get("engine") == str(int(poll_state.engine_alive)):
        return HttpResponse(status=204)
    context = {**_dashboard(poll_state), "is_poll": True}
    return HttpResponse("".join(render_to_string(part, context, request) for part in ("_live.html", "_engine.html")))


@dataclass(frozen=True)
class PollState:
    """`mark` changes with all that the dashboard shows, also with what only grows too old to be believed. It is read
    first: a page may be newer than it, never older."""

    mark: str
    active: int
    engine_alive: bool


def _poll_state(request: HttpRequest) -> PollState:
    """One query, of the row of whoever asks, which is always there."""
    now = timezone.now()
    active = Execution.objects.active().order_by()
    weighed = PlanReadiness.objects.order_by()
    believed = weighed.filter(expires_at__gt=now, plan_version=F("plan__version"))
    stale = RegionInventory.objects.filter(as_of__lt=stale_before()).order_by()
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
    )
    names = [f"figure{at}" for at in range(len(figures))]
    asker = User.objects.filter(username=request.user.get_username()).annotate(
        **{name: Subquery(figure) for name, figure in zip(names, figures, strict=True)}, alive=Exists(beating())
    )
    *found, alive = asker.values_list(*names, "alive").get()
    shown = (*found, now.date())  # drills become due with the days, and times show their date
    return PollState(sha256(repr(shown).encode()).hexdigest()[:16], found[0], alive)


def _figure(function: str, column: str) -> Func:
    """An aggregate that groups nothing, for use in a subquery."""
    return Func(column, function=function, output_field=IntegerField())


def _dashboard(poll_state: PollState) -> dict[str, object]:
    shown = list(Execution.objects.active().newest_first().with_jobs()[:ACTIVE_ROWS])
    progress = progress_of(shown)
    return {
        "active": [Live(each, progress=progress, engine_alive=poll_state.engine_alive) for each in shown],
        "active_count": poll_state.active,
        "last": Execution.objects.final().shown().newest_first()[:ROWS],
        "overview": overview(timezone.now(), ROWS, engine_alive=poll_state.engine_alive),
        "left_running": left_running(poll_state.mark, timezone.now()),
        **_readiness(),
        **_due_drills(),
        "mark": poll_state.mark,
        "engine_alive": poll_state.engine_alive,
    }


# The columns of the readiness table; every state is in exactly one.
COLUMNS = (
    ("Ready", Tone.NEUTRAL, {ServerState.READY_FOR_RECOVERY}),
    ("Lagging", Tone.ATTENTION, {ServerState.LAGGING, ServerState.SYNCING}),
    ("Stalled", Tone.DANGER, {ServerState.STALLED}),
    ("Disconnected", Tone.DANGER, {ServerState.DISCONNECTED}),
    ("Paused or stopped", Tone.ATTENTION, {ServerState.PAUSED, ServerState.STOPPED}),
)


def _readiness() -> dict[str, object]:
    counts = state_counts()
    regions = []
    jobs = _jobs_now()
    for age in region_ages():
        states = counts.get(age.inventory.region, Counter())
        if not age.inventory.initialized and not states:  # somebody only looked whether DRS is set up there
            continue
        cells = [(label, tone, sum(states[each] for each in members)) for label, tone, members in COLUMNS]
        regions.append((age, cells, jobs.get(age.inventory.region, NO_JOBS)))
    return {
        "columns": [label for label, _, _ in COLUMNS],
        "regions": regions,
        "details": launch_details.progress(),
        "unassigned": SourceServer.objects.present().unassigned().count(),
        "servers_total": sum(sum(each.values()) for each in counts.values()),
        "servers_ready": sum(each[ServerState.READY_FOR_RECOVERY] for each in counts.values()),
    }


def _due_drills() -> dict[str, object]:
    """Plans without a completed drill in the last 90 days; the worst, those never drilled, first."""
    drills = Execution.objects.filter(
        plan=OuterRef("pk"), kind=Kind.DRILL, status=ExecutionStatus.COMPLETED, dry_run=False
    )
    fresh = drills.filter(started_at__gte=timezone.now() - DRILL_IS_DUE)
    due = RecoveryPlan.objects.filter(~Exists(fresh)).annotate(was_drilled=Exists(drills))
    return {
        "due_count": due.count(),
        "due": due.order_by("was_drilled", "name_key")[:ROWS],
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


def _jobs_now() -> dict[str, Load]:
    """Our jobs that DRS works on, by region: of runs that the engine looks at, not of the whole history."""
    runs = Execution.objects.filter(next_step_at__isnull=False).values("pk")
    open_now = LaunchJob.objects.filter(
        wave__execution__in=runs, status__in=[JobStatus.INITIATED, JobStatus.PENDING, JobStatus.STARTED]
    )
    rows = open_now.order_by().values("region").annotate(jobs=Count("pk", distinct=True), members=Count("servers"))
    return {row["region"]: Load(row["jobs"], row["members"]) for row in rows}


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """How the console is to be in this browser, kept in cookies: light or dark, with shortcuts or without."""
    target = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = "/"
    response = HttpResponseRedirect(target)  # `redirect` would take it for the name of a view
    for name, kept in (("theme", THEMES), ("keys", ("off",))):
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
        "accounts": sorted({age.inventory.account_id for age in regions if age.inventory.account_id}),
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
