"""Runs started over HTTP: once for each Idempotency-Key, after a look at what runs and at the snapshots wanted."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.urls import reverse
from drf_spectacular.drainage import set_override
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.clock import moment
from contract.errors import Invalid
from contract.rest import idempotency
from contract.rest.schema import DRS, IDEMPOTENCY_KEY, describes
from contract.rest.serializers import (
    PLAN_ID,
    UNIX_SECONDS,
    Flag,
    OneOf,
    StrictSerializer,
    Text,
    Whole,
    read_body,
    whole,
)
from contract.rest.views import ApiView, read_id
from executions.api.representation import ExecutionStarted
from executions.codes.ours import Code
from executions.commands import control
from executions.commands.points_in_time import NEWEST, SNAPSHOT_ID, ChosenSnapshots, Wanted, choose
from executions.commands.production import look_at_plan
from executions.models import Execution
from executions.states import Kind
from plans.scopes.plans import at_plan
from protection.inventory.recovery_instances import InstancesKnown
from protection.representation import Warning  # noqa: A004  (the contract's word)

INITIATED_BY_MAX = 254
LATEST = 99_999_999_999
START_REFUSALS = (
    Code.PLAN_HAS_NO_WAVES,
    "FORBIDDEN",
    "NOT_FOUND",
    Code.PLAN_ALREADY_EXECUTING,
    Code.SERVER_CONFLICT,
    Code.PRODUCTION_RUNNING,
    "IDEMPOTENCY_KEY_REUSED",
    *DRS,
)


class PointInTime(serializers.Field[Any, Any, Any, Any]):
    """A time in Unix seconds, or an object of recovery snapshots by source server."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        snapshot = {"type": "string", "pattern": f"^{SNAPSHOT_ID.pattern}$"}
        by_server = {"type": "object", "additionalProperties": snapshot, "minProperties": 1}
        set_override(self, "field", {"oneOf": [UNIX_SECONDS, by_server]})

    def to_internal_value(self, data: object) -> int | dict[str, str]:
        if not isinstance(data, dict):
            found = whole(data)
            if not 0 <= found <= LATEST:
                raise ValidationError(["A time in Unix seconds is expected."])
            return found
        if not data or not all(isinstance(each, str) for each in data.values()):
            raise ValidationError(['Unix seconds are expected, or an object such as {"s-…": "pit-…"}.'])
        return dict(data)


class PlanRunIn(StrictSerializer):
    """How a plan is run. `pointInTime`: each server is launched from its newest snapshot that is not after this time,
    or from the snapshot given for it; without it, from one that DRS takes then."""

    executionType = OneOf(choices=[kind.value for kind in Kind])
    initiatedBy = Text(required=False, max_length=INITIATED_BY_MAX)
    dryRun = Flag(required=False)
    outageTime = Whole(required=False, min_value=0, max_value=LATEST)
    pointInTime = PointInTime(required=False)
    replaceProduction = Flag(required=False)


class ExecutionIn(PlanRunIn):
    planId = Text(described=PLAN_ID)


class PlanExecuteIn(PlanRunIn):
    planId = Text(required=False, described=PLAN_ID)


class PlanExecute(ApiView):
    """Run this plan."""

    rights = {"POST": control.ANY_START}

    @describes(
        "executeRecoveryPlan",
        "Start a drill or a recovery of this plan",
        answers={202: ExecutionStarted},
        body=PlanExecuteIn,
        headers=[IDEMPOTENCY_KEY],
        refusals=START_REFUSALS,
    )
    def post(self, request: Request, plan_id: str) -> Response:
        given = read_body(request, PlanExecuteIn)
        body_id = given.pop("planId", plan_id)
        if body_id.lower() != plan_id.lower():
            raise Invalid({"planId": ["Differs from the plan in the address. Leave it out."]})
        return start_run(request, {**given, "planId": plan_id})


def plan_id_of(text: str) -> uuid.UUID:
    """The id of a plan as a client gives it."""
    return read_id(text, "recovery plan", "planId")


@dataclass(frozen=True)
class Looked:
    """What DRS was asked before a start: what runs, and the snapshots that are wanted."""

    instances: InstancesKnown | None = None
    snapshots: ChosenSnapshots = field(default=NEWEST)


def start_run(request: Request, given: dict[str, Any]) -> Response:
    """The answer to a validated start."""
    kind, dry_run, plan_id = Kind.of(given["executionType"]), given.get("dryRun", False), plan_id_of(given["planId"])
    actor = at_plan(actor_for(request), plan_id)

    def look() -> Looked:
        if not control.may_start(actor, Kind.DRILL if dry_run else kind):
            return Looked()
        snapshots = choose(plan_id, _wanted(given))
        return Looked(None if dry_run else look_at_plan(plan_id), snapshots)

    def work(looked: Looked) -> Execution:
        return control.start(
            actor=actor,
            plan_id=plan_id,
            kind=kind,
            initiated_by=given.get("initiatedBy", ""),
            dry_run=dry_run,
            outage_at=moment(given.get("outageTime")),
            replace_production=given.get("replaceProduction", False),
            looked=looked.instances,
            snapshots=looked.snapshots,
        )

    return accepted(request, {**given, "planId": plan_id}, look, work)


def _wanted(given: dict[str, Any]) -> Wanted | None:
    asked: int | dict[str, str] | None = given.get("pointInTime")
    if not isinstance(asked, int):
        return asked
    at: datetime | None = moment(asked)
    return at


def accepted(
    request: Request,
    asked: dict[str, Any],
    look: Callable[[], Looked],
    work: Callable[[Looked], Execution],
) -> Response:
    """202 for a run that `work` starts; the same answer again for the same Idempotency-Key. DRS is asked beforehand:
    not within the transaction of the key, and not for an answer that is told again."""
    principal, key = f"user:{request.user.pk}", idempotency.key_of(request._request)
    looked = Looked() if idempotency.has_answer(principal, key) else look()
    answer = idempotency.once(
        principal=principal,
        key=key,
        request=asked,
        work=lambda: idempotency.Answer(202, {**_started(work(looked), looked.instances)}),
    )
    headers = {"Location": answer.body["statusUrl"]} | ({"Idempotent-Replay": "true"} if answer.is_replay else {})
    return Response(answer.body, status=answer.status, headers=headers)


def _started(execution: Execution, looked: InstancesKnown | None) -> ExecutionStarted:
    started = ExecutionStarted(
        executionId=str(execution.pk),
        status=execution.status,
        message="Execution started - check status with GET /executions/{id}",
        statusUrl=reverse("api-execution", args=[execution.pk]),
    )
    if looked is not None and (looked.silent or looked.native_silent):
        told = [(Code.PRODUCTION_NOT_CHECKED, looked.unlisted), (Code.NATIVE_RUNS_NOT_CHECKED, looked.native_untold)]
        started["warnings"] = [
            Warning(code=code, region=region, message=f"The run was started. {text}")
            for code, places in told
            for (_, region), text in places.items()
        ]
    return started
