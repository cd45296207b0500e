"""The recovery plans that DRS has, over HTTP, and making a plan of ours of one."""

from collections.abc import Mapping
from typing import Any, TypedDict

from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.errors import DomainError
from contract.rest.schema import DRS, describes
from contract.rest.serializers import NAME, AccountId, Flag, StrictSerializer, Text, read_body, read_query
from contract.rest.views import ApiView
from contract.rights import AnyOf, Shows
from native_plans import importing
from native_plans.api import NotExpressedShape
from native_plans.importing import IS_COPY, Import, NewWave
from native_plans.listing import listed
from plans import services as plans


class ListedShape(TypedDict):
    """A recovery plan that DRS has; `planId` is that of our plan whose copy it is, else null."""

    arn: str
    name: str
    status: str
    planId: str | None
    executionStatus: str | None
    executionMode: str | None


class ListedAnswer(TypedDict):
    plans: list[ListedShape]


class PlaceQuery(StrictSerializer):
    region = Text()
    accountId = AccountId()


class NativeList(ApiView):
    """The recovery plans that DRS has in a region, whoever made them."""

    @describes(
        "listNativePlans",
        "List the recovery plans that DRS has in a region, ours and others, with their active executions",
        answers={200: ListedAnswer},
        query=PlaceQuery,
        refusals=["INVALID_REGION", *DRS],
    )
    def get(self, request: Request) -> Response:
        asked = read_query(request, PlaceQuery)
        found = listed(actor_for(request), asked["region"], asked.get("accountId", ""))
        return Response(
            ListedAnswer(
                plans=[
                    ListedShape(
                        arn=each.in_drs.arn,
                        name=each.in_drs.name,
                        status=each.in_drs.status,
                        planId=each.plan_id or None,
                        executionStatus=each.running.status if each.running else None,
                        executionMode=each.running.mode if each.running else None,
                    )
                    for each in found
                ]
            )
        )


class ImportIn(StrictSerializer):
    """`name`: what the plan is to be called here, where its name in DRS is taken. With `dryRun` nothing is made."""

    arn = Text(max_length=2048)
    name = Text(required=False, described=NAME)
    dryRun = Flag(required=False)


class ImportedServerShape(TypedDict):
    sourceServerId: str
    hostname: str
    optional: bool


class ImportedWaveShape(TypedDict):
    """`protectionGroups` are the groups of its servers by name: those that are there, and the one that is made."""

    waveName: str
    waitMinutesBefore: int
    protectionGroups: list[str]
    servers: list[ImportedServerShape]


class ImportedGroupShape(TypedDict):
    groupName: str
    sourceServerIds: list[str]


class ImportRefusalShape(TypedDict):
    """Why nothing could be made of it; `fields` names what in the request it is about."""

    code: str
    message: str
    fields: dict[str, list[str]]


class ImportAnswer(TypedDict):
    """What was made, or, of a dry run, what would be; `planId` is null then. `groups` are new ones."""

    arn: str
    accountId: str
    region: str
    planId: str | None
    planName: str
    groups: list[ImportedGroupShape]
    waves: list[ImportedWaveShape]
    notExpressed: list[NotExpressedShape]
    refusals: list[ImportRefusalShape]


class NativeImport(ApiView):
    """A recovery plan of DRS as groups and a plan here."""

    shows = Shows.WHAT_ONE_SEES
    rights = {"POST": AnyOf(plans.TO_ADD, (plans.ADD,))}

    @describes(
        "importNativePlan",
        "Make groups and a plan of a recovery plan that DRS has, or, with dryRun, show what would be made",
        answers={200: ImportAnswer, 201: ImportAnswer},
        body=ImportIn,
        refusals=[
            "FORBIDDEN",
            "INVALID_REGION",
            "RP_NAME_EXISTS",
            "PG_NAME_EXISTS",
            "SERVER_ASSIGNMENT_CONFLICT",
            IS_COPY,
            *DRS,
        ],
    )
    def post(self, request: Request) -> Response:
        given, actor = read_body(request, ImportIn), actor_for(request)
        if given.get("dryRun", False):
            found = importing.preview(actor, given["arn"], given.get("name", ""))
            return Response(_show(found, None))
        made, plan = importing.import_plan(actor=actor, arn=given["arn"], name=given.get("name", ""))
        return Response(_show(made, str(plan.pk)), status=201)


def _show(found: Import, plan_id: str | None) -> ImportAnswer:
    return ImportAnswer(
        arn=found.in_drs.arn,
        accountId=found.place[0],
        region=found.place[1],
        planId=plan_id,
        planName=found.name,
        groups=[
            ImportedGroupShape(groupName=each.name, sourceServerIds=list(each.server_ids)) for each in found.groups
        ],
        waves=[_wave(each, found.hostnames) for each in found.waves],
        notExpressed=[NotExpressedShape(what=e.what, where=e.where, why=e.why) for e in found.not_expressed],
        refusals=[_refusal(each) for each in found.refusals],
    )


def _wave(wave: NewWave, hostnames: Mapping[str, str]) -> ImportedWaveShape:
    return ImportedWaveShape(
        waveName=wave.name,
        waitMinutesBefore=wave.wait_minutes,
        protectionGroups=wave.group_names,
        servers=[
            ImportedServerShape(sourceServerId=each.id, hostname=hostnames[each.id], optional=each.optional)
            for each in wave.servers
        ],
    )


def _refusal(error: DomainError) -> ImportRefusalShape:
    fields: Any = error.details.get("fields", {})
    return ImportRefusalShape(code=error.code, message=error.message, fields=dict(fields))
