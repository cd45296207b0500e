"""Worlds made by chance: whatever runs, whoever launches meanwhile and whenever DRS is silent, a drill that an operator
started ends no instance that DRS does not call a drill's."""

import json
import random
from typing import Any

import pytest

from audit.actor import SYSTEM, Actor, person
from contract.errors import DomainError
from drs_simulator.testing import NearSimulator
from executions.commands import control
from executions.launching.adopt import LAUNCH_TAG
from executions.models import Execution
from executions.states import Kind
from plans.models import RecoveryPlan
from tests.support.api_client import make_user
from tests.support.stage import Stage

pytestmark = pytest.mark.both

JOB = 3600.0  # longer than any launch takes
SERVERS = ("app-01", "app-02", "web-01", "web-02")


def near(stage: Stage) -> NearSimulator:
    assert isinstance(stage.simulator, NearSimulator)
    return stage.simulator


def launch_outside(stage: Stage, name: str, kind: str) -> None:
    """Somebody does, in DRS's console or by one of its plans, unless the server is busy."""
    try:
        stage.simulator.scenario("foreign_job", servers=[name], initiated_by=kind, region="us-east-1")
    except ValueError as refusal:
        if "ConflictException" not in str(refusal):
            raise


def meddle(stage: Stage, dice: random.Random, chance: float) -> None:
    """One moment: others launch, what they launched is up or still on its way, and DRS may fall silent."""
    stage.simulator.clear_scenarios("throttle")
    for name in SERVERS:
        if dice.random() < chance:
            launch_outside(stage, name, dice.choice(["START_DRILL", "START_RECOVERY", "START_RECOVERY"]))
    if dice.random() < 0.8:
        stage.advance(JOB)
    if dice.random() < 0.25:
        stage.simulator.scenario("throttle", operation="DescribeRecoveryInstances", times=dice.choice([1, 2, 4]))


def drill(stage: Stage, plan: RecoveryPlan, operator: Actor, dice: random.Random) -> str:
    """The operator's drill, with somebody meddling at every moment of it; answers how it ended."""
    says_so = dice.random() < 0.3  # and has not the right
    meddle(stage, dice, 0.15)
    try:
        run = control.start(
            actor=operator, plan_id=plan.pk, kind=Kind.DRILL, replace_production=says_so, clock=stage.clock
        )
    except DomainError as refusal:
        if refusal.code not in ("FORBIDDEN", "DRS_THROTTLED"):
            raise
        return refusal.code
    meddle(stage, dice, 0.25)
    for _ in range(12):
        stage.look()
        run = stage.fresh(run)
        if run.state.is_final:
            return run.status
        if run.status == "PAUSED":
            meddle(stage, dice, 0.25)
            control.resume(actor=operator, execution_id=run.pk, clock=stage.clock)
        stage.advance(JOB / 2)
    control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    return "UNDER_WAY"


def ended_by_us(stage: Stage) -> list[str]:
    """Instances that DRS does not call a drill's and that a launch of ours replaced, from the simulator's own store."""
    store = near(stage).app.store
    production = {row["id"] for row in store.rows("SELECT id FROM instance WHERE is_drill = 0")}
    jobs: list[Any] = store.rows("SELECT spec, tags FROM job")
    ours = [json.loads(row["spec"]) for row in jobs if LAUNCH_TAG in json.loads(row["tags"])]
    return [part["replaces"] for spec in ours for part in spec["servers"] if part["replaces"] in production]


def worlds(stage: Stage, seeds: range) -> dict[str, int]:
    """Play each world; answers how many drills ended how."""
    stage.packs.touched = True  # they are about what DRS does, not about what is told of it
    plan, operator = stage.plan("app-01 app-02", "web-01 web-02", pause={1}), person(make_user("operator"))
    ends: dict[str, int] = {}
    for seed in seeds:
        near(stage).reset()
        Execution.objects.all().delete()
        how = drill(stage, plan, operator, random.Random(seed))
        ends[how] = ends.get(how, 0) + 1
        assert ended_by_us(stage) == [], f"in the world {seed}, whose drill ended {how}"
    return ends


@pytest.mark.field("B1")
def test_no_drill_of_an_operator_ends_production(stage: Stage) -> None:
    ends = worlds(stage, range(12))
    assert {"FORBIDDEN", "PARTIAL"} <= ends.keys(), ends


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_nor_in_a_thousand_worlds(stage: Stage) -> None:
    ends = worlds(stage, range(1000))
    assert {"FORBIDDEN", "DRS_THROTTLED", "COMPLETED", "PARTIAL", "FAILED"} <= ends.keys(), ends
