"""The answer to a run that is started over HTTP: once for each Idempotency-Key, and after a look at what runs."""

from collections.abc import Callable
from typing import Any

from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from contract.rest import idempotency
from executions.api.representation import ExecutionStarted
from executions.codes.ours import Code
from executions.models import Execution
from protection.inventory.recovery_instances import InstancesKnown
from protection.representation import Warning  # noqa: A004  (the contract's word)


def accepted(
    request: Request,
    asked: dict[str, Any],
    look: Callable[[], InstancesKnown | None],
    work: Callable[[InstancesKnown | None], Execution],
) -> Response:
    """202 for a run that `work` starts; the same answer again for the same Idempotency-Key. DRS is asked beforehand
    which production runs: not within the transaction of the key, and not for an answer that is told again."""
    principal, key = f"user:{request.user.pk}", idempotency.key_of(request._request)
    looked = None if idempotency.has_answer(principal, key) else look()
    answer = idempotency.once(
        principal=principal,
        key=key,
        request=asked,
        work=lambda: idempotency.Answer(202, {**_started(work(looked), looked)}),
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
    if looked is not None and looked.silent:
        started["warnings"] = [
            Warning(code=Code.PRODUCTION_NOT_CHECKED, region=region, message=why.message)
            for (_, region), why in looked.silent.items()
        ]
    return started
