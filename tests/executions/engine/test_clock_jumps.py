"""The database's clock jumps: for one look, or for good. Nothing is concluded from it, and nothing waits for it."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from audit.actor import SYSTEM
from contract.clock import SteadyClock
from executions.commands import control
from executions.engine.beat import Beat
from executions.models import Execution, LaunchJob
from executions.states import Kind
from tests.support.stage import Stage

pytestmark = [pytest.mark.both, pytest.mark.field("B5")]


@dataclass
class Jumping:
    """A stage that an engine looks at by a steady clock, while the database's is set ahead by `jump`."""

    stage: Stage
    jump: timedelta = timedelta()
    clock: SteadyClock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = SteadyClock(lambda: self.stage.clock() + self.jump, lambda: self.stage.clock().timestamp() - 1e9)
        self.beat = Beat(self.clock)
        self.stage.sweep.clock = self.stage.sweep.poller.clock = self.clock

    def look(self) -> None:
        self.beat.look_at_the_clock()
        self.stage.look()

    def pass_time(self, seconds: float, step: float = 15) -> None:
        for _ in range(int(seconds / step)):
            self.stage.advance(step)
            self.look()


@pytest.fixture
def jumping(stage: Stage) -> Jumping:
    made = Jumping(stage)
    made.look()
    return made


@pytest.mark.parametrize("jump", [timedelta(minutes=20), timedelta(hours=1)])
def test_a_jump_for_one_look_delays_no_poll_and_times_nothing_out(jumping: Jumping, jump: timedelta) -> None:
    stage = jumping.stage
    run = stage.start(stage.plan("app-01 app-02", "web-01"))
    jumping.pass_time(30)
    jumping.jump = jump
    jumping.look()
    jumping.jump = timedelta()
    polls = len(stage.simulator.journal("DescribeJobs"))
    jumping.pass_time(60)
    assert len(stage.simulator.journal("DescribeJobs")) >= polls + 3
    jumping.pass_time(1800, step=60)
    assert stage.picture(run) == ("COMPLETED", ["COMPLETED", "COMPLETED"])
    assert len(stage.launches()) == 2


def test_a_run_that_was_started_meanwhile_is_looked_at_within_a_minute(jumping: Jumping) -> None:
    stage = jumping.stage
    plan = stage.plan("app-01")
    jumping.jump = timedelta(minutes=20)
    run = control.start(actor=SYSTEM, plan_id=plan.pk, kind=Kind.DRILL, clock=jumping.clock.clock)
    assert (run.next_step_at or stage.clock()) > stage.clock() + timedelta(minutes=19)
    jumping.look()
    jumping.jump = timedelta()
    jumping.pass_time(30)
    assert stage.fresh(run).status in ("POLLING", "LAUNCHING")


def test_a_launch_in_doubt_is_not_sent_again_early(jumping: Jumping) -> None:
    stage = jumping.stage
    stage.simulator.scenario("late_landing", operation="StartRecovery", seconds=120, times=1)
    stage.start(stage.plan("app-01"))
    jumping.look()
    jumping.jump = timedelta(hours=1)
    jumping.pass_time(60)
    jumping.jump = timedelta()
    jumping.pass_time(120)
    assert len(stage.simulator.journal("StartRecovery")) == 1
    assert LaunchJob.objects.get().attempt == 1


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_jump_that_stays_is_believed_in_the_end_and_runs_go_on_all_the_while(
    jumping: Jumping, jump: timedelta
) -> None:
    stage = jumping.stage
    run = stage.start(stage.plan("app-01", "web-01"))
    jumping.look()
    jumping.jump = jump
    jumping.pass_time(600, step=60)
    assert abs(jumping.clock() - stage.clock()) < timedelta(seconds=5)
    jumping.pass_time(900, step=60)
    assert abs(jumping.clock() - stage.clock() - jump) < timedelta(seconds=5)
    jumping.pass_time(1800, step=60)
    assert stage.picture(run) == ("COMPLETED", ["COMPLETED", "COMPLETED"])
    assert len(stage.launches()) == 2
    assert not Execution.objects.active().exists()
