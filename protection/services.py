"""What can be done with protection groups, one function a verb."""

import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from accounts.registry import way_of
from audit.actor import Actor
from audit.journal import attempt
from contract.clock import Clock, db_clock
from contract.errors import BadRequest, Conflict, Invalid
from contract.labels.rows import replace_labels
from contract.labels.rules import Label, faults, trimmed
from contract.names import as_stored, hidden_fault, name_key
from contract.rest.etag import refuse_stale
from contract.rights import ANYTHING, Thing
from protection.in_use.refusals import refuse_active, refuse_planned, refuse_used
from protection.inventory.entered_accounts import check_account
from protection.inventory.source_servers import check_region, check_servers_exist
from protection.journal import journal, server_ids, state
from protection.models import ProtectionGroup, ServerAssignment
from protection.scopes.groups import at_group, no_group, require_within

ADD, TO_ADD = "protection.add_protectiongroup", "create protection groups"
CHANGE, TO_CHANGE = "protection.change_protectiongroup", "change protection groups"
DELETE, TO_DELETE = "protection.delete_protectiongroup", "delete protection groups"
NAME_MAX = 128
DESCRIPTION_MAX = 512
SERVERS_MAX = 10_000  # DRS has at most 4,000 in a region


def check_texts(name: str, description: str, labels: Sequence[Label] = (), *, stored: str = "") -> None:
    """Raise Invalid unless the name has 1 to 128 characters that can be seen, or is the `stored` one, the description
    at most 512, and the labels can be."""
    fields = {}
    if not name:
        fields["groupName"] = ["A name is required."]
    elif len(name) > NAME_MAX:
        fields["groupName"] = [f"At most {NAME_MAX} characters; this has {len(name)}."]
    elif fault := hidden_fault(name, [stored]):
        fields["groupName"] = [fault]
    if len(description) > DESCRIPTION_MAX:
        fields["description"] = [f"At most {DESCRIPTION_MAX} characters; this has {len(description)}."]
    if wrong := faults(labels):
        fields["labels"] = wrong
    if fields:
        raise Invalid(fields)


def check_server_list(ids: Sequence[str]) -> None:
    """Raise Invalid for an empty list, one longer than any region's, or an id named twice."""
    if not ids:
        raise Invalid({"sourceServerIds": ["At least one source server is required."]})
    if len(ids) > SERVERS_MAX:
        raise Invalid({"sourceServerIds": [f"At most {SERVERS_MAX:,} source servers; this has {len(ids):,}."]})
    twice = [server_id for server_id, count in Counter(ids).items() if count > 1]
    if twice:
        raise Invalid({"sourceServerIds": [f"{server_id} is named more than once." for server_id in twice]})


def _refuse_taken_name(name: str, *, but: ProtectionGroup | None = None) -> None:
    others = ProtectionGroup.objects.filter(name_key=name_key(name))
    if but is not None:
        others = others.exclude(pk=but.pk)
    taken = others.first()
    if taken is not None:
        raise Conflict(
            "PG_NAME_EXISTS",
            f"A protection group named “{taken.name}” exists already. Choose another name.",
            details={"groupId": str(taken.pk), "groupName": taken.name},
        )


def _refuse_assigned(ids: Sequence[str], *, but: ProtectionGroup | None = None) -> None:
    taken = ServerAssignment.objects.filter(source_server_id__in=ids).select_related("group").order_by("pk")
    if but is not None:
        taken = taken.exclude(group=but)
    conflicts = [
        {
            "serverId": each.source_server_id,
            "protectionGroupId": str(each.group_id),
            "protectionGroupName": each.group.name,
        }
        for each in taken
    ]
    if conflicts:
        first = conflicts[0]
        more = f" and {len(conflicts) - 1} more are" if len(conflicts) > 1 else " is"
        raise Conflict(
            "SERVER_ASSIGNMENT_CONFLICT",
            f"{first['serverId']}{more} already in a protection group (“{first['protectionGroupName']}”)."
            " A server can be in one group only.",
            details={"conflicts": conflicts},
        )


