"""Instances that a launch replaces: before DRS launches a server, it terminates the recovery instance that it has.

So a drill over running recovery instances ends production: who starts one needs the right to terminate those.
"""

from collections.abc import Collection

from django.db.models import QuerySet

from audit.actor import Actor
from executions.models import ServerRun
from executions.states import Kind, LaunchStatus

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
        instances = f"{len(ids)} running recovery instance{'s' if len(ids) > 1 else ''}"
        actor.require(END_RECOVERIES, f"start this drill: AWS would first terminate {instances}")
    return ids
