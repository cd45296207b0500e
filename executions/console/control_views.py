"""What a person tells a run to do: pause, resume, cancel, and terminate its instances when it is over."""

import uuid
from collections.abc import Callable
from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question, go, whole_number
from contract.errors import BadRequest, Conflict, DomainError
from contract.naming.confirmation import mistyped
from contract.plurals import counted
from executions.commands import control
from executions.commands.abandon import abandon
from executions.console.forms import CommentForm
from executions.console.live_page.page_content import Live
from executions.models import Execution
from executions.runs.allowed.actions import NO_WAVE, Meant, actions_of
from executions.runs.allowed.terminable_instances import terminable_servers
from executions.runs.silence.unresponsive_regions import silent_jobs, wave_in_flight
from executions.terminating.instances import launched
from executions.terminating.outcome import result

GIVE_UP = "give up"  # what has to be typed


@require_http_methods(["GET", "HEAD", "POST"])
def execution_resume(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """Let a run go on with the wave that the form is about, or take back a pause that was asked for."""
    meant = _meant(request)
    said = "The pause was withdrawn."
    if meant is not None and meant.wave != NO_WAVE:
        said = f"You let the run go on with wave {meant.wave + 1}."
    return _command(request, execution_id, partial(control.resume, meant=meant), said)


@require_http_methods(["GET", "HEAD", "POST"])
def execution_pause(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """Let a run wait before its next wave."""
    return _command(request, execution_id, control.pause, "The run was told to wait before its next wave.")


def _meant(request: HttpRequest) -> Meant | None:
    """Where the form's page saw the run wait; one that names no wave, as where none waited yet, means none."""
    if "wave" not in request.POST:
        return None
    wave = whole_number(request.POST["wave"])
    return Meant(NO_WAVE if wave is None else wave, whole_number(request.POST.get("attempt", "")))


def _command(request: HttpRequest, execution_id: uuid.UUID, verb: Callable[..., Execution], said: str) -> HttpResponse:
    """Always on to the run's own page: loading this address again must never send a command again."""
    if request.method == "POST":
        try:
            verb(actor=actor_for(request), execution_id=execution_id)
            messages.success(request, said)
        except (BadRequest, Conflict) as problem:
            messages.error(request, problem.message)
    return redirect("execution", execution_id)


def _trail(execution: Execution) -> list[tuple[str, str]]:
    here = reverse("execution", args=[execution.pk])
    return [("Runs", reverse("executions")), (execution.plan_name, here)]


@require_http_methods(["GET", "HEAD", "POST"])
def execution_cancel(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """Ask, then cancel: what runs at AWS is finished first."""
    execution = get_object_or_404(Execution.objects.with_jobs(), pk=execution_id)
    form = CommentForm(request.POST if request.method == "POST" else None)
    actor, problem = actor_for(request), None
    if request.method == "POST" and form.is_valid():
        try:
            done = control.cancel(actor=actor, execution_id=execution_id, comment=form.cleaned_data["comment"])
            said = "The run was cancelled." if done.state.is_final else "The run was told to stop: its wave ends first."
            return go(request, said, "execution", execution_id)
        except DomainError as error:
            problem = error
    actions = actions_of(execution, actor)
    context = {"live": Live(execution), "execution": execution, "form": form, "actions": actions}
    question = Question("executions/_cancel.html", f"Cancel {execution.plan_name}", _trail(execution))
    return question.answer(request, context, problem=problem, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def execution_abandon(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """Say what stays true, have it typed, then end a run that waits for a silent region."""
    execution = get_object_or_404(Execution.objects.with_jobs(), pk=execution_id)
    actor, problem, error = actor_for(request), None, ""
    form = CommentForm(request.POST if request.method == "POST" else None)
    typed = request.POST.get("confirm", "")
    actions = actions_of(execution, actor)
    if request.method == "POST" and form.is_valid():
        if actions.abandon.allowed and typed.strip().casefold() != GIVE_UP:
            error = f"Type “{GIVE_UP}” to confirm. The run goes on."
        else:
            try:
                abandon(actor=actor, execution_id=execution_id, comment=form.cleaned_data["comment"])
                return go(request, "The run was given up.", "execution", execution_id)
            except DomainError as refusal:
                problem = refusal
    wave = wave_in_flight(execution)
    silent = silent_jobs(execution, wave, timezone.now()) if wave else {}
    context = {
        "execution": execution,
        "wave": wave,
        "regions": sorted({job.region for job in silent}),
        "since": min(silent.values(), default=None),
        "phrase": GIVE_UP,
        "typed": typed,
        "error": error,
        "form": form,
        "actions": actions,
    }
    question = Question("executions/_abandon.html", f"Give up {execution.plan_name}", _trail(execution))
    return question.answer(request, context, problem=problem, status=422 if error or form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def execution_terminate(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """List every instance, have their number typed, or of a recovery the plan's name, then have DRS terminate them."""
    execution = get_object_or_404(Execution, pk=execution_id)
    actor, problem, error = actor_for(request), None, ""
    standing = terminable_servers(execution)
    instances = standing or list(launched(execution))
    phrase = f"terminate {len(instances)}"
    form = CommentForm(request.POST if request.method == "POST" else None)
    typed = request.POST.get("confirm", "")
    actions = actions_of(execution, actor, stands=bool(standing))
    if request.method == "POST" and form.is_valid():
        if actions.terminate.allowed and (wrong := _mistyped(execution, phrase, typed)):
            error = f"{wrong} Nothing was terminated."
        else:
            try:
                control.terminate(actor=actor, execution_id=execution_id, comment=form.cleaned_data["comment"])
                said = f"Termination of {counted(len(instances), 'instance')} was asked for."
                return go(request, said, "execution", execution_id)
            except DomainError as refusal:
                problem = refusal
    failed = {each.recovery_instance_id or each.source_server_id: each for each in result(execution).failed}
    context = {
        "execution": execution,
        "instances": [(each, failed.get(each.recovery_instance_id or each.source_server_id)) for each in instances],
        "phrase": phrase,
        "is_recovery": execution.purpose.is_recovery,
        "typed": typed,
        "error": error,
        "form": form,
        "actions": actions,
    }
    title = f"Terminate instances of {execution.plan_name}"
    question = Question("executions/_terminate.html", title, _trail(execution))
    return question.answer(request, context, problem=problem, status=422 if error or form.errors else 200)


def _mistyped(execution: Execution, phrase: str, typed: str) -> str:
    """What is wrong with the confirmation: of a recovery the plan's name is asked for, because it may be production."""
    if execution.purpose.is_recovery:
        return mistyped(typed, execution.plan_name)
    return "" if typed.strip().casefold() == phrase else f"Type “{phrase}” to confirm."
