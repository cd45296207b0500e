"""Protection groups and the discovery of source servers over HTTP."""

import uuid
from collections.abc import Sequence

from django.http import StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.registry import way_of
from audit.request_actor import actor_for
from contract.errors import Invalid
from contract.labels.rules import wanted
from contract.naming import lookalikes
from contract.rest import paging
from contract.rest.answers.selection import SELECTION, read_fields, selected
from contract.rest.answers.streamed import streamed
from contract.rest.etag import etag, expected_versions
from contract.rest.schema import DRS, IF_MATCH, describes
from contract.rest.serializers import (
    DESCRIPTION,
    LABEL,
    LIMIT_OF_ALL,
    NAME,
    SERVER_IDS,
    TOKEN,
    AccountId,
    Labels,
    StrictSerializer,
    Text,
    Texts,
    Whole,
    read_body,
    read_query,
)
from contract.rest.views import ApiView, read_id
from contract.rights import AnyOf, Reach, Shows
from drs.errors import DrsError
from protection import services
from protection.inventory.drs_refusals import drs_trouble
from protection.inventory.entered_accounts import check_account
from protection.inventory.source_servers import check_region, read_region
from protection.models import ProtectionGroup
from protection.representation import (
    AT_ONCE,
    DiscoveryShape,
    GroupAnswer,
    GroupDeleted,
    GroupRow,
    GroupsAnswer,
    GroupShape,
    Warning,  # noqa: A004  (the contract's word)
    group_batches,
    group_rows,
    show_discovery,
    show_group,
    show_groups,
)
from protection.scopes.groups import at_group

REGION = {"pattern": "^[a-z]{2}(-[a-z]+)+-[0-9]+$"}
REGION_REQUIRED = "A region is required, such as ?region=us-east-1."


class GroupIn(StrictSerializer):
    """A group as it is created, and in part as it is changed. Without `accountId` it is of the account of this
    installation's own credentials; it stays in its account and region."""

    answered = frozenset(
        {
            "groupId",
            "owner",
            "serverCount",
            "serverDetails",
            "serverDetailsAsOf",
            "createdDate",
            "lastModifiedDate",
            "warnings",
        }
    )

    groupName = Text(described=NAME)
    description = Text(required=False, described=DESCRIPTION)
    region = Text(described=REGION)
    accountId = AccountId()
    labels = Labels(required=False)
    sourceServerIds = Texts(described=SERVER_IDS)
    version = Whole(required=False)


class GroupChange(GroupIn):
    """What is left out stays as it is."""

    groupName = Text(required=False, described=NAME)
    region = Text(required=False, described=REGION)
    sourceServerIds = Texts(required=False, described=SERVER_IDS)


class GroupQuery(StrictSerializer):
    region = Text(required=False, described=REGION)
    accountId = AccountId()
    name = Text(required=False)
    label = Texts(required=False, described=LABEL)  # type: ignore[assignment]  # a field of this name, not DRF's
    fields = Text(required=False, described=SELECTION)  # type: ignore[assignment]  # a field of this name, not DRF's
    limit = Text(required=False, described=LIMIT_OF_ALL)
    nextToken = Text(required=False, described=TOKEN)


class GroupList(ApiView):
    """All groups, and new ones."""

    shows = Shows.WHAT_ONE_SEES
    rights = {"POST": AnyOf("create protection groups", ("protection.add_protectiongroup",))}

    @describes(
        "listProtectionGroups", "List protection groups", answers={200: GroupsAnswer}, query=GroupQuery,
        refusals=["INVALID_REGION"],
    )  # fmt: skip
    def get(self, request: Request) -> Response | StreamingHttpResponse:
        asked = read_query(request, GroupQuery)
        groups = ProtectionGroup.objects.seen_by(actor_for(request).sees)
        if asked.get("region"):
            check_region(asked["region"])
            groups = groups.filter(region=asked["region"])
        if asked.get("accountId"):
            groups = groups.filter(account_id=asked["accountId"])
        if asked.get("name"):
            groups = groups.named(asked["name"])
        groups = groups.labeled(wanted(asked.get("label", ())))
        fields = read_fields(asked.get("fields"), GroupShape)
        limit = paging.read_limit(asked["limit"]) if "limit" in asked else None
        groups, token = paging.named_page(groups, limit=limit, token=asked.get("nextToken"))
        listed = group_rows(groups)
        if len(listed) > AT_ONCE:
            return _streamed(listed, fields)
        shown, warnings = show_groups(listed, fields)
        body = {"groups": shown, "count": len(shown)} | ({"nextToken": token} if limit else {})
        return Response(body | ({"warnings": warnings} if warnings else {}))

    @describes(
        "createProtectionGroup",
        "Create a protection group of servers that exist in DRS",
        answers={201: GroupAnswer},
        body=GroupIn,
        refusals=(
            "INVALID_REGION",
            "INVALID_SERVER_IDS",
            "FORBIDDEN",
            "PG_NAME_EXISTS",
            "SERVER_ASSIGNMENT_CONFLICT",
            *DRS,
        ),
    )
    def post(self, request: Request) -> Response:
        given = read_body(request, GroupIn)
        group = services.create_group(
            actor=actor_for(request),
            name=given["groupName"],
            region=given["region"],
            account_id=given.get("accountId", ""),
            source_server_ids=given["sourceServerIds"],
            description=given.get("description", ""),
            labels=given.get("labels", ()),
        )
        answer = _answer(group.pk, actor_for(request).sees, status=201)
        answer["Location"] = f"{request.path.rstrip('/')}/{group.pk}"
        return answer


