"""Recovery plans of DRS that others have made, and what DRS has of any."""

from typing import Any

from drs_simulator.testing import RunningSimulator


def made_in_drs(simulator: RunningSimulator, name: str, *steps: "list[str] | int") -> str:
    """The ARN of one whose steps have these source servers, the last of each optional, or wait so many minutes."""
    client = simulator.client()
    arn = client.create_recovery_plan(name=name, description="By the storage team")["recoveryPlan"]["recoveryPlanArn"]
    for number, step in enumerate(steps, 1):
        configuration: Any = {"waitStepConfiguration": {"waitDurationMinutes": step}}
        if isinstance(step, list):
            home = f"arn:aws:drs:us-east-1:{arn.split(':')[4]}:source-server"
            servers = [{"serverArn": f"{home}/{each}", "impactLevel": "CRITICAL"} for each in step]
            servers[-1]["impactLevel"] = "OPTIONAL"
            configuration = {"serverStepConfiguration": {"servers": servers}}
        client.create_recovery_plan_step(recoveryPlanArn=arn, stepName=f"Tier {number}", configuration=configuration)
    return arn


def in_drs(simulator: RunningSimulator) -> list[dict[str, Any]]:
    """All that DRS has in us-east-1, with tags and steps."""
    client = simulator.client()
    plans = client.list_recovery_plans()["recoveryPlans"]
    return [
        {
            "name": each["name"],
            "tags": client.get_recovery_plan(recoveryPlanArn=each["recoveryPlanArn"])["recoveryPlan"]["tags"],
            "steps": client.list_recovery_plan_steps(recoveryPlanArn=each["recoveryPlanArn"])["recoveryPlanSteps"],
            "arn": each["recoveryPlanArn"],
        }
        for each in plans
    ]
