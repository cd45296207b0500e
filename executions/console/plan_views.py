"""The page of a plan: its waves, its last runs, and whether a run of it would work now."""

import uuid

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from contract.clock import db_clock
from contract.naming.lookalikes import warnings
from executions.readiness.facts import readiness_of
from plans.models import RecoveryPlan, WaveGroup
from plans.views import plan_rows
from protection.models import SourceServer
from protection.views import Readiness, region_ages

LAST_RUNS = 5
_GROUPS = Prefetch("group_links", WaveGroup.objects.select_related("group"))  # joined: of any number


@require_safe
def plan_detail(request: HttpRequest, plan_id: uuid.UUID) -> HttpResponse:
    """One plan: its waves on the rail, whether its servers are ready, its last runs."""
    plan = get_object_or_404(RecoveryPlan, pk=plan_id)
    waves = list(plan.waves.prefetch_related("servers", _GROUPS, "depends_on"))
    ids = [server.source_server_id for wave in waves for server in wave.servers.all()]
    known = SourceServer.objects.in_bulk(ids)
    used = {link.group.region for wave in waves for link in wave.group_links.all()}
    context = {
        "plan": plan,
        "name_warnings": warnings(plan.name, RecoveryPlan.objects.exclude(pk=plan.pk).values_list("name", flat=True)),
        "row": plan_rows([plan])[0],
        "waves": [
            (wave, [(each.source_server_id, known.get(each.source_server_id)) for each in wave.servers.all()])
            for wave in waves
        ],
        "readiness": Readiness.of(known.get(each) for each in ids),
        "assessed": readiness_of([plan.pk], db_clock())[plan.pk],
        "regions": [each for each in region_ages() if each.inventory.region in used],
        "runs": plan.executions.shown().newest_first()[:LAST_RUNS],
    }
    return render(request, "plans/plan_detail.html", context)
