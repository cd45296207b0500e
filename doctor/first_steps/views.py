"""The first steps on the dashboard, and what their buttons do."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_POST, require_safe

from audit.actor import Actor
from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, go
from contract.errors import DomainError
from contract.rights import not_allowed
from doctor.api import ADMIN
from doctor.first_steps import services
from doctor.first_steps import steps as way
from doctor.first_steps.suggestions import Suggestion, grouped, suggestions
from executions.commands.control import may_start
from executions.models import Execution
from executions.pacemaker import is_alive
from executions.runs.allowed.actions import right_to_start
from executions.states import Kind
from plans.models import RecoveryPlan
from plans.scopes.plans import things_of
from protection.models import SourceServer

IGNORED = "ignored_suggestions"
PLANS = 5


@require_safe
def first_steps(request: HtmxHttpRequest) -> HttpResponse:
    """The list, loaded by the dashboard: it asks AWS, which the dashboard never does."""
    return _page(request)


def _page(request: HttpRequest, problem: DomainError | None = None) -> HttpResponse:
    found = suggestions(_ignored(request))
    context: dict[str, object] = {"problem": problem, "is_demo": way.is_demo()}
    if way.is_demo():
        actor = actor_for(request)
        running = Execution.objects.seen_by(actor.sees).active().newest_first().first()
        context |= {"engine_alive": is_alive(), "is_needed": not way.drilled(), "running": running}
        context |= {"plans": _startable(actor), "why_not": not_allowed(*right_to_start(Kind.DRILL)).message}
    else:
        found_steps = way.steps(afresh="again" in request.GET) if _is_admin(request) else []
        known = grouped([server for each in found for server in each.servers])
        context |= {
            "is_needed": way.is_needed() if _is_admin(request) else not way.drilled(),
            "steps": found_steps,
            "next": next((each.key for each in found_steps if not each.done), ""),
            "regions": [each for each in way.regions() if each.servers or each.state.startswith("could")],
            "suggestions": found,
            "grouped": set(known),
            "candidates": way.candidates(),
        }
    template = "doctor/_first_steps.html" if getattr(request, "htmx", False) else "doctor/first_steps.html"
    status = problem.status if problem else 200
    return render(request, template, context, status=status)


def _startable(actor: Actor) -> list[RecoveryPlan]:
    """The first plans that this actor may drill."""
    plans = list(RecoveryPlan.objects.seen_by(actor.sees).order_by("name_key"))
    things = things_of([each.pk for each in plans]) if actor.is_bounded else {}
    return [each for each in plans if may_start(actor.at(things.get(each.pk)), Kind.DRILL)][:PLANS]


def _is_admin(request: HttpRequest) -> bool:
    return any(map(request.user.has_perm, ADMIN.names))


def _ignored(request: HttpRequest) -> list[str]:
    return list(request.session.get(IGNORED, []))


@require_POST
def scan_regions(request: HttpRequest) -> HttpResponse:
    services.scan(actor=actor_for(request))
    return go(request, "AWS was asked for its regions: what each has stands among the first steps.", "dashboard")


def _suggestion(request: HttpRequest) -> Suggestion:
    """The one that a form is about, as the inventory suggests it now. Raises Http404 when it does not any more."""
    key = request.POST.get("suggestion", "")
    for each in suggestions():
        if each.key == key:
            return each
    raise Http404("There is no such suggestion any more.")


@require_POST
def accept_suggestion(request: HttpRequest) -> HttpResponse:
    """Make the groups and the plan, with the name and the servers that the form kept."""
    services.require_planner(actor_for(request))
    try:
        plan = services.accept(
            actor=actor_for(request),
            suggestion=_suggestion(request),
            name=request.POST.get("name", "").strip(),
            server_ids=request.POST.getlist("server"),
        )
    except DomainError as error:
        return _page(request, error)
    return go(request, f"“{plan.name}” was made, with its groups. Check it, then drill it.", "plan", plan.pk)


@require_POST
def ignore_suggestion(request: HttpRequest) -> HttpResponse:
    """For this session; a suggestion is no state of anything."""
    request.session[IGNORED] = sorted({*_ignored(request), _suggestion(request).key})
    return go(request, "The suggestion is left out until you sign out.", "dashboard")


@require_POST
def drill_one(request: HttpRequest) -> HttpResponse:
    """A plan of one server, and the question of its drill."""
    services.require_planner(actor_for(request))
    server = get_object_or_404(SourceServer, pk=request.POST.get("server", ""))
    try:
        plan = services.plan_of_one(actor=actor_for(request), server=server)
    except DomainError as error:
        return _page(request, error)
    return go(request, f"“{plan.name}” was made, a plan of one server.", "start-drill", plan.pk)
