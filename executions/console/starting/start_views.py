"""The questions before a drill and before a recovery, and their start."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit.actor import Actor
from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question, go
from contract.clock import db_clock
from contract.errors import DomainError, Invalid
from contract.naming.confirmation import mistyped
from executions.commands import control
from executions.commands.production import END_RECOVERIES, ProductionInstance, digest, places_of_plan, production
from executions.console.starting.point_in_time import PointChoice
from executions.readiness.assessment import assess
from executions.readiness.at_time import at_time
from executions.readiness.facts import believed_for, facts_of
from executions.readiness.terms import Readiness as Assessed
from executions.runs.allowed.terminable_instances import covered_instances
from executions.states import Kind
from executions.terminating.replaced_instances import instances_up
from plans.models import RecoveryPlan, WaveServer
from plans.views import plan_rows
from protection.inventory.recovery_instances import ANEW, InstancesKnown, Place, known, look
from protection.models import ProtectionGroup, SourceServer
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
    actor, problem, error, unseen = actor_for(request), None, "", ""
    dry_run = "dry_run" in request.POST
    places = places_of_plan(plan_id)
    servers = list(WaveServer.objects.filter(plan=plan).values_list("assignment__source_server_id", flat=True))
    is_asked = request.method == "POST" and not dry_run and control.may_start(actor, kind)
    production_risk = ProductionRisk.of(actor, kind, servers, places, ask=is_asked)
    point = PointChoice.of(request, plan_id)
    if request.method == "POST":
        error = "" if dry_run else production_risk.mistyped(request, plan.name)
        unseen = point.unseen(request)
        if not error and not unseen:
            try:
                outage = None if dry_run else _outage(request, kind)
                run = control.start(
                    actor=actor,
                    plan_id=plan_id,
                    kind=kind,
                    outage_at=outage,
                    dry_run=dry_run,
                    replace_production=bool(production_risk.recoveries),
                    looked=production_risk.looked if is_asked else None,
                    snapshots=point.chosen(),
                )
                production_risk.warn(request)
                what = f"dry run of a {kind.label.lower()}" if dry_run else kind.label.lower()
                return go(
                    request, f"{run.called.capitalize()} was started: {what} of “{plan.name}”.", "execution", run.pk
                )
            except DomainError as refusal:
                problem = refusal
    context = _consequences(plan, servers) | {
        "production_risk": production_risk,
        "point": point,
        "unseen": unseen,
        "recoveries": production_risk.recoveries,
        "row": plan_rows([plan], actor_for(request))[0],
        "assessed": _assessed(plan.pk, point),
        "plan": plan,
        "typed": request.POST.get("confirm", ""),
        "error": error,
        "outage": request.POST.get("outage", ""),
        "may_start": production_risk.may_start,
    }
    trail = [("Recovery plans", reverse("plans")), (plan.name, reverse("plan", args=[plan.pk]))]
    question = Question(fragment, f"Start {kind.label.lower()}: {plan.name}", trail)
    return question.answer(request, context, problem=problem, status=422 if error or unseen else 200)


def _assessed(plan_id: uuid.UUID, point: PointChoice) -> Assessed:
    """Whether it would work, from the data that is chosen."""
    [facts] = facts_of([plan_id])
    return assess(at_time(facts, point.points) if point.points else facts, db_clock(), believed_for())


@dataclass(frozen=True)
class ProductionRisk:
    """What a start would end of production, as a page shows it: nobody agrees to the end of more than they saw."""

    kind: Kind
    recoveries: list[ProductionInstance]
    looked: InstancesKnown
    may_start: bool

    @classmethod
    def of(
        cls,
        actor: Actor,
        kind: Kind,
        server_ids: Sequence[str],
        places: Collection[Place],
        *,
        ask: bool,
        attempts: Collection[uuid.UUID] = (),
    ) -> "ProductionRisk":
        """As the inventory has it; with `ask`, DRS is asked anew: a page waits for AWS only where something starts."""
        looked = look(places, believed=ANEW) if ask else known(places)
        found = production(server_ids, attempts)
        may_start = control.may_start(actor, kind) and (not found or actor.may(END_RECOVERIES))
        return cls(kind, found, looked, may_start)

    @property
    def digest(self) -> str:
        return digest(self.recoveries)

    @property
    def is_recovery(self) -> bool:
        return self.kind.is_recovery

    @property
    def is_typed(self) -> bool:
        """Whether the plan's name is asked for: production is at risk."""
        return self.is_recovery or bool(self.recoveries)

    def mistyped(self, request: HttpRequest, name: str) -> str:
        """What is wrong with the confirmation of somebody who may start this, as sentences."""
        if not self.may_start:
            return ""
        if request.POST.get("production", self.digest) != self.digest:
            return (
                "What would be terminated has changed since you opened this page. Nothing was started. Check it again."
            )
        wrong = mistyped(request.POST.get("confirm", ""), name) if self.is_typed else ""
        return f"{wrong} Nothing was started." if wrong else ""

    def warn(self, request: HttpRequest) -> None:
        """Say beside the new run what could not be checked. Where instances are not known, only a recovery is started
        all the same."""
        for text in (*self.looked.unlisted.values(), *self.looked.native_untold.values()):
            messages.warning(request, f"Started, but {text}")


def _outage(request: HtmxHttpRequest, kind: Kind) -> datetime | None:
    """When production was lost, in UTC, if that was said. Raises Invalid."""
    said = request.POST.get("outage", "").strip() if kind.is_recovery else ""
    try:
        return datetime.fromisoformat(said).replace(tzinfo=UTC) if said else None
    except ValueError as error:
        raise Invalid({"outageTime": ["Enter a date and a time, such as 2026-01-31T04:05."]}) from error


def _consequences(plan: RecoveryPlan, ids: Sequence[str]) -> dict[str, Any]:
    """What a start would meet: where it launches, which drills' instances it would replace, which servers lag."""
    known_servers = SourceServer.objects.in_bulk(ids)
    regions = ProtectionGroup.objects.filter(waves__plan=plan).order_by("region")
    drills = list(instances_up(ids, Kind.DRILL).values_list("wave__execution", "recovery_instance_id"))
    covered = covered_instances({run for run, _ in drills}) if drills else set()
    return {
        "regions": regions.values_list("region", flat=True).distinct(),
        "readiness": Readiness.of(known_servers.get(each) for each in ids),
        "left_running": len(drills),
        "left_ending": sum(each in covered for each in drills),
        "left_of": next((run for run, _ in drills), None),
    }
