"""People, time and AWS in any order: the pack of every run that is over holds, whenever it is made."""

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from audit.actor import SYSTEM
from contract.errors import DomainError
from executions.commands import control, steering
from executions.commands.abandon import abandon
from executions.commands.retry import Choice, retry
from executions.models import Execution, ServerRun
from executions.states import Dependents, Kind
from plans.models import RecoveryPlan
from tests.reports.test_every_end import cancel, resume
from tests.support.stage import Stage

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def a_pack_of_each_news(stage: Stage) -> None:
    stage.packs.every = True


Step = Callable[[Stage, Execution, random.Random], object]
WHOLE: dict[str, dict[str, object]] = {
    "access_denied": {"operation": "StartRecovery", "times": 1},
    "uninitialized": {"operation": "StartRecovery", "times": 1},
    "quota_exceeded": {"operation": "StartRecovery", "times": 40},
    "conflict": {"operation": "StartRecovery", "times": 3},
    "late_landing": {"operation": "StartRecovery", "seconds": 60, "times": 1},
    "drop_connection_after_effect": {"operation": "StartRecovery", "times": 1},
    "drop_connection_before": {"operation": "StartRecovery", "times": 1},
    "internal_error_before": {"operation": "DescribeJobs", "times": 80},
    "broken_json": {"operation": "DescribeJobs", "times": 5},
    "visibility_delay": {"seconds": 100},
    "launch_end_event": {},
    "clear_instance_ids": {},
    "terminate_fails": {"times": 1},
    "refused": {"operation": "StartRecovery", "times": 1},
    "throttle": {"times": 60},
    "tags_lost": {},
    "strange_jobs": {},
    "untold_launches": {},
    "terminate_untold": {},
    "unknown_status": {"operation": "StartRecovery", "times": 2},
    "jobs_deleted": {"running": True},
    "no_is_drill": {"times": 3},
}
OF_A_SERVER: dict[str, dict[str, object]] = {
    "launch_failed": {},
    "conversion_fail": {},
    "server_skipped": {},
    "snapshot_fail_no_previous": {},
    "snapshot_fail_uses_previous": {},
    "never_settles": {},
    "slow_server": {"factor": 6},
    "late_instance_id": {"seconds": 300},
    "dies_at_once": {},
    "conversion_retried": {},
    "template_gone": {},
    "network_recovery_fails": {},
    "termination_protection": {},
    "odd_lag": {"lag": "PT9M"},
    "server_refused": {"code": "ValidationException", "named": False},
    "late_rows": {"seconds": 400},
    "missing_rows": {},
    "double_rows": {"status": "FAILED"},
    "row_status": {"status": "TERMINATED"},
    "unlisted_instances": {"seconds": 1800},
    "launch_actions": {"status": "FAILED"},
    "ec2_terminated": {},
    "ec2_stopped": {},
    "left_drs": {},
}
TROUBLED = ("app-01", "app-02", "app-03", "web-01", "db-primary-01")
HOSTS = (("app-01 app-02", "web-01", "web-02"), ("app-03", "db-primary-01 db-replica-01"))


def let_pass(stage: Stage, dice: random.Random) -> None:
    stage.advance(dice.choice([5, 60, 300, 700, 1900]))
    stage.look()


def try_again(stage: Stage, run: Execution, dice: random.Random) -> None:
    retry(actor=SYSTEM, execution_id=run.pk, replace_production=True, clock=stage.clock)


def try_some_again(stage: Stage, run: Execution, dice: random.Random) -> None:
    left = ServerRun.objects.filter(wave__execution=run).exclude(launch_status="LAUNCHED")
    some = [each for each in left.values_list("source_server_id", flat=True) if dice.random() < 0.5]
    retry(actor=SYSTEM, execution_id=run.pk, replace_production=True, choice=Choice(exclude=some), clock=stage.clock)


def skip(stage: Stage, run: Execution, dice: random.Random) -> None:
    how = dice.choice([Dependents.SKIP, Dependents.RUN])
    steering.skip_wave(
        actor=SYSTEM, execution_id=run.pk, wave=dice.randrange(2), reason="No", dependents=how, clock=stage.clock
    )


def leave_out(stage: Stage, run: Execution, dice: random.Random) -> None:
    servers = ServerRun.objects.filter(wave__execution=run).values_list("source_server_id", flat=True)
    steering.exclude_server(
        actor=SYSTEM, execution_id=run.pk, source_server_id=dice.choice(list(servers)), reason="No", clock=stage.clock
    )


