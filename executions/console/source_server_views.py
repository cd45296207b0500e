"""The inventory of source servers, each with the last launch that proved it recoverable."""

from collections.abc import Sequence

from django.db.models import OuterRef, Subquery
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from console.pages import HtmxHttpRequest, page_of, wants_fragment
from executions.models import ServerRun
from protection.forms import ServerSearch
from protection.inventory.launch_settings import lines
from protection.models import LaunchSettings, ServerAssignment, SourceServer
from protection.views import region_ages


@require_safe
def server_list(request: HtmxHttpRequest) -> HttpResponse:
    """Every source server that DRS named, by region."""
    ages = region_ages()
    form = ServerSearch(request, [age.inventory.region for age in ages])
    chosen = form.chosen()
    servers = SourceServer.objects.present().matching(chosen.get("q", "")).defer("tags")
    if region := chosen.get("region"):
        servers = servers.filter(region=region)
        ages = [age for age in ages if age.inventory.region == region]
    if chosen.get("group"):
        servers = servers.unassigned()
    page = page_of(servers, request)
    rows = list(page)
    proofs = _proofs([row.pk for row in rows])
    assigned = ServerAssignment.objects.filter(source_server_id__in=[row.pk for row in rows]).select_related("group")
    homes = {each.source_server_id: each.group for each in assigned}
    settings = dict(
        LaunchSettings.objects.filter(pk__in={row.launch_digest for row in rows}).values_list("pk", "settings")
    )
    context = {
        "form": form,
        "page": page,
        "rows": [
            (row, homes.get(row.pk), proofs.get(row.pk), list(lines(settings.get(row.launch_digest, {}))))
            for row in rows
        ],
        "regions": ages,
        "is_filtered": bool(chosen),
    }
    template = "protection/_servers.html" if wants_fragment(request) else "protection/server_list.html"
    return render(request, template, context)


def _proofs(ids: Sequence[str]) -> dict[str, ServerRun]:
    """The last launch of each of these servers, each found through the server's index."""
    launched = ServerRun.objects.filter(source_server_id=OuterRef("pk"), launched_at__isnull=False)
    last = Subquery(launched.order_by("-launched_at").values("pk")[:1])
    found = SourceServer.objects.filter(pk__in=ids).order_by().values_list(last, flat=True)
    runs = ServerRun.objects.filter(pk__in=[pk for pk in found if pk]).select_related("wave__execution")
    return {run.source_server_id: run for run in runs}
