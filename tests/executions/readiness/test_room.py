"""Whether there is room for a launch is read by the engine at a slow pace, and said before a start."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from contract.clock import db_clock
from executions.readiness.room import room_reasons
from executions.readiness.terms import PlanFacts, RegionFacts, ServerFacts, WaveFacts
from executions.states import Verdict
from plans.models import RecoveryPlan
from protection.inventory import capacity
from protection.inventory.capacity import JOBS, SERVERS_IN_JOBS, STANDARD, Capacity, quota_of
from protection.inventory.launch_settings import type_of
from protection.models import RegionInventory
from tests.executions.readiness.test_launch_settings import change, read_anew, reason, shown
from tests.support.api_client import Api
from tests.support.stage import STEP, Stage

SUBNET = "subnet-0123456789abcdef0"


def look(stage: Stage) -> None:
    """The engine's next two rounds: the second asks for what the settings name that the first has read."""
    for _ in range(2):
        RegionInventory.objects.update(capacity_as_of=None)
        read_anew(stage)


def test_a_full_subnet_and_exhausted_vcpus_are_told_before_they_fail_a_launch(stage: Stage, admin: Api) -> None:
    plan = stage.plan("app-01 app-02")
    look(stage)
    assert not {"SUBNET_FULL", "VCPUS_EXHAUSTED", "ROOM_UNKNOWN"} & codes(admin, plan)
    stage.simulator.scenario("subnet_full", free=1)
    stage.simulator.scenario("vcpus_exhausted", limit=3)
    look(stage)
    full = reason(admin, plan, "SUBNET_FULL")
    assert full["message"] == (
        f"{SUBNET} has 1 free address, and 2 servers of the plan would be launched into it: app-01, app-02."
    )
    assert (full["severity"], sorted(full["serverIds"])) == ("BLOCKING", sorted(stage.ids("app-01 app-02")))
    vcpus = reason(admin, plan, "VCPUS_EXHAUSTED")
    assert "0 of the 3 vCPUs that running On-Demand Standard instances may have in us-east-1" in vcpus["message"]
    assert "launch about 8 more" in vcpus["message"]


def test_what_runs_counts_and_what_a_launch_replaces_does_not(stage: Stage, admin: Api) -> None:
    """The two instances of a drill hold the vCPUs that its next run takes over."""
    first, second = stage.plan("app-01 app-02"), stage.plan("web-01")
    stage.simulator.surroundings(quotas={STANDARD: 5})
    stage.until(stage.start(first), "COMPLETED", step=STEP)
    look(stage)
    assert "VCPUS_EXHAUSTED" not in codes(admin, first)
    assert "4 of the 5 vCPUs" in reason(admin, second, "VCPUS_EXHAUSTED")["message"]


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ("DescribeSubnets", "free addresses of subnets (UnauthorizedOperation: "),
        ("DescribeInstances", "room for vCPUs (UnauthorizedOperation: "),
        ("DescribeInstanceTypes", "room for vCPUs (UnauthorizedOperation: "),
        ("ListServiceQuotas", "quotas, so the published ones are taken (AccessDeniedException: "),
    ],
)
def test_what_may_not_be_read_is_said(stage: Stage, admin: Api, operation: str, words: str) -> None:
    plan = stage.plan("app-01")
    read_anew(stage)
    stage.simulator.scenario("access_denied", operation=operation)
    look(stage)
    found = reason(admin, plan, "ROOM_UNKNOWN")
    assert "Not checked in us-east-1: " in found["message"]
    assert words in found["message"]
    assert found["severity"] == "WARNING"


def test_a_subnet_that_is_gone_is_named(stage: Stage, admin: Api) -> None:
    plan = stage.plan("app-01")
    stage.simulator.surroundings(subnets={SUBNET: None})
    look(stage)
    assert (
        reason(admin, plan, "SUBNET_GONE")["message"] == f"{SUBNET} does not exist; launch templates name it: app-01."
    )


