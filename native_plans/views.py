"""The pages of plans' copies in DRS, of what DRS has, and of making a plan of that."""

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from accounts.registry import name_of, way_of
from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question, go
from contract.errors import DomainError, Forbidden
from drs.native_plans import place_of
from native_plans import importing, kept, services
from native_plans.compiled import compiled
from native_plans.listing import listed
from native_plans.models import Mirror
from plans.models import RecoveryPlan
from plans.scopes.plans import at_plan
from plans.services import get
from protection.inventory.source_servers import places_in_use


@require_http_methods(["GET", "HEAD", "POST"])
def plan_native(request: HtmxHttpRequest, plan_id: uuid.UUID) -> HttpResponse:
    """What DRS could have of the plan, and what it has; `?write` asks whether to write it, a POST does. DRS is asked
    only with `?ask`, or then."""
    plan, problem, copies = get(plan_id), None, None
    if request.method == "POST" or "write" in request.GET:
        return _write(request, plan)
    if "ask" in request.GET:
        try:
            copies = services.look(plan_id)[1]
        except DomainError as refusal:
            problem = refusal
    context = {
        "plan": plan,
        "compiled": compiled(plan),
        "mirror": Mirror.objects.filter(plan=plan).first(),
        "drift": kept.drift(
            plan.pk, plan.version, *(RecoveryPlan.objects.filter(pk=plan.pk).values_list(*kept.DRIFT)[0])
        ),
        "copies": copies,
        "problem": problem,
    }
    return render(request, "native_plans/plan_native.html", context, status=problem.status if problem else 200)


def _write(request: HtmxHttpRequest, plan: RecoveryPlan) -> HttpResponse:
    """Say what DRS will have, then write it."""
    actor, problem = actor_for(request), None
    if request.method == "POST":
        try:
            services.write(actor=actor, plan_id=plan.pk)
            return go(request, f"“{plan.name}” was written to DRS, as it is now.", "plan-native", plan.pk)
        except Forbidden:
            raise
        except DomainError as refusal:
            problem = refusal
    context = {
        "plan": plan,
        "compiled": compiled(plan),
        "mirror": Mirror.objects.filter(plan=plan).first(),
        "may": at_plan(actor, plan.pk).may(services.CHANGE),
    }
    here = reverse("plan", args=[plan.pk])
    trail = [
        ("Recovery plans", reverse("plans")), (plan.name, here), ("In DRS", reverse("plan-native", args=[plan.pk]))
    ]  # fmt: skip
    question = Question("native_plans/_write.html", f"Write {plan.name} to DRS?", trail)
    return question.answer(request, context, problem=problem)


@require_safe
def native_list(request: HttpRequest) -> HttpResponse:
    """The recovery plans that DRS has in a place that somebody chooses: DRS is asked only then."""
    actor, problem, rows = actor_for(request), None, None
    chosen = request.GET.get("place", "")
    if chosen:
        account, _, region = chosen.rpartition("/")
        try:
            rows = listed(actor, region, account)
        except DomainError as refusal:
            problem = refusal
    places = [(f"{way}/{region}" if way else region, name_of(way), region) for way, region in sorted(places_in_use())]
    context = {"places": places, "chosen": chosen, "rows": rows, "problem": problem}
    return render(request, "native_plans/native_list.html", context, status=problem.status if problem else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def import_native(request: HttpRequest) -> HttpResponse:
    """Show what would be made of a recovery plan of DRS, then make it: what was shown, or nothing."""
    actor, given = actor_for(request), request.POST if request.method == "POST" else request.GET
    arn, name = given.get("arn", "").strip(), given.get("name", "").strip()
    found, problem, seen = None, None, given.get("seen", "")
    try:
        if request.method == "POST" and seen:
            _, plan = importing.import_plan(actor=actor, arn=arn, name=name, seen=seen)
            said = f"“{plan.name}” was made of the recovery plan in DRS. Check it, then drill it."
            return go(request, said, "plan", plan.pk)
    except DomainError as refusal:
        problem = refusal
    try:
        found = importing.preview(actor, arn, name)
        problem = problem or next(iter(found.refusals), None)
    except DomainError as refusal:
        problem = problem or refusal
    context: dict[str, Any] = {
        "arn": arn,
        "name": name or (found.name if found else ""),
        "found": found,
        "waves": [(each, [found.hostnames[one.id] for one in each.servers]) for each in found.waves] if found else [],
        "back": _place(arn),
        "problem": problem,
    }
    return render(request, "native_plans/import_native.html", context, status=problem.status if problem else 200)


def _place(arn: str) -> str:
    """As the list of places has it."""
    place = place_of(arn)
    if place is None:
        return ""
    account, region = place
    return f"{account}/{region}" if way_of(account) else region
