"""DRS's own recovery plans: the twenty operations of the service model."""

from collections.abc import Callable, Mapping

from drs_simulator.native import executions, plans
from drs_simulator.native.executions import progress
from drs_simulator.native.plans import Answer
from drs_simulator.protocol.call_log import Call
from drs_simulator.world.state_file import Store

__all__ = ["NATIVE", "progress"]

NATIVE: Mapping[str, Callable[[Store, Call, float], Answer]] = {
    "CreateRecoveryPlan": plans.create_plan,
    "GetRecoveryPlan": plans.get_plan,
    "ListRecoveryPlans": plans.list_plans,
    "UpdateRecoveryPlan": plans.update_plan,
    "DeleteRecoveryPlan": plans.delete_plan,
    "CreateRecoveryPlanStep": plans.create_step,
    "GetRecoveryPlanStep": plans.get_step,
    "ListRecoveryPlanSteps": plans.list_steps,
    "UpdateRecoveryPlanStep": plans.update_step,
    "DeleteRecoveryPlanStep": plans.delete_step,
    "ReorderRecoveryPlanSteps": plans.reorder_steps,
    "StartRecoveryPlanExecution": executions.start,
    "GetRecoveryPlanExecution": executions.get,
    "ListRecoveryPlanExecutions": executions.list_runs,
    "CancelRecoveryPlanExecution": executions.cancel,
    "DeleteRecoveryPlanExecution": executions.delete,
    "GetRecoveryPlanExecutionStep": executions.get_step,
    "ListRecoveryPlanExecutionSteps": executions.list_steps,
    "UpdateRecoveryPlanExecutionStep": executions.update_step,
    "RetryRecoveryPlanExecutionStep": executions.retry_step,
}
