"""Findings and sign-offs over HTTP."""

import uuid
from datetime import date
from typing import Any, TypedDict

from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.clock import db_clock
from contract.errors import Invalid
from contract.rest import paging
from contract.rest.etag import etag, expected_versions
from contract.rest.schema import IF_MATCH, describes
from contract.rest.serializers import (
    LIMIT,
    PLAN_ID,
    TOKEN,
    AccountId,
    OneOf,
    StrictSerializer,
    Text,
    Whole,
    read_body,
    read_query,
)
from contract.rest.views import ApiView, read_id
from contract.rights import AnyOf, Shows
from executions.codes.ours import Code
from executions.models import Execution
from executions.runs.allowed.actions import CONTROL
from executions.runs.allowed.scopes import no_execution
from findings import services
from findings.models import Finding
from findings.representation import FiledFindingShape, SignOffShape, show, show_sign_off
from findings.states import Severity, State

FILE, CHANGE, CLOSE, SIGN = (
    AnyOf(to, (CONTROL,)) for to in (services.FILE, services.CHANGE, services.CLOSE, services.SIGN)
)
TEXT = {"minLength": 1, "maxLength": services.TEXT_MAX}
DAY = {"format": "date"}


class FindingsAnswer(TypedDict):
    """One page of findings, newest first."""

    items: list[FiledFindingShape]
    nextToken: str | None


class SignOffsAnswer(TypedDict):
    items: list[SignOffShape]
    count: int


class FindingIn(StrictSerializer):
    """What a finished run has shown (`executionId`), or what is known of a plan (`planId`): one of the two."""

    answered = frozenset(FiledFindingShape.__annotations__) - {"text", "owner", "dueDate", "severity"}

    executionId = Text(required=False, described=PLAN_ID)
    planId = Text(required=False, described=PLAN_ID)
    text = Text(described=TEXT)
    owner = Text(described={"minLength": 1, "maxLength": services.OWNER_MAX})
    dueDate = Text(required=False, allow_null=True, described=DAY)
    severity = OneOf(choices=[each.value for each in Severity])


class FindingChange(StrictSerializer):
    """What is left out stays as it is; `dueDate` null takes the day away."""

    answered = FindingIn.answered - {"version"}

    text = Text(required=False, described=TEXT)
    owner = Text(required=False, described={"minLength": 1, "maxLength": services.OWNER_MAX})
    dueDate = Text(required=False, allow_null=True, described=DAY)
    severity = OneOf(required=False, choices=[each.value for each in Severity])
    version = Whole(required=False)


class ClosingIn(StrictSerializer):
    """By which later run, or for which reason: one of the two."""

    executionId = Text(required=False, described=PLAN_ID)
    reason = Text(required=False, described=TEXT)


class SignOffIn(StrictSerializer):
    lookedAt = Text(described=TEXT)


class FindingQuery(StrictSerializer):
    planId = Text(required=False, described=PLAN_ID)
    accountId = AccountId()
    executionId = Text(required=False, described=PLAN_ID)
    status = OneOf(required=False, choices=[each.value for each in State])
    limit = Text(required=False, described=LIMIT)
    nextToken = Text(required=False, described=TOKEN)


