"""What DRS says of our launches: asked for without touching the database, then compared with the rows.

The asking half runs in threads, one request batch an account and region; the comparing half in the sweep's own thread.
Jobs and servers are asked for and written first, then logs and instances, so that slow logs hold up nothing.
"""

import hashlib
import json
import logging
import random
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from audit.safe_text import storable
from drs.client import Drs
from drs.errors import DrsError
from drs.shapes import JOB_COMPLETED, TERMINATE, Job, JobLogItem, Participant, RecoveryInstance
from executions.models import JobEvent, LaunchJob, ServerRun
from executions.states import JobStatus, LaunchStatus, Phase, phase_after

log = logging.getLogger(__name__)

LATE_ANSWERS = timedelta(minutes=15)  # how long after its end a job is still asked for missing ids and log lines
READING_SECONDS = 10.0  # when a round of logs and instances reads no more; the next poll goes on
LOST_AFTER = timedelta(days=1)  # DRS answers and has not shown a job, or its log, for so long: it was deleted


@dataclass(frozen=True)
class Question:
    """Jobs of one account and region to ask for; `logs` are those whose log is read as well. `open_servers` are, by
    job, servers of which DRS has not told yet that they launched: when the job has ended, it is asked for their
    instances."""

    region: str
    account: str
    job_ids: tuple[str, ...]
    logs: frozenset[str]
    open_servers: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass
class Answer:
    """What DRS said. A job or log that is missing was not observed, which says nothing about it; `unread` are jobs
    whose log was asked for and cannot be read."""

    jobs: dict[str, Job] = field(default_factory=dict)
    logs: dict[str, list[JobLogItem]] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    instances: dict[tuple[str, str], RecoveryInstance] = field(default_factory=dict)
    listed: bool = False  # whether DRS said which instances there are
    error: DrsError | None = None


def ask(question: Question) -> Answer:
    """One DescribeJobs for all jobs. HTTP only."""
    answer = Answer()
    try:
        drs = Drs(question.region, question.account, reading="poller")
        answer.jobs = {job.job_id: job for job in drs.jobs(question.job_ids)}
    except DrsError as error:
        answer.error = error
    return answer


def read_logs_and_instances(question: Question, jobs: Mapping[str, Job]) -> Answer:
    """The logs of these jobs, and instance ids that the jobs did not tell: as far as time allows. HTTP only.

    What was read stands; what is missing is asked for again at the next poll. Neither of the two waits for the other.
    """
    drs = Drs(question.region, question.account, reading="poller")
    answer, until = Answer(dict(jobs)), time.monotonic() + READING_SECONDS
    launches = [job for job in jobs.values() if job.type != TERMINATE]
    try:
        answer.instances = _instances(drs, launches, question.open_servers)
        answer.listed = True
    except DrsError as error:
        log.warning("DescribeRecoveryInstances failed: %s", error)
        answer.error = error
    for job in _log_reading_order(launches, question.logs):
        if time.monotonic() > until:
            break
        try:
            answer.logs[job.job_id] = drs.job_log(job.job_id)
        except Exception as error:  # of one log, whatever it is: the others must not wait for it
            log.warning("Reading the log of DRS job %s failed: %s", job.job_id, error)
            if isinstance(error, DrsError) and not (error.effect.is_final or error.effect.is_unknown):
                break  # throttled, or not to be reached: that is so for all of them
            answer.unread.add(job.job_id)
    return answer


def _log_reading_order(jobs: Iterable[Job], logs: Collection[str]) -> list[Job]:
    """Whose logs are read: ended jobs, which wait for nothing else, then the others; each time in another order."""
    wanted = [job for job in jobs if job.job_id in logs or job.status == JOB_COMPLETED]
    random.shuffle(wanted)  # where time is too short for all, each gets its turn
    return sorted(wanted, key=lambda job: job.status != JOB_COMPLETED)


