"""Drills of several plans: what each would do, which are refused and why, and their start."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit.actor import Actor
from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, Question, go
from console.ticked import Ticked
from contract.errors import Forbidden
from contract.plurals import counted
from contract.rights import ANYTHING
from executions.commands.control import require_start
from executions.commands.production import production
from executions.commands.several import MOST, StartedDrill, start_drills
from executions.runs.allowed.actions import right_to_start
from executions.runs.allowed.starts import starts_of
from executions.states import Kind
from executions.terminating.replaced_instances import instances_up
from plans.models import RecoveryPlan, WaveServer
from plans.views import PlanRow, plan_rows
from protection.models import ProtectionGroup
from protection.scopes.groups import require_groups


@dataclass(frozen=True)
class PlannedDrill:
    """A plan that was chosen: what its drill would do, and what speaks against it; empty for nothing."""

    row: PlanRow
    regions: Sequence[str]
    replaced: int
    against: str

    @property
    def plan(self) -> RecoveryPlan:
        return self.row.plan


@require_http_methods(["GET", "HEAD", "POST"])
def drills_start(request: HtmxHttpRequest) -> HttpResponse:
    """Say what a drill of each of the ticked plans would do, then start those that nothing speaks against."""
    actor = actor_for(request)
    require_start(actor.at(ANYTHING), Kind.DRILL)
    ticked = Ticked.of(request, "plan", MOST)
    ids = ticked.ids
    if ticked.is_answer and ids:
        names = dict(RecoveryPlan.objects.seen_by(actor.sees).filter(pk__in=ids).values_list("pk", "name"))
        _tell(request, start_drills(actor=actor, plan_ids=[each for each in ids if each in names]), names)
        return go(request, "", "executions")
    planned = _planned(actor, ids)
    ready = [each for each in planned if not each.against]
    context: dict[str, Any] = {
        "ready": ready,
        "refused": [each for each in planned if each.against],
        "instances": sum(each.row.servers for each in ready),
        "ticked": ticked,
    }
    question = Question("executions/_start_drills.html", "Start drills", [("Recovery plans", reverse("plans"))])
    return question.answer(request, context)


def _tell(request: HttpRequest, done: Iterable[StartedDrill], names: Mapping[uuid.UUID, str]) -> None:
    started = [each.run for each in done if each.run]
    if started:
        runs = ", ".join(f"{run.called} of {run.plan_name}" for run in started)
        messages.success(request, f"{counted(len(started), 'drill')} started: {runs}.")
    for each in done:
        if each.refusal:
            messages.error(request, f"{names[each.plan_id]} was not started: {each.refusal.message}")


@dataclass
class _Facts:
    """What is known of the plans' servers, by plan."""

    servers: dict[uuid.UUID, list[str]] = field(default_factory=lambda: defaultdict(list))
    regions: dict[uuid.UUID, list[str]] = field(default_factory=lambda: defaultdict(list))
    up: Counter[str] = field(default_factory=Counter)
    production: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, ids: Sequence[uuid.UUID]) -> "_Facts":
        found = cls()
        for plan, server in WaveServer.objects.filter(plan__in=ids).order_by().values_list("plan_id", "assignment_id"):
            found.servers[plan].append(str(server))
        places = ProtectionGroup.objects.filter(waves__plan__in=ids).order_by("region")
        for plan_id, region in places.values_list("waves__plan", "region").distinct():
            found.regions[plan_id].append(str(region))
        every = sorted({server for servers in found.servers.values() for server in servers})
        drills = instances_up(every, Kind.DRILL).order_by()
        found.up = Counter(drills.values_list("source_server_id", flat=True))
        found.production = {each.source_server_id for each in production(every)}
        return found


def _planned(actor: Actor, ids: Sequence[uuid.UUID]) -> list[PlannedDrill]:
    """In the order in which they would be started: by name."""
    plans = list(RecoveryPlan.objects.seen_by(actor.sees).filter(pk__in=ids))
    facts, taken = _Facts.of([each.pk for each in plans]), dict[str, str]()
    found = []
    for row in plan_rows(plans, actor):
        servers = facts.servers[row.plan.pk]
        against = _refused(actor, row) or _ends_production(facts, servers) or _shared(taken, servers)
        if not against:
            taken |= dict.fromkeys(servers, row.plan.name)
        replaced = sum(facts.up[each] for each in servers)
        found.append(PlannedDrill(row, facts.regions[row.plan.pk], replaced, against))
    return found


def _refused(actor: Actor, row: PlanRow) -> str:
    if not actor.is_bounded:
        return starts_of(actor, no_waves=row.no_waves, blocked=row.blocked).drill.reason
    try:
        groups = ProtectionGroup.objects.filter(waves__plan=row.plan).order_by().values_list("pk", flat=True)
        require_groups(actor, *right_to_start(Kind.DRILL), groups)
    except Forbidden as refusal:
        return refusal.message
    return starts_of(actor.at(row.thing), no_waves=row.no_waves, blocked=row.blocked).drill.reason


def _ends_production(facts: _Facts, servers: Sequence[str]) -> str:
    count = sum(each in facts.production for each in servers)
    what = "a recovery instance that" if count == 1 else f"{count} recovery instances that"
    return f"Its drill would end {what} may run production. Start it by itself, from its page." if count else ""


def _shared(taken: Mapping[str, str], servers: Sequence[str]) -> str:
    holders = sorted({taken[each] for each in servers if each in taken})
    return f"It has servers of “{'”, “'.join(holders)}”, which starts before it." if holders else ""
