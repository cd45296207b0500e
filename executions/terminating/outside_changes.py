"""What somebody else has done to instances that runs launched, seen in the inventory: each becomes an event of its run.

The inventory lists all of a region's recovery instances once a minute. One that is stopped, terminated or replaced is
told at once; one that is not listed any more when that is so twice, because DRS may leave one out of an answer.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Q

from contract.clock import Clock, unix
from drs.client import Drs
from drs.errors import DrsError
from drs.shapes import Job, RecoveryInstance
from executions.models import Execution, LaunchJob, ServerRun
from executions.querysets import STANDING
from executions.runs.allowed.terminable_instances import covered_instances
from executions.runs.aws_calls import AwsCalls
from executions.runs.claim import LARGE_COLUMNS, wake
from executions.runs.journal import note
from executions.states import WAVE_BEGUN, WAVE_FINAL, InstanceState, JobStatus, LaunchStatus
from executions.terminating.instances import (
    GONE,
    HALTED,
    LISTED_WITHIN,
    RUNNING,
    ended_by_job,
    is_back,
    lock_run,
    mark_known,
    mark_not_up,
    mark_stopped,
    mark_terminated,
    mark_unknown,
    roll_up,
    wake_by,
)
from executions.terminating.unanswered import Requests, adopt_late, since, unanswered
from protection.inventory.recovery_instances import Reading

Servers = list[ServerRun]


@dataclass
class Changes:
    """What is new of the servers of one account and region."""

    ended: Servers = field(default_factory=list)
    stopped: Servers = field(default_factory=list)
    back: Servers = field(default_factory=list)
    replaced: dict[str, Servers] = field(default_factory=lambda: defaultdict(list))  # by the DRS job that did
    protected: dict[str, Servers] = field(default_factory=lambda: defaultdict(list))  # by DRS's word for it
    missing: Servers = field(default_factory=list)  # for the second time
    beside: list[tuple[ServerRun, RecoveryInstance]] = field(default_factory=list)  # missing, and what is listed

    def forget(self, settled: Collection[int]) -> None:
        """A request of ours has ended, or is ending, these."""
        self.ended = [each for each in self.ended if each.pk not in settled]
        self.missing = [each for each in self.missing if each.pk not in settled]


def asked_at(reading: Reading, now: datetime) -> datetime:
    """When DRS was asked, on the clock of `now`."""
    return now - timedelta(seconds=time.monotonic() - reading.began)


def note_changes(reading: Reading, clock: Clock) -> AwsCalls[None]:
    """Compare what DRS lists in a region with what runs launched there, and write down what is new."""
    as_of = asked_at(reading, clock())
    _follow_again(reading, clock())
    changes = _compare(_standing(reading), reading.instances, as_of)
    ended: dict[str, Servers] = defaultdict(list)
    requests = unanswered([*changes.ended, *changes.missing])
    unlisted = [*changes.missing, *(server for server, _ in changes.beside)]
    if unlisted or requests:
        launched = [each.job.created_at or as_of for each in unlisted]
        try:
            jobs = yield partial(
                Drs(reading.region, reading.account, reading="poller").jobs_since,
                min([*launched, since(requests.values(), as_of)]),
            )
        except DrsError:  # asked again with the next round
            changes.missing, changes.ended = [], [each for each in changes.ended if each.pk not in requests]
        else:
            changes.forget(adopt_late(requests, jobs, clock()))
            _tell_replaced(changes, jobs, as_of)
            ended = _ended_by_jobs(changes.missing, jobs)
    over = {server.pk for servers in ended.values() for server in servers}
    lost = [each for each in changes.missing if each.pk not in over]
    now = clock()
    _tell_terminated(changes.ended, requests, reading.region, now)
    for job_id, servers in ended.items():
        _tell_terminated(servers, requests, reading.region, now, byJob=job_id)
    for job_id, servers in changes.replaced.items():
        _tell(servers, "instances.replaced", reading.region, _mark_ended, now, **_launched_by(job_id))
    _tell(lost, "instance.left_drs", reading.region, mark_unknown, now)
    _tell(changes.stopped, "instance.stopped", reading.region, mark_stopped, now)
    _tell(changes.back, "instance.running", reading.region, mark_known, now)
    for state, servers in changes.protected.items():
        _tell(servers, "instance.protected", reading.region, None, now, state=state)


def _follow_again(reading: Reading, now: datetime) -> None:
    """DRS lists an instance of a launch of which it had told none, however late: no launch is lost, its job is read
    again."""
    listed = {(each.job_id, each.source_server_id) for each in reading.instances if each.ec2_state not in GONE}
    rows = ServerRun.launches.filter(job__job_id__in={job_id for job_id, _ in listed if job_id}, job__watched=False)
    mine = rows.filter(job__account_id=reading.account, job__region=reading.region, recovery_instance_id="")
    for row in mine.exclude(launch_status=LaunchStatus.TERMINATED).select_related("wave__execution", "job"):
        if (row.job.job_id, row.source_server_id) in listed:
            with transaction.atomic():
                lock_run(row.wave.execution)
                LaunchJob.objects.filter(pk=row.job.pk).update(watched=True)
                wake_by(row.wave.execution, now)


def _standing(reading: Reading) -> Servers:
    """Instances that runs launched there and that no termination of ours is ending; of waves under way, those that were
    seen to run."""
    over = Q(wave__status__in=sorted(WAVE_FINAL))
    seen = Q(instance_state__in=[RUNNING, *HALTED]) | Q(checks_passed_at__isnull=False)
    seen &= Q(wave__status__in=sorted(WAVE_BEGUN))
    rows = ServerRun.launches.filter(STANDING, over | seen, job__account_id=reading.account, job__region=reading.region)
    rows = rows.exclude(recovery_instance_id="").select_related("wave__execution", "job").defer(*LARGE_COLUMNS)
    found = list(rows)
    covered = covered_instances({each.wave.execution_id for each in found})
    return [each for each in found if (each.wave.execution_id, each.recovery_instance_id) not in covered]


def _compare(standing: Servers, listed: Sequence[RecoveryInstance], as_of: datetime) -> Changes:
    by_id = {each.recovery_instance_id: each for each in listed}
    by_server = {each.source_server_id: each for each in listed if each.ec2_state not in GONE}
    changes, found_again = Changes(), list[int]()
    for server in standing:
        instance = by_id.get(server.recovery_instance_id)
        if instance is not None and server.missing_since is not None:
            found_again.append(server.pk)
        if instance is not None:
            if instance.ec2_state not in GONE or not _is_polled(server):
                _compare_listed(changes, server, instance)
        elif _is_missed(server):
            continue
        elif (other := by_server.get(server.source_server_id)) and other.job_id not in ("", server.job.job_id):
            changes.beside.append((server, other))
        else:
            _take_missing(changes, server, as_of)
    if found_again:
        ServerRun.launches.filter(pk__in=found_again).update(missing_since=None)
    return changes


def _is_polled(server: ServerRun) -> bool:
    """Whether polls see that its instance is gone, and decide what becomes of its wave: of a wave under way that asks
    for more than a launch, once the job has ended, while DRS has news of it for us; and of what is not up anyway."""
    job = server.job
    asks_for_more = server.wave.means.needs_checks and job.watched and job.state is JobStatus.COMPLETED
    return not server.wave.state.is_final and (asks_for_more or server.state is not LaunchStatus.LAUNCHED)


def _is_missed(server: ServerRun) -> bool:
    """Whether nothing new is told by its not being listed: what DRS did not list any more, it has not removed for a
    launch, and what did not come up is its wave's."""
    return server.is_unknown_to_drs or not (server.wave.state.is_final or server.state is LaunchStatus.LAUNCHED)


