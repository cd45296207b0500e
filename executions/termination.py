"""Terminating the instances of a finished run: asked of DRS in the request, followed by the engine to the end.

The intent is committed before the call, so a killed request loses nothing: the engine finds what became of it. A
repeat would be harmless at DRS (it conflicts, or finds nothing), but is not made: only failed instances are retried.
DRS lets no instance go while the job that launched it lasts, which is some seconds longer than the run: such a request
waits (QUEUED), and the engine sends it when that job has ended.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from audit.actor import ENGINE, Actor
from audit.journal import attempt, record
from contract.clock import Clock, db_clock
from contract.errors import BadRequest, NotFound
from drs.client import IDS_A_CALL, Drs, SendWindow
from drs.errors import DrsError, Effect, Trouble
from drs.shapes import JOB_COMPLETED, TERMINATE, Job, RecoveryInstance
from executions import transitions
from executions.errands import Errand
from executions.models import Execution, LaunchJob, ServerRun, TerminationJob
from executions.states import JobStatus, Kind, LaunchStatus, TerminationStatus
from protection.trouble import drs_trouble

UNCONFIRMED_AFTER = timedelta(seconds=60)
LOOK_BACK = timedelta(minutes=10)  # before the intent, for clocks that differ
LISTED_WITHIN = timedelta(minutes=5)  # a launched instance shows in DescribeRecoveryInstances by then
GONE = frozenset({"TERMINATED", "NOT_FOUND", "SHUTTING-DOWN"})


@dataclass(frozen=True)
class Failure:
    """An instance that DRS would not terminate."""

    recovery_instance_id: str
    code: str
    message: str


@dataclass
class TerminationResult:
    """What was asked of DRS and accepted, what was refused, and the DRS jobs that do it. `waiting` are those of
    `terminated` that DRS is asked for when it has ended the job that launched them."""

    terminated: list[str] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    jobs: list[TerminationJob] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)

    @property
    def taken(self) -> int:
        """How many instances DRS itself has accepted."""
        return len(self.terminated) - len(self.waiting)


@attempt("execution.terminate", "execution", subject="execution_id")
def terminate(
    *, actor: Actor, execution_id: uuid.UUID, comment: str = "", clock: Clock = db_clock
) -> TerminationResult:
    """Ask DRS to terminate every instance of a finished run that is still there. Again: the recorded result.

    Raises Forbidden, NotFound, BadRequest (EXECUTION_STILL_RUNNING), and the contract's DRS errors when DRS could
    not even be asked which instances exist.
    """
    execution = Execution.objects.filter(pk=execution_id).first()
    if execution is None:
        raise NotFound(f"There is no execution {execution_id}.", details={"executionId": str(execution_id)})
    right = "terminate_recovery" if execution.purpose is Kind.RECOVERY else "terminate_drill"
    actor.require(f"executions.{right}", f"terminate the instances of a {execution.purpose.label.lower()}")
    if not execution.state.is_final:
        raise BadRequest(
            "EXECUTION_STILL_RUNNING",
            f"This run is {execution.state.label.lower()}. Its instances can be terminated when it has ended.",
            details={"status": execution.status},
        )
    _learn_missing_ids(execution)
    for place, ids in _standing(execution).items():
        _forget_gone(execution, place[1], ids, clock)
    window = SendWindow(settings.SEND_WINDOW_SECONDS)  # opened before the intents: the engine judges them by their age
    for job in _record_intents(actor, execution, comment, clock):
        _send(execution, job, window, clock)
    return result(execution)


def _launched(execution: Execution) -> QuerySet[ServerRun]:
    servers = ServerRun.objects.filter(wave__execution=execution, launch_status=LaunchStatus.LAUNCHED)
    return servers.select_related("job").order_by("wave__number", "position")


def _standing(execution: Execution) -> dict[tuple[str, str], list[ServerRun]]:
    """Launched instances that no termination under way covers, by account and region."""
    covered = {
        instance
        for job in execution.terminations.exclude(status__in=[JobStatus.REJECTED, JobStatus.COMPLETED])
        for instance in job.instance_ids
    }
    standing: dict[tuple[str, str], list[ServerRun]] = defaultdict(list)
    for server in _launched(execution).exclude(recovery_instance_id=""):
        if server.recovery_instance_id not in covered:
            standing[server.job.account_id, server.job.region].append(server)
    return standing


def _learn_missing_ids(execution: Execution) -> None:
    """Instances whose ids no poll has learned yet: asked for now, by job, so that none is left standing."""
    nameless: dict[str, list[ServerRun]] = defaultdict(list)
    for server in _launched(execution).filter(recovery_instance_id=""):
        nameless[server.job.region].append(server)
    for region, servers in nameless.items():
        known = _instances(region, servers)
        for server in servers:
            mine = (each for each in known if each.job_id == server.job.job_id)
            found = next((each for each in mine if each.source_server_id == server.source_server_id), None)
            if found is not None:
                ServerRun.objects.filter(pk=server.pk).update(recovery_instance_id=found.recovery_instance_id)


def _instances(region: str, servers: Sequence[ServerRun]) -> list[RecoveryInstance]:
    try:
        return Drs(region).recovery_instances([server.source_server_id for server in servers])
    except DrsError as error:
        raise drs_trouble(error) from error


def _forget_gone(execution: Execution, region: str, servers: Sequence[ServerRun], clock: Clock) -> None:
    """Mark instances that DRS no longer has: replaced by a later launch, or terminated by somebody else.

    An instance just launched may not be listed yet, and is not taken for gone.
    """
    listed = {each.recovery_instance_id: each.ec2_state for each in _instances(region, servers)}
    old = clock() - LISTED_WITHIN
    gone = [
        server
        for server in servers
        if listed.get(server.recovery_instance_id) in GONE
        or (server.recovery_instance_id not in listed and server.launched_at is not None and server.launched_at < old)
    ]
    if gone:
        with transaction.atomic():
            now = clock()
            _mark_terminated(execution, [server.recovery_instance_id for server in gone], now)
            _roll_up(execution, now)


def _record_intents(actor: Actor, execution: Execution, comment: str, clock: Clock) -> list[TerminationJob]:
    """Commit what is about to be asked. The lock lets one of two requests at once find something to do."""
    with transaction.atomic():
        Execution.objects.select_for_update().get(pk=execution.pk)
        _refuse_under_retry(execution)
        now = clock()
        jobs = [
            TerminationJob(
                execution=execution,
                account_id=account,
                region=region,
                instance_ids=[server.recovery_instance_id for server in servers[at : at + IDS_A_CALL]],
                server_ids=[server.source_server_id for server in servers[at : at + IDS_A_CALL]],
                status=JobStatus.INITIATED,
                intent_at=now,
                requested_by=actor.name,
            )
            for (account, region), servers in _standing(execution).items()
            for at in range(0, len(servers), IDS_A_CALL)
        ]
        before = {"terminationStatus": execution.termination_status}
        if jobs:
            TerminationJob.objects.bulk_create(jobs)
            _watch(execution, now + UNCONFIRMED_AFTER)
            _roll_up(execution, now)
        instances = [each for job in jobs for each in job.instance_ids]
        record(
            actor,
            "execution.terminate",
            subject_kind="execution",
            subject_id=execution.pk,
            subject_name=execution.plan_name,
            detail={"instances": instances, "comment": comment} | ({} if jobs else {"changed": False}),
            before=before,
            after={"terminationStatus": execution.termination_status},
        )
    return jobs


def _refuse_under_retry(execution: Execution) -> None:
    """What an earlier attempt launched is what a retry counts on."""
    tried = Execution.objects.active().filter(first_attempt_id=execution.first_attempt_id or execution.pk)
    later = tried.filter(attempt__gt=execution.attempt).first()
    if later is not None:
        raise BadRequest(
            "EXECUTION_STILL_RUNNING",
            f"Attempt {later.attempt} of this run is {later.state.label.lower()} and counts on these instances.",
            details={"status": execution.status, "executionId": str(later.pk)},
        )


def _watch(execution: Execution, at: datetime) -> None:
    """Have the sweep look at a finished run again, no later than `at`."""
    Execution.objects.filter(pk=execution.pk, next_step_at=None).update(next_step_at=at)
    Execution.objects.filter(pk=execution.pk, next_step_at__gt=at).update(next_step_at=at)


def _send(execution: Execution, job: TerminationJob, window: SendWindow, clock: Clock) -> None:
    try:
        answer = Drs(job.region).terminate(job.instance_ids, window=window)
    except DrsError as error:
        _not_taken(execution, job, error, clock())
    else:
        _confirm(execution, job, answer, clock())


def _not_taken(execution: Execution, job: TerminationJob, error: DrsError, now: datetime) -> None:
    """After no clear answer nothing is written: the engine finds out."""
    if error.trouble is Trouble.CONFLICT and (launching := _launch_jobs(execution, job)):
        _wait(execution, job, error, launching, now)
    elif error.effect is not Effect.UNCERTAIN:
        _refuse(execution, job, error.code, error.message, now)


def _launch_jobs(execution: Execution, job: TerminationJob) -> list[str]:
    """The run's own launches that DRS has not ended yet, as far as we know, of the servers to terminate."""
    mine = LaunchJob.objects.filter(wave__execution=execution, account_id=job.account_id, region=job.region)
    lasting = mine.filter(watched=True, servers__source_server_id__in=job.server_ids).exclude(job_id="")
    return sorted(set(lasting.values_list("job_id", flat=True)))