@attempt("group.create", "group", subject="name")
def create_group(
    *,
    actor: Actor,
    name: str,
    region: str,
    source_server_ids: Sequence[str],
    description: str = "",
    labels: Sequence[Label] = (),
    account_id: str = "",
) -> ProtectionGroup:
    """Make a group of servers that exist in DRS and are in no other group; without `account_id`, of the account of our
    own credentials.

    Raises Forbidden; Invalid (VALIDATION_ERROR, INVALID_REGION, INVALID_SERVER_IDS); Conflict (PG_NAME_EXISTS,
    SERVER_ASSIGNMENT_CONFLICT); the DRS errors of the contract when DRS cannot be asked.
    """
    actor.at(ANYTHING).require(ADD, TO_ADD)
    name, description, labels = name.strip(), description.strip(), trimmed(labels)
    check_texts(name, description, labels)
    check_region(region)
    check_server_list(source_server_ids)
    _refuse_taken_name(name)
    _refuse_assigned(source_server_ids)
    account = check_servers_exist(region, source_server_ids, check_account(account_id))
    return make_group(
        actor,
        name=name,
        region=region,
        account=account,
        source_server_ids=source_server_ids,
        description=description,
        labels=labels,
    )


def make_group(
    actor: Actor,
    *,
    name: str,
    region: str,
    account: str,
    source_server_ids: Sequence[str],
    description: str = "",
    labels: Sequence[Label] = (),
) -> ProtectionGroup:
    """Make a group of what was checked, of servers that DRS was just asked for; also within a transaction. Raises
    Forbidden, and Conflict as `create_group`."""
    group = ProtectionGroup(
        name=name,
        name_key=name_key(name),
        region=region,
        description=description,
        account_id=account,
        owner=actor.name,
    )
    try:
        with transaction.atomic():
            group.save(force_insert=True)
            replace_labels(group, labels)
            _assign(group, {each: position for position, each in enumerate(source_server_ids)})
            require_within(actor, (ADD, TO_ADD), Thing(), group)
            journal(actor, "group.create", group, after=state(group))
    except IntegrityError:  # somebody was faster: say who
        _refuse_taken_name(name)
        _refuse_assigned(source_server_ids)
        raise
    return group


def _assign(group: ProtectionGroup, places: Mapping[str, int]) -> None:
    """Sorted, so that two requests for the same servers wait for each other in one order and never deadlock."""
    ServerAssignment.objects.bulk_create(
        ServerAssignment(group=group, source_server_id=each, position=position)
        for each, position in sorted(places.items())
    )


# Change and delete


def get(group_id: uuid.UUID, *, for_update: bool = False) -> ProtectionGroup:
    """The group, or NotFound. With `for_update` it is locked, and no run of it can start until the transaction ends."""
    groups = ProtectionGroup.objects.select_for_update() if for_update else ProtectionGroup.objects.all()
    group = groups.filter(pk=group_id).first()
    if group is None:
        raise no_group(group_id)
    return group


@attempt("group.update", "group", subject="group_id")
def update_group(
    *,
    actor: Actor,
    group_id: uuid.UUID,
    name: str | None = None,
    description: str | None = None,
    source_server_ids: Sequence[str] | None = None,
    labels: Sequence[Label] | None = None,
    region: str | None = None,
    account_id: str | None = None,
    expected: Collection[int] | None = None,
    clock: Clock = db_clock,
) -> ProtectionGroup:
    """Replace what is given and leave the rest; `expected` are the versions that the change may be applied to.

    Servers that are new to the group are checked live. Raises Forbidden, NotFound, VersionConflict; Invalid
    (INVALID_SERVER_IDS); BadRequest (REGION_IMMUTABLE, ACCOUNT_IMMUTABLE); Conflict (PG_IN_ACTIVE_EXECUTION,
    PG_NAME_EXISTS, SERVER_ASSIGNMENT_CONFLICT, SERVER_IN_USE_BY_PLAN); the DRS errors of the contract.
    """
    actor.at(ANYTHING).require(CHANGE, TO_CHANGE)
    actor, group = at_group(actor, group_id), get(group_id)
    actor.require(CHANGE, TO_CHANGE)
    _refuse_move(group, region, account_id)
    name = None if name is None else as_stored(name.strip(), [group.name])
    description = None if description is None else description.strip()
    labels = None if labels is None else trimmed(labels)
    check_texts(group.name if name is None else name, description or "", labels or (), stored=group.name)
    if source_server_ids is not None:
        check_server_list(source_server_ids)
    wanted = Wanted(name, description, source_server_ids, labels)
    _refuse_change(group, wanted, expected)
    known = set(server_ids(group))
    added = [each for each in source_server_ids or [] if each not in known]
    if added:
        check_servers_exist(group.region, added, way_of(group.account_id))
    try:
        with transaction.atomic():
            group = get(group_id, for_update=True)
            actor = at_group(actor, group_id)
            actor.require(CHANGE, TO_CHANGE)
            _refuse_change(group, wanted, expected)
            before = state(group)
            _apply(group, wanted, clock())
            require_within(actor, (CHANGE, TO_CHANGE), actor.about, group)
            journal(actor, "group.update", group, before=before, after=state(group))
    except IntegrityError:  # somebody was faster: took the name or a server, or put a removed one into a plan
        _refuse_change(get(group_id), wanted, None)
        raise
    return group


