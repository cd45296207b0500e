"""Plans as rights are asked for them: their own labels, and the accounts of their groups."""

import uuid
from collections import defaultdict
from collections.abc import Collection
from typing import Any

from audit.actor import Actor
from contract.errors import NotFound
from contract.labels.rules import Label
from contract.rights import Reach, Thing, as_id
from plans.models import PlanLabel, RecoveryPlan, WaveGroup


def things_of(plan_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Thing]:
    """Each of these plans as rights are asked for it; two queries."""
    labels: dict[uuid.UUID, set[Label]] = defaultdict(set)
    for key, *label in PlanLabel.objects.filter(plan__in=plan_ids).values_list("plan_id", "key", "value"):
        labels[key].add((label[0], label[1]))
    accounts: dict[uuid.UUID, set[str]] = defaultdict(set)
    links = WaveGroup.objects.filter(wave__plan__in=plan_ids).order_by()
    for key, account in links.values_list("wave__plan_id", "group__account_id").distinct():
        accounts[key].add(account)
    return {key: Thing(frozenset(labels[key]), frozenset(accounts[key])) for key in plan_ids}


def thing_of(plan: RecoveryPlan) -> Thing:
    return things_of([plan.pk])[plan.pk]


def seen(plan_id: Any, reach: Reach) -> Thing:
    """The plan that an address names. Raises NotFound, as for one that is not there."""
    key = as_id(plan_id)
    if key is None or not RecoveryPlan.objects.seen_by(reach).filter(pk=key).exists():
        raise no_plan(str(plan_id)[:64])
    return things_of([key])[key]


def no_plan(plan_id: object) -> NotFound:
    """The refusal for an id of no plan."""
    return NotFound(f"There is no recovery plan {plan_id}.", details={"planId": str(plan_id)})


def at_plan(actor: Actor, plan_id: uuid.UUID) -> Actor:
    """The actor, whose rights are asked for that plan. Raises NotFound for one that they do not see."""
    return actor.at(seen(plan_id, actor.sees)) if actor.is_bounded else actor