def _take_missing(changes: Changes, server: ServerRun, as_of: datetime) -> None:
    """DRS may leave one out of an answer, and lists one that was just launched a little later."""
    if (server.launched_at or as_of) > as_of - LISTED_WITHIN:
        return
    if server.missing_since is None:
        ServerRun.launches.filter(pk=server.pk).update(missing_since=as_of)
    elif server.missing_since < as_of:
        changes.missing.append(server)


def _tell_replaced(changes: Changes, jobs: Sequence[Job], as_of: datetime) -> None:
    """A later launch of the server has replaced its instance. One of an earlier launch, which could not be removed for
    this one, stands beside it: that tells nothing of it."""
    made = {each.job_id: each.created_at for each in jobs if each.dated}
    for server, other in changes.beside:
        if _is_later(other, server, made):
            changes.replaced[other.job_id].append(server)
        else:
            _take_missing(changes, server, as_of)


def _is_later(other: RecoveryInstance, server: ServerRun, made: Mapping[str, datetime]) -> bool:
    """Whether an instance was launched after the server's own. Somebody may have deleted its job from DRS; then what it
    was launched from may tell: a snapshot that was taken after our launch had begun."""
    at, mine = made.get(other.job_id, other.point_in_time), server.job.created_at
    return at is not None and mine is not None and at > mine


