"""What DRS says of our launches: asked for without touching the database, then compared with the rows.

The asking half runs in threads, one request batch an account and region; the comparing half in the sweep's own thread.
Jobs and servers are asked for and written first, then logs and instances, so that slow logs hold up nothing.
"""

import logging
import random
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from drs.client import Drs
from drs.errors import DrsError
from drs.shapes import JOB_COMPLETED, TERMINATE, Job, JobLogItem, Participant, RecoveryInstance
from drs.status_checks import REFUSED, StatusChecks
from executions.models import JobEvent, LaunchJob, ServerRun
from executions.observing import server_outcome
from executions.observing.job_events import derived_launch_ends
from executions.observing.job_questions import Running, jobs_by_id, list_jobs
from executions.observing.server_outcome import (
    CAUSE_READING,
    GONE,
    STOPPED,
    WITHOUT_CAUSE,
    LaunchTimeBounds,
    Told,
    is_settled,
)
from executions.observing.status_checks import ask_checks
from executions.states import JobStatus, LaunchStatus, Phase

log = logging.getLogger(__name__)

LATE_ANSWERS = timedelta(minutes=15)  # how long after its end a job is still asked for missing ids and log lines
READING_SECONDS = 10.0  # when a round of logs and instances reads no more; the next poll goes on
CAUSES_AT_ONCE = 5  # logs of failed jobs that a poll reads before it says what failed; the others come with all logs
ACTIONS_WITHIN = timedelta(hours=1)  # how long after a job's end its post-launch actions are followed
QUIET_SECONDS = 60.0  # how long a place is not looked at so after it did not answer: nobody waits for it each time
LOST_AFTER = timedelta(days=1)  # DRS answers and has not shown a job, or its log, for so long: it was deleted


quiet: dict[tuple[str, str], float] = {}  # until when, by region and account, on this process's monotonic clock


@dataclass(frozen=True)
class Question:
    """Jobs of one account and region to ask for; `logs` are those whose log is read as well. `open_servers` are, by
    job, servers of which DRS has not told yet that they launched: when the job has ended, it is asked for their
    instances. `unseen` are, by job, servers that are not known to have come up, or why not: their instances, and the
    log of what failed, are asked for at once. `unchecked` are instances whose status checks EC2 is asked for. `apart`
    are ids that DRS has refused before, with whatever was asked for beside them; `since` asks for every job made since
    then, ours or not."""

    region: str
    account: str
    job_ids: tuple[str, ...]
    logs: frozenset[str]
    open_servers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unseen: Mapping[str, Collection[str]] = field(default_factory=dict)
    unchecked: Sequence[str] = ()
    apart: frozenset[str] = frozenset()
    since: datetime | None = None


@dataclass
class Answer:
    """What DRS said. A job or log that is missing was not observed, which says nothing about it; `unread` are jobs
    whose log was asked for and cannot be read. `stopped_on_purpose` are servers whose launch settings say so."""

    jobs: dict[str, Job] = field(default_factory=dict)
    logs: dict[str, list[JobLogItem]] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    instances: dict[tuple[str, str], RecoveryInstance] = field(default_factory=dict)
    stopped_on_purpose: set[str] = field(default_factory=set)
    looked_for: frozenset[str] = frozenset()  # jobs that DRS does not show, whose instances it was asked for
    checks: dict[str, StatusChecks] = field(default_factory=dict)  # by instance, of those that EC2 was asked for
    listed: bool = False  # whether DRS said which instances there are
    refused: set[str] = field(default_factory=set)  # ids that DRS does not take, each asked for alone
    running: Running | None = None  # where that was asked for
    error: DrsError | None = None


def ask(question: Question) -> Answer:
    """One DescribeJobs for all jobs, and a quick look at what has just come up or failed. HTTP only."""
    answer = Answer()
    drs = Drs(question.region, question.account, reading="poller")
    try:
        told: dict[str, Job] = {}
        if question.since is not None:
            told, answer.running = list_jobs(drs, question.since)
        left = [each for each in question.job_ids if each not in told]
        found, answer.refused = jobs_by_id(drs, left, question.apart)
        asked = set(question.job_ids)
        answer.jobs = {each: job for each, job in (told | found).items() if each in asked}
    except DrsError as error:
        answer.error = error
        return answer
    answer.checks = ask_checks(question.region, question.account, question.unchecked)
    if time.monotonic() < quiet.get((question.region, question.account), 0.0):
        return answer
    news = [job for job in answer.jobs.values() if job.type != TERMINATE and job.job_id in question.unseen]
    try:
        _look_at_instances(question, news, answer)
        _read_causes(question, news, answer)
    except DrsError as error:  # it is asked for again with the logs; what DRS says of the jobs stands
        quiet[question.region, question.account] = time.monotonic() + QUIET_SECONDS
        log.info("A look at new instances or causes in %s failed: %s", question.region, error)
    return answer


