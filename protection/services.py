"""What can be done with protection groups, one function a verb."""

from collections import Counter
from collections.abc import Sequence

from django.db import IntegrityError, transaction

from audit.actor import Actor
from audit.journal import record
from contract.errors import Conflict, Invalid
from contract.names import name_key
from drs.client import Drs
from drs.errors import DrsError, Trouble
from drs.identity import account_id
from protection.inventory import check_region, note_failure, store
from protection.models import ProtectionGroup, ServerAssignment
from protection.trouble import drs_trouble

NAME_MAX = 128
DESCRIPTION_MAX = 512


def check_texts(name: str, description: str) -> None:
    """Raise Invalid unless the name has 1 to 128 characters and the description at most 512."""
    fields = {}
    if not name:
        fields["groupName"] = ["A name is required."]
    elif len(name) > NAME_MAX:
        fields["groupName"] = [f"At most {NAME_MAX} characters; this has {len(name)}."]
    if len(description) > DESCRIPTION_MAX:
        fields["description"] = [f"At most {DESCRIPTION_MAX} characters; this has {len(description)}."]
    if fields:
        raise Invalid(fields)


def check_server_list(ids: Sequence[str]) -> None:
    """Raise Invalid for an empty list or an id named twice."""
    if not ids:
        raise Invalid({"sourceServerIds": ["At least one source server is required."]})
    twice = [server_id for server_id, count in Counter(ids).items() if count > 1]
    if twice:
        raise Invalid({"sourceServerIds": [f"{server_id} is named more than once." for server_id in twice]})


def check_servers_exist(region: str, ids: Sequence[str]) -> str:
    """Ask DRS, live, for exactly these servers and store the answer; returns the account id.

    Raises Invalid with INVALID_SERVER_IDS for ids that DRS does not know, and the contract's DRS errors
    when DRS cannot be asked.
    """
    well_formed = [each for each in ids if len(each) == 19 and each.startswith("s-")]
    try:
        account = account_id(region)
        found = Drs(region).source_servers(well_formed) if well_formed else []
    except DrsError as error:
        if error.trouble is not Trouble.NOT_INITIALIZED:
            raise drs_trouble(error) from error
        note_failure(error)
        found, account = [], ""
    known = {server.source_server_id for server in found}
    unknown = [each for each in ids if each not in known]
    if unknown:
        raise Invalid(
            {"sourceServerIds": [f"{each} does not exist in DRS in {region}." for each in unknown]},
            code="INVALID_SERVER_IDS",
            details={"invalidServerIds": unknown, "region": region},
        )
    store(region, account, found, whole_region=False)
    return account


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
        more = f" and {len(conflicts) - 1} more" if len(conflicts) > 1 else ""
        raise Conflict(
            "SERVER_ASSIGNMENT_CONFLICT",
            f"{first['serverId']}{more} already in a protection group (“{first['protectionGroupName']}”)."
            " A server can be in one group only.",
            details={"conflicts": conflicts},
        )


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
            _assign(group, source_server_ids)
            record(
                actor,
                "group.create",
                subject_kind="group",
                subject_id=group.pk,
                subject_name=name,
                detail={"region": region, "sourceServerIds": list(source_server_ids)},
            )
    except IntegrityError:  # somebody was faster: say who
        _refuse_taken_name(name)
        _refuse_assigned(source_server_ids)
        raise
    return group


def _assign(group: ProtectionGroup, ids: Sequence[str]) -> None:
    ServerAssignment.objects.bulk_create(
        ServerAssignment(group=group, source_server_id=each, position=position) for position, each in enumerate(ids)
    )
