"""Of requests at the same moment one wins, and the other is told why: the database decides."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from audit.actor import SYSTEM
from contract.models import IdempotencyKey
from drs_simulator.testing import RunningSimulator
from drs_simulator.world.demo import demo_server_ids
from drs_simulator.world.fleet import generate_fleet
from executions.models import Execution, LaunchJob, ServerHold
from executions.states import ExecutionStatus, WaveStatus
from plans.fields import WaveSpec
from plans.models import RecoveryPlan
from plans.services import create_plan
from protection.inventory.source_servers import read_region
from protection.models import ProtectionGroup, ServerAssignment
from tests.console import world
from tests.support.api_client import Api, answer
from tests.support.stage import Stage
from tests.support.threads import at_once

pytestmark = [pytest.mark.both, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

IDS = demo_server_ids()
JOBS = 20  # that DRS has at once


@pytest.fixture(params=[6, pytest.param(50, marks=pytest.mark.long)])
def rounds(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def codes(*calls: Callable[[], Any]) -> Counter[str]:
    """How often each error code, or status where it went well, was answered."""
    found = [(each.status_code, each.json()) for each in at_once(calls)]
    return Counter(str(body.get("error") or status) for status, body in found)


@pytest.fixture
def stage(transactional_db: None, simulator: RunningSimulator) -> Stage:
    made = Stage(simulator)
    made.ids("web-01")
    made.ids("erp-db-01", "us-west-2")
    return made


def group(name: str, hosts: str) -> dict[str, Any]:
    return {"groupName": name, "region": "us-east-1", "sourceServerIds": [IDS[each] for each in hosts.split()]}


def test_two_groups_of_one_name(admin: Api, stage: Stage, rounds: int) -> None:
    for turn in range(rounds):
        one, other = group(f"Web {turn}", "web-01"), group(f"WEB {turn}", "app-01")
        won = codes(partial(admin.post, "/protection-groups", one), partial(admin.post, "/protection-groups", other))
        assert won == {"201": 1, "PG_NAME_EXISTS": 1}
        ProtectionGroup.objects.all().delete()


def test_two_groups_of_one_server(admin: Api, stage: Stage, rounds: int) -> None:
    """In opposite order, which is where a database could deadlock."""
    for turn in range(rounds):
        one, other = group(f"One {turn}", "web-01 web-02"), group(f"Other {turn}", "web-02 web-01")
        won = codes(partial(admin.post, "/protection-groups", one), partial(admin.post, "/protection-groups", other))
        assert won == {"201": 1, "SERVER_ASSIGNMENT_CONFLICT": 1}
        assert ServerAssignment.objects.count() == 2
        ProtectionGroup.objects.all().delete()


def test_two_plans_of_one_name(admin: Api, stage: Stage, rounds: int) -> None:
    made = stage.group("web-01")
    wave = {"name": "Web", "protectionGroupIds": [str(made.pk)], "serverIds": [IDS["web-01"]]}
    for turn in range(rounds):
        bodies = [{"planName": name, "waves": [wave]} for name in (f"Plan {turn}", f"PLAN {turn}")]
        won = codes(*(partial(admin.post, "/recovery-plans", body) for body in bodies))
        assert won == {"201": 1, "RP_NAME_EXISTS": 1}


def test_a_removed_server_is_in_no_new_plan(admin: Api, stage: Stage, rounds: int) -> None:
    """Either the plan has the server and the group keeps it, or neither."""
    for turn in range(rounds):
        made = world.group(f"Web {turn}", [IDS["web-01"], IDS["web-02"]]).pk
        wave = {"name": "Web", "protectionGroupIds": [str(made)], "serverIds": [IDS["web-02"]]}
        path = f"/protection-groups/{made}"
        won = codes(
            partial(admin.put, path, {"sourceServerIds": [IDS["web-01"]]}),
            partial(admin.post, "/recovery-plans", {"planName": f"Plan {turn}", "waves": [wave]}),
        )
        assert won in ({"200": 1, "VALIDATION_ERROR": 1}, {"201": 1, "SERVER_IN_USE_BY_PLAN": 1})
        RecoveryPlan.objects.all().delete()
        ProtectionGroup.objects.all().delete()


def test_a_deleted_group_is_in_no_new_plan(admin: Api, stage: Stage, rounds: int) -> None:
    for turn in range(rounds):
        made = world.group(f"Web {turn}", [IDS["web-01"]]).pk
        wave = {"name": "Web", "protectionGroupIds": [str(made)], "serverIds": [IDS["web-01"]]}
        won = codes(
            partial(admin.delete, f"/protection-groups/{made}"),
            partial(admin.post, "/recovery-plans", {"planName": f"Plan {turn}", "waves": [wave]}),
        )
        assert won in ({"200": 1, "VALIDATION_ERROR": 1}, {"201": 1, "PG_IN_USE": 1})
        RecoveryPlan.objects.all().delete()
        ProtectionGroup.objects.all().delete()


def test_two_changes_of_one_version(admin: Api, stage: Stage, rounds: int) -> None:
    made = answer(admin.post("/protection-groups", group("Web", "web-01")), 201)
    path = f"/protection-groups/{made['groupId']}"
    for version in range(1, rounds + 1):
        tag = f'"{version}"'
        won = codes(
            partial(admin.put, path, {"description": "one"}, If_Match=tag),
            partial(admin.put, path, {"description": "other"}, If_Match=tag),
        )
        assert won == {"200": 1, "VERSION_CONFLICT": 1}


def test_ten_starts_make_one_run(admin: Api, stage: Stage, rounds: int) -> None:
    plan = stage.plan("web-01", "app-01")
    body = {"PlanId": str(plan.pk), "ExecutionType": "DRILL"}
    for turn in range(rounds):
        many = 3 if turn else 10
        won = codes(*[partial(admin.post, "/executions", body)] * many)
        assert won == {"202": 1, "PLAN_ALREADY_EXECUTING": many - 1}
        assert (Execution.objects.count(), ServerHold.objects.count()) == (turn + 1, 2)
        answer(admin.post(f"/executions/{Execution.objects.active().get().pk}/cancel"))


def test_two_plans_with_one_server(admin: Api, stage: Stage, rounds: int) -> None:
    web, app = stage.group("web-01 web-02"), stage.group("app-01")
    waves = [
        {"name": "Web", "protectionGroupIds": [str(web.pk)], "serverIds": [IDS["web-01"]]},
        {"name": "App", "protectionGroupIds": [str(app.pk)], "serverIds": [IDS["app-01"]]},
    ]
    plans = [
        answer(admin.post("/recovery-plans", {"planName": name, "waves": order}), 201)["planId"]
        for name, order in (("One", waves), ("Other", waves[::-1]))
    ]
    for _ in range(rounds):
        bodies = [{"PlanId": plan, "ExecutionType": "DRILL"} for plan in plans]
        won = codes(*(partial(admin.post, "/executions", body) for body in bodies))
        assert won == {"202": 1, "SERVER_CONFLICT": 1}
        answer(admin.post(f"/executions/{Execution.objects.active().get().pk}/cancel"))


@pytest.mark.parametrize("what", ["plan", "group"])
def test_a_change_and_a_start_do_not_mix(admin: Api, stage: Stage, what: str, rounds: int) -> None:
    """If the change came first, the run has it; if the run came first, the change is refused."""
    plan = stage.plan("web-01 web-02")
    home = plan.waves.get().groups.get()
    path = f"/recovery-plans/{plan.pk}" if what == "plan" else f"/protection-groups/{home.pk}"
    for turn in range(rounds):
        change = {"planName" if what == "plan" else "groupName": f"Turn {turn}"}
        start = {"PlanId": str(plan.pk), "ExecutionType": "DRILL"}
        found = at_once([partial(admin.put, path, change), partial(admin.post, "/executions", start)])
        assert found[1].status_code == 202
        run = Execution.objects.active().get()
        if what == "plan":
            assert (run.plan_name == f"Turn {turn}") == (found[0].status_code == 200)
        if found[0].status_code != 200:
            assert found[0].json()["error"] in ("PLAN_HAS_ACTIVE_EXECUTION", "PG_IN_ACTIVE_EXECUTION")
        answer(admin.post(f"/executions/{run.pk}/cancel"))


def test_a_deletion_and_a_start_do_not_mix(admin: Api, stage: Stage, rounds: int) -> None:
    made = stage.group("web-01")
    wave = {"name": "Web", "protectionGroupIds": [str(made.pk)], "serverIds": [IDS["web-01"]]}
    for turn in range(rounds):
        plan = answer(admin.post("/recovery-plans", {"planName": f"Plan {turn}", "waves": [wave]}), 201)["planId"]
        won = codes(
            partial(admin.delete, f"/recovery-plans/{plan}"),
            partial(admin.post, "/executions", {"PlanId": plan, "ExecutionType": "DRILL"}),
        )
        assert won in ({"200": 1, "NOT_FOUND": 1}, {"202": 1, "PLAN_HAS_ACTIVE_EXECUTION": 1})
        for run in Execution.objects.active():
            answer(admin.post(f"/executions/{run.pk}/cancel"))


def test_one_key_makes_one_run(admin: Api, stage: Stage, rounds: int) -> None:
    plan = stage.plan("web-01")
    body = {"PlanId": str(plan.pk), "ExecutionType": "DRILL"}
    for turn in range(rounds):
        calls = [partial(admin.post, "/executions", body, Idempotency_Key=f"key {turn}")] * 3
        answers = [answer(each, 202) for each in at_once(calls)]
        assert len({each["executionId"] for each in answers}) == 1
        assert IdempotencyKey.objects.count() == Execution.objects.count() == turn + 1
        answer(admin.post(f"/executions/{answers[0]['executionId']}/cancel"))


def paused_again(run: Execution) -> None:
    wave = run.waves.get(number=1)
    wave.status, wave.paused_at = WaveStatus.PAUSED, timezone.now()
    wave.save()
    world.change(run, wave, status=ExecutionStatus.PAUSED, next_step_at=world.in_a_year())


def test_two_resumes_make_one(admin: Api, stage: Stage, rounds: int) -> None:
    run = world.paused()
    for _ in range(rounds):
        won = codes(*[partial(admin.post, f"/executions/{run.pk}/resume")] * 2)
        assert won == {"200": 1, "EXECUTION_NOT_PAUSED": 1}
        paused_again(run)


def test_a_resume_and_a_cancel_do_not_mix(admin: Api, stage: Stage, rounds: int) -> None:
    """Whichever comes first, the run is over, and a resume that came too late says so."""
    for _ in range(rounds):
        run = world.paused()
        path = f"/executions/{run.pk}"
        resumed, cancelled = at_once([partial(admin.post, f"{path}/resume"), partial(admin.post, f"{path}/cancel")])
        assert answer(cancelled)["status"] in ("CANCELLED", "CANCELLING")
        if resumed.status_code != 200:
            assert resumed.json()["error"] == "EXECUTION_NOT_PAUSED"
        assert Execution.objects.get(pk=run.pk).status in ("CANCELLED", "CANCELLING")


def test_two_terminations_make_one(admin: Api, stage: Stage, simulator: RunningSimulator, rounds: int) -> None:
    """Both are told what was terminated, and DRS is asked once."""
    for turn, run in enumerate(launched(stage, simulator, rounds), 1):
        path = f"/executions/{run.pk}/terminate-instances"
        one, other = [answer(each) for each in at_once([partial(admin.post, path)] * 2)]
        assert len(one["terminated"] + other["terminated"]) in (1, 2)
        assert len(answer(admin.post(path))["terminated"]) == 1
        assert (one["failed"], other["failed"]) == ([], [])
        assert len(simulator.journal("TerminateRecoveryInstances")) == turn


def launched(stage: Stage, simulator: RunningSimulator, count: int) -> Iterator[Execution]:
    """Finished runs with an instance each, as many at a time as DRS has jobs."""
    simulator.load_fleet(generate_fleet(count))
    read_region("us-east-1")
    ids = [server.id for server in generate_fleet(count).servers]
    home = world.group("Fleet", ids)
    plans = [
        create_plan(actor=SYSTEM, name=each, waves=[WaveSpec(name=each, group_ids=[home.pk], server_ids=[each])])
        for each in ids
    ]
    for first in range(0, count, JOBS):
        runs = [stage.start(plan) for plan in plans[first : first + JOBS]]
        stage.wait(lambda: not Execution.objects.active().exists(), runs[0], step=600)
        stage.wait(lambda: not LaunchJob.objects.exclude(status="COMPLETED").exists(), runs[0], step=600)
        yield from runs
    stage.sweep.close()