def _instances(
    drs: Drs, jobs: Iterable[Job], open_servers: Mapping[str, Sequence[str]]
) -> dict[tuple[str, str], RecoveryInstance]:
    """Instances by job and server: for ids that jobs do not tell (yet), of ended jobs for their points in time, and for
    servers that an ended job has left open or shows no more. An instance of another job is never taken.
    """
    wanted = {
        each.source_server_id
        for job in jobs
        for each in job.participants
        if each.launch_status == LaunchStatus.LAUNCHED
        and (job.status == JOB_COMPLETED or not each.recovery_instance_id)
    }
    wanted.update(each for job in jobs if job.status == JOB_COMPLETED for each in open_servers.get(job.job_id, ()))
    if not wanted:
        return {}
    found = drs.recovery_instances(sorted(wanted))
    return {(each.job_id, each.source_server_id): each for each in found}


@dataclass
class JobChanges:
    """What is new of one job: the rows that changed, in memory, and the log lines to add."""

    job: LaunchJob
    servers: list[ServerRun] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)  # what of the servers is new
    events: list[JobEvent] = field(default_factory=list)
    changed: bool = False
    needs_decision: bool = False  # the state of the job or of a server is another: the run may have to go on
    ended: bool = False  # DRS has no more news of it
    log_given_up: bool = False  # its log could not be read for a day
    trouble: Exception | None = None  # why what DRS told could not even be compared


_RANK = [JobStatus.PENDING.value, JobStatus.STARTED.value, JobStatus.COMPLETED.value]
_GONE = frozenset({"TERMINATED", "NOT_FOUND"})
_SERVER_STATUSES = frozenset(each.value for each in LaunchStatus)
_SERVER_COLUMNS = (
    "launch_status",
    "phase",
    "recovery_instance_id",
    "launched_at",
    "used_previous_snapshot",
    "point_in_time",
    "error",
)


def compare(job: LaunchJob, servers: Sequence[ServerRun], answer: Answer, asked_at: datetime) -> JobChanges:
    """What `answer`, asked for at that time, tells that the rows do not know yet."""
    found, changes = answer.jobs.get(job.job_id), JobChanges(job)
    if found is None:
        _give_up_missing_job(changes, servers, asked_at)
        return changes
    lines = answer.logs.get(job.job_id)
    if lines is not None and len(lines) != job.events_seen:
        changes.events = [_event(job, item) for item in lines]
        job.events_seen, changes.changed = len(lines), True
    if found.status in _RANK and _RANK.index(found.status) > _RANK.index(job.status):  # never back to an older state
        job.status, changes.needs_decision = JobStatus.of(found.status), True
    if found.status == JOB_COMPLETED and job.completed_seen_at is None:
        job.completed_seen_at = asked_at
    job.seen_at = max(asked_at, job.seen_at or asked_at)
    if answer.listed and found.status == JOB_COMPLETED:
        changes.changed |= job.instances_seen_at is None or any(not each.state.is_settled for each in servers)
        job.instances_seen_at = asked_at
    participants = {each.source_server_id: each for each in found.participants}
    for server in servers:
        participant = participants.get(server.source_server_id)
        instance, before = _instance_of(job, server, answer, lines or []), server.state
        if columns := _update_server(
            server, participant, instance, lines or [], _LaunchTimeBounds.of(job, found, asked_at)
        ):
            changes.servers.append(server)
            changes.columns |= columns
            changes.needs_decision |= server.state is not before
    changes.events += _derived_launch_ends(job, changes.servers, lines or [])
    watched = _still_watched(job, servers, answer, asked_at)
    changes.ended = job.watched and not watched
    changes.log_given_up = changes.ended and lines is None
    changes.needs_decision |= watched != job.watched
    changes.changed |= changes.needs_decision or bool(changes.servers)
    job.watched = watched
    return changes


