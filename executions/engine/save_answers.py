"""Writes down what DRS told of launches: for any number of runs at once, in a fixed number of statements."""

import logging
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from audit.safe_text import storable
from contract.chunks import update_rows
from contract.storage.prepared import PreparedAmong
from executions.measuring import recorded_figures
from executions.models import Execution, JobEvent, LaunchJob, ServerRun, WaveRun
from executions.observing.drs_answers import Answer, JobChanges, compare
from executions.observing.job_events import digest_of, event_of
from executions.runs import notifications, retry_policy, transitions
from executions.runs.claim import LARGE_COLUMNS
from executions.states import WAVE_FINAL, JobStatus, LaunchStatus, WaveStatus
from executions.terminating import follow_up, replaced_instances

log = logging.getLogger(__name__)

_RECORDED_COLUMNS = {"launch_status", "launched_at", "point_in_time", "usable_at"}  # what the journal keeps of a server
_JOB_COLUMNS = ["status", "seen_at", "completed_seen_at", "instances_seen_at", "watched", "events_seen"]


_WATCHED = PreparedAmong(
    LaunchJob,
    "id",
    lambda ids: (
        LaunchJob.objects.filter(pk__in=ids, watched=True).select_related("wave__execution").defer(*LARGE_COLUMNS)
    ),
)
_SERVERS = PreparedAmong(LaunchJob, "id", lambda ids: ServerRun.objects.filter(job__pk__in=ids))


def load_watched(jobs: Iterable[LaunchJob]) -> list[LaunchJob]:
    """Those of which DRS may have more news, as they are now."""
    return _WATCHED.objects(job.pk for job in jobs)


def changes_by_run(jobs: Sequence[LaunchJob], answer: Answer, asked_at: datetime) -> dict[uuid.UUID, list[JobChanges]]:
    """What is new of these jobs, by run."""
    servers: dict[uuid.UUID, list[ServerRun]] = defaultdict(list)
    for server in _SERVERS.objects(job.pk for job in jobs):
        servers[server.job_id].append(server)
    changes: dict[uuid.UUID, list[JobChanges]] = defaultdict(list)
    for job in jobs:
        told = _compare_or_note(job, servers[job.pk], answer, asked_at)
        if told.changed:
            changes[job.wave.execution_id].append(told)
    return changes


def runs_with_news(jobs: Sequence[LaunchJob], answer: Answer, asked_at: datetime) -> list[uuid.UUID]:
    """The runs of which something is new. Where a log has grown that needs no comparing."""
    grown = {job.wave.execution_id for job in jobs if len(answer.logs.get(job.job_id, ())) > job.events_seen}
    others = [job for job in jobs if job.wave.execution_id not in grown]
    return [*grown, *changes_by_run(others, answer, asked_at)]


def _compare_or_note(job: LaunchJob, servers: Sequence[ServerRun], answer: Answer, asked_at: datetime) -> JobChanges:
    try:
        return compare(job, servers, answer, asked_at)
    except Exception as error:  # raised by `save`: what cannot be compared cannot be saved, of this run alone
        return JobChanges(job, changed=True, trouble=error)


def save(items: Sequence[JobChanges], now: datetime) -> None:
    """Write it down, in a transaction that holds the runs."""
    if not items:
        return
    for each in items:
        if each.trouble is not None:
            raise each.trouble
    update_rows([each.job for each in items], _JOB_COLUMNS)
    up = _save_servers(
        [server for each in items for server in each.servers], {column for each in items for column in each.columns}
    )
    _save_events(items)
    runs = {each.job.wave.execution_id: each.job.wave.execution for each in items}
    _record_late_changes(items, runs)
    _tell_of_late_instances(up, now)
    for each in items:
        if each.ended:
            recorded_figures.record_launch_end(runs[each.job.wave.execution_id], each.job)
        if each.log_given_up:
            log.warning("Giving up on the log of DRS job %s: it could not be read for a day", each.job.job_id)
    over = {(each.job.account_id, each.job.region) for each in items if each.job.state is JobStatus.COMPLETED}
    for account, region in sorted(over):
        retry_policy.wake_waiting(account, region, now)
    moving = [each.job.wave_id for each in items if each.job.state is not JobStatus.PENDING]
    WaveRun.objects.filter(pk__in=moving, status=WaveStatus.POLLING).update(status=WaveStatus.LAUNCHING)
    transitions.touch_all(list(runs), now, {each.job.wave_id for each in items})
    for execution in runs.values():
        follow_up.reopen_after_late_launch(execution, now)
    replaced_instances.mark_replaced(items, now)


def _record_late_changes(items: Iterable[JobChanges], runs: Mapping[uuid.UUID, Execution]) -> None:
    """Have the journal know what the entries of ended waves do not: a report of this moment is held against it."""
    told = [each for each in items if each.servers and not each.ended and _RECORDED_COLUMNS & each.columns]
    if told:
        over = WaveRun.objects.filter(pk__in=[each.job.wave_id for each in told], status__in=WAVE_FINAL)
        ended = set(over.values_list("pk", flat=True))
        for each in told:
            if each.job.wave_id in ended:
                recorded_figures.record_server_changes(runs[each.job.wave.execution_id], each.job, each.servers)


def _tell_of_late_instances(up: Sequence[ServerRun], now: datetime) -> None:
    """Servers that are up now of waves that were over without them: nobody waits for those any more."""
    if not up:
        return
    over = WaveRun.objects.filter(pk__in={each.wave_id for each in up}, status__in=WAVE_FINAL)
    late: dict[Execution, list[ServerRun]] = defaultdict(list)
    for wave in over.select_related("execution").order_by("number"):
        late[wave.execution] += [each for each in up if each.wave_id == wave.pk]
    for execution, servers in late.items():
        notifications.late(execution, servers, now)


def _save_servers(servers: Sequence[ServerRun], columns: Collection[str]) -> list[ServerRun]:
    """Somebody may have terminated instances since the rows were read: that stands. Answers those newly launched."""
    if not servers:
        return []
    rows = ServerRun.objects.select_for_update().filter(pk__in=[each.pk for each in servers]).order_by("pk")
    now = dict(rows.values_list("pk", "launch_status"))
    for server in servers:
        if now.get(server.pk) == LaunchStatus.TERMINATED:
            server.launch_status = LaunchStatus.TERMINATED
    update_rows(servers, columns)
    launched = (each for each in servers if each.launch_status == LaunchStatus.LAUNCHED)
    return [each for each in launched if now.get(each.pk) != LaunchStatus.LAUNCHED]


def _save_events(items: Sequence[JobChanges]) -> None:
    """Logs are read whole: most of their lines are known."""
    told = [each for each in items if each.lines or each.events]
    if not told:
        return
    known = set(JobEvent.objects.filter(job__in=[each.job for each in told]).values_list("job__pk", "digest"))
    unknown = [event for each in told for event in each.events if (each.job.pk, event.digest) not in known]
    for each in told:
        digests = ((item, digest_of(item)) for item in each.lines)
        unknown += [event_of(each.job, item, digest) for item, digest in digests if (each.job.pk, digest) not in known]
    JobEvent.objects.bulk_create(unknown, 500, ignore_conflicts=True)
    for each in told:
        ends = {storable(item.source_server_id)[:19] for item in each.lines if item.event == "LAUNCH_END"}
        if ends:  # DRS says after all what we had derived
            JobEvent.objects.filter(job=each.job, derived=True, source_server_id__in=ends).delete()
