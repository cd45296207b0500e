"""What another run keeps a start from: the plan is being run, or a run holds its servers."""

from collections.abc import Mapping

from contract.errors import Conflict
from executions.codes.ours import Code
from executions.models import Execution, ServerHold
from plans import startable
from plans.models import RecoveryPlan, WaveServer


def refuse_second_run(plan: RecoveryPlan, because: str = "") -> None:
    """Raise PLAN_ALREADY_EXECUTING if it is; `because` is a sentence that says more than that."""
    running = Execution.objects.active().filter(plan=plan, dry_run=False).first()
    if running is not None:
        raise second_run(running, plan.name, because)


def second_run(running: Execution, plan_name: str, because: str = "") -> Conflict:
    """The refusal of a start while `running` is under way."""
    return Conflict(
        Code.PLAN_ALREADY_EXECUTING,
        because or startable.is_running(plan_name, running.status, running.started_by),
        details={"executionId": str(running.pk), "status": running.status},
    )


def refuse_held_servers(plan: RecoveryPlan) -> None:
    refuse_held(dict(WaveServer.objects.filter(plan=plan).values_list("assignment__source_server_id", "wave__number")))


def refuse_held(waves: Mapping[str, int]) -> None:
    """Raise SERVER_CONFLICT if a run holds any of these servers; `waves` are their waves by server."""
    held = ServerHold.objects.filter(assignment__source_server_id__in=list(waves)).select_related("execution")
    if holders := {each.assignment_id: each.execution for each in held}:
        raise held_servers(waves, holders)


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
