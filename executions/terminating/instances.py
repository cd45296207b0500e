"""The instances of a run that is over: which stand, and what is written when one is gone or DRS does not know it."""

from collections import defaultdict
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.db.models.functions import Coalesce, Least

from executions.models import Execution, ServerRun
from executions.runs import transitions
from executions.runs.allowed.terminable_instances import terminable_servers
from executions.states import InstanceState, JobStatus, LaunchStatus, TerminationStatus

UNCONFIRMED_AFTER = timedelta(seconds=60)
# How DRS names an instance that is gone, or cannot come back.
GONE = frozenset({"TERMINATED", "NOT_FOUND", "SHUTTING-DOWN"})

Place = tuple[str, str]  # account, region


def launched(execution: Execution) -> QuerySet[ServerRun]:
    """Servers that came up and are not known to be terminated."""
    servers = ServerRun.objects.filter(wave__execution=execution, launch_status=LaunchStatus.LAUNCHED)
    return servers.select_related("wave", "job").order_by("wave__number", "position")


def terminable_by_region(execution: Execution) -> dict[Place, list[ServerRun]]:
    """Launched servers whose instances no termination under way covers, by account and region."""
    found: dict[Place, list[ServerRun]] = defaultdict(list)
    for server in terminable_servers(execution):
        found[server.job.account_id, server.job.region].append(server)
    return found


def wake_by(execution: Execution, at: datetime) -> None:
    """Have the sweep look at a finished run again, no later than `at`. An engine that looks at it now must not put it
    to rest afterwards, so it loses its claim."""
    soon = Least(Coalesce("next_step_at", at), at)
    Execution.objects.filter(pk=execution.pk).update(claim=None, next_step_at=soon)


def lock_run(execution: Execution) -> None:
    """Lock the run before anything of it, as whoever writes news of it does. What its row says of the termination is
    taken over: `execution` may have been read before AWS was asked."""
    rows = Execution.objects.select_for_update().filter(pk=execution.pk)
    for status in rows.values_list("termination_status", flat=True):
        execution.termination_status = status


def mark_terminated(execution: Execution, now: datetime, **which: object) -> list[ServerRun]:
    """The instances of these servers are gone; answers those of which that is new."""
    gone = {"launch_status": LaunchStatus.TERMINATED, "terminated_at": now, "recovery_instance_state": ""}
    return _mark(execution, now, gone, which)


def mark_unknown(execution: Execution, now: datetime, **which: object) -> list[ServerRun]:
    """DRS does not know these instances any more, and nothing tells that they ended: they may run on, in EC2."""
    which |= {"recovery_instance_state": InstanceState.KNOWN}
    return _mark(execution, now, {"recovery_instance_state": InstanceState.UNKNOWN}, which)


def mark_known(execution: Execution, now: datetime, **which: object) -> list[ServerRun]:
    """DRS lists these instances after all."""
    which |= {"recovery_instance_state": InstanceState.UNKNOWN}
    return _mark(execution, now, {"recovery_instance_state": InstanceState.KNOWN}, which)


def _mark(execution: Execution, now: datetime, columns: dict[str, object], which: dict[str, object]) -> list[ServerRun]:
    lock_run(execution)
    servers = ServerRun.objects.filter(wave__execution=execution, launch_status=LaunchStatus.LAUNCHED, **which)
    marked = list(servers.select_related("wave"))
    ServerRun.objects.filter(pk__in=[each.pk for each in marked]).update(**columns)
    if marked:
        transitions.touch(execution, now, {server.wave for server in marked})
    return marked


def roll_up(execution: Execution, now: datetime) -> None:
    """The run's termination status from its servers and termination jobs, as they are under its lock."""
    lock_run(execution)
    open_jobs = execution.terminations.exclude(status__in=[JobStatus.REJECTED, JobStatus.COMPLETED]).exists()
    if open_jobs:
        status = TerminationStatus.IN_PROGRESS
    elif launched(execution).exists():
        status = TerminationStatus.PARTIAL if execution.terminations.exists() else TerminationStatus.NOT_STARTED
    else:
        status = TerminationStatus.COMPLETED
    if status != execution.termination_status:
        Execution.objects.filter(pk=execution.pk).update(termination_status=status)
        execution.termination_status = status
        transitions.touch(execution, now)
