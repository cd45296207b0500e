"""Extending the lease of a drill's instances over HTTP."""

from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.rest.schema import describes
from contract.rest.serializers import StrictSerializer, Text, Whole, read_body
from contract.rest.views import ApiView, read_id
from contract.rights import AnyOf
from executions.api.representation import CommandAnswer
from executions.codes.ours import Code
from executions.commands import control
from executions.commands.lease import HOURS_MOST, extend_lease
from executions.runs.allowed.actions import CONTROL


class LeaseIn(StrictSerializer):
    """For how many hours from now a drill's instances may run, and why."""

    hours = Whole(min_value=1, max_value=HOURS_MOST)
    comment = Text(max_length=control.COMMENT_MAX)


class Lease(ApiView):
    """How long a drill's instances may run on."""

    rights = {"POST": AnyOf("extend leases", (CONTROL,))}

    @describes(
        "extendLease",
        "Extend the lease of a drill's instances",
        answers={200: CommandAnswer},
        body=LeaseIn,
        refusals=("FORBIDDEN", "NOT_FOUND", Code.LEASE_NOT_EXTENDABLE),
    )
    def post(self, request: Request, execution_id: str) -> Response:
        given = read_body(request, LeaseIn)
        execution = extend_lease(
            actor=actor_for(request),
            execution_id=read_id(execution_id, "execution", "executionId"),
            hours=given["hours"],
            comment=given["comment"],
        )
        text = "The lease was extended"
        return Response(CommandAnswer(executionId=str(execution.pk), status=execution.status, message=text))
