"""The readiness of a plan over HTTP: weighed for each request, from our own rows, and the snapshots of a time."""

from datetime import datetime
from typing import TypedDict

from rest_framework.request import Request
from rest_framework.response import Response

from contract.clock import db_clock, moment, unix
from contract.rest.schema import DRS, describes
from contract.rest.serializers import UNIX_SECONDS, StrictSerializer, Text, read_query
from contract.rest.views import ApiView, read_id
from executions.api.points_in_time import read_seconds
from executions.commands import points_in_time
from executions.readiness.assessment import assess
from executions.readiness.at_time import at_time
from executions.readiness.facts import believed_for, facts_of
from executions.readiness.terms import Drill, LaunchChange, PlanFacts, Readiness, Reason
from plans.scopes.plans import no_plan


class ReasonShape(TypedDict):
    code: str
    severity: str
    message: str
    serverIds: list[str]


class RegionAgeShape(TypedDict):
    """When an account's region was last read; without the account while nobody knows whose our credentials are."""

    region: str
    accountId: str | None
    asOf: int | None


class DrillShape(TypedDict):
    executionId: str
    endTime: int
    daysAgo: int


class LaunchChangeShape(TypedDict):
    """A launch setting that is not what the last completed drill launched the server with."""

    sourceServerID: str
    hostname: str
    field: str
    label: str
    was: str
    now: str


class ReadinessShape(TypedDict):
    """Whether a run of the plan would work now, from the newest data or from the snapshots of the time `at`, why not,
    and until when that is believed."""

    planId: str
    planName: str
    at: int | None
    verdict: str
    reasons: list[ReasonShape]
    checkedAt: int
    expiresAt: int | None
    inventory: list[RegionAgeShape]
    lastDrill: DrillShape | None
    changesSinceDrill: list[str]
    launchChangesSinceDrill: list[LaunchChangeShape]


class ReadinessQuery(StrictSerializer):
    at = Text(required=False, described={**UNIX_SECONDS, "description": "Without it, from the newest data."})


class PlanReadinessView(ApiView):
    """Will it work? Nothing here keeps anybody from starting. DRS is asked only for the snapshots of a time."""

    @describes(
        "getRecoveryPlanReadiness",
        "Whether a run of this plan would work now, and why not",
        answers={200: ReadinessShape},
        query=ReadinessQuery,
        refusals=["NOT_FOUND", *DRS],
    )
    def get(self, request: Request, plan_id: str) -> Response:
        key, asked = read_id(plan_id, "recovery plan", "planId"), read_query(request, ReadinessQuery)
        at = moment(read_seconds(asked.get("at")))
        for facts in facts_of([key]):
            if at is not None:
                facts = at_time(facts, points_in_time.look(key, at))
            now = db_clock()
            return Response(_show(facts, assess(facts, now, believed_for()), now, at))
        raise no_plan(key)


def _show(facts: PlanFacts, found: Readiness, now: datetime, at: datetime | None) -> ReadinessShape:
    return ReadinessShape(
        planId=str(facts.plan_id),
        planName=facts.name,
        at=unix(at),
        verdict=found.verdict,
        reasons=[_reason(each) for each in found.reasons],
        checkedAt=unix(found.checked_at),
        expiresAt=unix(found.expires_at),
        inventory=[
            RegionAgeShape(region=each.region, accountId=each.account_id or None, asOf=unix(each.as_of))
            for each in facts.regions.values()
        ],
        lastDrill=_drill(found.last_drill, now) if found.last_drill else None,
        changesSinceDrill=list(found.changes),
        launchChangesSinceDrill=[_launch_change(each) for each in found.launch_changes],
    )


def _launch_change(found: LaunchChange) -> LaunchChangeShape:
    return LaunchChangeShape(
        sourceServerID=found.server_id,
        hostname=found.name,
        field=found.change.field,
        label=found.change.label,
        was=found.change.was,
        now=found.change.now,
    )


def _reason(reason: Reason) -> ReasonShape:
    return ReasonShape(
        code=reason.code,
        severity=reason.weight.severity,
        message=reason.text,
        serverIds=list(reason.server_ids),
    )


def _drill(drill: Drill, now: datetime) -> DrillShape:
    return DrillShape(
        executionId=str(drill.execution_id), endTime=unix(drill.ended_at), daysAgo=max(0, (now - drill.ended_at).days)
    )
