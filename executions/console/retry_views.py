"""The question before a run is tried again: what stands, what would be launched, and what is in the way."""

import uuid

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question, go
from contract.errors import DomainError
from executions.commands import control, retry
from executions.commands.production import places_of_run
from executions.console.forms import CommentForm
from executions.console.starting.start_views import ProductionRisk
from executions.models import Execution
from executions.runs.attempts import lineages, why_not

CHOOSABLE = 200  # servers that a dialog lists, each with its box


@require_http_methods(["GET", "HEAD", "POST"])
def execution_retry(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """Say what a retry launches, then start it; of a recovery the plan's name is typed, as for its first attempt."""
    execution = get_object_or_404(Execution, pk=execution_id)
    actor, problem, error = actor_for(request), None, ""
    form = CommentForm(request.POST if request.method == "POST" else None)
    excluded = request.POST.getlist("exclude")
    left, lineage = retry.what_is_left(execution), lineages([execution])[execution.pk]
    reason = why_not(execution, lineage)
    is_asked = request.method == "POST" and not reason and control.may_start(actor, execution.purpose)
    production_risk = ProductionRisk.of(
        actor,
        execution.purpose,
        [row.source_server_id for each in left for row in each.servers if row.source_server_id not in excluded],
        places_of_run(execution),
        ask=is_asked,
        attempts={each.pk for each in lineage.attempts},
    )
    if request.method == "POST" and form.is_valid():
        error = production_risk.mistyped(request, execution.plan_name)
        if not error:
            try:
                made = retry.retry(
                    actor=actor,
                    execution_id=execution_id,
                    comment=form.cleaned_data["comment"],
                    choice=retry.Choice(exclude=excluded),
                    replace_production=bool(production_risk.recoveries),
                    looked=production_risk.looked if is_asked else None,
                )
                production_risk.warn(request)
                said = f"{made.called.capitalize()} was started: attempt {made.attempt} of “{made.plan_name}”."
                return go(request, said, "execution", made.pk)
            except DomainError as refusal:
                execution = get_object_or_404(Execution, pk=execution_id)
                problem, lineage = refusal, lineages([execution])[execution.pk]
                reason = why_not(execution, lineage)
    count = sum(len(each.servers) for each in left)
    context = {
        "execution": execution,
        "left": [each for each in left if each.servers],
        "stands": [each.wave.number + 1 for each in left if not each.servers],
        "count": count,
        "choosable": 1 < count <= CHOOSABLE,
        "excluded": excluded,
        "reason": reason,
        "rival": lineage.rival,
        "production_risk": production_risk,
        "is_recovery": production_risk.is_recovery,
        "recoveries": production_risk.recoveries,
        "is_changed": execution.plan is not None and execution.plan.version != execution.plan_copy.get("version"),
        "may_start": production_risk.may_start,
        "typed": request.POST.get("confirm", ""),
        "error": error,
        "form": form,
    }
    here = reverse("execution", args=[execution.pk])
    trail = [("Runs", reverse("executions")), (execution.plan_name, here)]
    question = Question("executions/_retry.html", f"Try {execution.plan_name} again", trail)
    return question.answer(request, context, problem=problem, status=422 if error or form.errors else 200)
