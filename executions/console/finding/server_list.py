"""The inventory of source servers, each with the last launch that proved it recoverable."""

from collections import Counter
from collections.abc import Sequence

from django.db.models import Case, IntegerField, OuterRef, Subquery, Value, When
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from audit.request_actor import actor_for
from console.asked import wanted_file
from console.pages import HtmxHttpRequest, page_of, wants_fragment
from console.sorting import Column, Sorting
from console.tabs import Kind, sheet_address, tabs
from contract.chunks import chunks
from contract.rest.sheets import MOST, sheet
from executions.models import ServerRun
from protection.forms import ServerSearch
from protection.inventory.launch_settings import lines
from protection.models import LaunchSettings, ServerAssignment, SourceServer, SourceServerQuerySet
from protection.scopes.groups import seen_servers
from protection.scopes.same_machines import twins_of
from protection.states import COUNTED
from protection.views import counted, region_ages


@require_safe
def server_list(request: HtmxHttpRequest) -> HttpResponse:
    """Every source server that DRS named, by region."""
    ages = region_ages()
    form = ServerSearch(request, [(age.inventory.owner, age.inventory.region) for age in ages])
    chosen = form.chosen()
    servers = seen_servers(actor_for(request)).present().matching(chosen.get("q", "")).defer("tags")
    if region := chosen.get("region"):
        servers = servers.filter(region=region)
        ages = [age for age in ages if age.inventory.region == region]
    if account := chosen.get("account"):
        servers = servers.filter(account_id=account)
        ages = [age for age in ages if age.inventory.owner == account]
    if chosen.get("group"):
        servers = servers.unassigned()
    state = chosen.get("state", "")
    counts = sum(counted(servers).values(), Counter())
    kinds = [Kind("", "All", counts.total())]
    kinds += [Kind(word, label, sum(counts[each] for each in of)) for word, (label, _, of) in COUNTED.items()]
    if state:
        servers = servers.counted_as(COUNTED[state][2])
    sorting = _sorting(request)
    servers = sorting.sorted(servers)
    if wanted_file(request, ("csv",), form):
        return _sheet(servers)
    page = page_of(servers, request)
    rows = list(page)
    proofs = _proofs([row.pk for row in rows])
    assigned = ServerAssignment.objects.filter(source_server_id__in=[row.pk for row in rows]).select_related("group")
    homes = {each.source_server_id: each.group for each in assigned}
    settings = dict(
        LaunchSettings.objects.filter(pk__in={row.launch_digest for row in rows}).values_list("pk", "settings")
    )
    twins = twins_of(rows, actor_for(request))
    context = {
        "form": form,
        "page": page,
        "rows": [
            (
                row,
                homes.get(row.pk),
                proofs.get(row.pk),
                list(lines(settings.get(row.launch_digest, {}))),
                twins.get(row.pk, ()),
            )
            for row in rows
        ],
        "regions": ages,
        "heads": sorting.heads(),
        "tabs": tabs(request, "state", kinds, state),
        "sheet": sheet_address(request),
        "is_filtered": bool(chosen),
    }
    template = "protection/_servers.html" if wants_fragment(request) else "protection/server_list.html"
    return render(request, template, context)


def _sorting(request: HttpRequest) -> Sorting:
    """By replication in the order of the tabs, the worst first where the head is followed."""
    kinds = enumerate(of for _, _, of in COUNTED.values())
    places = [When(SourceServerQuerySet.condition_of(of), then=Value(at)) for at, of in kinds]
    replication = Case(*places, default=Value(len(COUNTED)), output_field=IntegerField())
    home = ServerAssignment.objects.filter(source_server_id=OuterRef("pk")).values("group__name_key")[:1]
    launched = ServerRun.objects.filter(source_server_id=OuterRef("pk"), launched_at__isnull=False)
    proof = launched.order_by("-launched_at").values("launched_at")[:1]
    columns = (
        Column("Server", "name", Lower("name")),
        Column("Region", "region", "region"),
        Column("Replication", "replication", replication, newest=True),
        Column("Lag", "lag", "lag_seconds", newest=True, kind="num"),
        Column("Group", "group", Subquery(home)),
        Column("Last successful launch", "launched", Subquery(proof)),
    )
    return Sorting(request, columns, "name", [Lower("name"), "source_server_id"])


SHEET = [
    *("sourceServerId", "name", "hostname", "region", "accountId", "replicationState", "state", "lagSeconds"),
    *("group", "latestSnapshotTime", "lastLaunchTime", "lastLaunchRun", "lastLaunchType"),
]


def _sheet(servers: SourceServerQuerySet) -> HttpResponse:
    """All servers that the filters leave, whatever page is shown."""
    rows = list(servers[:MOST])
    proofs, homes = dict[str, ServerRun](), dict[str, str]()
    for some in chunks([row.pk for row in rows]):
        proofs |= _proofs(some)
        assigned = ServerAssignment.objects.filter(source_server_id__in=some)
        homes |= dict(assigned.values_list("source_server_id", "group__name"))
    cells = [[*_facts(row), homes.get(row.pk), row.latest_snapshot_at, *_proven(proofs.get(row.pk))] for row in rows]
    return sheet("source-servers", SHEET, cells, timezone.now())


def _facts(row: SourceServer) -> list[object]:
    place = [row.pk, row.name, row.hostname, row.region, row.account_id]
    return [*place, row.replication_state, row.counted_state.label, row.lag_seconds]


def _proven(proof: ServerRun | None) -> list[object]:
    if proof is None:
        return ["", "", ""]
    return [proof.launched_at, proof.wave.execution.number, proof.wave.execution.kind]


def _proofs(ids: Sequence[str]) -> dict[str, ServerRun]:
    """The last launch of each of these servers, each found through the server's index."""
    launched = ServerRun.objects.filter(source_server_id=OuterRef("pk"), launched_at__isnull=False)
    last = Subquery(launched.order_by("-launched_at").values("pk")[:1])
    found = SourceServer.objects.filter(pk__in=ids).order_by().values_list(last, flat=True)
    runs = ServerRun.objects.filter(pk__in=[pk for pk in found if pk]).select_related("wave__execution")
    return {run.source_server_id: run for run in runs}
