"""The page of a plan: its waves, its last runs, and whether a run of it would work now."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.registry import way_of
from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, asked_number
from contract.clock import db_clock
from contract.naming.lookalikes import warnings
from executions.console.finding.newcomers import next_address
from executions.console.live_page.server_rows import MOST, ROWS_AT_FIRST
from executions.models import Execution
from executions.readiness.facts import readiness_of
from plans.models import RecoveryPlan, Wave, WaveGroup
from plans.views import plan_rows
from protection.models import SourceServer
from protection.views import Readiness, region_ages

LAST_RUNS = 5
_GROUPS = Prefetch("group_links", WaveGroup.objects.select_related("group"))  # joined: of any number


@require_safe
def plan_detail(request: HttpRequest, plan_id: uuid.UUID) -> HttpResponse:
    """One plan: its waves on the rail, whether its servers are ready, its last runs."""
    plan = get_object_or_404(RecoveryPlan, pk=plan_id)
    others = RecoveryPlan.objects.seen_by(actor_for(request).sees).exclude(pk=plan.pk)
    waves = list(plan.waves.prefetch_related("servers", _GROUPS, "depends_on"))
    ids = [server.source_server_id for wave in waves for server in wave.servers.all()]
    known = SourceServer.objects.defer("tags").in_bulk(ids)
    used = {(way_of(link.group.account_id), link.group.region) for wave in waves for link in wave.group_links.all()}
    runs = last_runs(plan)
    context = {
        "plan": plan,
        "name_warnings": warnings(plan.name, others.values_list("name", flat=True)),
        "row": plan_rows([plan], actor_for(request))[0],
        "waves": _at_first(waves, known, asked_number(request, "wave", 0, len(waves) - 1), _most(request)),
        "readiness": Readiness.of(known.get(each) for each in ids),
        "assessed": readiness_of([plan.pk], db_clock())[plan.pk],
        "regions": [each for each in region_ages() if each.place in used],
        "runs": runs,
        "newcomers": next_address(runs, plan, empty=not runs),
    }
    return render(request, "plans/plan_detail.html", context)


def last_runs(plan: RecoveryPlan) -> list[Execution]:
    """The runs that its page shows."""
    return list(plan.executions.shown().newest_first()[:LAST_RUNS])


@require_safe
def plan_wave_servers(request: HtmxHttpRequest, plan_id: uuid.UUID, wave: int) -> HttpResponse:
    """The servers of one wave, for a page that comes to show it."""
    most = _most(request)
    if not request.htmx:
        return redirect(f"{reverse('plan', args=[plan_id])}?wave={wave}&most={most}#wave-{wave + 1}")
    row = get_object_or_404(Wave, plan=plan_id, number=wave)
    ids = [each.source_server_id for each in row.servers.order_by("position")]
    known = SourceServer.objects.defer("tags").in_bulk(ids[:most])
    return render(request, "plans/_wave_servers.html", {"wave": row, "shown": Shown.of(ids, known, most)})


@dataclass(frozen=True)
class Shown:
    """The servers of a wave that a page shows: the first, as many as are asked for; none while nobody sees the wave."""

    servers: Sequence[tuple[str, SourceServer | None]]
    total: int
    most: int

    @classmethod
    def of(cls, ids: Sequence[str], known: Mapping[str, SourceServer], most: int) -> "Shown":
        return cls([(each, known.get(each)) for each in ids[:most]], len(ids), most)

    @property
    def more(self) -> int:
        return self.total - len(self.servers)

    @property
    def next_most(self) -> int:
        return self.most + MOST


def _most(request: HttpRequest) -> int:
    return max(MOST, asked_number(request, "most", 0) or 0)


def _at_first(
    waves: Sequence[Wave], known: Mapping[str, SourceServer], wanted: int | None, most: int
) -> list[tuple[Wave, Shown]]:
    """The wave that somebody `wanted`, and others from the first on, as long as they are few."""
    left, found = ROWS_AT_FIRST, []
    for wave in waves:
        ids = [each.source_server_id for each in wave.servers.all()]
        is_shown = wave.number == wanted or len(ids) <= left
        left -= len(ids) if is_shown else 0
        found.append((wave, Shown.of(ids, known, most if is_shown else 0)))
    return found
