"""What administrators do with AWS accounts, one function a verb."""

import re
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts import registry
from accounts.home import beyond_us, home_account
from accounts.models import Account
from accounts.uses import uses_of
from audit.actor import Actor
from audit.journal import attempt, record
from audit.safe_text import storable
from contract.clock import Clock, db_clock, unix
from contract.errors import Conflict, Invalid, NotFound
from contract.names import ACCOUNT, NO_ACCOUNT, as_stored, hidden_fault, name_key
from contract.rest.etag import refuse_stale
from drs.arns import partition_of
from drs.client import Drs, available_regions
from drs.errors import DrsError
from drs.roles import role_of

RIGHT = "drsorch_site.switch_account"  # what administrators alone have
TO = "manage AWS accounts"
NAME_MAX = 128
ROLE = re.compile(r"arn:(?P<partition>aws[a-z-]*):iam::(?P<account>[0-9]{12}):role/[\w+=,.@/-]{1,512}", re.ASCII)
EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
AT_ONCE = 8  # regions that a check reads at the same time


@dataclass(frozen=True)
class Wanted:
    """An account as it shall be."""

    name: str
    role_arn: str = ""
    external_id: str = ""
    regions: Sequence[str] = ()
    enabled: bool = True


def get(account_id: str, *, for_update: bool = False) -> Account:
    """The account, also our own that nobody has named yet; or NotFound."""
    rows = Account.objects.select_for_update() if for_update else Account.objects.all()
    found = rows.filter(pk=account_id).first() if ACCOUNT.fullmatch(account_id) else None
    if found is None and account_id and account_id == home_account():
        found = unnamed_home(account_id)
    if found is None:
        raise NotFound(f"There is no account {account_id[:64]!r}.", details={"accountId": account_id[:64]})
    return found


def unnamed_home(account_id: str) -> Account:
    """Our own account before anybody has named it: no row."""
    return Account(account_id=account_id, name=account_id, name_key=account_id, regions=[])


def is_home(account: Account) -> bool:
    return not account.role_arn and account.pk == home_account()


@attempt("aws_account.create", "aws_account", subject="account_id")
def create(*, actor: Actor, account_id: str, wanted: Wanted, clock: Clock = db_clock) -> Account:
    """Add an account that is entered by a role. Raises Forbidden, Invalid, Conflict (ACCOUNT_EXISTS,
    ACCOUNT_NAME_EXISTS)."""
    actor.require(RIGHT, TO)
    account_id, wanted = account_id.strip(), _trimmed(wanted)
    _check(account_id, wanted, needs_role=True)
    if account_id == home_account():
        text = "This is the account of this installation's own credentials: it needs no role."
        raise Invalid({"accountId": [text]})
    account = Account(account_id=account_id, created_at=clock())
    _apply(account, wanted)
    account.updated_at = account.created_at
    _refuse_taken(account)
    try:
        with transaction.atomic():
            account.save(force_insert=True)
            _journal(actor, "aws_account.create", account, after=state(account))
    except IntegrityError:  # somebody was faster
        _refuse_taken(account)
        raise
    registry.forget()
    return account


@attempt("aws_account.update", "aws_account", subject="account_id")
def update(
    *, actor: Actor, account_id: str, wanted: Wanted, expected: Collection[int] | None = None, clock: Clock = db_clock
) -> Account:
    """Change an account, all of it but its id. Of our own only the name and the regions can be changed. Raises
    Forbidden, NotFound, Invalid, VersionConflict, Conflict (ACCOUNT_NAME_EXISTS)."""
    actor.require(RIGHT, TO)
    wanted = _trimmed(wanted)
    known = get(account_id)
    before = {"stored": known.name, "stored_role": known.role_arn, "stored_regions": known.regions}
    _check(account_id, wanted, needs_role=not is_home(known), **before)
    wanted = replace(wanted, name=as_stored(wanted.name, [known.name]))
    try:
        with transaction.atomic():
            account = get(account_id, for_update=True)
            refuse_stale(account.version, expected, f"The account “{account.name}”")
            before = state(account)
            moved = (account.role_arn, account.external_id) != (wanted.role_arn, wanted.external_id)
            _apply(account, wanted)
            account.check_result = None if moved else account.check_result
            account.version, account.updated_at = account.version + 1, clock()
            _refuse_taken(account, is_new=False)
            account.save()
            _journal(actor, "aws_account.update", account, before=before, after=state(account))
    except IntegrityError:
        _refuse_taken(Account(account_id=account_id, name_key=name_key(wanted.name)), is_new=False)
        raise
    registry.forget()
    return account


