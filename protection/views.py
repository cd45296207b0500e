"""Pages of protection groups and of the source-server inventory. They read our database, never AWS."""

import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, F, Func, IntegerField, OuterRef, Subquery
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.registry import name_of, way_of
from audit.request_actor import actor_for
from console.pages import HtmxHttpRequest, page_of, wants_fragment
from console.sorting import Column, Sorting
from contract.naming.lookalikes import warnings
from contract.rights import ANYTHING, EVERYWHERE, Reach
from protection.forms import GroupSearch
from protection.inventory.source_servers import Place
from protection.models import (
    ProtectionGroup,
    RegionInventory,
    ServerAssignment,
    SourceServer,
    SourceServerQuerySet,
)
from protection.scopes.groups import CHANGE
from protection.states import ServerState

# What was not read for so many rounds of the engine is shown as stale.
STALE_ROUNDS = 5


def stale_before() -> datetime:
    """What AWS said before this time is too old to be shown as true."""
    return timezone.now() - timedelta(seconds=settings.INVENTORY_SECONDS * STALE_ROUNDS)


@dataclass(frozen=True)
class Readiness:
    """How many of some servers are in which state, worst first; `unknown` were never seen in DRS, or are gone.

    `as_of` is when AWS last named the one of them of which it has been silent for longest.
    """

    states: dict[ServerState, int]
    unknown: int = 0
    as_of: datetime | None = None

    @classmethod
    def of(cls, servers: Iterable[SourceServer | None]) -> "Readiness":
        each = list(servers)
        present = [server for server in each if server and not server.gone_at]
        ranked = sorted(Counter(server.counted_state for server in present).items(), key=_worst_first)
        as_of = min((server.seen_at for server in present), default=None)
        return cls(dict(ranked), len(each) - len(present), as_of)

    @property
    def is_stale(self) -> bool:
        return self.as_of is not None and self.as_of < stale_before()

    @property
    def total(self) -> int:
        return sum(self.states.values()) + self.unknown

    @property
    def ready(self) -> int:
        return self.states.get(ServerState.READY_FOR_RECOVERY, 0)

    @property
    def rest(self) -> dict[ServerState, int]:
        """All that is not ready."""
        return {state: count for state, count in self.states.items() if state is not ServerState.READY_FOR_RECOVERY}


def _worst_first(item: tuple[ServerState, int]) -> int:
    return -list(ServerState).index(item[0])


@dataclass(frozen=True)
class RegionAge:
    """A region and how far what we know of it can be trusted."""

    inventory: RegionInventory

    @property
    def account(self) -> str:
        """What its account is called, where there are several."""
        return name_of(self.inventory.owner)

    @property
    def place(self) -> Place:
        return self.inventory.way, self.inventory.region

    @property
    def is_stale(self) -> bool:
        as_of = self.inventory.as_of
        return as_of is None or as_of < stale_before()


def region_ages(region: str = "", account: str = "") -> list[RegionAge]:
    """When each account's region, or one, was last read."""
    rows = RegionInventory.objects.all()
    return [RegionAge(row) for row in (rows.of(account, region) if region else rows)]


def _servers(ids: Iterable[str]) -> dict[str, SourceServer]:
    return SourceServer.objects.in_bulk(list(ids))


@require_safe
def group_list(request: HtmxHttpRequest) -> HttpResponse:
    """All groups, searched by name and filtered by region."""
    seen = ProtectionGroup.objects.seen_by(actor_for(request).sees)
    places = seen.order_by("region").values_list("account_id", "region").distinct()
    form = GroupSearch(request, list(places))
    chosen = form.chosen()
    groups = seen.with_servers().named(chosen.get("q", "")).labeled(form.wanted)
    groups = groups.prefetch_related("labels")
    if region := chosen.get("region"):
        groups = groups.filter(region=region)
    if account := chosen.get("account"):
        groups = groups.filter(account_id=account)
    chooses = actor_for(request).at(ANYTHING).may(CHANGE)
    sorting = _sorting(request, chooses=chooses)
    page = page_of(sorting.sorted(groups), request)
    known = _servers(each.source_server_id for group in page for each in group.assignments.all())
    rows = [
        (group, Readiness.of(known.get(each.source_server_id) for each in group.assignments.all())) for group in page
    ]
    context = {
        "form": form,
        "page": page,
        "heads": sorting.heads(),
        "chooses": chooses,
        "rows": rows,
        "is_filtered": bool(chosen),
    }
    template = "protection/_groups.html" if wants_fragment(request) else "protection/group_list.html"
    return render(request, template, context)


def _sorting(request: HttpRequest, *, chooses: bool) -> Sorting:
    servers = SourceServer.objects.order_by().present().counted_as([ServerState.READY_FOR_RECOVERY])
    members = ServerAssignment.objects.filter(group=OuterRef(OuterRef("pk"))).values("source_server_id")
    ready = Subquery(
        servers.filter(pk__in=members).annotate(n=Func("pk", function="COUNT", output_field=IntegerField())).values("n")
    )
    columns = (
        *([Column("Choose", unseen=True, kind="pick")] if chooses else []),
        Column("Group", "name", "name_key"),
        Column("Region", "region", "region"),
        Column("Servers", "servers", "server_count", newest=True, kind="num"),
        Column("Readiness", "unready", F("server_count") - ready, newest=True),
        Column("Owner", "owner", Lower("owner")),
        Column("Changed", "changed", "updated_at", newest=True),
    )
    return Sorting(request, columns, "name", ["name_key"])


@require_safe
def group_detail(request: HttpRequest, group_id: uuid.UUID) -> HttpResponse:
    """One group: its facts, its servers as DRS last described them, and the plans that use it."""
    group = get_object_or_404(ProtectionGroup, pk=group_id)
    assignments = list(group.assignments.all())
    known = _servers(each.source_server_id for each in assignments)
    sees = actor_for(request).sees
    waves = group.waves.select_related("plan").order_by("plan__name_key", "number")
    context = {
        "group": group,
        "name_warnings": warnings(
            group.name, ProtectionGroup.objects.seen_by(sees).exclude(pk=group.pk).values_list("name", flat=True)
        ),
        "servers": [(each.source_server_id, known.get(each.source_server_id)) for each in assignments],
        "readiness": Readiness.of(known.get(each.source_server_id) for each in assignments),
        "regions": region_ages(group.region, group.account_id),
        "waves": waves,
    }
    return render(request, "protection/group_detail.html", context)


def state_counts(sees: Reach = EVERYWHERE) -> dict[Place, Counter[ServerState]]:
    """Servers by account, region and state, in one query."""
    return counted(SourceServer.objects.seen_by(sees, with_free=False).present())


def counted(servers: SourceServerQuerySet) -> dict[Place, Counter[ServerState]]:
    """The same of some servers."""
    counts: dict[Place, Counter[ServerState]] = {}
    columns = ("replication_state", "replication_error", "replication_direction", "staging_status")
    for row in servers.order_by().values("account_id", "region", *columns).annotate(n=Count("pk")):
        state = SourceServer(**{name: row[name] for name in columns}).counted_state
        counts.setdefault((way_of(row["account_id"]), row["region"]), Counter())[state] += row["n"]
    return counts
