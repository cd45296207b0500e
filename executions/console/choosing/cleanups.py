"""The clean-up of several drills: every instance that would go, what is refused and why, and their termination."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit.actor import Actor
from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question, go
from console.ticked import Ticked
from contract.errors import DomainError
from contract.plurals import counted
from contract.rights import ANYTHING
from executions.commands.several import MOST, ONE_BY_ONE, EndedDrill, terminate_drills
from executions.console.forms import CommentForm
from executions.models import Execution, ServerRun
from executions.runs.allowed.actions import Verb, actions_of, require_right
from executions.runs.allowed.scopes import at_each
from executions.runs.allowed.terminable_instances import terminable_servers
from executions.states import Kind

UNSHOWN = ("plan_copy", "forecast", "phase_times", "rehearsal")


@dataclass(frozen=True)
class Cleanup:
    """A run that was chosen: the instances that would be terminated, or what speaks against it."""

    run: Execution
    instances: Sequence[ServerRun]
    against: str


@require_http_methods(["GET", "HEAD", "POST"])
def runs_terminate(request: HtmxHttpRequest) -> HttpResponse:
    """List every instance of the ticked drills, have their number typed, then have DRS terminate them."""
    actor, problem, error = actor_for(request), None, ""
    require_right(actor.at(ANYTHING), Verb.TERMINATE, Kind.DRILL)
    ticked = Ticked.of(request, "run", MOST)
    chosen = _chosen(actor, ticked.ids)
    ready = [each for each in chosen if not each.against]
    total = sum(len(each.instances) for each in ready)
    phrase = f"terminate {total}"
    form = CommentForm(request.POST if ticked.is_answer else None)
    typed = request.POST.get("confirm", "")
    if ticked.is_answer and form.is_valid() and ready:
        if typed.strip().casefold() != phrase:
            error = f"Type “{phrase}” to confirm. Nothing was terminated."
        else:
            try:
                runs = {each.run.pk: each.run for each in ready}
                done = terminate_drills(actor=actor, execution_ids=list(runs), comment=form.cleaned_data["comment"])
                _tell(request, done, runs)
                return go(request, "", "executions")
            except DomainError as refusal:
                problem = refusal
    context = {
        "ready": ready,
        "ticked": ticked,
        "refused": [each for each in chosen if each.against],
        "total": total,
        "phrase": phrase,
        "typed": typed,
        "error": error,
        "form": form,
    }
    question = Question("executions/_terminate_runs.html", "Terminate instances", [("Runs", reverse("executions"))])
    return question.answer(request, context, problem=problem, status=422 if error or form.errors else 200)


def _chosen(actor: Actor, ids: Sequence[uuid.UUID]) -> list[Cleanup]:
    """The newest first, as the list has them."""
    runs = list(Execution.objects.seen_by(actor.sees).filter(pk__in=ids).defer(*UNSHOWN).newest_first())
    here = at_each(actor, runs)
    return [_cleanup(here[each.pk], each) for each in runs]


def _cleanup(actor: Actor, run: Execution) -> Cleanup:
    if run.purpose.is_recovery:
        return Cleanup(run, [], ONE_BY_ONE)
    instances = terminable_servers(run)
    return Cleanup(run, instances, actions_of(run, actor, stands=bool(instances)).terminate.reason)


def _tell(request: HttpRequest, done: Iterable[EndedDrill], runs: dict[uuid.UUID, Execution]) -> None:
    """What became of each, as far as it is known when the page is shown: the run's own page follows it."""
    asked = [each for each in done if each.told and each.told.terminated]
    if asked:
        instances = sum(len(each.told.terminated) for each in asked if each.told)
        drills = ", ".join(f"{runs[each.run_id].called} of {runs[each.run_id].plan_name}" for each in asked)
        messages.success(request, f"Termination of {counted(instances, 'instance')} requested: {drills}.")
    for each in done:
        run = runs[each.run_id]
        why = each.refusal.message if each.refusal else _failed(each)
        if why:
            messages.error(request, f"{run.called.capitalize()} of {run.plan_name}: {why}")


def _failed(ended: EndedDrill) -> str:
    failed = [*ended.told.failed, *ended.told.unknown] if ended.told else []
    if not failed:
        return ""
    more = f" And {len(failed) - 1} more: see the run." if len(failed) > 1 else ""
    return f"{failed[0].name}: {failed[0].message}{more}"