def _compare_listed(changes: Changes, server: ServerRun, instance: RecoveryInstance) -> None:
    if instance.ec2_state in GONE:
        changes.ended.append(server)
    elif instance.ec2_state in HALTED:
        if server.recovery_instance_state != InstanceState.STOPPED:
            changes.stopped.append(server)
    elif is_back(server, instance.ec2_state):
        changes.back.append(server)
    if instance.is_protected and instance.failback_state != server.failback_state:
        changes.protected[instance.failback_state].append(server)
    elif server.failback_state and not instance.is_protected:
        _protect([server], "")  # it was stopped: it is a drill's or a recovery's like any other


def _ended_by_jobs(missing: Iterable[ServerRun], jobs: Sequence[Job]) -> dict[str, Servers]:
    """Those of the missing that a DRS job terminated, by the job."""
    found: dict[str, Servers] = defaultdict(list)
    for server in missing:
        if job := ended_by_job(server, jobs):
            found[job.job_id].append(server)
    return found


def _launched_by(job_id: str) -> Mapping[str, str]:
    """Whose launch replaced it: a run's, or somebody else's."""
    launch = LaunchJob.objects.filter(job_id=job_id).select_related("wave__execution").first()
    if launch is None:
        return {"byJob": job_id}
    run = launch.wave.execution
    return {"byJob": job_id, "byExecution": str(run.pk), "byPlan": run.plan_name}


def _tell_terminated(servers: Servers, requests: Requests, region: str, now: datetime, **facts: object) -> None:
    """By somebody else, unless a request of ours without an answer may have done it: then nobody knows by whom."""
    by_time: dict[datetime | None, Servers] = defaultdict(list)
    for each in servers:
        request = requests.get(each.pk)
        by_time[request.intent_at if request else None].append(each)
    for at, same in by_time.items():
        known = {} if at is None else {"unansweredTime": unix(at)}
        _tell(same, "instance.terminated", region, _mark_ended, now, **facts, **known)


def _tell(
    servers: Servers,
    verb: str,
    region: str,
    mark: Callable[..., list[ServerRun]] | None,
    now: datetime,
    **facts: object,
) -> None:
    """Mark them and have the journal of each run say so; what was marked by somebody else meanwhile is not told."""
    by_run: dict[Execution, Servers] = defaultdict(list)
    for each in servers:
        by_run[each.wave.execution].append(each)
    for execution, mine in by_run.items():
        with transaction.atomic():
            keys = [each.pk for each in mine]
            new = mark(execution, now, pk__in=keys) if mark else _protect(mine, str(facts["state"]))
            if not new:
                continue
            names = [each.hostname for each in new]
            ids = [each.recovery_instance_id for each in new]
            note(execution, verb, facts=facts, region=region, instances=ids, servers=names)
            if execution.state.is_final:
                roll_up(execution, now)
            else:  # its wave may be judged by it
                wake([execution.pk], now)


def _mark_ended(execution: Execution, now: datetime, pk__in: Collection[int]) -> Servers:
    """These are gone: in a wave under way that asks for more than a launch, its servers are not up by that."""
    lock_run(execution)  # else the wave may end between the look at it and the mark
    rows = ServerRun.launches.filter(pk__in=pk__in, wave__status__in=sorted(WAVE_BEGUN)).select_related("wave")
    awaited = [each.pk for each in rows if each.wave.means.needs_checks]
    ended = mark_not_up(execution, now, pk__in=awaited) if awaited else []
    return ended + mark_terminated(execution, now, pk__in=[each for each in pk__in if each not in awaited])


def _protect(servers: Servers, state: str) -> Servers:
    ServerRun.launches.filter(pk__in=[each.pk for each in servers]).update(failback_state=state)
    return servers
