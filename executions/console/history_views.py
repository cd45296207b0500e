"""Clearing the history: the question before finished runs leave the lists."""

from django.http import HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question, go
from contract.errors import DomainError
from contract.plurals import counted
from executions.commands import control
from executions.commands.hide_finished import HIDE, what_would_be_hidden
from executions.models import Execution

NAMED = 10  # kept runs that the question names


@require_http_methods(["GET", "HEAD", "POST"])
def hide_finished(request: HtmxHttpRequest) -> HttpResponse:
    """Say which runs leave the lists, which stay and why, and that nothing is deleted."""
    actor, problem = actor_for(request), None
    if request.method == "POST":
        try:
            done = control.hide_finished(actor=actor)
            kept = f", {counted(len(done.kept), 'finished run')} kept" if done.kept else ""
            return go(request, f"{counted(done.hidden, 'run')} hidden{kept}.", "executions")
        except DomainError as refusal:
            problem = refusal
    would = what_would_be_hidden()
    shown = would.kept[:NAMED]
    runs = Execution.objects.filter(pk__in=[each.execution_id for each in shown])
    names = dict(runs.values_list("pk", "plan_name"))
    context = {
        "would": would,
        "kept": [(each, names.get(each.execution_id, "")) for each in shown],
        "may_hide": actor.may(HIDE),
    }
    question = Question("executions/_hide.html", "Hide finished runs", [("Runs", reverse("executions"))])
    return question.answer(request, context, problem=problem)
