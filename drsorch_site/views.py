"""Pages that look at everything: the dashboard, sign-in, theme, and errors."""

from collections import Counter
from datetime import timedelta

from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from contract.status import Tone
from drsorch_site.context import THEMES
from executions.live import Live
from executions.models import Execution
from executions.states import ExecutionStatus, Kind
from plans.models import RecoveryPlan
from protection.models import ServerAssignment, SourceServer
from protection.states import ServerState
from protection.views import region_ages, state_counts

DRILL_IS_DUE = timedelta(days=90)
ROWS = 5
ACTIVE_ROWS = 20
THEME_SECONDS = 365 * 86400


@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """Is anything running, can recovery be trusted today, what happened last."""
    active = Execution.objects.active().newest_first()
    context = {
        "active": [Live(each) for each in active.with_waves()[:ACTIVE_ROWS]],
        "active_count": active.count(),
        "last": Execution.objects.final().newest_first()[:ROWS],
        "has_plans": RecoveryPlan.objects.exists(),
        **_readiness(),
        **_due_drills(),
    }
    return render(request, "dashboard.html", context)


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
    for age in region_ages():
        states = counts.get(age.inventory.region, Counter())
        cells = [(label, tone, sum(states[each] for each in members)) for label, tone, members in COLUMNS]
        regions.append((age, cells, sum(states.values())))
    assigned = ServerAssignment.objects.filter(source_server_id=OuterRef("pk"))
    return {
        "columns": [label for label, _, _ in COLUMNS],
        "regions": regions,
        "unassigned": SourceServer.objects.present().filter(~Exists(assigned)).count(),
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


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Light, dark or what the system says, kept in a cookie."""
    target = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = "/"
    response = redirect(target)
    chosen = request.POST.get("theme", "")
    if chosen in THEMES:
        response.set_cookie(
            "theme", chosen, max_age=THEME_SECONDS, samesite="Lax", httponly=True, secure=request.is_secure()
        )
    else:
        response.delete_cookie("theme", samesite="Lax")
    return response


def server_error(request: HttpRequest) -> HttpResponse:
    """The page of last resort: it needs neither the database nor the session."""
    return render(None, "500.html", status=500)  # no request: no context processor runs
