"""What this installation has, in the form of a document: a bounded number of queries, however much it is."""

import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from accounts.models import Account
from accounts.registry import way_of
from contract.labels.rows import labels_of
from contract.names import name_key
from documents.format.kinds import Item, Key, Kind, Spec
from documents.format.reading import NAME_MAX
from notify.channels.recipients import shown
from notify.models import Subscription
from plans.fields import PLAN, WAVE
from plans.models import RecoveryPlan, Wave
from protection.models import ProtectionGroup

HIDDEN = "(hidden)"
SECRET: Mapping[Kind, frozenset[str]] = {
    Kind.ACCOUNT: frozenset({"externalId"}),
    Kind.GROUP: frozenset(),
    Kind.PLAN: frozenset(),
    Kind.SUBSCRIPTION: frozenset({"target"}),
}


@dataclass(frozen=True)
class Stored:
    """An object as it is, with its id and the version that a change is based on."""

    item: Item
    pk: Any  # of its table: an account's is its number
    version: int


def stored() -> dict[Key, Stored]:
    """Everything that a document can say, by kind and name."""
    return {each.item.key: each for each in (*_accounts(), *_groups(), *_plans(), *_subscriptions())}


def _accounts() -> Iterator[Stored]:
    """Those that are entered by a role: our own credentials' account is another one in each installation."""
    for account in Account.objects.exclude(role_arn="").order_by("name_key"):
        spec: Spec = {
            "accountId": account.pk,
            "roleArn": account.role_arn,
            "externalId": account.external_id,
            "regions": account.regions,
            "enabled": account.enabled,
        }
        yield Stored(Item(Kind.ACCOUNT, account.name, spec), account.pk, account.version)


def _groups() -> Iterator[Stored]:
    for group in ProtectionGroup.objects.order_by("name_key").prefetch_related("assignments", "labels"):
        spec: Spec = {
            "description": group.description,
            "labels": labels_of(group),
            "accountId": way_of(group.account_id),
            "region": group.region,
            "sourceServerIds": [each.source_server_id for each in group.assignments.all()],
            "follow": group.match is not None,
            "match": group.match,
        }
        yield Stored(Item(Kind.GROUP, group.name, spec), group.pk, group.version)


def _plans() -> Iterator[Stored]:
    names = dict(ProtectionGroup.objects.values_list("pk", "name"))
    waves = defaultdict(list)
    for wave in Wave.objects.order_by("plan", "number").prefetch_related("group_links", "servers", "depends_on"):
        waves[wave.plan_id].append(_wave(wave, names))
    for plan in RecoveryPlan.objects.order_by("name_key").prefetch_related("labels"):
        spec = {name: value for name, value in PLAN.named(plan).items() if name != "planName"}
        spec |= {"labels": labels_of(plan), "waves": waves[plan.pk]}
        yield Stored(Item(Kind.PLAN, plan.name, spec), plan.pk, plan.version)


def _wave(wave: Wave, names: dict[uuid.UUID, str]) -> Spec:
    servers = wave.servers.all()
    return {
        **WAVE.named(wave),
        "protectionGroups": [names[each.group_id] for each in wave.group_links.all()],
        "serverIds": [each.source_server_id for each in servers],
        "optionalServerIds": [each.source_server_id for each in servers if each.optional],
        "dependsOnWaves": sorted(each.number for each in wave.depends_on.all()),
    }


def _subscriptions() -> Iterator[Stored]:
    """One whose plan was deleted tells nobody, and cannot be said. Of several of one name, the later ones are numbered,
    as a document tells objects apart by their names."""
    told = [
        each
        for each in Subscription.objects.order_by("created_at", "pk").select_related("plan")
        if each.all_plans or each.plan
    ]
    names = told_apart([each.name for each in told])
    for each, name in zip(told, names, strict=True):
        spec: Spec = {
            "channel": each.channel,
            "target": each.target,
            "plan": each.plan.name if each.plan else None,
            "events": each.events,
            "enabled": each.enabled,
        }
        yield Stored(Item(Kind.SUBSCRIPTION, name, spec), each.pk, each.version)


def told_apart(names: Sequence[str]) -> list[str]:
    """The same names, but a second “On call” is “On call (2)”, or the next number by which nothing is called."""
    told: list[str] = []
    seen, taken = set[str](), {name_key(each) for each in names}
    for name in names:
        numbered = (f"{name[: NAME_MAX - 8]} ({number})" for number in count(2))
        new = name if name_key(name) not in seen else next(each for each in numbered if name_key(each) not in taken)
        seen.add(name_key(new))
        taken.add(name_key(new))
        told.append(new)
    return told


def masked(item: Item) -> Item:
    """As everybody may see it: without the path of a webhook and the external id of a role, which are secrets."""
    if item.kind is Kind.ACCOUNT:
        return replace(item, spec={**item.spec, "externalId": HIDDEN if item.spec["externalId"] else ""})
    if item.kind is not Kind.SUBSCRIPTION:
        return item
    return replace(item, spec={**item.spec, "target": shown(item.spec["channel"], item.spec["target"])})


def unmasked(spec: Spec, old: Item | None) -> Spec:
    """What somebody wrote back who may not see secrets: where it is what they were shown, it stays as it is."""
    if old is None:
        return spec
    seen = masked(old).spec
    return {**spec, **{name: old.spec[name] for name in SECRET[old.kind] if spec.get(name) == seen[name]}}
