"""The instances of a run that is over: which stand, and what is written when one is gone or DRS does not know it."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.db.models.functions import Coalesce, Least

from drs.shapes import TERMINATE, Job
from executions.models import Execution, ServerRun, WaveRun
from executions.observing.server_outcome import NOT_USABLE_COLUMNS, fail_not_usable
from executions.querysets import STANDING
from executions.runs import transitions
from executions.runs.allowed.terminable_instances import terminable_servers
from executions.states import InstanceState, JobStatus, LaunchStatus, TerminationStatus

UNCONFIRMED_AFTER = timedelta(seconds=60)
LISTED_WITHIN = timedelta(minutes=5)  # a launched instance shows in DescribeRecoveryInstances by then
# How DRS names an instance that is gone, or cannot come back.
GONE = frozenset({"TERMINATED", "NOT_FOUND", "SHUTTING-DOWN"})
HALTED = frozenset({"STOPPED", "STOPPING"})
RUNNING = "RUNNING"

_SEEN: dict[str, object] = {"missing_since": None}

Place = tuple[str, str]  # account, region


def launched(execution: Execution) -> QuerySet[ServerRun]:
    """Servers that came up and are not known to be terminated."""
    servers = ServerRun.launches.filter(STANDING, wave__execution=execution)
    return servers.prefetch_related("wave", "job").order_by("wave__number", "position")


def earlier_instances(execution: Execution, waves: Iterable[WaveRun]) -> list[ServerRun]:
    """What launches of waves that were tried again within the run had brought up, and did not come up as it had to."""
    if all(wave.attempt == 1 for wave in waves):
        return []
    rows = ServerRun.launches.filter(wave__execution=execution, superseded=True)
    return list(rows.select_related("wave").order_by("wave__number", "position", "pk"))


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
    return _mark(execution, now, gone | {"instance_state": "TERMINATED"}, which)


def mark_not_up(execution: Execution, now: datetime, **which: object) -> list[ServerRun]:
    """The instances of these servers are gone before their wave is over, which asks that they are up."""
    marked = _mark(execution, now, {"instance_state": "TERMINATED", "recovery_instance_state": "", **_SEEN}, which)
    for each in marked:
        fail_not_usable(each, "It was terminated before its wave was over.")
        each.save(update_fields=NOT_USABLE_COLUMNS)
    return marked


def mark_unknown(execution: Execution, now: datetime, **which: object) -> list[ServerRun]:
    """DRS does not know these instances any more, and nothing tells that they ended: they may run on, in EC2."""
    which |= {"recovery_instance_state__in": [InstanceState.KNOWN, InstanceState.STOPPED]}
    return _mark(execution, now, {"recovery_instance_state": InstanceState.UNKNOWN}, which)


def mark_stopped(execution: Execution, now: datetime, **which: object) -> list[ServerRun]:
    """These instances are stopped in EC2: they serve nobody, and their disks cost money."""
    which |= {"recovery_instance_state__in": [InstanceState.KNOWN, InstanceState.UNKNOWN]}
    return _mark(
        execution, now, {"recovery_instance_state": InstanceState.STOPPED, **_SEEN, "instance_state": "STOPPED"}, which
    )


def is_back(server: ServerRun, listed_as: str) -> bool:
    """Whether an instance that is listed so runs again, or is at least listed again. One that was stopped runs when DRS
    says so: of another state, or none, nothing tells that it does."""
    if server.is_unknown_to_drs:
        return True
    return server.recovery_instance_state == InstanceState.STOPPED and listed_as == RUNNING


def mark_known(execution: Execution, now: datetime, **which: object) -> list[ServerRun]:
    """DRS lists these instances after all, or they run again."""
    which |= {"recovery_instance_state__in": [InstanceState.UNKNOWN, InstanceState.STOPPED]}
    marked = _mark(execution, now, {"recovery_instance_state": InstanceState.KNOWN, **_SEEN}, which)
    started = [each.pk for each in marked if each.recovery_instance_state == InstanceState.STOPPED]
    ServerRun.launches.filter(pk__in=started).update(instance_state=RUNNING)
    return marked


def _mark(execution: Execution, now: datetime, columns: dict[str, object], which: dict[str, object]) -> list[ServerRun]:
    lock_run(execution)
    servers = ServerRun.launches.filter(STANDING, wave__execution=execution, **which)
    marked = list(servers.select_related("wave"))
    ServerRun.launches.filter(pk__in=[each.pk for each in marked]).update(**columns)
    if marked:
        transitions.touch(execution, now, {server.wave for server in marked})
    return marked


def ended_by_job(server: ServerRun, jobs: Iterable[Job]) -> Job | None:
    """The DRS job by which somebody terminated the instance: the next one of its server after its launch."""
    launched_at = server.job.created_at
    later = [
        (job, each)
        for job in jobs
        for each in job.participants
        if each.source_server_id == server.source_server_id
        and job.job_id != server.job.job_id
        and launched_at is not None
        and job.created_at > launched_at
    ]
    if not later:
        return None
    job, part = min(later, key=lambda pair: pair[0].created_at)
    is_of_it = part.recovery_instance_id in ("", server.recovery_instance_id)
    return job if job.type == TERMINATE and part.launch_status == "TERMINATED" and is_of_it else None


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
        columns: dict[str, object] = {"termination_status": status}
        if status in (TerminationStatus.COMPLETED, TerminationStatus.PARTIAL):
            columns |= {"cleanup_proof": None, "proof_due": True}  # DRS is asked once more what it lists
        Execution.objects.filter(pk=execution.pk).update(**columns)
        execution.termination_status = status
        transitions.touch(execution, now)
