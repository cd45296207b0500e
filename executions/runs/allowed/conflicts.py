"""What keeps a start from its servers: the plan is being run, a run holds them, or DRS launches them by itself."""

from collections.abc import Mapping

from contract.clock import db_clock
from contract.errors import Conflict
from contract.storage.prepared import Asked, Prepared
from executions.codes.ours import Code
from executions.models import Execution, ServerHold
from plans import startable
from plans.models import RecoveryPlan, WaveServer
from protection.inventory.native_runs import NativeRun, running

_RUNNING = Prepared(
    lambda: (
        Execution.objects.active()
        .filter(plan=Asked(Execution, "plan"), dry_run=False)
        .only("plan", "status", "started_by")
    )
)


def refuse_second_run(plan: RecoveryPlan, because: str = "") -> None:
    """Raise PLAN_ALREADY_EXECUTING if it is; `because` is a sentence that says more than that."""
    for active in _RUNNING.objects(plan=plan.pk):
        raise second_run(active, plan.name, because)


def second_run(running: Execution, plan_name: str, because: str = "") -> Conflict:
    """The refusal of a start while `running` is under way."""
    return Conflict(
        Code.PLAN_ALREADY_EXECUTING,
        because or startable.is_running(plan_name, running.status, running.started_by),
        details={"executionId": str(running.pk), "status": running.status},
    )


def refuse_held_servers(plan: RecoveryPlan) -> None:
    placed = WaveServer.objects.filter(plan=plan).order_by()
    refuse_held(dict(placed.values_list("assignment__source_server_id", "wave__number")))


def refuse_held(waves: Mapping[str, int]) -> None:
    """Raise SERVER_CONFLICT if a run, or an execution of a recovery plan that DRS has, holds any of these servers;
    `waves` are their waves by server."""
    held = ServerHold.objects.filter(assignment__source_server_id__in=list(waves)).select_related("execution")
    if holders := {each.assignment_id: each.execution for each in held}:
        raise held_servers(waves, holders)
    if native := running(waves, db_clock()):
        raise _held_by_drs(waves, native)


def _held_by_drs(waves: Mapping[str, int], runs: Mapping[str, NativeRun]) -> Conflict:
    conflicts = [
        {
            "serverId": server,
            "waveNumber": waves[server],
            "native": True,
            "nativeExecutionArn": run.arn,
            "nativePlanArn": run.plan_arn,
            "nativePlanName": run.plan_name,
            "mode": run.mode,
            "status": run.status,
        }
        for server, run in sorted(runs.items(), key=lambda each: (waves[each[0]], each[0]))
    ]
    text = startable.servers_held_by_drs(len(conflicts), {run.words for run in runs.values()})
    return Conflict(Code.SERVER_CONFLICT, text, details={"conflicts": conflicts})


def held_servers(waves: Mapping[str, int], holders: Mapping[str, Execution]) -> Conflict:
    """The refusal to launch servers that runs hold; both by server, at least one of which is held."""
    conflicts = [
        {
            "serverId": server,
            "waveNumber": waves[server],
            "executionId": str(holder.pk),
            "planId": str(holder.plan_id),
            "planName": holder.plan_name,
            "status": holder.status,
        }
        for server, holder in sorted(holders.items(), key=lambda each: (waves[each[0]], each[0]))
    ]
    text = startable.servers_held(len(conflicts), [holder.plan_name for holder in holders.values()])
    return Conflict(Code.SERVER_CONFLICT, text, details={"conflicts": conflicts})
