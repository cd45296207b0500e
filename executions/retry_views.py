"""The question before a run is tried again: what stands, what would be launched, and what is in the way."""

import uuid

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit.requests import actor_for
from contract.errors import DomainError
from contract.names import name_key
from executions import retrying
from executions.attempts import lineages, why_not
from executions.forms import CommentForm
from executions.models import Execution
from executions.start_views import ended_by, may_launch, must_be_typed
from executions.states import Kind
from protection.pages import HtmxHttpRequest, Question, go


@require_http_methods(["GET", "HEAD", "POST"])
def execution_retry(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """Say what a retry launches, then start it; of a recovery the plan's name is typed, as for its first attempt."""
    execution = get_object_or_404(Execution, pk=execution_id)
    actor, problem, error = actor_for(request), None, ""
    form = CommentForm(request.POST if request.method == "POST" else None)
    typed = request.POST.get("confirm", "")
    left = retrying.what_is_left(execution)
    recoveries = ended_by(execution.purpose, [row.source_server_id for each in left for row in each.servers])
    may_start, is_typed = may_launch(actor, execution.purpose, recoveries), must_be_typed(execution.purpose, recoveries)
    if request.method == "POST" and form.is_valid():
        if is_typed and may_start and name_key(typed) != name_key(execution.plan_name):
            error = "This is not the plan's name. Nothing was started."
        else:
            try:
                comment = form.cleaned_data["comment"]
                made = retrying.retry(actor=actor, execution_id=execution_id, comment=comment)
                return go(request, "execution", made.pk)
            except DomainError as refusal:
                problem = refusal
    lineage = lineages([execution])[execution.pk]
    context = {
        "execution": execution,
        "left": [each for each in left if each.servers],
        "stands": [each.wave.number + 1 for each in left if not each.servers],
        "count": sum(len(each.servers) for each in left),
        "reason": why_not(execution, lineage),
        "rival": lineage.rival,
        "is_recovery": execution.purpose is Kind.RECOVERY,
        "recoveries": recoveries,
        "is_changed": execution.plan is not None and execution.plan.version != execution.plan_copy.get("version"),
        "may_start": may_start,
        "typed": typed,
        "error": error,
        "form": form,
    }
    here = reverse("execution", args=[execution.pk])
    trail = [("Executions", reverse("executions")), (execution.plan_name, here)]
    question = Question("executions/_retry.html", f"Try {execution.plan_name} again", trail)
    return question.answer(request, context, problem=problem, status=422 if error or form.errors else 200)