@dataclass(frozen=True)
class Wanted:
    """What a group shall be; None leaves as is what the group has at that moment."""

    name: str | None
    description: str | None
    source_server_ids: Sequence[str] | None
    labels: Sequence[Label] | None


def _refuse_change(group: ProtectionGroup, wanted: Wanted, expected: Collection[int] | None) -> None:
    """Everything that the database alone can say against a change; asked before DRS is, and again under the lock."""
    refuse_stale(group.version, expected, f"The group “{group.name}”")
    refuse_active(group)
    if wanted.name not in (None, group.name):  # its own it may keep, whatever it is, and whoever has one like it
        _refuse_taken_name(wanted.name, but=group)
    if wanted.source_server_ids is not None:
        _refuse_assigned(wanted.source_server_ids, but=group)
        refuse_used(set(server_ids(group)) - set(wanted.source_server_ids))


def _apply(group: ProtectionGroup, wanted: Wanted, now: datetime) -> None:
    if wanted.name not in (None, group.name):
        group.name, group.name_key = wanted.name, name_key(wanted.name)
    if wanted.description is not None:
        group.description = wanted.description
    group.version, group.updated_at = group.version + 1, now
    group.save(update_fields=["name", "name_key", "description", "version", "updated_at"])
    if wanted.labels is not None:
        replace_labels(group, wanted.labels)
    if wanted.source_server_ids is not None:
        _replace_servers(group, wanted.source_server_ids)


def _refuse_move(group: ProtectionGroup, region: str | None, account_id: str | None) -> None:
    if region not in (None, group.region):
        text = f"A group stays in its region, {group.region}. Create a new group for servers in {region[:32]}."
        raise BadRequest("REGION_IMMUTABLE", text, details={"region": group.region})
    if account_id not in (None, group.account_id):
        text = f"A group stays in its AWS account, {group.account_id}. Create a new group for servers of another one."
        raise BadRequest("ACCOUNT_IMMUTABLE", text, details={"accountId": group.account_id})


def _replace_servers(group: ProtectionGroup, wanted: Sequence[str]) -> None:
    """Give the group exactly these servers, in this order. Rows of servers that stay are kept: plans point at them."""
    places = {each: position for position, each in enumerate(wanted)}
    group.assignments.exclude(source_server_id__in=wanted).delete()
    kept = list(group.assignments.all())
    for each in kept:
        each.position = places.pop(each.source_server_id)
    ServerAssignment.objects.bulk_update(kept, ["position"], batch_size=500)
    _assign(group, places)


@attempt("group.delete", "group", subject="group_id")
def delete_group(*, actor: Actor, group_id: uuid.UUID, expected: Collection[int] | None = None) -> ProtectionGroup:
    """Delete a group that no plan and no run uses.

    Raises Forbidden, NotFound, VersionConflict, Conflict (PG_IN_USE, PG_IN_ACTIVE_EXECUTION).
    """
    actor.at(ANYTHING).require(DELETE, TO_DELETE)
    try:
        with transaction.atomic():
            group = get(group_id, for_update=True)
            at_group(actor, group_id).require(DELETE, TO_DELETE)
            refuse_stale(group.version, expected, f"The group “{group.name}”")
            refuse_planned(group)
            refuse_active(group)
            journal(actor, "group.delete", group, before=state(group))
            ProtectionGroup.objects.filter(pk=group.pk).delete()
    except IntegrityError:  # a plan or a retry began to use it
        group = get(group_id)
        refuse_planned(group)
        refuse_active(group)
        raise
    return group
