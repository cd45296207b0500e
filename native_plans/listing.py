"""The recovery plans that DRS has in a place, whoever made them."""

from collections.abc import Sequence
from dataclasses import dataclass

from audit.actor import Actor
from contract.rights import as_id
from drs.errors import DrsError
from drs.native_plans import ExecutionInDrs, NativePlans, PlanInDrs
from native_plans.compiled import PLAN_TAG
from plans.models import RecoveryPlan
from protection.inventory.drs_refusals import drs_trouble
from protection.inventory.entered_accounts import check_account
from protection.inventory.source_servers import check_region


@dataclass(frozen=True)
class Listed:
    """A recovery plan that DRS has, and its execution that is not over. `plan_id` is the plan of which it says that it
    is the copy; `plan` is that, if it is here."""

    in_drs: PlanInDrs
    plan_id: str
    plan: RecoveryPlan | None
    running: ExecutionInDrs | None


def listed(actor: Actor, region: str, account: str = "") -> Sequence[Listed]:
    """By name; without `account`, of our own credentials' account. Raises Invalid (INVALID_REGION), and the contract's
    DRS errors."""
    check_region(region)
    drs = NativePlans(region, check_account(account))
    try:
        running = {each.plan_arn: each for each in drs.running()}
        found = [drs.plan(each.arn) for each in drs.plans()]
    except DrsError as error:
        raise drs_trouble(error) from error
    tags = {each.arn: (each.tags or {}).get(PLAN_TAG, "") for each in found}
    ours = RecoveryPlan.objects.seen_by(actor.sees).in_bulk([key for tag in tags.values() if (key := as_id(tag))])
    rows = []
    for each in sorted(found, key=lambda each: each.name.casefold()):
        key = as_id(tags[each.arn])
        rows.append(Listed(each, tags[each.arn], ours.get(key) if key else None, running.get(each.arn)))
    return rows
