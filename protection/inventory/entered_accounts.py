"""Accounts that are entered by a role: groups keep them, and with one goes what was read there."""

from typing import Any

from accounts.home import home_account
from accounts.registry import way_of
from accounts.uses import Use
from contract.errors import Invalid
from protection.models import ProtectionGroup, RecoveryInstance, RegionInventory, SourceServer


def check_account(account_id: str) -> str:
    """The account to enter by its role; empty: our own credentials'. Raises Invalid for one that nobody knows."""
    if not account_id or way_of(account_id) or account_id == home_account():
        return way_of(account_id)
    text = f"{account_id[:32]} is none of the accounts under Settings → Accounts. An administrator can add it."
    raise Invalid({"accountId": [text]})


def groups_of(account_id: str) -> list[Use]:
    """The groups that name an account."""
    groups = ProtectionGroup.objects.filter(account_id=account_id).order_by("name_key")
    return [Use("the protection group", str(pk), name) for pk, name in groups.values_list("pk", "name")]


def forget(sender: object, instance: Any, **_: object) -> None:
    """After an account was deleted: nobody reads it any more, so nothing of it is true for long."""
    RegionInventory.objects.filter(way=instance.pk).delete()
    for model in (SourceServer, RecoveryInstance):
        model._default_manager.filter(account_id=instance.pk).delete()
