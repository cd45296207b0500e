"""The question before the lease of a drill's instances is extended."""

import uuid

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question, go, whole_number
from contract.errors import DomainError, Invalid
from contract.plurals import counted
from executions.commands.lease import extend_lease, why_not_extendable
from executions.models import Execution
from executions.runs.allowed.actions import CONTROL

USUAL = 24  # hours that the form begins with


@require_http_methods(["GET", "HEAD", "POST"])
def lease_extend(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """Ask for how long and why, then extend it."""
    execution = get_object_or_404(Execution, pk=execution_id)
    actor = actor_for(request)
    problem: DomainError | None = None
    hours, comment = request.POST.get("hours", str(USUAL)), request.POST.get("comment", "")
    if request.method == "POST":
        try:
            extend_lease(actor=actor, execution_id=execution_id, hours=whole_number(hours) or 0, comment=comment)
            said = f"The lease ends {counted(whole_number(hours) or 0, 'hour')} from now."
            return go(request, said, "execution", execution_id)
        except Invalid as refusal:
            texts = [text for each in refusal.fields.values() for text in each]
            problem = Invalid(refusal.fields, message=" ".join(texts))
        except DomainError as refusal:
            problem = refusal
    reason = why_not_extendable(execution)
    context = {
        "execution": execution,
        "hours": hours,
        "comment": comment,
        "reason": reason,
        "may": actor.may(CONTROL) and not reason,
    }
    trail = [("Runs", reverse("executions")), (execution.plan_name, reverse("execution", args=[execution.pk]))]
    question = Question("executions/_extend_lease.html", f"Extend the lease of {execution.plan_name}", trail)
    return question.answer(request, context, problem=problem)