def _streamed(listed: Sequence[GroupRow], fields: frozenset[str]) -> StreamingHttpResponse:
    warned: list[Warning] = []
    batches = (selected(batch, fields) for batch in group_batches(listed, warned))
    return streamed("groups", batches, lambda: {"count": len(listed)} | ({"warnings": warned} if warned else {}))


class GroupDetail(ApiView):
    """One group."""

    rights = {
        "PUT": AnyOf("change protection groups", ("protection.change_protectiongroup",)),
        "DELETE": AnyOf("delete protection groups", ("protection.delete_protectiongroup",)),
    }

    @describes("getProtectionGroup", "Get a protection group", answers={200: GroupAnswer}, refusals=["NOT_FOUND"])
    def get(self, request: Request, group_id: str) -> Response:
        return _answer(_id(group_id), actor_for(request).sees)

    @describes(
        "updateProtectionGroup",
        "Change a protection group; fields left out keep their values",
        answers={200: GroupAnswer},
        body=GroupChange,
        headers=[IF_MATCH],
        refusals=(
            "REGION_IMMUTABLE",
            "ACCOUNT_IMMUTABLE",
            "INVALID_SERVER_IDS",
            "FORBIDDEN",
            "NOT_FOUND",
            "PG_NAME_EXISTS",
            "SERVER_ASSIGNMENT_CONFLICT",
            "PG_IN_ACTIVE_EXECUTION",
            "SERVER_IN_USE_BY_PLAN",
            "VERSION_CONFLICT",
            *DRS,
        ),
    )
    def put(self, request: Request, group_id: str) -> Response:
        given = read_body(request, GroupChange)
        group = services.update_group(
            actor=actor_for(request),
            group_id=_id(group_id),
            name=given.get("groupName"),
            description=given.get("description"),
            source_server_ids=given.get("sourceServerIds"),
            labels=given.get("labels"),
            region=given.get("region"),
            account_id=given.get("accountId"),
            expected=expected_versions(request, given.get("version")),
        )
        return _answer(group.pk, actor_for(request).sees)

    @describes(
        "deleteProtectionGroup",
        "Delete a protection group that no plan uses",
        answers={200: GroupDeleted},
        headers=[IF_MATCH],
        refusals=("FORBIDDEN", "NOT_FOUND", "PG_IN_USE", "PG_IN_ACTIVE_EXECUTION", "VERSION_CONFLICT"),
    )
    def delete(self, request: Request, group_id: str) -> Response:
        group = services.delete_group(
            actor=actor_for(request), group_id=_id(group_id), expected=expected_versions(request)
        )
        return Response(
            GroupDeleted(groupId=str(group.pk), message=f"The protection group “{group.name}” was deleted.")
        )


def _id(text: str) -> uuid.UUID:
    return read_id(text, "protection group", "groupId")


def _answer(group_id: uuid.UUID, sees: Reach, *, status: int = 200) -> Response:
    shown, warnings = show_group(group_id)
    others = ProtectionGroup.objects.seen_by(sees).exclude(pk=group_id).values_list("name", flat=True)
    warnings += [{**each, "region": shown["region"]} for each in lookalikes.warnings(shown["groupName"], others)]
    body = {**shown, "warnings": warnings} if warnings else {**shown}
    return Response(body, status=status, headers={"ETag": etag(shown["version"])})


class DiscoveryQuery(StrictSerializer):
    region = Text(error_messages={"required": REGION_REQUIRED}, described={**REGION, "examples": ["us-east-1"]})
    accountId = AccountId()
    currentProtectionGroupId = Text(required=False)


class SourceServers(ApiView):
    """Source servers of a region, of our own or another account, read live; what was read stays in the inventory."""

    shows = Shows.WHAT_ONE_SEES

    @describes(
        "discoverSourceServers",
        "Read the source servers of a region from DRS",
        answers={200: DiscoveryShape},
        query=DiscoveryQuery,
        refusals=("INVALID_REGION", "NOT_FOUND", *DRS),
    )
    def get(self, request: Request) -> Response:
        asked = read_query(request, DiscoveryQuery)
        region = asked["region"]
        if not region:
            raise Invalid({"region": [REGION_REQUIRED]})
        check_region(region)
        current = asked.get("currentProtectionGroupId")
        actor = actor_for(request)
        if current:
            at_group(actor, _id(current))
        group = services.get(_id(current)) if current else None
        account = asked.get("accountId") or (group.account_id if group else "")
        if group is not None and account != group.account_id:
            raise Invalid({"accountId": [f"“{group.name}” is in account {group.account_id}."]})
        way = way_of(account) if group else check_account(account)
        try:
            inventory = read_region(region, way)
        except DrsError as error:
            raise drs_trouble(error) from error
        return Response(show_discovery(inventory, group, actor))
