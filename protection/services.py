"""What can be done with protection groups, one function a verb."""

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from audit.actor import Actor
from audit.journal import attempt, record
from contract.clock import Clock, db_clock
from contract.errors import BadRequest, Conflict, Invalid, NotFound
from contract.names import as_stored, hidden_fault, name_key
from contract.rest.etag import refuse_stale
from protection.inventory.source_servers import check_region, check_servers_exist
from protection.models import ProtectionGroup, ServerAssignment

NAME_MAX = 128
DESCRIPTION_MAX = 512
SERVERS_MAX = 10_000  # DRS has at most 4,000 in a region


def check_texts(name: str, description: str, *, stored: str = "") -> None:
    """Raise Invalid unless the name has 1 to 128 characters that can be seen, or is the `stored` one, and the
    description at most 512."""
    fields = {}
    if not name:
        fields["groupName"] = ["A name is required."]
    elif len(name) > NAME_MAX:
        fields["groupName"] = [f"At most {NAME_MAX} characters; this has {len(name)}."]
    elif fault := hidden_fault(name, [stored]):
        fields["groupName"] = [fault]
    if len(description) > DESCRIPTION_MAX:
        fields["description"] = [f"At most {DESCRIPTION_MAX} characters; this has {len(description)}."]
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
    *, actor: Actor, name: str, region: str, source_server_ids: Sequence[str], description: str = ""
) -> ProtectionGroup:
    """Make a group of servers that exist in DRS and are in no other group.

    Raises Forbidden; Invalid (VALIDATION_ERROR, INVALID_REGION, INVALID_SERVER_IDS); Conflict (PG_NAME_EXISTS,
    SERVER_ASSIGNMENT_CONFLICT); the DRS errors of the contract when DRS cannot be asked.
    """
    actor.require("protection.add_protectiongroup", "create protection groups")
    name, description = name.strip(), description.strip()
    check_texts(name, description)
    check_region(region)
    check_server_list(source_server_ids)
    _refuse_taken_name(name)
    _refuse_assigned(source_server_ids)
    account = check_servers_exist(region, source_server_ids)
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
            _assign(group, {each: position for position, each in enumerate(source_server_ids)})
            _journal(actor, "group.create", group, after=_state(group))
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


def no_group(group_id: uuid.UUID) -> NotFound:
    """The refusal for an id of no group."""
    return NotFound(f"There is no protection group {group_id}.", details={"groupId": str(group_id)})


@attempt("group.update", "group", subject="group_id")
def update_group(
    *,
    actor: Actor,
    group_id: uuid.UUID,
    name: str | None = None,
    description: str | None = None,
    source_server_ids: Sequence[str] | None = None,
    region: str | None = None,
    expected: Collection[int] | None = None,
    clock: Clock = db_clock,
) -> ProtectionGroup:
    """Replace what is given and leave the rest; `expected` are the versions that the change may be applied to.

    Servers that are new to the group are checked live. Raises Forbidden, NotFound, VersionConflict; Invalid
    (INVALID_SERVER_IDS); BadRequest (REGION_IMMUTABLE); Conflict (PG_IN_ACTIVE_EXECUTION, PG_NAME_EXISTS,
    SERVER_ASSIGNMENT_CONFLICT, SERVER_IN_USE_BY_PLAN); the DRS errors of the contract.
    """
    actor.require("protection.change_protectiongroup", "change protection groups")
    group = get(group_id)
    _refuse_region(group, region)
    name = None if name is None else as_stored(name.strip(), [group.name])
    description = None if description is None else description.strip()
    check_texts(group.name if name is None else name, description or "", stored=group.name)
    if source_server_ids is not None:
        check_server_list(source_server_ids)
    wanted = Wanted(name, description, source_server_ids)
    _refuse_change(group, wanted, expected)
    known = set(_server_ids(group))
    added = [each for each in source_server_ids or [] if each not in known]
    if added:
        check_servers_exist(group.region, added)
    try:
        with transaction.atomic():
            group = get(group_id, for_update=True)
            _refuse_change(group, wanted, expected)
            before = _state(group)
            _apply(group, wanted, clock())
            _journal(actor, "group.update", group, before=before, after=_state(group))
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


def _refuse_change(group: ProtectionGroup, wanted: Wanted, expected: Collection[int] | None) -> None:
    """Everything that the database alone can say against a change; asked before DRS is, and again under the lock."""
    refuse_stale(group.version, expected, f"The group “{group.name}”")
    _refuse_active(group)
    if wanted.name not in (None, group.name):  # its own it may keep, whatever it is, and whoever has one like it
        _refuse_taken_name(wanted.name, but=group)
    if wanted.source_server_ids is not None:
        _refuse_assigned(wanted.source_server_ids, but=group)
        _refuse_used(set(_server_ids(group)) - set(wanted.source_server_ids))


def _apply(group: ProtectionGroup, wanted: Wanted, now: datetime) -> None:
    if wanted.name not in (None, group.name):
        group.name, group.name_key = wanted.name, name_key(wanted.name)
    if wanted.description is not None:
        group.description = wanted.description
    group.version, group.updated_at = group.version + 1, now
    group.save(update_fields=["name", "name_key", "description", "version", "updated_at"])
    if wanted.source_server_ids is not None:
        _replace_servers(group, wanted.source_server_ids)


