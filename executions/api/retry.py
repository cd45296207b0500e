"""Trying a run again over HTTP."""

from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.rest.schema import DRS, IDEMPOTENCY_KEY, describes
from contract.rest.serializers import SERVER_IDS, Flag, StrictSerializer, Text, Texts, read_body
from contract.rest.views import read_id
from executions.api.representation import ExecutionStarted
from executions.api.start import INITIATED_BY_MAX, Looked, accepted
from executions.api.views import RunCommand
from executions.codes.ours import Code
from executions.commands import control, retry
from executions.commands.production import look_at_run
from executions.models import Execution
from executions.runs.allowed.actions import Verb
from executions.runs.attempts import why_not


class RetryIn(StrictSerializer):
    """Who is behind a retry, and a word for the journal; `serverIds` launches only these of the servers that are left,
    `excludeServerIds` all but these. What is left out is listed, and the run is never complete."""

    serverIds = Texts(required=False, described=SERVER_IDS)
    excludeServerIds = Texts(required=False, described={"uniqueItems": True})
    initiatedBy = Text(required=False, max_length=INITIATED_BY_MAX)
    comment = Text(required=False, max_length=control.COMMENT_MAX)
    replaceProduction = Flag(required=False)


class Retry(RunCommand):
    """Try what did not come up again, as a new run."""

    rights = {"POST": control.ANY_START}
    verb = Verb.RETRY

    @describes(
        "retryExecution",
        "Start a new run of what failed or was skipped in this one",
        answers={202: ExecutionStarted},
        body=RetryIn,
        headers=[IDEMPOTENCY_KEY],
        refusals=(
            "FORBIDDEN",
            "NOT_FOUND",
            Code.EXECUTION_NOT_RETRYABLE,
            Code.PLAN_ALREADY_EXECUTING,
            Code.SERVER_CONFLICT,
            Code.PRODUCTION_RUNNING,
            "IDEMPOTENCY_KEY_REUSED",
            *DRS,
        ),
    )
    def post(self, request: Request, execution_id: str) -> Response:
        given, key = read_body(request, RetryIn), read_id(execution_id, "execution", "executionId")
        actor = actor_for(request)

        def look() -> Looked:
            execution = Execution.objects.filter(pk=key).first()
            if execution is None or not control.may_start(actor, execution.purpose) or why_not(execution):
                return Looked()
            return Looked(look_at_run(execution))

        def work(looked: Looked) -> Execution:
            return retry.retry(
                actor=actor,
                execution_id=key,
                initiated_by=given.get("initiatedBy", ""),
                comment=given.get("comment", ""),
                replace_production=given.get("replaceProduction", False),
                looked=looked.instances,
                choice=retry.Choice(given.get("serverIds"), given.get("excludeServerIds", ())),
            )

        return accepted(request, {"retryOf": key, **given}, look, work)