def _wait(execution: Execution, job: TerminationJob, error: DrsError, launching: list[str], now: datetime) -> None:
    text = f"DRS has not ended {' and '.join(launching)} yet, which launched them. They are terminated when it has."
    with transaction.atomic():
        sent = TerminationJob.objects.filter(pk=job.pk, status=JobStatus.INITIATED, job_id="")
        if sent.update(status=JobStatus.QUEUED, error_code=error.code, error_message=text):
            _watch(execution, now + timedelta(seconds=settings.POLL_SECONDS))
            _journal(execution, "terminate.waits", outcome=error.code, region=job.region, text=text)
            transitions.touch(execution, now)


def _confirm(execution: Execution, job: TerminationJob, found: Job, now: datetime) -> None:
    with transaction.atomic():
        TerminationJob.objects.filter(pk=job.pk, job_id="").update(
            job_id=found.job_id, status=JobStatus.of(found.status), watched=True, error_code="", error_message=""
        )
        _watch(execution, now + timedelta(seconds=settings.POLL_SECONDS))
        _journal(execution, "terminate.sent", jobId=found.job_id, region=job.region, instances=job.instance_ids)


def _refuse(execution: Execution, job: TerminationJob, code: str, message: str, now: datetime) -> None:
    with transaction.atomic():
        failures = {each: {"code": code, "message": message} for each in job.instance_ids}
        TerminationJob.objects.filter(pk=job.pk, job_id="").update(
            status=JobStatus.REJECTED, error_code=code, error_message=message, failures=failures
        )
        _roll_up(execution, now)
        _journal(execution, "terminate.refused", outcome=code, region=job.region, text=message)


