"""Findings and sign-offs on pages: the list, of everything or of one run or plan, and what is asked."""

import uuid
from dataclasses import dataclass
from datetime import date

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.text import Truncator
from django.views.decorators.http import require_http_methods, require_safe

from audit.actor import Actor
from audit.request_actor import actor_for
from console.asked import cannot_use
from console.pages import go, page_of
from console.saving import save_form
from contract.clock import db_clock
from contract.rights import holds
from executions.models import Execution
from executions.runs.allowed.actions import CONTROL
from findings import services
from findings.api import CHANGE, CLOSE, FILE, SIGN
from findings.forms import PLACES, ClosingForm, FindingForm, FindingSearch, SignOffForm
from findings.models import Finding, FindingQuerySet, SignOff
from findings.states import State
from plans.models import RecoveryPlan


@dataclass(frozen=True)
class About:
    """The run or the plan that a page is about, if any."""

    execution: Execution | None = None
    plan: RecoveryPlan | None = None

    @property
    def query(self) -> str:
        """How addresses name it."""
        if self.execution:
            return f"execution={self.execution.pk}"
        return f"plan={self.plan.pk}" if self.plan else ""

    @property
    def called(self) -> str:
        if self.execution:
            return f"{self.execution.called}, {self.execution.purpose.label.lower()} of {self.execution.plan_name}"
        return self.plan.name if self.plan else ""


@dataclass(frozen=True)
class Row:
    """A finding of the list."""

    finding: Finding
    state: State


@require_safe
def finding_list(request: HttpRequest) -> HttpResponse:
    """What is to be put right; with `?execution=` or `?plan=` of that alone, and who has signed off the run."""
    actor, today = actor_for(request), db_clock().date()
    form = FindingSearch(request.GET, label_suffix="")
    form.is_valid()
    about = _about(request, actor)
    page = page_of(_rows(form, about, actor, today), request)
    run = about.execution
    context = {
        "form": form,
        "page": page,
        "rows": [Row(each, each.state_on(today)) for each in page],
        "about": about,
        "sign_offs": list(run.sign_offs.all()) if run else [],
        "may": holds(request.user)(CONTROL),
        "may_file": run.state.is_final if run else about.plan is not None,
        "may_sign": run is not None and run.state.is_final and not run.dry_run and actor.kind == "person",
    }
    return render(request, "findings/finding_list.html", context)


def _rows(form: FindingSearch, about: About, actor: Actor, today: date) -> FindingQuerySet:
    rows = Finding.objects.seen_by(actor.sees)
    if about.execution:
        rows = rows.filter(execution=about.execution)
    elif about.plan:
        rows = rows.filter(plan=about.plan)
    if account := form.cleaned_data.get("account"):
        rows = rows.in_account(account)
    state = form.cleaned_data.get("state")
    return (rows.so(State.of(state), today) if state else rows).newest_first()


def _about(request: HttpRequest, actor: Actor) -> About:
    """What the address names. Raises Http404 for what is not there, or not seen."""
    form = FindingSearch(request.GET)
    form.is_valid()
    run, plan = form.cleaned_data.get("execution"), form.cleaned_data.get("plan")
    if run:
        found = Execution.objects.seen_by(actor.sees).filter(pk=run).first()
        if found is None:
            raise Http404(f"There is no execution {run}.")
        if plan and plan != found.plan_id:
            cannot_use(request, "plan", "those of one run are shown, which is of another plan.")
        return About(execution=found)
    if plan:
        known = RecoveryPlan.objects.seen_by(actor.sees).filter(pk=plan).first()
        if known is None:
            raise Http404(f"There is no recovery plan {plan}.")
        return About(plan=known)
    return About()


@require_http_methods(["GET", "HEAD", "POST"])
def finding_new(request: HttpRequest) -> HttpResponse:
    """File a finding of the run or plan that `?execution=` or `?plan=` names."""
    FILE.require(holds(request.user))
    actor = actor_for(request)
    about = _about(request, actor)
    if not about.query:
        messages.warning(request, "A finding is filed on the page of a run that is over, or of a plan.")
        return go(request, "", "findings")
    form = FindingForm(request.POST if request.method == "POST" else None)

    def save() -> Finding:
        run, plan = about.execution, about.plan
        return services.file(
            actor=actor,
            wanted=form.wanted,
            execution_id=run.pk if run else None,
            plan_id=plan.pk if plan else None,
        )

    saving = save_form(request, form, save, PLACES, elsewhere="text")
    if saving.saved:
        said = f"The finding was filed. {saving.saved.owner} puts it right."
        return go(request, said, "findings", query=about.query)
    plan = about.plan or (about.execution.plan if about.execution else None)
    context = {"about": about, "owners": services.known_owners(actor.sees, plan, actor), **saving.context()}
    return render(request, "findings/finding_form.html", context, status=saving.status)


@require_http_methods(["GET", "HEAD", "POST"])
def finding_edit(request: HttpRequest, finding_id: uuid.UUID) -> HttpResponse:
    """Change what an open finding says, who puts it right, and until when."""
    CHANGE.require(holds(request.user))
    actor = actor_for(request)
    finding = services.get(finding_id, actor.sees)
    form = FindingForm(request.POST if request.method == "POST" else None, finding)

    def save() -> Finding:
        version = form.cleaned_data["version"]
        return services.change(
            actor=actor,
            finding_id=finding_id,
            wanted=form.wanted,
            expected=None if version is None else {version},
        )

    saving = save_form(request, form, save, PLACES, elsewhere="text")
    if saving.saved:
        same = saving.saved.version == finding.version
        return go(request, "Nothing of the finding was changed." if same else "The finding was changed.", "findings")
    owners = services.known_owners(actor.sees, finding.plan, actor)
    context = {"finding": finding, "owners": owners, **saving.context()}
    return render(request, "findings/finding_form.html", context, status=saving.status)


@require_http_methods(["GET", "HEAD", "POST"])
def finding_close(request: HttpRequest, finding_id: uuid.UUID) -> HttpResponse:
    """Say that it is put right, and what shows it."""
    CLOSE.require(holds(request.user))
    actor = actor_for(request)
    finding = services.get(finding_id, actor.sees)
    form = ClosingForm(request.POST if request.method == "POST" else None, services.proving(finding, actor.sees))

    def save() -> Finding:
        reason = form.cleaned_data["reason"]
        return services.close(actor=actor, finding_id=finding_id, reason=reason, execution_id=form.run_id)

    saving = save_form(request, form, save, PLACES, elsewhere="reason")
    if saving.saved:
        return go(request, f"The finding “{Truncator(finding.text).chars(60)}” was closed.", "findings")
    return render(request, "findings/close.html", {"finding": finding, **saving.context()}, status=saving.status)


@require_http_methods(["GET", "HEAD", "POST"])
def sign_off(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponse:
    """Vouch for a run."""
    SIGN.require(holds(request.user))
    actor = actor_for(request)
    execution = Execution.objects.filter(pk=execution_id).first()
    if execution is None:
        raise Http404(f"There is no execution {execution_id}.")
    form = SignOffForm(request.POST if request.method == "POST" else None)

    def save() -> SignOff:
        return services.sign_off(actor=actor, execution_id=execution_id, looked_at=form.cleaned_data["looked_at"])

    saving = save_form(request, form, save, {"lookedAt": "looked_at"})
    about = About(execution=execution)
    if saving.saved:
        return go(request, f"You signed off {about.called}.", "findings", query=about.query)
    return render(request, "findings/sign_off.html", {"about": about, **saving.context()}, status=saving.status)
