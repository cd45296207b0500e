"""A run to report on: a gate, a failed server, an earlier snapshot, targets, and a clean run before it."""

from audit.actor import Actor
from executions.commands import control
from executions.models import Execution
from executions.states import Kind
from plans.models import RecoveryPlan
from tests.support.still import StillStage

OPERATOR = Actor("ops@example.com", kind="system")


def payments(still: StillStage) -> RecoveryPlan:
    plan = still.plan("db-primary-01 db-replica-01", "app-01 app-02", name="=Payments <b>&", pause={1})
    RecoveryPlan.objects.filter(pk=plan.pk).update(rto_minutes=60, rpo_minutes=5)
    return plan


def drilled(still: StillStage, plan: RecoveryPlan) -> Execution:
    """One drill with a gate of ten minutes, ended and fully known."""
    run = control.start(actor=OPERATOR, plan_id=plan.pk, kind=Kind.DRILL, clock=still.clock)
    still.until(run, "PAUSED", "FAILED", step=15)
    still.advance(600)
    control.resume(actor=OPERATOR, execution_id=run.pk, comment="checked", clock=still.clock)
    still.until(run, "COMPLETED", "PARTIAL", step=15)
    still.advance(15)
    still.look()
    return Execution.objects.with_waves().get(pk=run.pk)


def trouble(still: StillStage) -> None:
    still.simulator.scenario(
        "launch_failed",
        servers=["app-02"],
        raw_error="An error occurred (InsufficientInstanceCapacity) when calling the RunInstances operation",
    )
    still.simulator.scenario("snapshot_fail_uses_previous", servers=["app-01"])