def retry_wave(stage: Stage, run: Execution, dice: random.Random) -> None:
    steering.retry_wave(actor=SYSTEM, execution_id=run.pk, wave=dice.randrange(2), clock=stage.clock)


def end_instances(stage: Stage, run: Execution, dice: random.Random) -> None:
    control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)


def end_some_elsewhere(stage: Stage, run: Execution, dice: random.Random) -> None:
    """Somebody terminates an instance in AWS's console."""
    up = ServerRun.objects.filter(wave__execution=run, launch_status="LAUNCHED").exclude(recovery_instance_id="")
    if run.next_step_at is None and (server := up.first()):
        client = stage.simulator.client()
        with suppress(ClientError):  # gone already, or under way
            client.terminate_recovery_instances(recoveryInstanceIDs=[server.recovery_instance_id])
        stage.advance(600)


STEPS: tuple[Step, ...] = (
    lambda stage, run, dice: cancel(stage, run),
    lambda stage, run, dice: resume(stage, run),
    lambda stage, run, dice: resume(stage, run),
    lambda stage, run, dice: control.pause(actor=SYSTEM, execution_id=run.pk, clock=stage.clock),
    lambda stage, run, dice: abandon(actor=SYSTEM, execution_id=run.pk, clock=stage.clock),
    lambda stage, run, dice: abandon(actor=SYSTEM, execution_id=run.pk, clock=stage.clock),
    try_again,
    try_again,
    try_some_again,
    skip,
    leave_out,
    leave_out,
    retry_wave,
    retry_wave,
    end_instances,
    end_some_elsewhere,
)


def begin(stage: Stage, plan: RecoveryPlan, dice: random.Random) -> Execution:
    kind, dry = dice.choice([Kind.DRILL, Kind.RECOVERY]), dice.random() < 0.15
    outage = stage.clock() - timedelta(minutes=dice.choice([1, 50])) if kind is Kind.RECOVERY else None
    how = {"dry_run": dry, "outage_at": outage, "replace_production": True}
    return stage.start(plan, kind, **how)


def misbehave(stage: Stage, dice: random.Random) -> None:
    if dice.random() < 0.5:
        name = dice.choice(sorted(WHOLE))
        options = WHOLE[name]
    else:
        name, host = (
            dice.choice(sorted(OF_A_SERVER)),
            dice.choice(TROUBLED),
        )
        options = {"servers": [host], "times": dice.choice([1, 2]), **OF_A_SERVER[name]}
    with suppress(ValueError):  # of what has no instance, or no job
        stage.simulator.scenario(name, **options)


@pytest.mark.parametrize("seed", [0, 3, *(pytest.param(each, marks=pytest.mark.long) for each in range(4, 24))])
@pytest.mark.field("B3")
def test_the_pack_of_every_run_holds_whenever_it_is_made(stage: Stage, seed: int) -> None:
    dice = random.Random(seed)
    plans = [
        stage.plan(*HOSTS[0], pause={1}, on_failure={0: "CONTINUE"}, depends_on={2: (0,)}),
        stage.plan(*HOSTS[1], on_failure={0: dice.choice(["STOP", "CONTINUE", "PAUSE"])}),
    ]
    RecoveryPlan.objects.update(rto_minutes=30, rpo_minutes=5)
    for _ in range(14):
        for _ in range(dice.choice([0, 0, 1, 2])):
            misbehave(stage, dice)
        runs = list(Execution.objects.order_by("started_at"))
        try:
            if dice.random() < 0.4 or not runs:
                begin(stage, dice.choice(plans), dice)
            else:
                dice.choice(STEPS)(stage, dice.choice(runs[-3:]), dice)
        except DomainError:
            pass  # it was refused, which is of no concern here
        for _ in range(dice.choice([1, 2, 4])):
            let_pass(stage, dice)
    finish(stage)
    assert Execution.objects.final().count() == Execution.objects.count() > 0


def finish(stage: Stage) -> None:
    """AWS behaves again, somebody resumes what waits, and gives up what AWS does not show any more: then every run
    ends, and everything becomes known."""
    stage.simulator.clear_scenarios()
    for _ in range(200):
        for run in Execution.objects.filter(status="PAUSED"):
            resume(stage, run)
        for run in Execution.objects.filter(stalled_since__isnull=False):
            with suppress(DomainError):  # not for ten minutes yet
                abandon(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
        if not Execution.objects.exclude(next_step_at=None).exists():
            return
        stage.advance(300)
        stage.look()