def _among(job: Job, status: LaunchStatus, servers: Collection[str]) -> list[str]:
    told = (each for each in job.participants if each.launch_status == status)
    return [each.source_server_id for each in told if each.source_server_id in servers]


def _look_at_instances(question: Question, jobs: Sequence[Job], answer: Answer) -> None:
    """DRS calls a server launched: is its instance there? Asked before anything is built on it. Of one whose job has
    ended and calls it failed: is there none, or does one stand? Of a job that DRS does not show, its instances are all
    that can be known."""
    up = {each for job in jobs for each in _among(job, LaunchStatus.LAUNCHED, question.unseen[job.job_id])}
    ended = [job for job in jobs if job.status == JOB_COMPLETED]
    up.update(each for job in ended for each in _among(job, LaunchStatus.FAILED, question.unseen[job.job_id]))
    missing = [each for each in question.unseen if each not in answer.jobs]
    up.update(server for each in missing for server in question.unseen[each])
    if not up:
        return
    drs = Drs(question.region, question.account, reading="glance")
    answer.instances = {(each.job_id, each.source_server_id): each for each in drs.recovery_instances(sorted(up))}
    answer.looked_for = frozenset(missing)
    answer.stopped_on_purpose = _stopped_on_purpose(drs, question, answer)


def _stopped_on_purpose(drs: Drs, question: Question, answer: Answer) -> set[str]:
    """Of servers of whose instances nobody knows yet whether they came up: those that shall be launched stopped."""
    new = {(job_id, server) for job_id, servers in question.unseen.items() for server in servers}
    stopped = [key for key, each in answer.instances.items() if each.ec2_state in STOPPED and key in new]
    settings = {server: drs.launch_settings(server) for _, server in stopped}
    return {server for server, each in settings.items() if each is not None and not each.starts}


def _read_causes(question: Question, jobs: Sequence[Job], answer: Answer) -> None:
    """A server failed: its log says why. A failure and its cause are told together."""
    drs = Drs(question.region, question.account, reading="glance")
    failed = [job for job in jobs if _among(job, LaunchStatus.FAILED, question.unseen[job.job_id])]
    for job in failed[:CAUSES_AT_ONCE]:
        answer.logs[job.job_id] = drs.job_log(job.job_id)


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
        answer.stopped_on_purpose = _stopped_on_purpose(drs, question, answer)
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
    """What is new of one job: the rows that changed, in memory, and the log lines to look at."""

    job: LaunchJob
    servers: list[ServerRun] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)  # what of the servers is new
    lines: Sequence[JobLogItem] = ()  # of a log that has grown, all of it
    events: list[JobEvent] = field(default_factory=list)  # that DRS does not send
    changed: bool = False
    needs_decision: bool = False  # the state of the job or of a server is another: the run may have to go on
    ended: bool = False  # DRS has no more news of it
    listed_alone: set[str] = field(default_factory=set)  # servers of which DRS lists this job's instance, and no other
    log_given_up: bool = False  # its log could not be read for a day
    trouble: Exception | None = None  # why what DRS told could not even be compared


_RANK = [JobStatus.PENDING.value, JobStatus.STARTED.value, JobStatus.COMPLETED.value]


