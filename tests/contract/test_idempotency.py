"""A start with an Idempotency-Key happens once, however often it is sent."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from contract.models import IdempotencyKey
from contract.rest.idempotency import KEPT
from drs_simulator.testing import RunningSimulator
from executions.models import Execution
from tests.support.api_client import Api, answer, refusal
from tests.support.stage import Stage

pytestmark = pytest.mark.both


@pytest.fixture
def body(simulator: RunningSimulator, db: None) -> dict[str, str]:
    return {"PlanId": str(Stage(simulator).plan("web-01").pk), "ExecutionType": "DRILL"}


def test_the_first_answer_is_told_again(admin: Api, body: dict[str, str]) -> None:
    first = admin.post("/executions", body, Idempotency_Key="a")
    answer(admin.post(f"/executions/{answer(first, 202)['executionId']}/cancel"))
    respelled = {"planId": body["PlanId"].upper(), "executionType": "DRILL"}
    again = admin.post("/executions", respelled, Idempotency_Key="a")
    assert answer(again, 202) == first.json()
    assert again["Idempotent-Replay"] == "true"
    assert again["Location"] == first["Location"]
    at_plan = admin.post(f"/recovery-plans/{body['PlanId']}/execute", {"executionType": "DRILL"}, Idempotency_Key="a")
    assert answer(at_plan, 202) == first.json()
    assert Execution.objects.count() == 1


def test_another_request_needs_another_key(admin: Api, body: dict[str, str]) -> None:
    answer(admin.post("/executions", body, Idempotency_Key="a"), 202)
    other = body | {"ExecutionType": "RECOVERY"}
    refusal(admin.post("/executions", other, Idempotency_Key="a"), 422, "IDEMPOTENCY_KEY_REUSED")
    refusal(admin.post("/executions", other, Idempotency_Key="b"), 409, "PLAN_ALREADY_EXECUTING")


def test_a_refusal_is_no_first_answer(admin: Api, body: dict[str, str]) -> None:
    first = answer(admin.post("/executions", body), 202)
    refusal(admin.post("/executions", body, Idempotency_Key="a"), 409, "PLAN_ALREADY_EXECUTING")
    answer(admin.post(f"/executions/{first['executionId']}/cancel"))
    answer(admin.post("/executions", body, Idempotency_Key="a"), 202)


def test_keys_are_a_principals_own(sign_in: Callable[..., Api], body: dict[str, str]) -> None:
    one, other = sign_in("operator"), sign_in("operator")
    answer(one.post("/executions", body, Idempotency_Key="a"), 202)
    refusal(other.post("/executions", body, Idempotency_Key="a"), 409, "PLAN_ALREADY_EXECUTING")


def test_a_key_is_kept_for_a_day(admin: Api, body: dict[str, str]) -> None:
    first = answer(admin.post("/executions", body, Idempotency_Key="a"), 202)
    answer(admin.post(f"/executions/{first['executionId']}/cancel"))
    kept = IdempotencyKey.objects.get()
    for age, runs in ((KEPT - timedelta(minutes=1), 1), (KEPT + timedelta(minutes=1), 2)):
        IdempotencyKey.objects.update(created_at=kept.created_at - age)
        answer(admin.post("/executions", body, Idempotency_Key="a"), 202)
        assert Execution.objects.count() == runs


@pytest.mark.parametrize("key", ["", "a" * 256, "a\tb", "a\x00"])
def test_a_key_must_be_one(admin: Api, body: dict[str, str], key: str) -> None:
    refusal(admin.post("/executions", body, Idempotency_Key=key), 400, "VALIDATION_ERROR")
