"""Groups and servers as rights are asked for them: who sees which, and what one must have them for."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from audit.actor import Actor
from contract.errors import NotFound
from contract.labels.rules import Label
from contract.rights import ANYTHING, Reach, Thing, as_id
from protection.models import GroupLabel, ProtectionGroup, SourceServer, SourceServerQuerySet

CHANGE = "protection.change_protectiongroup"


def things_of(group_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Thing]:
    """Each of these groups as rights are asked for it; two queries."""
    labels: dict[uuid.UUID, set[Label]] = defaultdict(set)
    for key, *label in GroupLabel.objects.filter(group__in=group_ids).values_list("group_id", "key", "value"):
        labels[key].add((label[0], label[1]))
    accounts = ProtectionGroup.objects.filter(pk__in=group_ids).order_by().values_list("pk", "account_id")
    return {key: Thing(frozenset(labels[key]), frozenset([account])) for key, account in accounts}


def thing_of(group: ProtectionGroup) -> Thing:
    return things_of([group.pk])[group.pk]


def seen(group_id: Any, reach: Reach) -> Thing:
    """The group that an address names. Raises NotFound, as for one that is not there."""
    key = as_id(group_id)
    if key is None or not ProtectionGroup.objects.seen_by(reach).filter(pk=key).exists():
        raise no_group(str(group_id)[:64])
    return things_of([key])[key]


def no_group(group_id: object) -> NotFound:
    """The refusal for an id of no group."""
    return NotFound(f"There is no protection group {group_id}.", details={"groupId": str(group_id)})


def at_group(actor: Actor, group_id: uuid.UUID) -> Actor:
    """The actor, whose rights are asked for that group. Raises NotFound for one that they do not see."""
    return actor.at(seen(group_id, actor.sees)) if actor.is_bounded else actor


def require_within(actor: Actor, right: tuple[str, str], before: Thing | None, group: ProtectionGroup) -> None:
    """Raise Forbidden unless the group is, as it is now, where the actor has the right, and whoever changed labels for
    which roles are given has it by them."""
    if actor.is_bounded:
        after = thing_of(group)
        actor.at(after).require(*right)
        actor.require_labels(*right, before or Thing(), after)


def seen_server(server_id: Any, reach: Reach) -> Thing:
    """The server that an address names; nothing is done with one but read it."""
    if not SourceServer.objects.seen_by(reach, with_free=False).filter(pk=str(server_id)[:64]).exists():
        text = f"No source server {str(server_id)[:64]!r} is in the inventory."
        raise NotFound(text, details={"sourceServerID": str(server_id)[:64]})
    return Thing()


def seen_servers(actor: Actor) -> SourceServerQuerySet:
    """The inventory that somebody sees; those who make groups also see the servers that no group has."""
    makes_groups = any(map(actor.at(ANYTHING).may, ("protection.add_protectiongroup", CHANGE)))
    return SourceServer.objects.seen_by(actor.sees, with_free=makes_groups)


def require_groups(actor: Actor, right: str, to: str, group_ids: Iterable[uuid.UUID]) -> None:
    """Raise Forbidden unless the actor holds the right for each of these groups, naming those for which not."""
    if not actor.is_bounded or actor.at(None).may(right):
        return
    things = things_of(set(group_ids))
    strange = [key for key, thing in things.items() if not actor.at(thing).may(right)]
    if strange:
        names = "”, “".join(ProtectionGroup.objects.filter(pk__in=strange).values_list("name", flat=True)[:5])
        actor.at(things[strange[0]]).require(right, f"{to} with servers of “{names}”")
