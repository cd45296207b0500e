"""A plan's copy in DRS over HTTP."""

from typing import TypedDict

from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.rest.schema import DRS, describes
from contract.rest.serializers import NothingIn, read_body
from contract.rest.views import ApiView, read_id
from contract.rights import AnyOf
from native_plans import services
from native_plans.compiled import Compiled, NativeStep
from native_plans.copies import UNFINISHED, Copy
from native_plans.services import BUSY, CHANGE


class StepServerShape(TypedDict):
    sourceServerId: str
    impactLevel: str


class StepShape(TypedDict):
    """Servers that are launched together, or a wait."""

    name: str
    servers: list[StepServerShape]
    waitMinutes: int | None


class NativePlanShape(TypedDict):
    accountId: str
    region: str
    name: str
    steps: list[StepShape]
    digest: str


class NotExpressedShape(TypedDict):
    """Something that the plan says and recovery plans of DRS cannot."""

    what: str
    where: str
    why: str


class InDrsShape(TypedDict):
    """A recovery plan of DRS with our tag; `digest` is what was last written whole, empty while it is not whole."""

    arn: str
    accountId: str
    region: str
    name: str
    status: str
    digest: str
    differs: list[str]


class NativeShape(TypedDict):
    plans: list[NativePlanShape]
    notExpressed: list[NotExpressedShape]
    inDrs: list[InDrsShape]


class PlanNative(ApiView):
    """The way out when this product is down: the plan as DRS's own."""

    rights = {"POST": AnyOf("change recovery plans", (CHANGE,))}

    @describes(
        "getRecoveryPlanNative",
        "This plan as recovery plans of DRS, what they cannot say, and what DRS has of it",
        answers={200: NativeShape},
        refusals=["NOT_FOUND", *DRS],
    )
    def get(self, request: Request, plan_id: str) -> Response:
        return Response(_show(*services.look(read_id(plan_id, "recovery plan", "planId"))))

    @describes(
        "writeRecoveryPlanNative",
        "Create this plan in DRS, or bring what is there in line",
        answers={200: NativeShape},
        body=NothingIn,
        refusals=["FORBIDDEN", "NOT_FOUND", "INVALID_SERVER_IDS", BUSY, *DRS],
    )
    def post(self, request: Request, plan_id: str) -> Response:
        read_body(request, NothingIn)
        key = read_id(plan_id, "recovery plan", "planId")
        return Response(_show(*services.write(actor=actor_for(request), plan_id=key)))


def _show(made: Compiled, found: list[Copy]) -> NativeShape:
    return NativeShape(
        plans=[
            NativePlanShape(
                accountId=each.place[0],
                region=each.place[1],
                name=each.name,
                steps=[_step(step) for step in each.steps],
                digest=each.digest,
            )
            for each in made.plans
        ],
        notExpressed=[NotExpressedShape(what=e.what, where=e.where, why=e.why) for e in made.not_expressed],
        inDrs=[
            InDrsShape(
                arn=each.in_drs.arn,
                accountId=each.place[0],
                region=each.place[1],
                name=each.in_drs.name,
                status=each.in_drs.status,
                digest="" if each.digest == UNFINISHED else each.digest,
                differs=list(each.differs),
            )
            for each in found
        ],
    )


def _step(step: NativeStep) -> StepShape:
    return StepShape(
        name=step.name,
        servers=[
            StepServerShape(sourceServerId=each.id, impactLevel="OPTIONAL" if each.optional else "CRITICAL")
            for each in step.servers
        ],
        waitMinutes=step.wait_minutes or None,
    )
