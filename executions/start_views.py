"""The questions before a drill and before a recovery, and their start."""

import uuid
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit.actor import Actor
from audit.requests import actor_for
from contract.clock import db_clock
from contract.errors import DomainError, Invalid
from contract.names import name_key
from executions import services
from executions.models import ServerRun
from executions.readiness_facts import readiness_of
from executions.replacing import END_RECOVERIES, ending, standing
from executions.states import Kind
from plans.models import RecoveryPlan, WaveServer
from plans.views import plan_rows
from protection.models import ProtectionGroup, SourceServer
from protection.pages import HtmxHttpRequest, Question, go
from protection.views import Readiness


@require_http_methods(["GET", "HEAD", "POST"])
def drill_start(request: HtmxHttpRequest, plan_id: uuid.UUID) -> HttpResponse:
    """Say what a drill will launch and cost, then start it."""
    return _start(request, plan_id, Kind.DRILL, "executions/_start_drill.html")


@require_http_methods(["GET", "HEAD", "POST"])
def recovery_start(request: HtmxHttpRequest, plan_id: uuid.UUID) -> HttpResponse:
    """Have the plan's name typed, then start the recovery."""
    return _start(request, plan_id, Kind.RECOVERY, "executions/_start_recovery.html")


def _start(request: HtmxHttpRequest, plan_id: uuid.UUID, kind: Kind, fragment: str) -> HttpResponse:
    plan = get_object_or_404(RecoveryPlan, pk=plan_id)
    actor, problem, error = actor_for(request), None, ""
    typed = request.POST.get("confirm", "")
    dry_run = "dry_run" in request.POST
    context = _consequences(plan, kind)
    may_start = may_launch(actor, kind, context["recoveries"])
    if request.method == "POST":
        is_typed = must_be_typed(kind, context["recoveries"]) and may_start and not dry_run
        if is_typed and name_key(typed) != name_key(plan.name):
            error = "This is not the plan's name. Nothing was started."
        else:
            try:
                outage = None if dry_run else _outage(request, kind)
                run = services.start(actor=actor, plan_id=plan_id, kind=kind, outage_at=outage, dry_run=dry_run)
                return go(request, "execution", run.pk)
            except DomainError as refusal:
                problem = refusal
    context |= {
        "row": plan_rows([plan])[0],
        "assessed": readiness_of([plan.pk], db_clock())[plan.pk],
        "plan": plan,
        "typed": typed,
        "error": error,
        "outage": request.POST.get("outage", ""),
        "may_rehearse": actor.may(services.STARTS[Kind.DRILL]),
        "may_start": may_start,
    }
    trail = [("Recovery plans", reverse("plans")), (plan.name, reverse("plan", args=[plan.pk]))]
    question = Question(fragment, f"Start {kind.label.lower()}: {plan.name}", trail)
    return question.answer(request, context, problem=problem, status=422 if error else 200)


def ended_by(kind: Kind, server_ids: Collection[str]) -> list[ServerRun]:
    """The running recovery instances that a drill of these servers would end; a recovery may replace what it likes."""
    return list(ending(kind, server_ids).select_related("wave__execution").order_by("hostname"))


def may_launch(actor: Actor, kind: Kind, recoveries: Collection[ServerRun]) -> bool:
    """Whether somebody may start a run that ends these recovery instances."""
    return actor.may(services.STARTS[kind]) and (not recoveries or actor.may(END_RECOVERIES))


def must_be_typed(kind: Kind, recoveries: Collection[ServerRun]) -> bool:
    """Whether the plan's name is asked for: production is at stake."""
    return kind is Kind.RECOVERY or bool(recoveries)


def _outage(request: HtmxHttpRequest, kind: Kind) -> datetime | None:
    """When production was lost, in UTC, if that was said. Raises Invalid."""
    said = request.POST.get("outage", "").strip() if kind is Kind.RECOVERY else ""
    try:
        return datetime.fromisoformat(said).replace(tzinfo=UTC) if said else None
    except ValueError as error:
        raise Invalid({"outageTime": ["A date and a time are expected, such as 2026-01-31T04:05."]}) from error


def _consequences(plan: RecoveryPlan, kind: Kind) -> dict[str, Any]:
    """What a start would meet: where it launches, what it would replace, which servers lag."""
    ids = [each.source_server_id for each in WaveServer.objects.filter(plan=plan)]
    known = SourceServer.objects.in_bulk(ids)
    regions = ProtectionGroup.objects.filter(waves__plan=plan).order_by("region")
    drills = standing(ids, Kind.DRILL)
    return {
        "regions": regions.values_list("region", flat=True).distinct(),
        "readiness": Readiness.of(known.get(each) for each in ids),
        "left_running": drills.count(),
        "replaced": standing(ids, Kind.RECOVERY).count() if kind is Kind.RECOVERY else 0,
        "left_of": drills.values_list("wave__execution", flat=True).first(),
        "recoveries": ended_by(kind, ids),
    }