def _give_up_missing_job(changes: JobChanges, servers: Sequence[ServerRun], asked_at: datetime) -> None:
    """A job that DRS does not show was not observed, which says nothing; after a whole day it is taken for gone."""
    job = changes.job
    if asked_at <= (job.seen_at or job.intent_at or asked_at) + LOST_AFTER:
        return
    for server in servers:
        if not server.state.is_settled:
            server.launch_status, server.phase = LaunchStatus.FAILED, Phase.DONE
            server.error = "DRS has not shown the job of this launch for a day."
            changes.servers.append(server)
            changes.columns |= {"launch_status", "phase", "error"}
    job.status, job.watched = JobStatus.COMPLETED, False
    changes.changed = changes.needs_decision = changes.ended = True


def _next_status(now: LaunchStatus, told: str) -> LaunchStatus:
    """A server's status after DRS told one: what was launched stays launched, what is settled stays settled, and
    what began is never pending again."""
    if told not in _SERVER_STATUSES - {LaunchStatus.PENDING} or now.came_up:
        return now
    status = LaunchStatus.of(told)
    return status if status.is_settled or not now.is_settled else now


def _is_outcome_known(participant: Participant) -> bool:
    """Whether DRS has said what became of the server."""
    told = participant.launch_status
    return told in _SERVER_STATUSES and LaunchStatus.of(told).is_settled


def _instance_of(
    job: LaunchJob, server: ServerRun, answer: Answer, lines: Sequence[JobLogItem]
) -> RecoveryInstance | None:
    """The instance of this launch: DRS lists it with the job, or lists one that the log's LAUNCH_END names."""
    found = answer.instances.get((job.job_id, server.source_server_id))
    if found is not None:
        return found
    mine = [each for each in lines if each.source_server_id == server.source_server_id and each.event == "LAUNCH_END"]
    named = {str(each.data.get("targetInstanceID", "")) for each in mine}
    others = (each for (_, source), each in answer.instances.items() if source == server.source_server_id)
    return next((each for each in others if each.recovery_instance_id in named), None)


@dataclass(frozen=True)
class _LaunchTimeBounds:
    """Between which times a server of a job came up: after the intent to launch it and, by DRS's word, before the job's
    end, however late we look. AWS's clock is believed only as far as it agrees with ours. `ended` jobs tell no more."""

    earliest: datetime | None
    latest: datetime
    ended: bool

    @classmethod
    def of(cls, job: LaunchJob, found: Job, asked_at: datetime) -> "_LaunchTimeBounds":
        latest = min(asked_at, found.ended_at or asked_at)
        return cls(job.intent_at, max(latest, job.intent_at or latest), found.status == JOB_COMPLETED)

    def within(self, at: datetime) -> datetime:
        return min(max(at, self.earliest or at), self.latest)


def _update_server(
    server: ServerRun,
    participant: Participant | None,
    instance: RecoveryInstance | None,
    lines: Sequence[JobLogItem],
    bounds: _LaunchTimeBounds,
) -> set[str]:
    """Bring one server up to date; answers the columns that changed. What an ended job does not tell, its instance
    does."""
    before = {name: getattr(server, name) for name in _SERVER_COLUMNS}
    mine = [item for item in lines if item.source_server_id == server.source_server_id]
    if participant is not None:
        server.launch_status = _next_status(server.state, participant.launch_status)
    told = participant.recovery_instance_id if participant else ""
    if instance is not None:
        told = told or instance.recovery_instance_id
        server.point_in_time = instance.point_in_time or server.point_in_time
        untold = participant is None or not _is_outcome_known(participant)
        if bounds.ended and untold and instance.ec2_state not in _GONE:
            server.launch_status = _next_status(server.state, LaunchStatus.LAUNCHED)
    server.recovery_instance_id = told or server.recovery_instance_id
    for item in mine:
        server.phase = phase_after(item.event, Phase.of(server.phase))
        server.used_previous_snapshot |= item.event == "USING_PREVIOUS_SNAPSHOT"
    if server.state.is_settled:
        server.phase = Phase.DONE
    if server.state is LaunchStatus.LAUNCHED:
        told_at = next((item.at for item in mine if item.event == "LAUNCH_END"), None)  # read later than the status
        server.launched_at = bounds.within(told_at or server.launched_at or bounds.latest)
        server.error = ""
    if server.state is LaunchStatus.FAILED and not server.error:
        server.error = _failure_text(mine)
    return {name for name, value in before.items() if getattr(server, name) != value}


