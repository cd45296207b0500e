"""Every code of the API is answered to some request: one here for each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, ProgrammingError, connection
from django.test import override_settings
from django.utils import timezone

from audit.actor import SYSTEM
from contract.rest.schema import STATUSES
from drs.client import Drs
from drs.errors import DrsError, Trouble
from drs_simulator.testing import RunningSimulator
from drs_simulator.world.demo import demo_server_ids
from executions.codes.entry import Where
from executions.codes.explain import EVERY_CODE
from executions.models import Execution
from executions.states import ExecutionStatus
from native_plans.models import Mirror
from plans.fields import WaveSpec
from plans.models import RecoveryPlan
from plans.services import create_plan
from protection.models import ProtectionGroup
from tests.console import world
from tests.reports.test_large_reports import ended_run
from tests.support.api_client import Api, make_user, refusal

DRILL = {"executionType": "DRILL"}
DISCOVERY = "/drs/source-servers?region=us-east-1"
WEB = demo_server_ids()["web-01"]


@dataclass
class Asked:
    """What a request needs: somebody who may do everything, the simulated DRS, and pytest's patches."""

    admin: Api
    simulator: RunningSimulator
    patch: pytest.MonkeyPatch

    def group(self, body: dict[str, Any]) -> Any:
        """A new group as `body` differs from a good one."""
        good = {"groupName": "New", "region": "us-east-1", "sourceServerIds": [WEB]}
        return self.admin.post("/protection-groups", good | body)

    def change(self, group: ProtectionGroup, body: dict[str, Any], **headers: str) -> Any:
        return self.admin.put(f"/protection-groups/{group.pk}", body, **headers)

    def command(self, run: Execution, verb: str) -> Any:
        return self.admin.post(f"/executions/{run.pk}/{verb}")

    def steer(self, run: Execution, verb: str) -> Any:
        return self.admin.post(f"/executions/{run.pk}/{verb}", {"reason": "Its disk is broken."})

    def execute(self, plan: RecoveryPlan | None, **body: Any) -> Any:
        assert plan is not None
        return self.admin.post(f"/recovery-plans/{plan.pk}/execute", DRILL | body, Idempotency_Key=str(plan.pk))

    def discover(self, scenario: str) -> Any:
        self.simulator.scenario(scenario)
        return self.admin.get(DISCOVERY)


def over() -> Execution:
    return world.ended(ExecutionStatus.COMPLETED)


def while_it_is_written_to_drs(asked: Asked) -> Any:
    plan = world.plan()
    Mirror.objects.create(plan=plan, writing_since=timezone.now())
    return asked.admin.post(f"/recovery-plans/{plan.pk}/native", {})


def of_a_copy_of_ours(asked: Asked) -> Any:
    plan = create_plan(actor=SYSTEM, name="Web", waves=[WaveSpec("Web", [a_group().pk], [WEB])])
    made = asked.admin.post(f"/recovery-plans/{plan.pk}/native", {}).json()["inDrs"][0]
    return asked.admin.post("/native-plans/import", {"arn": made["arn"]})


def at_a_gate(starter: str = "somebody") -> Execution:
    run = world.paused()
    run.waves.filter(number=1).update(gate={"approvals": 1, "checklist": [], "expiresMinutes": 60})
    Execution.objects.filter(pk=run.pk).update(started_by=starter)
    return run


def of_single_servers() -> Execution:
    return world.start(world.plan("", (1, 1)))


def a_group() -> ProtectionGroup:
    return world.group("Web", [WEB])


def group_of(plan: RecoveryPlan | None) -> ProtectionGroup:
    assert plan is not None
    return plan.waves.get(number=0).groups.get()


def with_a_server_of_another_group(asked: Asked) -> Any:
    a_group()
    return asked.group({})


def an_account(asked: Asked, account_id: str = "444455556666") -> dict[str, Any]:
    """The body of one that is there already, or of another with its name."""

    def body(number: str) -> dict[str, Any]:
        role = f"arn:aws:iam::{number}:role/drsorch-target"
        return {"accountId": number, "name": "Branches", "roleArn": role, "regions": ["us-east-1"]}

    asked.admin.post("/accounts", body("444455556666"))
    return body(account_id)


def in_an_account_with_a_group(asked: Asked) -> Any:
    number = an_account(asked)["accountId"]
    ProtectionGroup.objects.filter(pk=a_group().pk).update(account_id=number)
    return asked.admin.delete(f"/accounts/{number}")


