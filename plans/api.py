"""Recovery plans over HTTP."""

import uuid
from typing import Any, ClassVar, cast

from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.errors import Invalid
from contract.labels.rules import wanted
from contract.naming.lookalikes import warnings
from contract.rest import paging
from contract.rest.answers.selection import SELECTION, read_fields
from contract.rest.etag import etag, expected_versions
from contract.rest.schema import IF_MATCH, describes
from contract.rest.serializers import (
    LABEL,
    LIMIT_OF_ALL,
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
from plans import services
from plans.fields import PLAN, PlanSpec
from plans.models import RecoveryPlan
from plans.representation import PlanAnswer, PlanDeleted, PlansAnswer, PlanShape, show_plan, show_plans, show_waves
from plans.wave_formats import WaveIn, Waves, edited, input_of


class PlanIn(StrictSerializer):
    """A plan as it is created, and in part as it is changed."""

    answered = frozenset(
        {
            "planId",
            "waveCount",
            "serverCount",
            "createdDate",
            "lastModifiedDate",
            "lastExecutionId",
            "lastExecutionStatus",
            "lastStartTime",
            "lastEndTime",
            "activeExecutionId",
            "conflicts",
            "canExecute",
            "blockedReason",
            "warnings",
        }
    )

    is_new: ClassVar = True

    waves = WaveIn(many=True)
    labels = Labels(required=False)
    version = Whole(required=False)

    def get_fields(self) -> dict[str, Any]:
        declared = {}
        for each in PLAN:
            is_needed = not each.stored.blank
            described = {**({"minLength": 1} if is_needed else {}), "maxLength": each.stored.max_length}
            declared[each.name] = input_of(each, required=is_needed and self.is_new, described=described)
        return {**declared, **super().get_fields()}


class PlanChange(PlanIn):
    """What is left out stays as it is."""

    is_new = False

    waves = WaveIn(many=True, required=False)


class PlanQuery(StrictSerializer):
    accountId = AccountId()
    name = Text(required=False)
    label = Texts(required=False, described=LABEL)  # type: ignore[assignment]  # a field of this name, not DRF's
    fields = Text(required=False, described=SELECTION)  # type: ignore[assignment]  # a field of this name, not DRF's
    limit = Text(required=False, described=LIMIT_OF_ALL)
    nextToken = Text(required=False, described=TOKEN)


class PlanList(ApiView):
    """All plans, and new ones."""

    shows = Shows.WHAT_ONE_SEES
    rights = {"POST": AnyOf("create recovery plans", ("plans.add_recoveryplan",))}

    @describes("listRecoveryPlans", "List recovery plans", answers={200: PlansAnswer}, query=PlanQuery)
    def get(self, request: Request) -> Response:
        asked = read_query(request, PlanQuery)
        plans = RecoveryPlan.objects.seen_by(actor_for(request).sees)
        if asked.get("accountId"):
            plans = plans.in_account(asked["accountId"])
        if asked.get("name"):
            plans = plans.named(asked["name"])
        plans = plans.labeled(wanted(asked.get("label", ())))
        fields = read_fields(asked.get("fields"), PlanShape)
        limit = paging.read_limit(asked["limit"]) if "limit" in asked else None
        plans, token = paging.named_page(plans, limit=limit, token=asked.get("nextToken"))
        shown = show_plans(plans, fields)
        body = {"plans": shown, "count": len(shown)}
        return Response(body | ({"nextToken": token} if limit else {}))

    @describes(
        "createRecoveryPlan",
        "Create a recovery plan; waves in either dialect",
        answers={201: PlanAnswer},
        body=PlanIn,
        refusals=("FORBIDDEN", "RP_NAME_EXISTS"),
    )
    def post(self, request: Request) -> Response:
        given = read_body(request, PlanIn)
        waves = Waves(given["waves"])
        specs = waves.specs()
        try:
            plan = services.create_plan(actor=actor_for(request), waves=specs, **_given(given))
        except Invalid as error:
            raise waves.placed(error) from error
        answer = _answer(plan.pk, actor_for(request).sees, status=201)
        answer["Location"] = f"{request.path.rstrip('/')}/{plan.pk}"
        return answer


class PlanDetail(ApiView):
    """One plan."""

    rights = {
        "PUT": AnyOf("change recovery plans", ("plans.change_recoveryplan",)),
        "DELETE": AnyOf("delete recovery plans", ("plans.delete_recoveryplan",)),
    }

    @describes("getRecoveryPlan", "Get a recovery plan", answers={200: PlanAnswer}, refusals=["NOT_FOUND"])
    def get(self, request: Request, plan_id: str) -> Response:
        return _answer(_id(plan_id), actor_for(request).sees)

    @describes(
        "updateRecoveryPlan",
        "Change a recovery plan; fields left out keep their values",
        answers={200: PlanAnswer},
        body=PlanChange,
        headers=[IF_MATCH],
        refusals=("FORBIDDEN", "NOT_FOUND", "RP_NAME_EXISTS", "PLAN_HAS_ACTIVE_EXECUTION", "VERSION_CONFLICT"),
    )
    def put(self, request: Request, plan_id: str) -> Response:
        given = read_body(request, PlanChange)
        waves = Waves(edited(given["waves"], show_waves(_id(plan_id)))) if "waves" in given else None
        specs = waves.specs() if waves else None
        try:
            plan = services.update_plan(
                actor=actor_for(request),
                plan_id=_id(plan_id),
                waves=specs,
                expected=expected_versions(request, given.get("version")),
                **_given(given),
            )
        except Invalid as error:
            raise (waves.placed(error) if waves else error) from error
        return _answer(plan.pk, actor_for(request).sees)

    @describes(
        "deleteRecoveryPlan",
        "Delete a recovery plan; its runs stay in the history",
        answers={200: PlanDeleted},
        headers=[IF_MATCH],
        refusals=("FORBIDDEN", "NOT_FOUND", "PLAN_HAS_ACTIVE_EXECUTION", "VERSION_CONFLICT"),
    )
    def delete(self, request: Request, plan_id: str) -> Response:
        plan = services.delete_plan(actor=actor_for(request), plan_id=_id(plan_id), expected=expected_versions(request))
        return Response(PlanDeleted(planId=str(plan.pk), message=f"The recovery plan “{plan.name}” was deleted."))


def _given(body: dict[str, Any]) -> PlanSpec:
    labels = {"labels": body["labels"]} if "labels" in body else {}
    return cast("PlanSpec", {**PLAN.given(body), **labels})


def _id(text: str) -> uuid.UUID:
    return read_id(text, "recovery plan", "planId")


def _answer(plan_id: uuid.UUID, sees: Reach, *, status: int = 200) -> Response:
    shown = show_plan(plan_id)
    others = RecoveryPlan.objects.seen_by(sees).exclude(pk=plan_id).values_list("name", flat=True)
    alike = warnings(shown["planName"], others)
    body = {**shown, "warnings": alike} if alike else {**shown}
    return Response(body, status=status, headers={"ETag": etag(shown["version"])})
