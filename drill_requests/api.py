"""Asking for a drill over HTTP. Nothing here starts one: that is done on a page, by a person."""

from datetime import datetime
from typing import TypedDict

from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.clock import db_clock, unix
from contract.rest.schema import describes
from contract.rest.serializers import PLAN_ID, AccountId, Flag, StrictSerializer, Text, read_body, read_query
from contract.rest.views import ApiView, read_id
from contract.rights import Shows
from drill_requests import services
from drill_requests.models import DrillRequest
from plans.models import RecoveryPlan

NEWEST = 100


class DrillRequestShape(TypedDict):
    """A drill that was asked for. `status` is OPEN, STARTED, DECLINED or EXPIRED; `page` is where a person decides."""

    drillRequestId: str
    planId: str
    planName: str
    dryRun: bool
    reason: str
    status: str
    askedBy: str
    askedTime: int
    expiresTime: int
    decidedBy: str
    decidedTime: int | None
    executionId: str | None
    page: str


class DrillRequestsAnswer(TypedDict):
    """The newest ones."""

    items: list[DrillRequestShape]
    count: int


def show(row: DrillRequest, now: datetime) -> DrillRequestShape:
    return DrillRequestShape(
        drillRequestId=str(row.pk),
        planId=str(row.plan_id),
        planName=row.plan.name,
        dryRun=row.dry_run,
        reason=row.reason,
        status=row.state(now).value,
        askedBy=row.asked_by,
        askedTime=unix(row.asked_at),
        expiresTime=unix(row.expires_at),
        decidedBy=row.decided_by,
        decidedTime=unix(row.decided_at),
        executionId=str(row.execution_id) if row.execution_id else None,
        page=reverse("drill-request", args=[row.pk]),
    )


class DrillRequestIn(StrictSerializer):
    """Which plan, and why, for whoever decides."""

    planId = Text(described=PLAN_ID)
    reason = Text(described={"minLength": 1, "maxLength": services.REASON_MAX})
    dryRun = Flag(required=False)


class DrillRequestQuery(StrictSerializer):
    planId = Text(required=False, described=PLAN_ID)
    accountId = AccountId()


class DrillRequestList(ApiView):
    """The newest requests, and a new one."""

    shows = Shows.WHAT_ONE_SEES

    @describes(
        "listDrillRequests", "List drills that were asked for, newest first", answers={200: DrillRequestsAnswer},
        query=DrillRequestQuery, refusals=["NOT_FOUND"],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        asked, now = read_query(request, DrillRequestQuery), db_clock()
        rows = services.seen_by(actor_for(request).sees)
        if "planId" in asked:
            rows = rows.filter(plan=read_id(asked["planId"], "recovery plan", "planId"))
        if asked.get("accountId"):
            rows = rows.filter(plan__in=RecoveryPlan.objects.order_by().in_account(asked["accountId"]).values("pk"))
        items = [show(each, now) for each in rows[:NEWEST]]
        return Response(DrillRequestsAnswer(items=items, count=len(items)))

    @describes(
        "askForDrill", "Ask that a person starts a drill in the console, within an hour; nothing starts by this",
        answers={201: DrillRequestShape}, body=DrillRequestIn, refusals=["NOT_FOUND"],
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        given = read_body(request, DrillRequestIn)
        row = services.ask(
            actor=actor_for(request),
            plan_id=read_id(given["planId"], "recovery plan", "planId"),
            reason=given["reason"],
            dry_run=given.get("dryRun", False),
        )
        headers = {"Location": f"{request.path.rstrip('/')}/{row.pk}"}
        return Response(show(row, db_clock()), status=201, headers=headers)


class DrillRequestDetail(ApiView):
    """One request."""

    shows = Shows.WHAT_ONE_SEES

    @describes(
        "getDrillRequest", "Get a drill that was asked for", answers={200: DrillRequestShape}, refusals=["NOT_FOUND"]
    )
    def get(self, request: Request, drill_request_id: str) -> Response:
        key = read_id(drill_request_id, "drill request", "drillRequestId")
        return Response(show(services.get(key, actor_for(request).sees), db_clock()))