def with_a_role_given_twice(asked: Asked) -> Any:
    body = {"group": "payments-people", "role": "operator", "label": "app=payments"}
    asked.admin.post("/roles", body)
    return asked.admin.post("/roles", body)


def without_waves(asked: Asked) -> Any:
    plan = world.plan()
    plan.waves.all().delete()
    return asked.execute(plan)


def with_servers_of_another_run(asked: Asked) -> Any:
    run = world.paused()
    shown = asked.admin.get(f"/recovery-plans/{run.plan_id}").json()
    made = asked.admin.post("/recovery-plans", {"planName": "Other", "waves": shown["waves"]}).json()
    return asked.execute(RecoveryPlan.objects.get(pk=made["planId"]))


def over_what_was_launched_outside(asked: Asked) -> Any:
    asked.simulator.client().start_recovery(sourceServers=[{"sourceServerID": WEB}], isDrill=False)
    asked.simulator.advance(3600)
    waves = [WaveSpec("Web", [a_group().pk], [WEB])]
    return asked.execute(create_plan(actor=SYSTEM, name="Web", waves=waves))


def with_a_used_key(asked: Asked) -> Any:
    plan = world.plan()
    assert asked.execute(plan).status_code == 202
    return asked.execute(plan, dryRun=True)


def too_often(asked: Asked) -> Any:
    with override_settings(THROTTLES={**settings.THROTTLES, "user": "1/min"}):
        asked.admin.get("/executions")
        return asked.admin.get("/executions")


def in_a_closed_region(asked: Asked) -> Any:
    def refuse(self: Drs, *_: object, **__: object) -> None:  # the simulator has no such region
        raise DrsError(Trouble.REGION_NOT_ENABLED, code="OptInRequired", message="", region="us-east-1", operation="")

    asked.patch.setattr(Drs, "source_servers", refuse)
    return asked.admin.get(DISCOVERY)


def as_text(asked: Asked) -> Any:
    headers = {"Authorization": f"Bearer {asked.admin.token}"}
    return asked.admin.client.generic("POST", "/api/v1/executions", "a", content_type="text/plain", headers=headers)


def while_the_database_fails(asked: Asked, error: Exception) -> Any:
    def fail(*_: object) -> None:
        raise error

    with connection.execute_wrapper(fail):
        return asked.admin.get("/executions")


def the_only_server_of_a_wave(asked: Asked) -> Any:
    run = of_single_servers()
    return asked.steer(run, f"servers/{run.waves.get(number=1).servers.get().source_server_id}/exclude")