@attempt("aws_account.delete", "aws_account", subject="account_id")
def delete(*, actor: Actor, account_id: str, expected: Collection[int] | None = None) -> Account:
    """Forget an account that nothing uses. Raises Forbidden, NotFound, VersionConflict, Conflict (ACCOUNT_IN_USE)."""
    actor.require(RIGHT, TO)
    with transaction.atomic():
        account = get(account_id, for_update=True)
        refuse_stale(account.version, expected, f"The account “{account.name}”")
        if is_home(account):
            text = f"{account_id} is the account of this installation's own credentials. It is always there."
            raise Conflict("ACCOUNT_IN_USE", text, details={"accountId": account_id, "uses": []})
        if found := uses_of(account_id):
            names = ", ".join(f"{each.kind} “{each.name}”" for each in found[:5])
            more = f" and {len(found) - 5} more" if len(found) > 5 else ""
            uses = [{"kind": each.kind, "id": each.id, "name": each.name} for each in found]
            text = f"“{account.name}” is used by {names}{more}. Nothing could be done there any more."
            raise Conflict("ACCOUNT_IN_USE", text, details={"accountId": account_id, "uses": uses})
        _journal(actor, "aws_account.delete", account, before=state(account))
        Account.objects.filter(pk=account_id).delete()
    registry.forget()
    return account


@attempt("aws_account.check", "aws_account", subject="account_id")
def check(*, actor: Actor, account_id: str, clock: Clock = db_clock) -> Account:
    """Enter the account and read DRS once a region; what came of it is kept. Raises Forbidden, NotFound."""
    actor.require(RIGHT, TO)
    registry.forget()
    account = get(account_id)
    regions = list(account.regions) or [settings.AWS_REGION]
    role_of(account_id)  # so that threads without a database know it
    with ThreadPoolExecutor(AT_ONCE, initializer=registry.without_database) as threads:
        errors = list(threads.map(lambda region: _error_of(region, account_id), regions))
    failed = next((each for each in errors if each is not None), None)
    found: dict[str, Any] = {"time": unix(clock()), "ok": failed is None, "code": "", "message": "", "region": ""}
    if failed is not None:
        found |= {"code": failed.code, "message": failed.message, "region": failed.region}
    with transaction.atomic():
        known = Account.objects.filter(pk=account_id)
        if not known.update(check_result=storable(found)):  # our own, which nobody has named yet
            account.check_result = found
        _journal(actor, "aws_account.check", account, detail={**found, "regions": regions})
    account.check_result = found
    return account


def _error_of(region: str, account_id: str) -> DrsError | None:
    try:
        Drs(region, account_id).check()
    except DrsError as error:
        return error
    return None


@cache
def _regions() -> frozenset[str]:
    return frozenset(available_regions())


def _trimmed(wanted: Wanted) -> Wanted:
    regions = [each.strip() for each in wanted.regions]
    name, role, external_id = (each.strip() for each in (wanted.name, wanted.role_arn, wanted.external_id))
    return Wanted(name, role, external_id, list(dict.fromkeys(regions)), wanted.enabled)


def _check(account_id: str, wanted: Wanted, *, needs_role: bool, **stored: Any) -> None:
    if fields := problems(account_id, wanted, needs_role=needs_role, **stored):
        code = "INVALID_REGION" if list(fields) == ["regions"] and wanted.regions else "VALIDATION_ERROR"
        raise Invalid(fields, code=code)