def _refuse_region(group: ProtectionGroup, region: str | None) -> None:
    if region is not None and region != group.region:
        raise BadRequest(
            "REGION_IMMUTABLE",
            f"A group stays in its region, {group.region}. Create a new group for servers in {region[:32]}.",
            details={"region": group.region},
        )


def _server_ids(group: ProtectionGroup) -> list[str]:
    return list(group.assignments.order_by("position").values_list("source_server_id", flat=True))


def _replace_servers(group: ProtectionGroup, wanted: Sequence[str]) -> None:
    """Give the group exactly these servers, in this order. Rows of servers that stay are kept: plans point at them."""
    places = {each: position for position, each in enumerate(wanted)}
    group.assignments.exclude(source_server_id__in=wanted).delete()
    kept = list(group.assignments.all())
    for each in kept:
        each.position = places.pop(each.source_server_id)
    ServerAssignment.objects.bulk_update(kept, ["position"], batch_size=500)
    _assign(group, places)


def _refuse_active(group: ProtectionGroup) -> None:
    if found := active_use(group):
        raise found


def active_use(group: ProtectionGroup) -> Conflict | None:
    """The refusal to change or delete a group while runs use it (PG_IN_ACTIVE_EXECUTION), or None.

    Runs are asked for by name: they live above this room. A retry may hold servers that its plan names no more.
    """
    of_plans = group.waves.filter(plan__executions__isnull=False, plan__executions__ended_at=None)
    of_holds = group.assignments.filter(hold__isnull=False)
    found = sorted({*_runs(of_plans, "plan__executions"), *_runs(of_holds, "hold__execution")})
    if not found:
        return None
    return Conflict(
        "PG_IN_ACTIVE_EXECUTION",
        f"“{group.name}” is part of a run of “{found[0][2]}”. Change or delete it after the run.",
        details={
            "executions": [
                {"executionId": str(pk), "planId": plan_id and str(plan_id), "planName": plan, "status": status}
                for pk, plan_id, plan, status in found
            ]
        },
    )


def _runs(rows: Any, run: str) -> Iterable[tuple[uuid.UUID, uuid.UUID | None, str, str]]:
    columns = ("pk", "plan_id", "plan_name", "status")
    found: Iterable[tuple[uuid.UUID, uuid.UUID | None, str, str]] = (
        rows.order_by().values_list(*(f"{run}__{column}" for column in columns)).distinct()
    )
    return found


def _refuse_used(server_ids: Iterable[str]) -> None:
    """Refuse to take servers away that a plan's wave names."""
    used = (
        ServerAssignment.objects.filter(source_server_id__in=list(server_ids), wave_servers__isnull=False)
        .order_by("source_server_id", "wave_servers__plan__name_key")
        .values_list(
            "source_server_id",
            "wave_servers__plan__pk",
            "wave_servers__plan__name",
            "wave_servers__wave__number",
            "wave_servers__wave__name",
        )
    )
    found = [
        {"serverId": each, "planId": str(plan_id), "planName": plan, "waveNumber": number, "waveName": wave}
        for each, plan_id, plan, number, wave in used
    ]
    if found:
        first, number = found[0], used[0][3]
        raise Conflict(
            "SERVER_IN_USE_BY_PLAN",
            f"{first['serverId']} is in wave {number + 1} of “{first['planName']}”. Remove it from the plan first.",
            details={"plans": found},
        )


@attempt("group.delete", "group", subject="group_id")
def delete_group(*, actor: Actor, group_id: uuid.UUID, expected: Collection[int] | None = None) -> ProtectionGroup:
    """Delete a group that no plan and no run uses.

    Raises Forbidden, NotFound, VersionConflict, Conflict (PG_IN_USE, PG_IN_ACTIVE_EXECUTION).
    """
    actor.require("protection.delete_protectiongroup", "delete protection groups")
    try:
        with transaction.atomic():
            group = get(group_id, for_update=True)
            refuse_stale(group.version, expected, f"The group “{group.name}”")
            _refuse_planned(group)
            _refuse_active(group)
            _journal(actor, "group.delete", group, before=_state(group))
            ProtectionGroup.objects.filter(pk=group.pk).delete()
    except IntegrityError:  # a plan or a retry began to use it
        group = get(group_id)
        _refuse_planned(group)
        _refuse_active(group)
        raise
    return group


def _refuse_planned(group: ProtectionGroup) -> None:
    waves = group.waves.order_by("plan__name_key", "number").values_list("plan__pk", "plan__name", "name", "number")
    found = [
        {"planId": str(plan_id), "planName": plan, "waveName": wave, "waveNumber": number}
        for plan_id, plan, wave, number in waves
    ]
    if found:
        names = "”, “".join(dict.fromkeys(str(each["planName"]) for each in found))
        raise Conflict(
            "PG_IN_USE",
            f"“{group.name}” is used by “{names}”. Remove it from the plan or delete the plan first.",
            details={"plans": found},
        )


def _state(group: ProtectionGroup) -> dict[str, object]:
    """The group as the journal keeps it."""
    return {
        "groupName": group.name,
        "description": group.description,
        "region": group.region,
        "sourceServerIds": _server_ids(group),
        "version": group.version,
    }


def _journal(
    actor: Actor,
    verb: str,
    group: ProtectionGroup,
    *,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
) -> None:
    record(
        actor,
        verb,
        subject_kind="group",
        subject_id=group.pk,
        subject_name=group.name,
        before=before,
        after=after,
    )
