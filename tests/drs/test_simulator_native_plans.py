"""DRS's own recovery plans in the simulator, over HTTP through boto3: built, executed, cancelled, retried."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from drs_simulator.protocol.rest_json import SIMULATED
from drs_simulator.testing import RunningSimulator, running_simulator
from drs_simulator.world.fleet import generate_fleet
from tests.drs.test_simulator_protocol import Watch

if TYPE_CHECKING:
    from mypy_boto3_drs import DrsClient

FLEET = generate_fleet(6)
ARNS = [f"arn:aws:drs:us-east-1:{each.account}:source-server/{each.id}" for each in FLEET.servers]


@pytest.fixture
def sim() -> Iterator[RunningSimulator]:
    with running_simulator(FLEET) as running:
        yield running


def step_of(*arns: str, **levels: Any) -> Any:
    return {"serverStepConfiguration": {"servers": [{"serverArn": each, **levels} for each in arns]}}


def made(client: "DrsClient", *steps: Any) -> str:
    arn = client.create_recovery_plan(name="Payments", clientToken="t")["recoveryPlan"]["recoveryPlanArn"]
    for number, step in enumerate(steps, 1):
        client.create_recovery_plan_step(recoveryPlanArn=arn, stepName=f"Step {number}", configuration=step)
    return arn


def code(error: Any) -> str:
    return str(error.value.response["Error"]["Code"])


def told(client: "DrsClient", arn: str) -> tuple[str, list[str]]:
    steps = client.list_recovery_plan_execution_steps(recoveryPlanExecutionArn=arn)["recoveryPlanExecutionSteps"]
    run = client.get_recovery_plan_execution(recoveryPlanExecutionArn=arn)["recoveryPlanExecution"]
    return run["status"], [each["status"] for each in steps]


def test_a_plan_is_built_listed_changed_and_deleted(sim: RunningSimulator) -> None:
    client = sim.client()
    arn = made(client, step_of(ARNS[0]), {"waitStepConfiguration": {"waitDurationMinutes": 5}}, step_of(ARNS[1]))
    assert client.create_recovery_plan(name="Payments", clientToken="t")["recoveryPlan"]["recoveryPlanArn"] == arn
    with pytest.raises(ClientError) as taken:
        client.create_recovery_plan(name="Payments", clientToken="other")
    with pytest.raises(ClientError) as twice:
        client.create_recovery_plan_step(recoveryPlanArn=arn, stepName="Again", configuration=step_of(ARNS[0]))
    assert (code(taken), code(twice)) == ("ConflictException", "ValidationException")
    steps = client.list_recovery_plan_steps(recoveryPlanArn=arn)["recoveryPlanSteps"]
    assert [(each["stepOrder"], each["stepName"]) for each in steps] == [(1, "Step 1"), (2, "Step 2"), (3, "Step 3")]
    client.delete_recovery_plan_step(recoveryPlanStepArn=steps[1]["recoveryPlanStepArn"])
    order = [steps[2]["recoveryPlanStepArn"], steps[0]["recoveryPlanStepArn"]]
    turned = client.reorder_recovery_plan_steps(recoveryPlanArn=arn, orderedStepArns=order)["recoveryPlanSteps"]
    assert [each["stepName"] for each in turned] == ["Step 3", "Step 1"]
    client.tag_resource(resourceArn=arn, tags={"drsorch:plan": "1"})
    plan = client.get_recovery_plan(recoveryPlanArn=arn)["recoveryPlan"]
    assert (plan["status"], plan["tags"]) == ("ACTIVE", {"drsorch:plan": "1"})
    sim.delete_servers(FLEET.servers[0].id)
    (listed,) = client.list_recovery_plans()["recoveryPlans"]
    assert listed["status"] == "INVALID"
    client.delete_recovery_plan(recoveryPlanArn=arn)
    assert client.list_recovery_plans()["recoveryPlans"] == []


def test_an_execution_goes_from_step_to_step(sim: RunningSimulator) -> None:
    client = sim.client()
    arn = made(
        client, step_of(ARNS[0], ARNS[1]), {"waitStepConfiguration": {"waitDurationMinutes": 5}}, step_of(ARNS[2])
    )
    run = client.start_recovery_plan_execution(recoveryPlanArn=arn, mode="DRILL")["recoveryPlanExecution"]
    assert told(client, run["recoveryPlanExecutionArn"]) == ("IN_PROGRESS", ["EXECUTING", "NOT_STARTED", "NOT_STARTED"])
    with pytest.raises(ClientError) as second:
        client.start_recovery_plan_execution(recoveryPlanArn=arn, mode="DRILL")
    assert code(second) == "ConflictException"
    sim.advance(4000)
    assert told(client, run["recoveryPlanExecutionArn"]) == ("COMPLETED", ["COMPLETED"] * 3)
    last, first = client.describe_jobs()["items"]
    assert (first["initiatedBy"], len(first["participatingServers"])) == ("START_DRILL", 2)
    assert last["creationDateTime"] >= first["endDateTime"]
    assert all(each["isDrill"] for each in client.describe_recovery_instances()["items"])


def test_a_critical_server_stops_it_an_optional_one_does_not(sim: RunningSimulator) -> None:
    client = sim.client()
    sim.scenario("launch_failed", servers=[FLEET.servers[0].id, FLEET.servers[2].id], times=2)
    arn = made(client, step_of(ARNS[0], impactLevel="OPTIONAL"), step_of(ARNS[2]), step_of(ARNS[3]))
    run = client.start_recovery_plan_execution(recoveryPlanArn=arn, mode="RECOVERY")["recoveryPlanExecution"]
    execution = run["recoveryPlanExecutionArn"]
    sim.advance(9000)
    assert told(client, execution) == ("FAILED", ["COMPLETED", "FAILED", "NOT_STARTED"])
    failed = client.list_recovery_plan_execution_steps(recoveryPlanExecutionArn=execution, filter={"status": "FAILED"})[
        "recoveryPlanExecutionSteps"
    ][0]
    sim.clear_scenarios()
    step = {"recoveryPlanExecutionStepArn": failed["recoveryPlanExecutionStepArn"]}
    assert client.retry_recovery_plan_execution_step(**step)["recoveryPlanExecutionStep"]["attempt"] == 2
    sim.advance(9000)
    assert told(client, execution) == ("COMPLETED", ["COMPLETED"] * 3)


def test_a_cancelled_execution_lets_its_step_end(sim: RunningSimulator) -> None:
    client = sim.client()
    arn = made(client, step_of(ARNS[0]), step_of(ARNS[1]))
    run = client.start_recovery_plan_execution(recoveryPlanArn=arn, mode="DRILL")["recoveryPlanExecution"]
    execution = run["recoveryPlanExecutionArn"]
    cancelled = client.cancel_recovery_plan_execution(recoveryPlanExecutionArn=execution)["recoveryPlanExecution"]
    assert cancelled["status"] == "CANCELLING"
    sim.advance(4000)
    assert told(client, execution) == ("CANCELLED", ["COMPLETED", "NOT_STARTED"])
    assert len(client.describe_jobs()["items"]) == 1
    client.delete_recovery_plan_execution(recoveryPlanExecutionArn=execution)
    assert client.list_recovery_plan_executions()["recoveryPlanExecutions"] == []


def test_every_answer_fits_the_model(sim: RunningSimulator) -> None:
    client = sim.client()
    watch = Watch(client)
    arn = made(client, {"waitStepConfiguration": {"waitDurationMinutes": 1}}, step_of(ARNS[0]))
    step = client.list_recovery_plan_steps(recoveryPlanArn=arn)["recoveryPlanSteps"][0]["recoveryPlanStepArn"]
    client.get_recovery_plan_step(recoveryPlanStepArn=step)
    client.update_recovery_plan_step(recoveryPlanStepArn=step, stepName="Rest")
    client.update_recovery_plan(recoveryPlanArn=arn, description="Payments, by hand")
    client.get_recovery_plan(recoveryPlanArn=arn)
    client.list_recovery_plans()
    sim.scenario("launch_failed", servers=[FLEET.servers[0].id])
    started = client.start_recovery_plan_execution(recoveryPlanArn=arn, mode="DRILL")["recoveryPlanExecution"]
    run = started["recoveryPlanExecutionArn"]
    sim.advance(4000)
    steps = client.list_recovery_plan_execution_steps(recoveryPlanExecutionArn=run)["recoveryPlanExecutionSteps"]
    last = steps[1]["recoveryPlanExecutionStepArn"]
    client.get_recovery_plan_execution_step(recoveryPlanExecutionStepArn=last)
    client.retry_recovery_plan_execution_step(recoveryPlanExecutionStepArn=last)
    client.cancel_recovery_plan_execution(recoveryPlanExecutionArn=run)
    sim.advance(4000)
    client.update_recovery_plan_execution_step(recoveryPlanExecutionStepArn=last, status="SKIPPED")
    client.get_recovery_plan_execution(recoveryPlanExecutionArn=run)
    client.list_recovery_plan_executions()
    client.delete_recovery_plan_execution(recoveryPlanExecutionArn=run)
    client.reorder_recovery_plan_steps(
        recoveryPlanArn=arn,
        orderedStepArns=[
            each["recoveryPlanStepArn"]
            for each in client.list_recovery_plan_steps(recoveryPlanArn=arn)["recoveryPlanSteps"]
        ],
    )
    client.delete_recovery_plan_step(recoveryPlanStepArn=step)
    client.delete_recovery_plan(recoveryPlanArn=arn)
    assert watch.problems == []
    assert watch.seen == {each for each in SIMULATED if "RecoveryPlan" in each}