def _journal(execution: Execution, verb: str, *, outcome: str = "ok", **detail: object) -> None:
    record(
        ENGINE,
        verb,
        subject_kind="execution",
        subject_id=execution.pk,
        subject_name=execution.plan_name,
        outcome=outcome,
        detail=detail,
    )


def result(execution: Execution) -> TerminationResult:
    """The recorded outcome: what DRS accepted or has done, and what failed and was not retried with success."""
    gone = ServerRun.objects.filter(wave__execution=execution, launch_status=LaunchStatus.TERMINATED)
    accepted = dict.fromkeys(gone.order_by("wave__number", "position").values_list("recovery_instance_id", flat=True))
    accepted.pop("", None)
    failed: dict[str, Failure] = {}
    jobs = list(execution.terminations.order_by("pk"))
    for job in jobs:
        for each in job.instance_ids:
            failed.pop(each, None)
            if each in job.failures and each not in accepted:
                failed[each] = Failure(each, job.failures[each]["code"], job.failures[each]["message"])
            else:
                accepted[each] = None
    terminated = [each for each in accepted if each not in failed]
    waiting = {each for job in jobs if job.state is JobStatus.QUEUED for each in job.instance_ids}
    return TerminationResult(terminated, list(failed.values()), jobs, [each for each in terminated if each in waiting])


# What the engine does


_NOT_TERMINATED = {"code": "TERMINATION_FAILED", "message": "DRS ended the job without terminating this instance."}