REQUESTS: dict[str, Callable[[Asked], Any]] = {
    "VALIDATION_ERROR": lambda asked: asked.group({"groupName": ""}),
    "MALFORMED_JSON": lambda asked: asked.admin.post("/executions", b"{"),
    "INVALID_REGION": lambda asked: asked.group({"region": "nowhere"}),
    "INVALID_SERVER_IDS": lambda asked: asked.group({"sourceServerIds": ["s-00000000000000000"]}),
    "ACCOUNT_IMMUTABLE": lambda asked: asked.change(a_group(), {"accountId": "444455556666"}),
    "ACCOUNT_EXISTS": lambda asked: asked.admin.post("/accounts", an_account(asked)),
    "ACCOUNT_NAME_EXISTS": lambda asked: asked.admin.post("/accounts", an_account(asked, "555566667777")),
    "ACCOUNT_IN_USE": in_an_account_with_a_group,
    "ROLE_GIVEN": with_a_role_given_twice,
    "REGION_IMMUTABLE": lambda asked: asked.change(a_group(), {"region": "us-west-2"}),
    "PLAN_HAS_NO_WAVES": without_waves,
    "EXECUTION_NOT_PAUSED": lambda asked: asked.command(over(), "resume"),
    "WAVE_HAS_BEGUN": lambda asked: asked.steer(over(), "waves/0/skip"),
    "GATE_NEEDS_APPROVALS": lambda asked: asked.command(at_a_gate(), "resume"),
    "GATE_CHANGED": lambda asked: asked.admin.post(f"/executions/{at_a_gate().pk}/approve", {"digest": "0" * 64}),
    "APPROVER_IS_STARTER": lambda asked: asked.admin.post(
        f"/executions/{at_a_gate(asked.admin.user.email).pk}/approve", {"digest": "0" * 64}
    ),
    "LEASE_NOT_EXTENDABLE": lambda asked: asked.admin.post(
        f"/executions/{world.paused().pk}/lease", {"hours": 1, "comment": "x"}
    ),
    "WAVE_NOT_RETRYABLE": lambda asked: asked.command(over(), "waves/0/retry"),
    "WAVE_NOT_WAITING": lambda asked: asked.command(of_single_servers(), "waves/1/start-now"),
    "SERVER_NOT_EXCLUDABLE": the_only_server_of_a_wave,
    "EXECUTION_NOT_CANCELLABLE": lambda asked: asked.command(over(), "cancel"),
    "EXECUTION_NOT_PAUSABLE": lambda asked: asked.command(over(), "pause"),
    "EXECUTION_NOT_ABANDONABLE": lambda asked: asked.command(over(), "abandon"),
    "EXECUTION_STILL_RUNNING": lambda asked: asked.command(world.paused(), "terminate-instances"),
    "EXECUTION_NOT_RETRYABLE": lambda asked: asked.command(over(), "retry"),
    "REGION_NOT_ENABLED": in_a_closed_region,
    "UNAUTHENTICATED": lambda asked: asked.admin.get("/executions", Authorization="Bearer x"),
    "FORBIDDEN": lambda _: Api(make_user("viewer")).delete("/executions"),
    "NOT_FOUND": lambda asked: asked.admin.get("/executions/x"),
    "METHOD_NOT_ALLOWED": lambda asked: asked.admin.put("/executions", {}),
    "PG_NAME_EXISTS": lambda asked: asked.group({"groupName": a_group().name}),
    "SERVER_ASSIGNMENT_CONFLICT": with_a_server_of_another_group,
    "PG_IN_ACTIVE_EXECUTION": lambda asked: asked.change(group_of(world.paused().plan), {"description": "x"}),
    "SERVER_IN_USE_BY_PLAN": lambda asked: asked.change(group_of(world.plan()), {"sourceServerIds": [WEB]}),
    "PG_IN_USE": lambda asked: asked.admin.delete(f"/protection-groups/{group_of(world.plan()).pk}"),
    "RP_NAME_EXISTS": lambda asked: asked.admin.put(
        f"/recovery-plans/{world.plan().pk}", {"planName": world.plan().name}
    ),
    "PLAN_HAS_ACTIVE_EXECUTION": lambda asked: asked.admin.delete(f"/recovery-plans/{world.paused().plan_id}"),
    "PLAN_ALREADY_EXECUTING": lambda asked: asked.execute(world.paused().plan),
    "SERVER_CONFLICT": with_servers_of_another_run,
    "PRODUCTION_RUNNING": over_what_was_launched_outside,
    "NATIVE_PLAN_BUSY": while_it_is_written_to_drs,
    "NATIVE_PLAN_IS_COPY": of_a_copy_of_ours,
    "VERSION_CONFLICT": lambda asked: asked.change(a_group(), {"description": "x"}, If_Match='"9"'),
    "PAYLOAD_TOO_LARGE": lambda asked: asked.group({"description": "a" * 1_048_576}),
    "UNSUPPORTED_MEDIA_TYPE": as_text,
    "IDEMPOTENCY_KEY_REUSED": with_a_used_key,
    "THROTTLED": too_often,
    "INTERNAL_ERROR": lambda asked: while_the_database_fails(asked, ProgrammingError("a bug")),
    "DATABASE_UNAVAILABLE": lambda asked: while_the_database_fails(asked, OperationalError("disk is full")),
    "DRS_ACCESS_DENIED": lambda asked: asked.discover("access_denied"),
    "DRS_UNAVAILABLE": lambda asked: asked.discover("expired_token"),
    "DRS_THROTTLED": lambda asked: asked.discover("throttle"),
    "REPORT_BEING_MADE": lambda asked: asked.admin.get(f"/executions/{ended_run(510).pk}/report"),
}


@pytest.mark.parametrize("code", STATUSES)
def test_a_request_gets_it(admin: Api, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    details = refusal(REQUESTS[code](Asked(admin, simulator, monkeypatch)), STATUSES[code], code)
    told = next((each for each in EVERY_CODE if each == code and Where.START in each.entry.where), None)
    assert details.get("advice") == (told.advice if told else None)
