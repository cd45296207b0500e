"""What is said before a start of servers that would launch and not be usable."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.actor import SYSTEM
from plans.fields import WaveSpec
from plans.models import RecoveryPlan
from plans.services import create_plan
from protection.models import RegionInventory, SourceServer
from tests.support.api_client import Api, answer
from tests.support.stage import Stage


def planned(stage: Stage, means: str = "LAUNCHED") -> RecoveryPlan:
    group = stage.group("app-01 app-02")
    wave = WaveSpec(name="All", group_ids=[group.pk], server_ids=stage.ids("app-01 app-02"), success_means=means)
    return create_plan(actor=SYSTEM, name="Weighed", waves=[wave])


def reasons(stage: Stage, admin: Api, plan: RecoveryPlan) -> dict[str, Any]:
    """After two rounds of the engine: the first reads the launch settings, the second asks for what they need."""
    for _ in range(2):
        SourceServer.objects.update(details_as_of=None)
        RegionInventory.objects.update(tried_at=timezone.now() - timedelta(hours=1), rights_as_of=None)
        stage.sweep.next_inventory_check = None
        stage.sweep.once()
        stage.sweep.drain()
    told = answer(admin.get(f"/recovery-plans/{plan.pk}/readiness"))["reasons"]
    return {each["code"]: each for each in told}


@pytest.mark.field("A8")
@pytest.mark.parametrize(("means", "severity"), [("LAUNCHED", "WARNING"), ("STATUS_CHECKS", "BLOCKING")])
def test_without_the_right_to_read_status_checks_it_is_said(
    stage: Stage, admin: Api, means: str, severity: str
) -> None:
    plan = planned(stage, means)
    stage.simulator.scenario("access_denied", operation="DescribeInstanceStatus")
    found = reasons(stage, admin, plan)
    assert found["CHECKS_UNKNOWN"]["severity"] == severity
    stage.simulator.clear_scenarios()
    assert "CHECKS_UNKNOWN" not in reasons(stage, admin, plan)


@pytest.mark.field("A8")
def test_a_server_that_is_left_stopped_is_named_before_the_start(stage: Stage, admin: Api) -> None:
    plan = planned(stage)
    stage.simulator.surroundings(launch={"app-01": {"launchDisposition": "STOPPED"}})
    found = reasons(stage, admin, plan)
    assert "app-01" in found["LAUNCHED_STOPPED"]["message"]
    assert "app-02" not in found["LAUNCHED_STOPPED"]["message"]


@pytest.mark.field("A26")
def test_post_launch_actions_that_the_role_cannot_run_block(stage: Stage, admin: Api) -> None:
    plan = planned(stage)
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    no_ssm = {"Effect": "Deny", "Action": "ssm:*", "Resource": "*"}
    stage.simulator.surroundings(launch={"app-01": {"postLaunchEnabled": True}}, policies=[everything, no_ssm])
    found = reasons(stage, admin, plan)
    assert found["ACTIONS_DENIED"]["severity"] == "BLOCKING"
    assert "app-01" in found["ACTIONS_DENIED"]["message"]
    stage.simulator.surroundings(simulation=False)
    assert "ACTIONS_DENIED" not in reasons(stage, admin, plan), "where IAM may not be asked it is not known"
