"""Instances that a launch has replaced: before DRS launches a server, it terminates the recovery instance that it has.

`production` says beforehand what would go; the run whose instances went says so from then on.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

from django.db.models import QuerySet

from audit.safe_text import storable
from executions.models import JobEvent, LaunchJob, ServerRun
from executions.observing.drs_answers import JobChanges
from executions.querysets import STANDING
from executions.runs.claim import LARGE_COLUMNS
from executions.runs.journal import note
from executions.states import InstanceState, Kind, LaunchStatus
from executions.terminating.instances import mark_terminated, roll_up

REMOVED, KEPT = "CLEANUP_END", "CLEANUP_FAIL"  # what the log says of an earlier instance: gone, could not be removed


def instances_up(server_ids: Collection[str], kind: Kind) -> QuerySet[ServerRun]:
    """What earlier runs of this kind launched of these servers and what still runs, as far as we know. DRS may not
    have told an instance's id yet."""
    rows = ServerRun.launches.filter(STANDING, source_server_id__in=server_ids)
    return rows.filter(wave__execution__kind=kind)


def mark_replaced(changes: Iterable[JobChanges], now: datetime) -> None:
    """Mark what DRS has removed for these launches as terminated, on the runs that had it. In a transaction."""
    cleaned = [(each.job, servers) for each in changes if each.job.intent_at and (servers := _replaced_servers(each))]
    if not cleaned:
        return
    last = max(job.intent_at for job, _ in cleaned if job.intent_at)
    # What DRS does not list it cannot have removed for a launch.
    known = ServerRun.launches.exclude(recovery_instance_state=InstanceState.UNKNOWN)
    launched = known.filter(STANDING, job__intent_at__lt=last)
    rows = launched.filter(source_server_id__in={each for _, servers in cleaned for each in servers})
    instances_up = list(rows.select_related("wave__execution", "job").defer(*LARGE_COLUMNS))
    for job, servers in cleaned:
        replaced = [row for row in instances_up if row.source_server_id in servers and _is_older(row.job, job)]
        instances_up = [row for row in instances_up if row not in replaced]
        by = job.wave.execution
        for execution in {row.wave.execution for row in replaced}:
            gone = [row for row in replaced if row.wave.execution_id == execution.pk]
            mark_terminated(execution, now, pk__in=[row.pk for row in gone])
            roll_up(execution, now)
            ids = [row.recovery_instance_id or row.source_server_id for row in gone]
            note(execution, "instances.replaced", instances=ids, byExecution=str(by.pk), byPlan=by.plan_name)


def _replaced_servers(changes: JobChanges) -> set[str]:
    """Servers whose earlier instance is gone: DRS says so, or lists the next one and not the earlier one beside it, nor
    says that it could not be removed. While it does not list the next one, nothing tells."""
    told = {str(storable(item.source_server_id)) for item in changes.lines if item.event == REMOVED}
    up = {server.source_server_id for server in changes.servers if server.state is LaunchStatus.LAUNCHED}
    new = (up & changes.listed_alone) - told
    if new:
        kept = JobEvent.objects.filter(job=changes.job, event=KEPT, source_server_id__in=new)
        new -= set(kept.values_list("source_server_id", flat=True))
    return told | new


def _is_older(one: LaunchJob, other: LaunchJob) -> bool:
    """Whether one launch was sent before the other: news of two may come in any order."""
    return one.intent_at is not None and other.intent_at is not None and one.intent_at < other.intent_at
