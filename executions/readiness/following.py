"""Protection groups that follow a match: what it finds now and they have not, or the other way round.

Only said, never done: which servers are recovered changes when somebody applies the group's document, and has seen how.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence

from django.db.models import Exists, OuterRef

from accounts.registry import way_of
from executions.readiness.plan_changes import NAMED
from plans.models import WaveGroup
from protection.inventory.named_servers import Servers
from protection.models import ProtectionGroup, RegionInventory, ServerAssignment, SourceServer

FOLLOWS = Exists(WaveGroup.objects.filter(wave__plan=OuterRef("pk"), group__match__isnull=False))


def group_drifts(plan_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, list[str]]:
    """Of each of these plans a sentence for each group that differs. No query where no plan has one that follows."""
    found: dict[uuid.UUID, list[str]] = defaultdict(list)
    if not plan_ids:
        return found
    links = WaveGroup.objects.filter(wave__plan__in=plan_ids, group__match__isnull=False).order_by("group__name_key")
    plans_of: dict[uuid.UUID, list[uuid.UUID]] = defaultdict(list)
    for group, plan in links.values_list("group_id", "wave__plan_id").distinct():
        plans_of[group].append(plan)
    read = {(row.way, row.region) for row in RegionInventory.objects.filter(as_of__isnull=False)}
    groups = ProtectionGroup.objects.filter(pk__in=plans_of).order_by("name_key").prefetch_related("assignments")
    servers = Servers()
    for each in groups:
        if (way_of(each.account_id), each.region) in read:  # of what was never read, nothing is known
            text = _drift(each, servers)
            for plan in plans_of[each.pk] if text else ():
                found[plan].append(text)
    return found


def _drift(group: ProtectionGroup, servers: Servers) -> str:
    here = [each.source_server_id for each in group.assignments.all()]
    wanted = list(servers.matching(group.match or {}, region=group.region, account=way_of(group.account_id)))
    more, gone = [each for each in wanted if each not in here], [each for each in here if each not in wanted]
    taken = set(ServerAssignment.objects.filter(source_server_id__in=more).values_list("source_server_id", flat=True))
    told = [
        (_names([each for each in more if each not in taken]), "would be added"),
        (_names([each for each in more if each in taken]), "would be added, but are in another group"),
        (_names(gone), "would be removed"),
    ]
    said = "; ".join(f"{names} {what}" for names, what in told if names)
    return f"“{group.name}” has not the servers that its match finds now: {said}." if said else ""


def _names(ids: Sequence[str]) -> str:
    if not ids:
        return ""
    known = {
        pk: name or hostname
        for pk, name, hostname in SourceServer.objects.filter(pk__in=ids[:NAMED]).values_list("pk", "name", "hostname")
    }
    shown = ", ".join(f"{known.get(each) or each} ({each})" if known.get(each) else each for each in ids[:NAMED])
    return f"{shown} and {len(ids) - NAMED} more" if len(ids) > NAMED else shown
