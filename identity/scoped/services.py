"""Giving a role for what has a label, or for an AWS account, to a group of people, and taking it away again."""

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from audit.actor import Actor
from audit.journal import attempt, record
from contract.clock import Clock, db_clock
from contract.errors import Conflict, Invalid, NotFound
from contract.labels.rules import Label, faults, parsed, trimmed
from contract.names import ACCOUNT, NO_ACCOUNT, hidden_fault
from identity.models import ScopedRole
from identity.roles import ROLES

RIGHT, TO = "drsorch_site.give_roles", "give roles"
GROUP_MAX = 128  # as of Cognito


def given() -> "QuerySet[ScopedRole]":
    """All of them, by group."""
    return ScopedRole.objects.select_related("group")


@attempt("role.give", "role", subject="group")
def give(
    *, actor: Actor, group: str, role: str, label: str = "", account_id: str = "", clock: Clock = db_clock
) -> ScopedRole:
    """Give a group the role for what has that label (`key=value`), or for that account: one of the two.

    `group` is the name of the provider's group, or of Django's where people have passwords here; whoever is in it has
    the role from their next sign-in or token on. Raises Forbidden, Invalid, Conflict (ROLE_GIVEN).
    """
    actor.require(RIGHT, TO)
    group, account_id = group.strip(), account_id.strip()
    key, value = _check(group, role, label, account_id)
    try:
        with transaction.atomic():
            known, _ = Group.objects.get_or_create(name=group)
            made = ScopedRole.objects.create(
                group=known,
                role=role,
                account_id=account_id,
                key=key,
                value=value,
                made_by=actor.name,
                made_at=clock(),
            )
            _journal(actor, "role.give", made, after=_kept(made))
    except IntegrityError:
        raise Conflict("ROLE_GIVEN", f"“{group}” has the role {role} for that already.") from None
    return made


def _check(group: str, role: str, label: str, account_id: str) -> Label:
    """The label, or an empty one where the scope is an account. Raises Invalid with the name of each wrong field."""
    found = {"group": _wrong_group(group)}
    if role not in ScopedRole.ROLES:
        found["role"] = f"Use {', '.join(ScopedRole.ROLES[:-1])} or {ScopedRole.ROLES[-1]}."
    labels = trimmed(parsed(label))
    if bool(labels) == bool(account_id):
        found["label"] = "Give a label (key=value) or an account, one of the two."
    elif account_id and not ACCOUNT.fullmatch(account_id):
        found["accountId"] = NO_ACCOUNT
    elif len(labels) > 1:
        found["label"] = "Give one label; a further one is a role of its own."
    elif labels and (wrong := faults(labels)):
        found["label"] = wrong[0]
    if wrong_fields := {name: [text] for name, text in found.items() if text}:
        raise Invalid(wrong_fields)
    return labels[0] if labels else ("", "")


def _wrong_group(group: str) -> str:
    everywhere = {name for name, _ in settings.PROVIDER.groups} if settings.PROVIDER else set()
    if not group:
        return "The name of a group of people is required."
    if len(group) > GROUP_MAX:
        return f"At most {GROUP_MAX} characters; this has {len(group)}."
    if group in ROLES or group in everywhere:
        return f"“{group}” gives a role everywhere. Use a group of its own for a part."
    return hidden_fault(group)


@attempt("role.take", "role", subject="role_id")
def take(*, actor: Actor, role_id: int) -> ScopedRole:
    """Take a role away again; who has it loses it with their next request. Raises Forbidden, NotFound."""
    actor.require(RIGHT, TO)
    with transaction.atomic():
        found = given().select_for_update(of=("self",)).filter(pk=role_id).first()
        if found is None:
            raise NotFound(f"There is no role {role_id}.", details={"roleId": role_id})
        _journal(actor, "role.take", found, before=_kept(found))
        ScopedRole.objects.filter(pk=role_id).delete()
    return found


def _kept(role: ScopedRole) -> dict[str, object]:
    return {"group": role.group.name, "role": role.role, "scope": role.scope}


def _journal(
    actor: Actor,
    verb: str,
    role: ScopedRole,
    *,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
) -> None:
    name = f"{role.group.name}: {role}"[:200]
    record(actor, verb, subject_kind="role", subject_id=role.pk, subject_name=name, before=before, after=after)
