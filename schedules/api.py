"""Schedules of drills over HTTP."""

import re
import uuid
from collections.abc import Callable
from datetime import date, time
from typing import Any, TypedDict, TypeVar

from drf_spectacular.drainage import set_override
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.clock import unix
from contract.errors import Invalid
from contract.rest.etag import etag, expected_versions
from contract.rest.schema import IF_MATCH, describes
from contract.rest.serializers import PLAN_ID, AccountId, Flag, StrictSerializer, Text, Whole, read_body, read_query
from contract.rest.views import ApiView, read_id
from contract.rights import AnyOf, Shows
from plans.models import RecoveryPlan
from schedules import services
from schedules.models import Occurrence, Schedule
from schedules.occurrences import faults
from schedules.services import Wanted

START = AnyOf("change schedules of drills", (services.MAY,))
UPCOMING = 5
Read = TypeVar("Read", date, time)


class LastShape(TypedDict):
    """What became of the last drill that was due: STARTED, REFUSED or MISSED."""

    time: int
    outcome: str
    message: str
    executionId: str | None


class ScheduleShape(TypedDict):
    """Drills of a plan by calendar. `upcoming` are the next of them; `problem` why the one that is due has not started
    yet."""

    scheduleId: str
    planId: str
    planName: str
    rule: str
    startsOn: str
    time: str
    timeZone: str
    blackouts: list[dict[str, str]]
    enabled: bool
    nextTime: int | None
    upcoming: list[int]
    problem: str
    last: LastShape | None
    createdBy: str
    createdDate: int
    lastModifiedDate: int
    version: int


class SchedulesAnswer(TypedDict):
    """All schedules, by plan."""

    items: list[ScheduleShape]
    count: int


class ScheduleDeleted(TypedDict):
    scheduleId: str
    message: str


def show(schedule: Schedule) -> ScheduleShape:
    last: Occurrence | None = next(iter(schedule.occurrences.all()[:1]), None)
    return ScheduleShape(
        scheduleId=str(schedule.pk),
        planId=str(schedule.plan_id),
        planName=schedule.plan.name,
        rule=schedule.rule,
        startsOn=schedule.starts_on.isoformat(),
        time=f"{schedule.time:%H:%M}",
        timeZone=schedule.time_zone,
        blackouts=schedule.blackouts,
        enabled=schedule.enabled,
        nextTime=unix(schedule.next_at),
        upcoming=[unix(each) for each in upcoming(schedule)],
        problem=schedule.problem,
        last=_last(last) if last else None,
        createdBy=schedule.created_by,
        createdDate=unix(schedule.created_at),
        lastModifiedDate=unix(schedule.updated_at),
        version=schedule.version,
    )


def upcoming(schedule: Schedule) -> list[Any]:
    """The next few, from the one that engines wait for."""
    if schedule.next_at is None:
        return []
    later = schedule.calendar.all_after(schedule.next_at)
    return [schedule.next_at, *(each for each, _ in zip(later, range(UPCOMING - 1), strict=False))]


def _last(each: Occurrence) -> LastShape:
    run = str(each.execution_id) if each.execution_id else None
    return LastShape(time=unix(each.at), outcome=each.outcome, message=each.text, executionId=run)


class Blackouts(serializers.Field[Any, Any, Any, Any]):
    """A list of objects; what they may be is for the service to judge."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        day = {"type": "string", "format": "date"}
        item = {"type": "object", "properties": {"from": day, "to": day}, "required": ["from", "to"]}
        set_override(self, "field", {"type": "array", "items": {**item, "additionalProperties": False}})

    def to_internal_value(self, data: object) -> list[dict[str, Any]]:
        if not isinstance(data, list) or not all(
            isinstance(each, dict) and set(each) == {"from", "to"} for each in data
        ):
            raise ValidationError(["A list of objects with from and to is expected."])
        return data


class ScheduleIn(StrictSerializer):
    """A schedule. `rule` is RFC 5545's, without its time, which stands in `time` of `timeZone`."""

    answered = frozenset(
        {"scheduleId", "planName", "nextTime", "upcoming", "problem", "last", "createdBy", "createdDate"}
        | {"lastModifiedDate"}
    )

    planId = Text(described=PLAN_ID)
    rule = Text(described={"minLength": 1, "maxLength": 255})
    startsOn = Text(described={"format": "date"})
    time = Text(described={"pattern": "^[0-2][0-9]:[0-5][0-9]$"})
    timeZone = Text(described={"minLength": 1, "maxLength": 64})
    blackouts = Blackouts(required=False)
    enabled = Flag(required=False)
    version = Whole(required=False)


class ScheduleChange(ScheduleIn):
    """What is left out stays as it is. The plan stays in any case."""

    planId = Text(required=False, described=PLAN_ID)
    rule = Text(required=False, described={"minLength": 1, "maxLength": 255})
    startsOn = Text(required=False, described={"format": "date"})
    time = Text(required=False, described={"pattern": "^[0-2][0-9]:[0-5][0-9]$"})
    timeZone = Text(required=False, described={"minLength": 1, "maxLength": 64})


