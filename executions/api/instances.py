"""Recovery instances that run, over all runs and outsiders, over HTTP: listed, and some of them terminated."""

import re
from typing import TypedDict

from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.clock import unix
from contract.errors import Invalid
from contract.rest.schema import DRS, describes
from contract.rest.serializers import AccountId, OneOf, StrictSerializer, Text, Texts, read_body, read_query
from contract.rest.views import ApiView
from contract.rights import AnyOf, Shows, not_allowed
from executions.api.representation import TerminationFailure
from executions.commands import control
from executions.commands.end_instances import end_instances
from executions.commands.standing import Standing, known_regions, seen_standing
from executions.runs.allowed.actions import NOT_BEFORE_THE_END
from executions.states import UNKNOWN_KIND, Kind

_INSTANCE_ID = re.compile(r"i-[0-9a-f]{8,17}")
INSTANCE_IDS = {"minItems": 1, "maxItems": 200, "uniqueItems": True}


class StandingShape(TypedDict):
    """A recovery instance that is there. `executionId` is null of one that was launched outside; `monthlyCost` is by
    your price table, of the type that DRS recommends, null where there is none. `termination` says how far one is that
    is under way."""

    recoveryInstanceId: str | None
    sourceServerId: str
    hostname: str
    accountId: str
    region: str
    executionType: str
    state: str
    launchTime: int | None
    executionId: str | None
    runNumber: int | None
    planName: str | None
    launchedBy: str | None
    instanceType: str | None
    monthlyCost: float | None
    leaseEndsTime: int | None
    lastTerminationError: str | None
    termination: str | None
    terminate: "EndShape"


class EndShape(TypedDict):
    allowed: bool
    reason: str


class RegionShape(TypedDict):
    accountId: str
    region: str
    asOfTime: int | None
    error: str | None


class StandingAnswer(TypedDict):
    """All of them, the oldest first, and when DRS last listed those of each region."""

    items: list[StandingShape]
    regions: list[RegionShape]


class EndedAnswer(TypedDict):
    """What an engine asks DRS for within seconds, what DRS accepted for termination, what had ended before, what it
    does not know, and what failed. The list of instances says how it goes on."""

    requested: list[str]
    accepted: list[str]
    alreadyGone: list[str]
    unknown: list[TerminationFailure]
    failed: list[TerminationFailure]
    message: str


class StandingQuery(StrictSerializer):
    executionType = OneOf(choices=[*(each.value for each in Kind), UNKNOWN_KIND], required=False)
    accountId = AccountId()


class EndIn(StrictSerializer):
    """Which instances to terminate, and a word for the journal."""

    recoveryInstanceIds = Texts(described=INSTANCE_IDS)
    comment = Text(required=False, max_length=control.COMMENT_MAX)


class Instances(ApiView):
    """What runs, whoever launched it."""

    shows = Shows.WHAT_ONE_SEES

    @describes(
        "listRecoveryInstances",
        "List the recovery instances that run, of all runs and of others",
        answers={200: StandingAnswer},
        query=StandingQuery,
    )
    def get(self, request: Request) -> Response:
        asked = read_query(request, StandingQuery)
        kind, account = asked.get("executionType"), asked.get("accountId")
        found = [
            (each, here)
            for each, here in seen_standing(actor_for(request))
            if kind in (None, each.kind) and account in (None, "", each.account_id)
        ]
        items = [_show(each, may=here.may(each.right)) for each, here in found]
        regions = [
            RegionShape(
                accountId=each.account_id, region=each.region, asOfTime=unix(each.as_of), error=each.error or None
            )
            for each in known_regions()
            if account in (None, "", each.account_id)
        ]
        return Response(StandingAnswer(items=items, regions=regions))


class EndInstances(ApiView):
    """Terminate some of them."""

    shows = Shows.WHAT_ONE_SEES

    rights = {"POST": AnyOf("terminate instances", ("executions.terminate_drill", "executions.terminate_recovery"))}

    @describes(
        "terminateSomeRecoveryInstances",
        "Terminate these recovery instances, of whichever runs or launched outside",
        answers={200: EndedAnswer},
        body=EndIn,
        refusals=("FORBIDDEN", *DRS),
    )
    def post(self, request: Request) -> Response:
        given = read_body(request, EndIn)
        if strange := [each for each in given["recoveryInstanceIds"] if not _INSTANCE_ID.fullmatch(each)]:
            text = f"{strange[0][:64]!r} is no id of an instance, such as i-0123456789abcdef0."
            raise Invalid({"recoveryInstanceIds": [text]})
        done = end_instances(
            actor=actor_for(request), instance_ids=given["recoveryInstanceIds"], comment=given.get("comment", "")
        )
        said = (
            (len(done.requested), "requested: an engine asks DRS within seconds"),
            (len(done.accepted), "accepted by DRS for termination"),
            (len(done.already_gone), "already gone"),
            (len(done.unknown), "unknown to DRS"),
            (len(done.failed), "failed"),
        )
        return Response(
            EndedAnswer(
                requested=done.requested,
                accepted=done.accepted,
                alreadyGone=done.already_gone,
                unknown=[_failure(each) for each in done.unknown],
                failed=[_failure(each) for each in done.failed],
                message=", ".join(f"{count} {what}" for count, what in said if count),
            )
        )


def _failure(each: control.Failure) -> TerminationFailure:
    return TerminationFailure(recoveryInstanceId=each.recovery_instance_id, code=each.code, message=each.message)


def _show(each: Standing, *, may: bool) -> StandingShape:
    return StandingShape(
        recoveryInstanceId=each.recovery_instance_id or None,
        sourceServerId=each.source_server_id,
        hostname=each.hostname,
        accountId=each.account_id,
        region=each.region,
        executionType=each.kind,
        state=each.state,
        launchTime=unix(each.since),
        executionId=str(each.execution_id) if each.execution_id else None,
        runNumber=each.run_number,
        planName=each.plan_name or None,
        launchedBy=each.launched_by or None,
        instanceType=each.instance_type or None,
        monthlyCost=each.monthly_cost,
        leaseEndsTime=unix(each.lease_ends_at) if each.lease_ends_at else None,
        lastTerminationError=each.failure or None,
        termination=each.ending or None,
        terminate=_may_end(each, may=may),
    )


def _may_end(each: Standing, *, may: bool) -> EndShape:
    if not may:
        return EndShape(allowed=False, reason=not_allowed(each.right, "terminate it").message)
    return EndShape(allowed=not each.run_under_way, reason=NOT_BEFORE_THE_END if each.run_under_way else "")
