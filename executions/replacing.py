"""Instances that a launch replaces: before DRS launches a server, it terminates the recovery instance that it has.

So a drill over running recovery instances ends production: who starts one needs the right to terminate those, and
the run whose instances went says so from then on.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

from django.db.models import QuerySet

from audit.actor import Actor
from contract.counting import counted
from executions.models import LaunchJob, ServerRun
from executions.observe import News
from executions.states import Kind, LaunchStatus
from executions.termination import journal, mark_terminated, roll_up

END_RECOVERIES = "executions.terminate_recovery"


def standing(server_ids: Collection[str], kind: Kind) -> QuerySet[ServerRun]:
    """What earlier runs of this kind launched of these servers and what still runs, as far as we know."""
    rows = ServerRun.objects.filter(source_server_id__in=server_ids, launch_status=LaunchStatus.LAUNCHED)
    return rows.filter(wave__execution__kind=kind).exclude(recovery_instance_id="")


def ending(kind: Kind, server_ids: Collection[str]) -> QuerySet[ServerRun]:
    """The running recovery instances that a drill of these servers would end; none for a recovery."""
    rows = standing(server_ids, Kind.RECOVERY)
    return rows if kind is Kind.DRILL else rows.none()


def require_ending(actor: Actor, kind: Kind, server_ids: Collection[str]) -> list[str]:
    """The ids of the recovery instances that would end. Raises Forbidden without the right to terminate them."""
    ids = list(ending(kind, server_ids).order_by("pk").values_list("recovery_instance_id", flat=True))
    if ids:
        instances = counted(len(ids), "running recovery instance")
        actor.require(END_RECOVERIES, f"start this drill: AWS would first terminate {instances}")
    return ids


def note_replaced(news: Iterable[News], now: datetime) -> None:
    """Mark what DRS has removed for these launches as terminated, on the runs that had it. In a transaction."""
    for each in news:
        rows = list(_replaced(each.job, _cleaned(each)).select_related("wave__execution"))
        by = each.job.wave.execution
        for execution in {row.wave.execution for row in rows}:
            gone = [row for row in rows if row.wave.execution_id == execution.pk]
            mark_terminated(execution, now, pk__in=[row.pk for row in gone])
            roll_up(execution, now)
            ids = [row.recovery_instance_id for row in gone]
            journal(execution, "instances.replaced", instances=ids, byExecution=str(by.pk), byPlan=by.plan_name)


def _cleaned(news: News) -> set[str]:
    """Servers whose earlier instance is gone: DRS says so, or has launched the next one."""
    told = {event.source_server_id for event in news.events if event.event == "CLEANUP_END"}
    return told | {server.source_server_id for server in news.servers if server.state is LaunchStatus.LAUNCHED}


def _replaced(job: LaunchJob, server_ids: Collection[str]) -> QuerySet[ServerRun]:
    """What was launched of these servers before this job: news of two jobs may come in any order."""
    if not server_ids or job.intent_at is None:
        return ServerRun.objects.none()
    rows = ServerRun.objects.filter(source_server_id__in=server_ids, launch_status=LaunchStatus.LAUNCHED)
    return rows.filter(job__intent_at__lt=job.intent_at)
