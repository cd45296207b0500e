"""The questions before somebody approves at a gate, declines, resumes a run there, or breaks the glass."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question, go, whole_number
from contract.errors import DomainError, Invalid
from executions.codes.ours import Code
from executions.commands import control, gates
from executions.console.forms import CommentForm, ReasonForm
from executions.console.gates.panel import last_entry, meanwhile, what_is_next, what_ran, what_was_left_out
from executions.console.live_page.page_content import Live
from executions.models import Execution
from executions.runs.allowed.actions import Action, Meant, Verb, require_right
from executions.runs.allowed.gates import gate_actions
from executions.runs.gates.given import AtGate, at_gate
from executions.runs.gates.looked_at import digest_of


class TickForm(CommentForm):
    """A gate's checklist; the service says what is missing."""

    checklist = forms.TypedMultipleChoiceField(
        label="You have checked", coerce=int, required=False, widget=forms.CheckboxSelectMultiple
    )
    field_order = ["checklist", "comment"]

    def __init__(self, data: Any = None, *, at: AtGate | None, **options: Any) -> None:
        super().__init__(data, **options)
        items = at.gate.checklist if at else ()
        self.fields["checklist"].choices = list(enumerate(items))  # type: ignore[attr-defined]
        if not items:
            del self.fields["checklist"]


@dataclass(frozen=True)
class Asked:
    """A question: what the button does, what is said before it, and `said` afterwards."""

    verb: Verb
    title: str
    button: str
    said: str
    sentences: tuple[str, ...]
    action: Action
    tone: str = "primary"


@require_http_methods(["GET", "HEAD", "POST"])
def gate_approve(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """Say yes to what the page shows of the run."""
    execution = _run(execution_id)
    at = at_gate(execution)
    asked = Asked(
        Verb.APPROVE,
        f"Approve {_where(at)} of {execution.plan_name}?",
        "Approve",
        f"You approved {_where(at)}.",
        ("You approve what is shown here. If the run changes meanwhile, nothing is approved.",),
        gate_actions(execution, actor_for(request)).approve,
    )

    def do(given: dict[str, Any]) -> None:
        gates.approve(
            actor=actor_for(request),
            execution_id=execution_id,
            digest=request.POST.get("digest", ""),
            comment=given["comment"],
            checklist=given.get("checklist", ()),
        )

    return _answer(request, execution, at, asked, TickForm(request.POST or None, at=at), do)


@require_http_methods(["GET", "HEAD", "POST"])
def gate_resume(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """Pass a gate that needs no approvals, with its checklist ticked."""
    execution = _run(execution_id)
    at = at_gate(execution)
    asked = Asked(
        Verb.RESUME,
        f"Resume {execution.plan_name} with {_where(at)}?",
        "Resume",
        f"You let the run go on with {_where(at)}.",
        (),
        gate_actions(execution, actor_for(request)).resume,
    )

    def do(given: dict[str, Any]) -> None:
        control.resume(
            actor=actor_for(request),
            execution_id=execution_id,
            comment=given["comment"],
            meant=_meant(request),
            checklist=given.get("checklist", ()),
        )

    return _answer(request, execution, at, asked, TickForm(request.POST or None, at=at), do)


@require_http_methods(["GET", "HEAD", "POST"])
def gate_decline(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """Say no: approvals lapse, and the run goes on waiting."""
    execution = _run(execution_id)
    at = at_gate(execution)
    asked = Asked(
        Verb.APPROVE,
        f"Decline {_where(at)} of {execution.plan_name}?",
        "Decline",
        f"You declined {_where(at)}. The run goes on waiting.",
        (
            "Approvals that were given lapse, and subscribers are told why.",
            "The run goes on waiting: it can still be approved, steered or cancelled.",
        ),
        gate_actions(execution, actor_for(request)).decline,
        "danger",
    )

    def do(given: dict[str, Any]) -> None:
        gates.decline(actor=actor_for(request), execution_id=execution_id, reason=given["reason"])

    return _answer(request, execution, at, asked, ReasonForm(request.POST or None), do)


@require_http_methods(["GET", "HEAD", "POST"])
def gate_break(request: HtmxHttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """Go on without the approvals that the gate needs."""
    execution = _run(execution_id)
    at = at_gate(execution)
    asked = Asked(
        Verb.BREAK_GLASS,
        f"Break the glass: go on with {_where(at)} of {execution.plan_name}?",
        "Break the glass",
        f"You broke the glass: the run goes on with {_where(at)}, and every subscription is told.",
        (
            "The run goes on at once, without what its plan asks for.",
            "Every subscription is told, and it stands in red on the page, in the report and in the evidence pack.",
        ),
        gate_actions(execution, actor_for(request)).break_glass,
        "danger",
    )

    def do(given: dict[str, Any]) -> None:
        gates.break_glass(
            actor=actor_for(request), execution_id=execution_id, reason=given["reason"], meant=_meant(request)
        )

    return _answer(request, execution, at, asked, ReasonForm(request.POST or None), do)


def _answer(
    request: HtmxHttpRequest,
    execution: Execution,
    at: AtGate | None,
    asked: Asked,
    form: CommentForm | ReasonForm,
    do: Callable[[dict[str, Any]], None],
) -> HttpResponse:
    """Ask, or do it and go back to the run's page; what happened meanwhile is told with a refusal."""
    problem: DomainError | None = None
    told: list[str] = []
    if request.method == "POST":
        require_right(actor_for(request), asked.verb, execution.purpose)
    if request.method == "POST" and form.is_valid():
        try:
            do(form.cleaned_data)
            return go(request, asked.said, "execution", execution.pk)
        except Invalid as error:
            for texts in error.fields.values():
                form.add_error(None, texts)
        except DomainError as error:
            problem = error
            told = meanwhile(execution, whole_number(request.POST.get("seen")) or 0)
            if error.code == Code.GATE_CHANGED:  # it is to be looked at anew
                form = TickForm(initial={"comment": request.POST.get("comment", "")}, at=at)
    here = reverse("execution", args=[execution.pk])
    live = Live(execution)
    context = {
        "execution": execution,
        "at": at,
        "asked": asked,
        "form": form,
        "address": request.path,
        "meanwhile": told,
        "seen": last_entry(execution),
        "digest": digest_of(execution) if at and isinstance(form, TickForm) else "",
        "ran": what_ran(live, at) if at else [],
        "left_out": what_was_left_out(execution),
        "coming": what_is_next(live, at) if at else [],
        "forecast": live.forecast,
        "now": timezone.now(),
    }
    trail = [("Executions", reverse("executions")), (execution.plan_name, here)]
    question = Question("executions/_gate_question.html", asked.title, trail)
    return question.answer(request, context, problem=problem, status=422 if form.errors else 200)


def _run(execution_id: uuid.UUID) -> Execution:
    return get_object_or_404(Execution.objects.with_jobs(), pk=execution_id)


def _where(at: AtGate | None) -> str:
    return f"wave {at.wave.number + 1}" if at else "the next wave"


def _meant(request: HtmxHttpRequest) -> Meant | None:
    """The wave before which the form's page saw the run wait."""
    wave = whole_number(request.POST.get("wave", ""))
    return None if wave is None else Meant(wave, 0)