LAUNCH_FAILURES = (
    "LAUNCH_FAILED",
    "CONVERSION_FAIL",
    "SERVER_SKIPPED",
    "USING_PREVIOUS_SNAPSHOT_FAILED",
    "SNAPSHOT_FAIL",
)


def _failure_text(lines: Sequence[JobLogItem]) -> str:
    """AWS's own words for a failed launch, from the last failure in the log that has any."""
    failures = [item for item in lines if item.event in LAUNCH_FAILURES]
    if not failures:
        return ""
    told = next((item for item in reversed(failures) if item.data.get("rawError")), failures[-1])
    return str(storable(f"{told.event}: {told.data.get('rawError') or 'AWS gave no reason.'}"))


def _still_watched(job: LaunchJob, servers: Sequence[ServerRun], answer: Answer, now: datetime) -> bool:
    """Whether DRS may still have news: the job is open, its log unread, or rows and ids are yet to come."""
    if job.state is not JobStatus.COMPLETED or job.completed_seen_at is None:
        return True
    if job.job_id not in answer.logs:
        return job.job_id not in answer.unread or now <= job.completed_seen_at + LOST_AFTER
    told = {each.source_server_id: each.launch_status for each in answer.jobs[job.job_id].participants}
    if any(_is_open(each, told.get(each.source_server_id, ""), job) for each in servers):
        return now <= job.completed_seen_at + LOST_AFTER
    complete = all(_is_fully_known(each, told.get(each.source_server_id, "")) for each in servers)
    silent = answer.error is not None and answer.error.effect.is_unknown  # about instances
    return not complete and now <= job.completed_seen_at + (LOST_AFTER if silent else LATE_ANSWERS)


def _is_open(server: ServerRun, told: str, job: LaunchJob) -> bool:
    """Whether it is not settled what became of a server, or was settled without DRS: neither its job tells, nor was
    DRS asked for the instances of the job."""
    is_told = told in _SERVER_STATUSES and LaunchStatus.of(told).is_settled
    return not server.state.is_settled or (not is_told and job.instances_seen_at is None)


def _is_fully_known(server: ServerRun, told: str) -> bool:
    """Judged by what DRS told: it may launch a server after all that we have given up."""
    if server.state is LaunchStatus.LAUNCHED:
        return bool(server.recovery_instance_id and server.point_in_time)
    return server.state is LaunchStatus.TERMINATED or (told in _SERVER_STATUSES and LaunchStatus.of(told).is_settled)


def _event(job: LaunchJob, item: JobLogItem) -> JobEvent:
    return JobEvent(
        job=job,
        at=item.at,
        event=storable(item.event)[:64],
        source_server_id=storable(item.source_server_id)[:19],
        data=storable(item.data),
        digest=_digest(item.at.isoformat(), item.event, item.data),
    )


def _derived_launch_ends(job: LaunchJob, servers: Sequence[ServerRun], lines: Sequence[JobLogItem]) -> list[JobEvent]:
    """DRS's published events have no LAUNCH_END: derive it from LAUNCHED where the log has none."""
    told = {item.source_server_id for item in lines if item.event == "LAUNCH_END"}
    return [
        JobEvent(
            job=job,
            at=server.launched_at,
            event="LAUNCH_END",
            source_server_id=server.source_server_id,
            derived=True,
            digest=_digest("derived", "LAUNCH_END", {"sourceServerID": server.source_server_id}),
        )
        for server in servers
        if server.launched_at is not None and server.source_server_id not in told
    ]


def _digest(at: str, event: str, data: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps([at, event, data], sort_keys=True, default=str).encode()).hexdigest()
