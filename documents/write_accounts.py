"""Writes the accounts of a difference: those that come before everything else, those that go after it."""

from collections.abc import Sequence

from accounts import services as accounts
from accounts.models import Account
from audit.actor import Actor
from contract.clock import Clock
from contract.names import name_key
from documents.difference import Action, Change
from documents.format.kinds import Item, Kind


def row_of(item: Item) -> Account:
    """As it will be."""
    spec = item.spec
    return Account(
        account_id=spec["accountId"],
        name=item.name,
        name_key=name_key(item.name),
        role_arn=spec["roleArn"],
        external_id=spec["externalId"],
        regions=spec["regions"],
        enabled=spec["enabled"],
    )


def save_accounts(actor: Actor, changes: Sequence[Change], clock: Clock) -> None:
    """Those that are new or change."""
    for each in changes:
        if each.item.kind is Kind.ACCOUNT and each.after:
            spec = each.after.spec
            wanted = accounts.Wanted(
                each.after.name, spec["roleArn"], spec["externalId"], spec["regions"], enabled=spec["enabled"]
            )
            save = accounts.update if each.before else accounts.create
            save(actor=actor, account_id=spec["accountId"], wanted=wanted, clock=clock)


def delete_accounts(actor: Actor, changes: Sequence[Change]) -> None:
    """Those that go. Raises Conflict (ACCOUNT_IN_USE) for what still names one."""
    for each in changes:
        if each.item.kind is Kind.ACCOUNT and each.action is Action.DELETE and each.before:
            accounts.delete(actor=actor, account_id=each.before.pk)