def problems(
    account_id: str,
    wanted: Wanted,
    *,
    needs_role: bool,
    stored: str = "",
    stored_role: str = "",
    stored_regions: Sequence[str] = (),
) -> dict[str, list[str]]:
    """What the words alone show to be wrong, by field. `stored` is a name from before names were looked at,
    `stored_role` a role and `stored_regions` regions from before their partition was: the account can still be switched
    off."""
    fields: dict[str, list[str]] = {}
    if not ACCOUNT.fullmatch(account_id):
        fields["accountId"] = [NO_ACCOUNT]
    if not 1 <= len(wanted.name) <= NAME_MAX:
        fields["name"] = [f"A name of 1 to {NAME_MAX} characters is required."]
    elif fault := hidden_fault(wanted.name, [stored]):
        fields["name"] = [fault]
    if needs_role and (fault := _role_fault(account_id, wanted.role_arn, stored_role)):
        fields["roleArn"] = [fault]
    elif not needs_role and (wanted.role_arn or wanted.external_id or not wanted.enabled):
        fields["roleArn"] = ["The account of this installation's own credentials has no role, and is always on."]
    if wanted.external_id and not EXTERNAL_ID.fullmatch(wanted.external_id):
        fields["externalId"] = ["An external id has 2 to 1,224 characters: letters, digits and +=,.@:/-_"]
    if unknown := [each for each in wanted.regions if each not in _regions()]:
        fields["regions"] = [f"{each[:64]!r} is not a region of AWS DRS." for each in unknown[:5]]
    elif beyond := [text for each in wanted.regions if (text := beyond_us(each)) and each not in stored_regions]:
        fields["regions"] = beyond[:5]
    elif needs_role and not wanted.regions:
        fields["regions"] = ["Name at least one region in which DRS is set up there."]
    return fields


def _role_fault(account_id: str, arn: str, stored: str) -> str:
    """Why it can't be the role by which the account is entered; empty where it can."""
    role, ours = ROLE.fullmatch(arn), partition_of(settings.AWS_REGION)
    if role is None:
        return f"Name the role to assume, such as arn:{ours}:iam::{account_id[:12]}:role/drsorch-target."
    if role["account"] != account_id:
        return f"This is a role of account {role['account']}, not of {account_id}."
    if role["partition"] != ours and arn != stored:
        return (
            f"This role is in AWS's partition {role['partition']}. This installation runs in {settings.AWS_REGION}, of"
            f" the partition {ours}, and AWS lets nobody assume a role of another one."
        )
    return ""


def _apply(account: Account, wanted: Wanted) -> None:
    account.name, account.name_key = wanted.name, name_key(wanted.name)
    account.role_arn, account.external_id = wanted.role_arn, wanted.external_id
    account.regions, account.enabled = list(wanted.regions), wanted.enabled


def _refuse_taken(account: Account, *, is_new: bool = True) -> None:
    if is_new and Account.objects.filter(pk=account.pk).exists():
        text = f"The account {account.pk} is there already. Change it instead."
        raise Conflict("ACCOUNT_EXISTS", text, details={"accountId": account.pk})
    taken = Account.objects.filter(name_key=account.name_key).exclude(pk=account.pk).first()
    if taken is not None:
        text = f"An account named “{taken.name}” exists already. Choose another name."
        raise Conflict("ACCOUNT_NAME_EXISTS", text, details={"accountId": taken.pk, "name": taken.name})


def state(account: Account) -> dict[str, Any]:
    """An account as the journal keeps it, which everybody reads: without the external id."""
    return {
        "accountId": account.pk,
        "name": account.name,
        "roleArn": account.role_arn,
        "hasExternalId": bool(account.external_id),
        "regions": account.regions,
        "enabled": account.enabled,
        "version": account.version,
    }


def _journal(actor: Actor, verb: str, account: Account, **kept: Any) -> None:
    record(actor, verb, subject_kind="aws_account", subject_id=account.pk, subject_name=account.name, **kept)