def follow(job: TerminationJob, found: Job | None, now: datetime) -> None:
    """Write down what DRS says of a TERMINATE job: per server TERMINATED or not, and the end."""
    if found is None or not job.watched or (found.status == job.status and found.status != JOB_COMPLETED):
        return
    execution, told = job.execution, job.status
    by_server = dict(zip(job.server_ids, job.instance_ids, strict=True))
    statuses = {each.source_server_id: each.launch_status for each in found.participants}
    gone = [by_server[each] for each, status in statuses.items() if status == "TERMINATED" and each in by_server]
    with transaction.atomic():
        mine = TerminationJob.objects.filter(pk=job.pk, status=told, watched=True)
        job.status, job.watched = JobStatus.of(found.status), found.status != JOB_COMPLETED
        if not mine.update(status=job.status, watched=job.watched):
            return  # another engine was faster
        if not job.watched:
            job.failures = {each: dict(_NOT_TERMINATED) for each in job.instance_ids if each not in gone}
            job.save(update_fields=["failures"])
            _journal(execution, "terminate.ended", jobId=job.job_id, terminated=gone, failed=sorted(job.failures))
        _mark_terminated(execution, gone, now)
        _roll_up(execution, now)


def send_waiting(execution: Execution, clock: Clock) -> Errand[None]:
    """Ask for what waited until DRS had ended the launch. The row goes from QUEUED to INITIATED before the call: of
    several engines one asks, and what becomes of its request is found out as after any other."""
    for job in execution.terminations.filter(status=JobStatus.QUEUED):
        window, now = SendWindow(settings.SEND_WINDOW_SECONDS), clock()
        waiting = TerminationJob.objects.filter(pk=job.pk, status=JobStatus.QUEUED, job_id="")
        if not waiting.update(status=JobStatus.INITIATED, intent_at=now):
            continue
        try:
            answer = yield partial(Drs(job.region).terminate, job.instance_ids, window=window)
        except DrsError as error:
            _not_taken(execution, job, error, clock())
        else:
            _confirm(execution, job, answer, clock())


def find_unconfirmed(execution: Execution, clock: Clock) -> Errand[None]:
    """Settle terminations whose request was lost or killed: adopt DRS's job, or let a person try again."""
    oldest = clock() - UNCONFIRMED_AFTER
    for job in execution.terminations.filter(status=JobStatus.INITIATED, intent_at__lte=oldest):
        since = (job.intent_at or oldest) - LOOK_BACK
        try:
            jobs = yield partial(Drs(job.region, reading="poller").jobs_since, since)
        except DrsError:
            continue  # asked again at the next poll
        mine = [each for each in jobs if each.type == TERMINATE and _servers(each) == set(job.server_ids)]
        if mine:
            _confirm(execution, job, min(mine, key=lambda each: each.created_at), clock())
        else:
            _refuse(execution, job, "NOT_CONFIRMED", "AWS never confirmed the request; terminate again.", clock())


def after_late_news(execution: Execution, now: datetime) -> None:
    """An instance that came up after its run's instances were terminated is still standing: say so."""
    if execution.state.is_final and execution.termination_status != TerminationStatus.NOT_STARTED:
        _roll_up(execution, now)


def _servers(job: Job) -> set[str]:
    return {each.source_server_id for each in job.participants}


def _mark_terminated(execution: Execution, instance_ids: Iterable[str], now: datetime) -> None:
    servers = ServerRun.objects.filter(
        wave__execution=execution, recovery_instance_id__in=list(instance_ids), launch_status=LaunchStatus.LAUNCHED
    )
    waves = {server.wave for server in servers.select_related("wave")}
    servers.update(launch_status=LaunchStatus.TERMINATED, terminated_at=now)
    if waves:
        transitions.touch(execution, now, waves)


def _roll_up(execution: Execution, now: datetime) -> None:
    """The run's termination status from its servers and termination jobs."""
    open_jobs = execution.terminations.exclude(status__in=[JobStatus.REJECTED, JobStatus.COMPLETED]).exists()
    standing = any(_standing(execution).values())
    if open_jobs:
        status = TerminationStatus.IN_PROGRESS
    elif standing:
        status = TerminationStatus.PARTIAL if execution.terminations.exists() else TerminationStatus.NOT_STARTED
    else:
        status = TerminationStatus.COMPLETED
    if status != execution.termination_status:
        Execution.objects.filter(pk=execution.pk).update(termination_status=status)
        execution.termination_status = status
        transitions.touch(execution, now)
