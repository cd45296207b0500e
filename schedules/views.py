"""Schedules of drills: the list, the editor, and the question before one is deleted."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from audit.request_actor import actor_for
from console.asked import cannot_use
from console.pages import HtmxHttpRequest, Question, go, page_of
from console.saving import save_form
from contract.errors import DomainError
from contract.rights import as_id, holds
from plans.forms import OfPlans
from plans.models import RecoveryPlan
from schedules import services
from schedules.api import START, upcoming
from schedules.forms import PLACES, ScheduleForm
from schedules.models import Occurrence, Schedule


@dataclass(frozen=True)
class Row:
    """A schedule of the list."""

    schedule: Schedule
    last: Occurrence | None
    upcoming: list[datetime]


@require_safe
def schedule_list(request: HttpRequest) -> HttpResponse:
    """Which drills start by themselves, when, and what became of the last."""
    actor = actor_for(request)
    form, schedules = OfPlans(request.GET, label_suffix=""), services.seen_by(actor.sees)
    if form.is_valid() and (account := form.cleaned_data.get("account")):
        schedules = schedules.filter(plan__in=RecoveryPlan.objects.order_by().in_account(account).values("pk"))
    page = page_of(schedules, request)
    rows = [Row(each, each.occurrences.select_related("execution").first(), upcoming(each)) for each in page]
    may = holds(request.user)(services.MAY)
    return render(request, "schedules/schedule_list.html", {"form": form, "rows": rows, "page": page, "may": may})


@require_http_methods(["GET", "HEAD", "POST"])
def schedule_new(request: HttpRequest) -> HttpResponse:
    """A schedule, of the plan that `?plan=` names."""
    START.require(holds(request.user))
    plans = RecoveryPlan.objects.seen_by(actor_for(request).sees)
    asked = request.GET.get("plan", "")
    key = as_id(asked)
    if asked and not (key and plans.filter(pk=key).exists()):
        cannot_use(request, "plan", "there is no such plan. Choose one.")
    return _editor(request, None)


@require_http_methods(["GET", "HEAD", "POST"])
def schedule_edit(request: HttpRequest, schedule_id: uuid.UUID) -> HttpResponse:
    """Change a schedule."""
    START.require(holds(request.user))
    return _editor(request, services.get(schedule_id, actor_for(request).sees))


def _editor(request: HttpRequest, known: Schedule | None) -> HttpResponse:
    form = ScheduleForm(
        request.POST if request.method == "POST" else None, known, actor_for(request).sees, request.GET.get("plan", "")
    )
    saving = save_form(request, form, lambda: _save(request, known, form), PLACES)
    if saving.saved:
        said = f"The schedule of “{saving.saved.plan.name}” was {'changed' if known else 'made'}."
        return go(request, said, "schedules")
    context = {"schedule": known, **saving.context()}
    return render(request, "schedules/schedule_form.html", context, status=saving.status)


def _save(request: HttpRequest, known: Schedule | None, form: ScheduleForm) -> Schedule:
    actor = actor_for(request)
    if known is None:
        return services.create(actor=actor, plan_id=form.cleaned_data["plan"], wanted=form.wanted)
    version = form.cleaned_data["version"]
    expected = None if version is None else {version}
    return services.update(actor=actor, schedule_id=known.pk, wanted=form.wanted, expected=expected)


@require_http_methods(["GET", "HEAD", "POST"])
def schedule_delete(request: HtmxHttpRequest, schedule_id: uuid.UUID) -> HttpResponse:
    """Ask, then delete."""
    actor = actor_for(request)
    schedule = services.get(schedule_id, actor.sees)
    problem = None
    if request.method == "POST":
        try:
            services.delete(actor=actor, schedule_id=schedule_id)
            said = f"The schedule of “{schedule.plan.name}” was deleted: no more drills start by it."
            return go(request, said, "schedules")
        except DomainError as error:
            problem = error
    trail = [("Schedules", reverse("schedules"))]
    question = Question("schedules/_delete_schedule.html", f"Delete the schedule of {schedule.plan.name}?", trail)
    return question.answer(request, {"schedule": schedule, "may": holds(request.user)(services.MAY)}, problem=problem)