def compare(job: LaunchJob, servers: Sequence[ServerRun], answer: Answer, asked_at: datetime) -> JobChanges:
    """What `answer`, asked for at that time, tells that the rows do not know yet."""
    found, changes, seen_before = answer.jobs.get(job.job_id), JobChanges(job), job.seen_at
    if found is None:
        _take_instances(changes, servers, answer, asked_at)
        _give_up_missing_job(changes, servers, answer, asked_at)
        return changes
    lines = answer.logs.get(job.job_id)
    if lines is not None and len(lines) != job.events_seen:
        changes.lines = lines
        job.events_seen, changes.changed = len(lines), True
    if found.status in _RANK and _RANK.index(found.status) > _RANK.index(job.status):  # never back to an older state
        job.status, changes.needs_decision = JobStatus.of(found.status), True
    if found.status == JOB_COMPLETED and job.completed_seen_at is None:
        job.completed_seen_at = asked_at
    job.seen_at = max(asked_at, job.seen_at or asked_at)
    if answer.listed and found.status == JOB_COMPLETED:
        changes.changed |= job.instances_seen_at is None or any(not each.state.is_settled for each in servers)
        job.instances_seen_at = asked_at
    bounds = LaunchTimeBounds.of(job, found, asked_at, seen_before)
    told = _told_by_server(job, servers, found, answer)
    new: list[ServerRun] = []
    for server in servers:
        before = server.state
        if columns := server_outcome.update(server, told[server.source_server_id], bounds):
            changes.servers.append(server)
            changes.columns |= columns
            changes.needs_decision |= server.state is not before
            if server.state is not before:
                new.append(server)
    changes.listed_alone = _listed_alone(job, answer)
    changes.events += derived_launch_ends(job, new if lines is None else changes.servers, lines or [])
    watched = _still_watched(job, servers, answer, asked_at)
    changes.ended = job.watched and not watched
    if changes.ended:
        _give_up(changes, servers, server_outcome.UNSETTLED if job.instances_seen_at else server_outcome.UNLISTED)
    changes.log_given_up = changes.ended and lines is None
    changes.needs_decision |= watched != job.watched
    changes.changed |= changes.needs_decision or bool(changes.servers)
    job.watched = watched
    return changes


def _listed_alone(job: LaunchJob, answer: Answer) -> set[str]:
    """Servers whose instance of another launch does not stand beside the one of this job, which was listed."""
    standing = [(job_id, server) for (job_id, server), each in answer.instances.items() if each.ec2_state not in GONE]
    others = {server for job_id, server in standing if job_id != job.job_id}
    return {server for job_id, server in answer.instances if job_id == job.job_id} - others


def _told_by_server(job: LaunchJob, servers: Iterable[ServerRun], found: Job, answer: Answer) -> Mapping[str, Told]:
    lines: dict[str, list[JobLogItem]] = defaultdict(list)
    for each in answer.logs.get(job.job_id, ()):
        lines[each.source_server_id].append(each)
    rows = {each.source_server_id: each for each in found.participants}
    return {
        server.source_server_id: Told(
            participant=rows.get(server.source_server_id),
            instance=_instance_of(job, server, answer, _status_in(rows, server), lines[server.source_server_id]),
            lines=lines[server.source_server_id],
            of_job=lines[""],
            log_read=job.job_id in answer.logs,
            is_stopped_on_purpose=server.source_server_id in answer.stopped_on_purpose,
            checks=answer.checks.get(server.recovery_instance_id),
        )
        for server in servers
    }


def _status_in(rows: Mapping[str, Participant], server: ServerRun) -> str:
    return rows[server.source_server_id].launch_status if server.source_server_id in rows else ""


def _take_instances(changes: JobChanges, servers: Sequence[ServerRun], answer: Answer, asked_at: datetime) -> None:
    """DRS does not show a job any more, and lists instances of it: those were launched."""
    job = changes.job
    wave = job.wave
    bounds = LaunchTimeBounds(job.intent_at, asked_at, True, asked_at, job.seen_at, wave.state.is_final, wave.means)
    for server in servers:
        instance = _instance_of(job, server, answer)
        told = Told(None, instance, checks=answer.checks.get(server.recovery_instance_id))
        if instance is not None and (columns := server_outcome.update(server, told, bounds)):
            changes.servers.append(server)
            changes.columns |= columns
            changes.changed = changes.needs_decision = True
    changes.events += derived_launch_ends(job, changes.servers, [])


def _give_up_missing_job(changes: JobChanges, servers: Sequence[ServerRun], answer: Answer, asked_at: datetime) -> None:
    """A job that DRS does not show was not observed, which says nothing; after a whole day it is taken for gone, unless
    DRS was not asked which of its instances there are."""
    job = changes.job
    if asked_at <= (job.seen_at or job.intent_at or asked_at) + LOST_AFTER:
        return
    if job.job_id not in answer.looked_for and any(not each.state.is_settled for each in servers):
        return
    _give_up(changes, servers, "DRS has not shown the job of this launch for a day.")
    job.status, job.watched = JobStatus.COMPLETED, False
    changes.changed = changes.needs_decision = changes.ended = True


