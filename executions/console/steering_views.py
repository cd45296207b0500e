"""The questions before a wave is skipped, retried or begun at once, and before a server is left out."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question, go
from contract.errors import DomainError, Invalid
from contract.plurals import counted
from executions.commands import steering
from executions.console.forms import CommentForm, ReasonForm, RetryWaveForm, SkipForm
from executions.models import Execution, ServerRun, WaveRun
from executions.runs.allowed import steering as allowed
from executions.runs.allowed.actions import Refusal, Verb, action_of, require_right
from executions.states import Dependents, WaveStatus


@dataclass(frozen=True)
class Ask:
    """What is asked, with what follows from it in sentences, the form's words, and what is `said` when it is done."""

    title: str
    sentences: Sequence[str]
    button: str
    said: str
    form: CommentForm | ReasonForm
    refusal: Refusal | None
    tone: str = "primary"  # of the button
    servers: Sequence[ServerRun] = field(default_factory=list)


@require_http_methods(["GET", "HEAD", "POST"])
def wave_skip(request: HtmxHttpRequest, execution_id: uuid.UUID, wave: int) -> HttpResponse:
    """Skip a wave that has not begun."""
    row = _wave(execution_id, wave)
    dependents = _dependents(row)
    servers = row.servers.count()
    sentences = [f"{counted(servers, 'server')} of wave {wave + 1}, {row.name}, will not be launched by this run."]
    if dependents:
        sentences.append(f"It is needed by {_listed(dependents)}.")
    ask = Ask(
        f"Skip wave {wave + 1} of {row.execution.plan_name}?",
        sentences,
        f"Skip wave {wave + 1}",
        f"Wave {wave + 1} was skipped: its servers are not launched by this run.",
        SkipForm(request.POST or None, has_dependents=bool(dependents)),
        allowed.no_skip(row.execution, row, list(row.jobs.all())),
        tone="danger",
    )

    def do(given: dict[str, Any]) -> None:
        steering.skip_wave(
            actor=actor_for(request),
            execution_id=execution_id,
            wave=wave,
            reason=given["reason"],
            dependents=Dependents(given.get("dependents") or Dependents.SKIP),
        )

    return _answer(request, row.execution, ask, do)


@require_http_methods(["GET", "HEAD", "POST"])
def wave_retry(request: HtmxHttpRequest, execution_id: uuid.UUID, wave: int) -> HttpResponse:
    """Launch servers of a failed wave again, in the same run."""
    row = _wave(execution_id, wave)
    servers = list(row.servers.order_by("position"))
    failed = [each for each in servers if allowed.is_retryable(each)]
    ask = Ask(
        f"Retry wave {wave + 1} of {row.execution.plan_name}?",
        [
            f"The servers that are ticked are launched again, as attempt {row.attempt + 1} of the wave.",
            "Those that are up stay as they are.",
        ],
        "Retry the ticked servers",
        f"You let wave {wave + 1} launch the ticked servers again.",
        RetryWaveForm(request.POST or None, servers=failed),
        allowed.no_retry(row.execution, row, servers),
        servers=failed,
    )

    def do(given: dict[str, Any]) -> None:
        steering.retry_wave(
            actor=actor_for(request),
            execution_id=execution_id,
            wave=wave,
            server_ids=given["servers"],
            comment=given["comment"],
        )

    return _answer(request, row.execution, ask, do)


@require_http_methods(["GET", "HEAD", "POST"])
def wave_start_now(request: HtmxHttpRequest, execution_id: uuid.UUID, wave: int) -> HttpResponse:
    """End the wait before a wave."""
    row = _wave(execution_id, wave)
    ask = Ask(
        f"Start wave {wave + 1} of {row.execution.plan_name} now?",
        [f"The plan waits {row.wait_minutes_before} minutes before it. The wait ends, and it starts at once."],
        f"Start wave {wave + 1} now",
        f"You ended the wait before wave {wave + 1}.",
        CommentForm(request.POST or None),
        allowed.no_start_now(row.execution, row, timezone.now()),
    )

    def do(given: dict[str, Any]) -> None:
        steering.start_wave_now(
            actor=actor_for(request), execution_id=execution_id, wave=wave, comment=given["comment"]
        )

    return _answer(request, row.execution, ask, do)


@require_http_methods(["GET", "HEAD", "POST"])
def server_exclude(request: HtmxHttpRequest, execution_id: uuid.UUID, server: str) -> HttpResponse:
    """Leave a server of a wave that has not begun out of the run."""
    rows = ServerRun.objects.select_related("wave__execution")
    row = get_object_or_404(rows, wave__execution=execution_id, source_server_id=server)
    wave = row.wave
    others = list(wave.servers.exclude(pk=row.pk))
    ask = Ask(
        f"Leave {row.hostname} out?",
        [
            f"{row.hostname} of wave {wave.number + 1}, {wave.name}, will not be launched by this run.",
            "The wave goes on without it. This cannot be taken back: launch it with another run.",
        ],
        f"Leave {row.hostname} out",
        f"{row.hostname} was left out: this run does not launch it.",
        ReasonForm(request.POST or None),
        allowed.no_exclude(wave.execution, row, list(wave.jobs.all()), others),
        tone="danger",
    )

    def do(given: dict[str, Any]) -> None:
        steering.exclude_server(
            actor=actor_for(request), execution_id=execution_id, source_server_id=server, reason=given["reason"]
        )

    return _answer(request, wave.execution, ask, do)


def _answer(
    request: HtmxHttpRequest, execution: Execution, ask: Ask, do: Callable[[dict[str, Any]], None]
) -> HttpResponse:
    """Ask, or do it and go back to the run's page."""
    problem: DomainError | None = None
    if request.method == "POST":
        require_right(actor_for(request), Verb.STEER, execution.purpose)
    if request.method == "POST" and ask.form.is_valid():
        try:
            do(ask.form.cleaned_data)
            return go(request, ask.said, "execution", execution.pk)
        except Invalid as error:
            for texts in error.fields.values():
                ask.form.add_error(None, texts)
        except DomainError as error:
            problem = error
    action = action_of(actor_for(request), Verb.STEER, execution, ask.refusal.reason if ask.refusal else "")
    here = reverse("execution", args=[execution.pk])
    trail = [("Runs", reverse("executions")), (execution.plan_name, here)]
    context = {"execution": execution, "ask": ask, "form": ask.form, "action": action, "address": request.path}
    question = Question("executions/_steer.html", ask.title, trail)
    return question.answer(request, context, problem=problem, status=422 if ask.form.errors else 200)


def _wave(execution_id: uuid.UUID, number: int) -> WaveRun:
    return get_object_or_404(WaveRun.objects.select_related("execution"), execution=execution_id, number=number)


def _dependents(wave: WaveRun) -> list[WaveRun]:
    open_waves = wave.execution.waves.filter(status__in=[WaveStatus.PENDING, WaveStatus.PAUSED])
    return [each for each in open_waves.order_by("number") if wave.number in each.depends_on]


def _listed(waves: Sequence[WaveRun]) -> str:
    names = [f"wave {each.number + 1} ({each.name})" for each in waves]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