class ScheduleQuery(StrictSerializer):
    planId = Text(required=False, described=PLAN_ID)
    accountId = AccountId()


class ScheduleList(ApiView):
    """All schedules, and new ones."""

    rights = {"POST": START}
    shows = Shows.WHAT_ONE_SEES

    @describes(
        "listSchedules", "List schedules of drills", answers={200: SchedulesAnswer}, query=ScheduleQuery,
        refusals=["NOT_FOUND"],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        asked = read_query(request, ScheduleQuery)
        rows = services.seen_by(actor_for(request).sees)
        if "planId" in asked:
            rows = rows.filter(plan=read_id(asked["planId"], "recovery plan", "planId"))
        if asked.get("accountId"):
            rows = rows.filter(plan__in=RecoveryPlan.objects.order_by().in_account(asked["accountId"]).values("pk"))
        items = [show(each) for each in rows]
        return Response(SchedulesAnswer(items=items, count=len(items)))

    @describes(
        "createSchedule", "Have drills of a plan started by calendar", answers={201: ScheduleShape}, body=ScheduleIn,
        refusals=["FORBIDDEN", "NOT_FOUND"],
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        given = read_body(request, ScheduleIn)
        plan_id = read_id(given["planId"], "recovery plan", "planId")
        saved = services.create(actor=actor_for(request), plan_id=plan_id, wanted=_wanted(given))
        headers = {"Location": f"{request.path.rstrip('/')}/{saved.pk}", "ETag": etag(saved.version)}
        return Response(show(saved), status=201, headers=headers)


class ScheduleDetail(ApiView):
    """One schedule."""

    rights = {"PUT": START, "DELETE": START}
    shows = Shows.WHAT_ONE_SEES

    @describes("getSchedule", "Get a schedule", answers={200: ScheduleShape}, refusals=["NOT_FOUND"])
    def get(self, request: Request, schedule_id: str) -> Response:
        found = services.get(_id(schedule_id), actor_for(request).sees)
        return Response(show(found), headers={"ETag": etag(found.version)})

    @describes(
        "updateSchedule", "Change a schedule; fields left out keep their values", answers={200: ScheduleShape},
        body=ScheduleChange, headers=[IF_MATCH], refusals=["FORBIDDEN", "NOT_FOUND", "VERSION_CONFLICT"],
    )  # fmt: skip
    def put(self, request: Request, schedule_id: str) -> Response:
        given = read_body(request, ScheduleChange)
        known = services.get(_id(schedule_id), actor_for(request).sees)
        if given.get("planId", str(known.plan_id)).lower() != str(known.plan_id):
            raise Invalid({"planId": ["A schedule stays with its plan. Make another one."]})
        asked = expected_versions(request, given.get("version"))
        saved = services.update(
            actor=actor_for(request),
            schedule_id=known.pk,
            wanted=_wanted({**services.state(known), **given}),
            expected={known.version} if asked is None else asked,
        )
        return Response(show(saved), headers={"ETag": etag(saved.version)})

    @describes(
        "deleteSchedule", "Delete a schedule; what it has started stays", answers={200: ScheduleDeleted},
        headers=[IF_MATCH], refusals=["FORBIDDEN", "NOT_FOUND", "VERSION_CONFLICT"],
    )  # fmt: skip
    def delete(self, request: Request, schedule_id: str) -> Response:
        gone = services.delete(
            actor=actor_for(request), schedule_id=_id(schedule_id), expected=expected_versions(request)
        )
        text = f"The schedule of “{gone.plan.name}” was deleted."
        return Response(ScheduleDeleted(scheduleId=schedule_id, message=text))


def _wanted(given: dict[str, Any]) -> Wanted:
    """Raises Invalid, which names all that is wrong."""
    starts_on, at = _read(date.fromisoformat, given["startsOn"]), _read(_minute, given["time"])
    blackouts = given.get("blackouts", ())
    if starts_on is None or at is None:
        wrong = faults(given["rule"], given["timeZone"], blackouts)
        wrong |= {"startsOn": ["A day such as 2026-11-29 is expected."]} if starts_on is None else {}
        raise Invalid(wrong | ({"time": ["A time such as 02:30 is expected."]} if at is None else {}))
    return Wanted(given["rule"], starts_on, at, given["timeZone"], blackouts, given.get("enabled", True))


def _minute(text: str) -> time:
    if not re.fullmatch("[0-9]{2}:[0-9]{2}", text, re.ASCII):
        raise ValueError(text)
    return time.fromisoformat(text)


def _read(read: Callable[[str], Read], text: str) -> Read | None:
    try:
        found = read(text)
    except ValueError:
        return None
    return None if getattr(found, "tzinfo", None) is not None else found


def _id(text: str) -> uuid.UUID:
    return read_id(text, "schedule", "scheduleId")