def test_it_is_read_every_ten_minutes_and_when_settings_name_something_new(stage: Stage) -> None:
    stage.plan("app-01")
    look(stage)
    asked = len(stage.simulator.journal("ListServiceQuotas"))
    read_anew(stage)
    assert len(stage.simulator.journal("ListServiceQuotas")) == asked
    new = "subnet-0fedcba9876543210"
    change(stage, "app-01", networkInterfaceSet=[{"subnetId": new, "deviceIndex": 0}])
    read_anew(stage)
    read_anew(stage)
    kept = Capacity.read(RegionInventory.objects.get(region="us-east-1").capacity)
    assert kept is not None
    assert new in kept.subnets
    assert capacity.due("us-east-1", "111122223333", db_clock() + timedelta(minutes=11)) is not None


def codes(admin: Api, plan: RecoveryPlan) -> set[str]:
    return {each["code"] for each in shown(admin, plan)["reasons"]}


def facts(room: Capacity | None, *, running: int = 0, servers: int = 1, **settings: Any) -> PlanFacts:
    many = [
        ServerFacts(f"s-{at}", f"app-{at}", "us-east-1", settings=settings or None, cores=2) for at in range(servers)
    ]
    region = RegionFacts(
        "us-east-1", jobs_as_of=db_clock(), capacity=room, running={f"drsjob-{at}": ["s-x"] for at in range(running)}
    )
    return PlanFacts(uuid4(), "P", 1, [WaveFacts(0, many)], {("", "us-east-1"): region})


@pytest.mark.django_db
def test_quotas_are_the_account_s_where_they_are_known_and_said_to_be_published_else() -> None:
    raised = Capacity(quotas={JOBS: 40, SERVERS_IN_JOBS: 1000})
    assert [*room_reasons(facts(raised, running=25))] == []
    [found] = room_reasons(facts(Capacity(), running=25))
    assert found.code == "QUOTA_JOBS"
    assert "DRS takes 20 jobs at once (the published quota)" in found.text
    page = "https://us-east-1.console.aws.amazon.com/servicequotas/home/services/drs/quotas"
    assert found.quota_page == f"{page}/L-D88FAC3A"
    lowered = Capacity(quotas={JOBS: 10, SERVERS_IN_JOBS: 2})
    told = {str(each.code): each.text for each in room_reasons(facts(lowered, running=10))}
    assert "DRS takes 10 jobs at once (the account's quota)" in told["QUOTA_JOBS"]
    assert "it is more than 2 (the account's quota)" in told["QUOTA_SERVERS"]


@pytest.mark.django_db
def test_a_quota_that_service_quotas_does_not_tell_is_said() -> None:
    room = Capacity(vcpus={"g5.xlarge": 4}, vcpu_quotas={STANDARD: 100})
    [found] = room_reasons(facts(room, instanceType="g5.xlarge"))
    assert (found.code, found.weight) == ("ROOM_UNKNOWN", Verdict.READY_WITH_WARNINGS)
    assert "vCPUs of G and VT instances" in found.text


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"rightSizing": "NONE", "instanceType": "c5.xlarge"}, "c5.xlarge"),
        ({"rightSizing": "BASIC", "instanceType": "c5.xlarge"}, "m5.large"),
        ({"rightSizing": "NONE", "instanceType": "by requirements"}, ""),
    ],
)
def test_the_type_that_a_launch_takes(settings: dict[str, str], told: str) -> None:
    assert type_of(settings, "m5.large") == told


@pytest.mark.parametrize(
    ("instance_type", "code"),
    [
        ("m5.large", STANDARD), ("im4gn.large", STANDARD), ("is4gen.large", STANDARD), ("t3a.micro", STANDARD),
        ("g4dn.xlarge", "L-DB2E81BA"), ("vt1.3xlarge", "L-DB2E81BA"), ("inf2.xlarge", "L-1945791B"),
        ("u-6tb1.metal", "L-43DA4232"), ("u7i-12tb.224xlarge", "L-43DA4232"), ("x2idn.16xlarge", "L-7295265B"),
        ("mac1.metal", ""), ("", ""),
    ],
)  # fmt: skip
def test_each_type_counts_against_the_quota_of_its_family(instance_type: str, code: str) -> None:
    assert quota_of(instance_type) == code
