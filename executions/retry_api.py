"""Trying a run again over HTTP."""

from rest_framework.request import Request
from rest_framework.response import Response

from audit.requests import actor_for
from contract.schema import IDEMPOTENCY_KEY, describes
from contract.serializers import StrictSerializer, Text, read_body
from contract.views import ApiView, read_id
from executions import retrying, services
from executions.api import INITIATED_BY_MAX, accepted
from executions.models import Execution
from executions.representation import ExecutionStarted


class RetryIn(StrictSerializer):
    """Who is behind a retry, and a word for the journal."""

    initiatedBy = Text(required=False, max_length=INITIATED_BY_MAX)
    comment = Text(required=False, max_length=services.COMMENT_MAX)


class Retry(ApiView):
    """Try what did not come up again, as a new run."""

    rights = {"POST": services.ANY_START}

    @describes(
        "retryExecution",
        "Start a new run of what failed or was not run in this one",
        answers={202: ExecutionStarted},
        body=RetryIn,
        headers=[IDEMPOTENCY_KEY],
        refusals=(
            "FORBIDDEN",
            "NOT_FOUND",
            "EXECUTION_NOT_RETRYABLE",
            "PLAN_ALREADY_EXECUTING",
            "SERVER_CONFLICT",
            "IDEMPOTENCY_KEY_REUSED",
        ),
    )
    def post(self, request: Request, execution_id: str) -> Response:
        given, key = read_body(request, RetryIn), read_id(execution_id, "execution", "executionId")
        actor = actor_for(request)

        def work() -> Execution:
            return retrying.retry(
                actor=actor,
                execution_id=key,
                initiated_by=given.get("initiatedBy", ""),
                comment=given.get("comment", ""),
            )

        return accepted(request, {"retryOf": key, **given}, work)