class FindingList(ApiView):
    """All findings, and new ones."""

    rights = {"POST": FILE}
    shows = Shows.WHAT_ONE_SEES

    @describes(
        "listFindings", "List findings, newest first; what is overdue is open, too", answers={200: FindingsAnswer},
        query=FindingQuery, refusals=["NOT_FOUND"],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        asked, today = read_query(request, FindingQuery), db_clock().date()
        rows = Finding.objects.seen_by(actor_for(request).sees)
        if "planId" in asked:
            rows = rows.filter(plan=read_id(asked["planId"], "recovery plan", "planId"))
        if asked.get("accountId"):
            rows = rows.in_account(asked["accountId"])
        if "executionId" in asked:
            rows = rows.filter(execution=read_id(asked["executionId"], "execution", "executionId"))
        if "status" in asked:
            rows = rows.so(State.of(asked["status"]), today)
        found, token = paging.page(
            rows, time="filed_at", limit=paging.read_limit(asked.get("limit")), token=asked.get("nextToken")
        )
        return Response(FindingsAnswer(items=[show(each, today) for each in found], nextToken=token))

    @describes(
        "fileFinding", "File a finding of a finished run or of a plan", answers={201: FiledFindingShape},
        body=FindingIn, refusals=["FORBIDDEN", "NOT_FOUND", Code.EXECUTION_STILL_RUNNING],
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        given = read_body(request, FindingIn)
        made = services.file(
            actor=actor_for(request),
            wanted=services.Wanted(given["text"], given["owner"], given["severity"], _day(given.get("dueDate"))),
            execution_id=_named(given, "executionId", "execution"),
            plan_id=_named(given, "planId", "recovery plan"),
        )
        headers = {"Location": f"{request.path.rstrip('/')}/{made.pk}", "ETag": etag(made.version)}
        return Response(show(made, made.filed_at.date()), status=201, headers=headers)


class FindingDetail(ApiView):
    """One finding."""

    rights = {"PUT": CHANGE}
    shows = Shows.WHAT_ONE_SEES

    @describes("getFinding", "Get a finding", answers={200: FiledFindingShape}, refusals=["NOT_FOUND"])
    def get(self, request: Request, finding_id: str) -> Response:
        return _answer(services.get(_id(finding_id), actor_for(request).sees))

    @describes(
        "updateFinding", "Change an open finding; fields left out keep their values", answers={200: FiledFindingShape},
        body=FindingChange, headers=[IF_MATCH], refusals=["FORBIDDEN", "NOT_FOUND", "VERSION_CONFLICT"],
    )  # fmt: skip
    def put(self, request: Request, finding_id: str) -> Response:
        given = read_body(request, FindingChange)
        known = services.get(_id(finding_id), actor_for(request).sees)
        asked = expected_versions(request, given.get("version"))
        wanted = services.Wanted(
            given.get("text", known.text),
            given.get("owner", known.owner),
            given.get("severity", known.severity),
            _day(given["dueDate"]) if "dueDate" in given else known.due,
        )
        changed = services.change(
            actor=actor_for(request),
            finding_id=known.pk,
            wanted=wanted,
            expected={known.version} if asked is None else asked,
        )
        return _answer(changed)


class FindingClosing(ApiView):
    """That it is put right."""

    rights = {"POST": CLOSE}
    shows = Shows.WHAT_ONE_SEES

    @describes(
        "closeFinding", "Close a finding, by a later run that completed or for a reason",
        answers={200: FiledFindingShape}, body=ClosingIn, refusals=["FORBIDDEN", "NOT_FOUND"],
    )  # fmt: skip
    def post(self, request: Request, finding_id: str) -> Response:
        given = read_body(request, ClosingIn)
        closed = services.close(
            actor=actor_for(request),
            finding_id=_id(finding_id),
            reason=given.get("reason", ""),
            execution_id=_named(given, "executionId", "execution"),
        )
        return _answer(closed)


class SignOffList(ApiView):
    """Who vouches for a run."""

    rights = {"POST": SIGN}

    @describes(
        "listSignOffs", "List who signed off a run, in order", answers={200: SignOffsAnswer}, refusals=["NOT_FOUND"]
    )
    def get(self, request: Request, execution_id: str) -> Response:
        found = Execution.objects.filter(pk=read_id(execution_id, "execution", "executionId")).first()
        if found is None:
            raise no_execution(execution_id[:64])
        items = [show_sign_off(each) for each in found.sign_offs.all()]
        return Response(SignOffsAnswer(items=items, count=len(items)))

    @describes(
        "signOffRun", "Sign off a finished run: once a person, never a program", answers={201: SignOffShape},
        body=SignOffIn, refusals=["FORBIDDEN", "NOT_FOUND", Code.EXECUTION_STILL_RUNNING],
    )  # fmt: skip
    def post(self, request: Request, execution_id: str) -> Response:
        given = read_body(request, SignOffIn)
        run = read_id(execution_id, "execution", "executionId")
        made = services.sign_off(actor=actor_for(request), execution_id=run, looked_at=given["lookedAt"])
        return Response(show_sign_off(made), status=201)


def _answer(finding: Finding) -> Response:
    return Response(show(finding, db_clock().date()), headers={"ETag": etag(finding.version)})


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid({"dueDate": ["A day such as 2026-12-31 is expected."]}) from None


def _named(given: dict[str, Any], field: str, what: str) -> uuid.UUID | None:
    return read_id(given[field], what, field) if field in given else None


def _id(text: str) -> uuid.UUID:
    return read_id(text, "finding", "findingId")
