"""The question whether a drill that was asked for is started."""

import uuid

from django.http import HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question, go
from contract.clock import db_clock
from contract.errors import DomainError
from drill_requests import services
from drill_requests.states import RequestState
from executions.readiness.facts import readiness_of
from plans.models import WaveServer
from plans.scopes.plans import at_plan
from plans.views import plan_rows
from protection.models import ProtectionGroup, SourceServer
from protection.views import Readiness


@require_http_methods(["GET", "HEAD", "POST"])
def drill_request(request: HtmxHttpRequest, drill_request_id: uuid.UUID) -> HttpResponse:
    """Who asks for what and why, what would be launched; then a person's yes or no."""
    actor, problem = actor_for(request), None
    row = services.get(drill_request_id, actor.sees)
    if request.method == "POST":
        try:
            if request.POST.get("answer") == "start":
                run = services.confirm(actor=actor, request_id=row.pk)
                return go(request, f"The drill that {row.asked_by} asked for was started.", "execution", run.pk)
            if request.POST.get("answer") == "decline":
                services.decline(actor=actor, request_id=row.pk)
                said = f"The drill of “{row.plan.name}” was declined. Nothing was started."
                return go(request, said, "plan", row.plan_id)
        except DomainError as error:
            problem = error
            row = services.get(drill_request_id, actor.sees)
    now, plan = db_clock(), row.plan
    state = row.state(now)
    ids = list(WaveServer.objects.filter(plan=plan).values_list("assignment__source_server_id", flat=True))
    known = SourceServer.objects.in_bulk(ids)
    regions = ProtectionGroup.objects.filter(waves__plan=plan).order_by("region")
    context = {
        "asked": row,
        "state": state,
        "is_open": state is RequestState.OPEN,
        "may": at_plan(actor, row.plan_id).may(services.MAY),
        "plan": plan,
        "row": plan_rows([plan], actor)[0],
        "assessed": readiness_of([plan.pk], now)[plan.pk],
        "readiness": Readiness.of(known.get(each) for each in ids),
        "regions": regions.values_list("region", flat=True).distinct(),
    }
    trail = [("Recovery plans", reverse("plans")), (plan.name, reverse("plan", args=[plan.pk]))]
    question = Question("drill_requests/_drill_request.html", f"Drill asked for: {plan.name}", trail)
    return question.answer(request, context, problem=problem)
