"""Source servers that are one machine: DRS can extend a server whose replication is staged in another account, and then
lists it in both. Whoever launches both starts the machine twice."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q

from accounts.registry import name_of
from audit.actor import Actor
from contract.chunks import chunks
from protection.models import ProtectionGroup, ServerAssignment, SourceServer
from protection.scopes.groups import seen_servers


@dataclass(frozen=True)
class Twin:
    """Another source server of the same machine; `server` is None for one that is not in the inventory, or not seen."""

    id: str
    account: str
    server: SourceServer | None = None
    home: ProtectionGroup | None = None

    @property
    def called(self) -> str:
        name = f"{self.server.name} ({self.id})" if self.server else self.id
        account = name_of(self.account) or self.account
        return f"{name} in account {account}" if account else name


def twins_of(servers: Iterable[SourceServer | None], actor: Actor) -> dict[str, list[Twin]]:
    """For each of these servers that has some the others that are the same machine, as far as somebody sees them."""
    asked = [each for each in servers if each]
    machines, by_machine = {each.extended_of or each.pk for each in asked}, defaultdict[str, list[SourceServer]](list)
    for some in chunks(list(machines)):
        found = seen_servers(actor).present().filter(Q(pk__in=some) | Q(extended_of__in=some))
        for each in found.defer("tags"):
            by_machine[each.extended_of or each.pk].append(each)
    several = {each.pk for same in by_machine.values() if len(same) > 1 for each in same}
    groups = ProtectionGroup.objects.order_by().seen_by(actor.sees).values("pk")
    assigned = ServerAssignment.objects.filter(source_server_id__in=several, group__in=groups) if several else ()
    homes = {each.source_server_id: each.group for each in (assigned.select_related("group") if assigned else ())}
    told = dict[str, list[Twin]]()
    for each in asked:
        same = by_machine[each.extended_of or each.pk]
        twins = [Twin(one.pk, one.account_id, one, homes.get(one.pk)) for one in same if one.pk != each.pk]
        if each.extended_of and each.extended_of not in {one.id for one in twins}:
            twins.insert(0, Twin(each.extended_of, each.staging_account))
        if twins:
            told[each.pk] = twins
    return told