def _give_up(changes: JobChanges, servers: Sequence[ServerRun], why: str) -> None:
    """No more is expected of DRS, and it never said what became of these. Their wave may be long over."""
    for server in servers:
        if not server.state.is_settled:
            server.launch_status, server.phase = LaunchStatus.FAILED, Phase.DONE
            server.error = server_outcome.after_word(server.error, why)
            changes.servers.append(server)
            changes.columns |= {"launch_status", "phase", "error"}


def _instance_of(
    job: LaunchJob, server: ServerRun, answer: Answer, told: str = "", lines: Sequence[JobLogItem] = ()
) -> RecoveryInstance | None:
    """The instance of this launch: DRS lists it with the job, or lists one that the log's LAUNCH_END names, or one
    without any job that did not stand when the launch was sent."""
    found = answer.instances.get((job.job_id, server.source_server_id))
    if found is not None:
        return found
    named = {str(each.data.get("targetInstanceID", "")) for each in lines if each.event == "LAUNCH_END"}
    others = (each for (_, source), each in answer.instances.items() if source == server.source_server_id)
    found = next((each for each in others if each.recovery_instance_id in named), None)
    if found is not None or (is_settled(told) and told != LaunchStatus.LAUNCHED):
        return found
    of_no_job = answer.instances.get(("", server.source_server_id))
    is_new = of_no_job is not None and of_no_job.recovery_instance_id not in (job.stood_before or ())
    return of_no_job if is_new and job.stood_before is not None else None


def _still_watched(job: LaunchJob, servers: Sequence[ServerRun], answer: Answer, now: datetime) -> bool:
    """Whether DRS may still have news: the job is open, its log unread, or rows and ids are yet to come."""
    if job.state is not JobStatus.COMPLETED or job.completed_seen_at is None:
        return True
    if job.job_id not in answer.logs:
        return job.job_id not in answer.unread or now <= job.completed_seen_at + LOST_AFTER
    if not job.wave.state.is_final and any(_is_awaited(each, job) for each in servers):
        return True
    told = {each.source_server_id: each.launch_status for each in answer.jobs[job.job_id].participants}
    if any(each.state is LaunchStatus.FAILED and each.error == CAUSE_READING for each in servers):
        return True
    if any(_is_open(each, told.get(each.source_server_id, ""), job) for each in servers):
        return now <= job.completed_seen_at + LOST_AFTER
    if any(_has_open_action(each) for each in servers):
        return now <= job.completed_seen_at + ACTIONS_WITHIN
    complete = all(_is_fully_known(each, told.get(each.source_server_id, "")) for each in servers)
    silent = answer.error is not None and answer.error.effect.is_unknown  # about instances
    return not complete and now <= job.completed_seen_at + (LOST_AFTER if silent else LATE_ANSWERS)


def _is_awaited(server: ServerRun, job: LaunchJob) -> bool:
    """Whether its wave waits until it is up."""
    return server.state is LaunchStatus.LAUNCHED and not server.is_up(job.wave.means)


def _has_open_action(server: ServerRun) -> bool:
    """Whether something still runs on its instance after the launch."""
    return any(each["status"] == "IN_PROGRESS" for each in server.launch_actions or [])


def _is_open(server: ServerRun, told: str, job: LaunchJob) -> bool:
    """Whether it is not settled what became of a server, or was settled without DRS: neither its job tells, nor was
    DRS asked for the instances of the job."""
    return not server.state.is_settled or (not is_settled(told) and job.instances_seen_at is None)


def _is_fully_known(server: ServerRun, told: str) -> bool:
    """Judged by what DRS told: it may launch a server after all that we have given up."""
    if server.state is LaunchStatus.LAUNCHED:
        checked = server.checks_passed_at is not None or server.system_check == REFUSED.system
        is_up = server.instance_state in STOPPED | GONE or (server.instance_state not in ("", "PENDING") and checked)
        return bool(server.recovery_instance_id and server.point_in_time and is_up)
    has_cause = server.state is not LaunchStatus.FAILED or server.error not in WITHOUT_CAUSE
    return server.state is LaunchStatus.TERMINATED or (is_settled(told) and has_cause)
