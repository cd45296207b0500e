"""Many servers chosen for a group at once: those of a list that somebody pastes, or all that a search finds."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contract.plurals import counted
from protection.models import ProtectionGroup, ServerAssignment, SourceServer, SourceServerQuerySet

MOST = 1_000  # servers that are chosen at once
NAMED = 10


@dataclass(frozen=True)
class Chosen:
    """What is chosen then, what of the list was not taken, and what people are told."""

    chosen: Sequence[str]
    left: str
    notes: Sequence[str]


def choose_pasted(
    seen: SourceServerQuerySet, region: str, text: str, chosen: Sequence[str], group: ProtectionGroup | None
) -> Chosen:
    """Those of `seen` that a list names: by id, name, host name or full host name, whatever its case. A name that
    several servers have is nobody's."""
    wanted = list(dict.fromkeys(each.strip() for each in re.split(r"[\s,;]+", text) if each.strip()))
    known: dict[str, set[str]] = {}
    columns = ("source_server_id", "name", "hostname", "fqdn")
    for key, *names in seen.present().filter(region=region).values_list(*columns):
        for name in {key.casefold(), *(each.strip().casefold() for each in names)}:
            known.setdefault(name, set()).add(key)
    found = {each: known.get(each.casefold(), set()) for each in wanted}
    one = [next(iter(keys)) for keys in found.values() if len(keys) == 1]
    several = [each for each, keys in found.items() if len(keys) > 1]
    missing = [each for each, keys in found.items() if not keys]
    added = _added(one, chosen, group)
    notes = [*added.notes]
    if missing:
        notes.append(f"Not in DRS in {region}: {_some(missing)}.")
    if several:
        notes.append(f"Several servers are called so, choose by id: {_some(several)}.")
    return Chosen(added.chosen, "\n".join([*several, *missing]), notes)


def choose_matching(
    seen: SourceServerQuerySet, region: str, text: str, chosen: Sequence[str], group: ProtectionGroup | None
) -> Chosen:
    """All of `seen` that the search of the picker finds."""
    matching = seen.present().filter(region=region).matching(text)
    return _added(list(matching.values_list("pk", flat=True)), chosen, group)


def _added(keys: Sequence[str], chosen: Sequence[str], group: ProtectionGroup | None) -> Chosen:
    """These beside those that are chosen; what another group has stays there."""
    new = [each for each in dict.fromkeys(keys) if each not in set(chosen)]
    elsewhere = dict(
        ServerAssignment.objects.filter(source_server_id__in=new[:MOST])
        .exclude(group=group)
        .values_list("source_server_id", "group__name")
    )
    taken = [each for each in new[:MOST] if each not in elsewhere]
    notes = [f"{counted(len(taken), 'server')} chosen. Nothing is saved yet."]
    if elsewhere:
        names = dict(SourceServer.objects.filter(pk__in=list(elsewhere)).values_list("pk", "name"))
        notes.append(
            f"In another group: {_some(f'{names.get(key, key)} ({home})' for key, home in elsewhere.items())}."
        )
    if len(new) > MOST:
        notes.append(f"{len(new) - MOST} more match: choose again.")
    return Chosen([*chosen, *taken], "", notes)


def _some(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return f"{', '.join(found[:NAMED])}{more}"
