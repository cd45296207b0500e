"""Terminating the instances of a finished run: asked of DRS in the request, followed to the end (`following`).

The intent is committed before the call, so a killed request loses nothing: the engine finds what became of it. A
repeat would be harmless at DRS (it conflicts, or finds nothing), but is not made: only failed instances are retried.
DRS lets no instance go while the job that launched it lasts, which is some seconds longer than the run: such a request
waits (QUEUED), and the engine sends it when that job has ended.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce, Least

from audit.actor import ENGINE, Actor
from audit.journal import attempt, record
from contract.clock import Clock, db_clock
from contract.errors import BadRequest, DomainError, NotFound
from drs.client import IDS_A_CALL, Drs, SendWindow
from drs.errors import DrsError, Effect, Trouble
from drs.shapes import Job, RecoveryInstance
from executions import transitions
from executions.models import Execution, LaunchJob, ServerRun, TerminationJob
from executions.states import JobStatus, Kind, LaunchStatus, TerminationStatus
from protection.trouble import drs_trouble

UNCONFIRMED_AFTER = timedelta(seconds=60)
LISTED_WITHIN = timedelta(minutes=5)  # a launched instance shows in DescribeRecoveryInstances by then
GONE = frozenset({"TERMINATED", "NOT_FOUND", "SHUTTING-DOWN"})
TOLD_BY_DRS = frozenset({JobStatus.PENDING, JobStatus.STARTED, JobStatus.COMPLETED})

Place = tuple[str, str]  # account, region


@dataclass(frozen=True)
class Failure:
    """An instance that DRS would not terminate, or could not be asked for; one that has no id yet has its server's."""

    recovery_instance_id: str
    code: str
    message: str
    source_server_id: str = ""


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

    Raises Forbidden, NotFound, BadRequest (EXECUTION_STILL_RUNNING), and the contract's DRS errors when no region
    could even be asked which instances exist; one of several that could not is told in `failed`.
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
    silent = _look_at_aws(execution, clock)
    _refuse_without_news(execution, silent)
    window = SendWindow(settings.SEND_WINDOW_SECONDS)  # opened before the intents: the engine judges them by their age
    for job in _record_intents(actor, execution, comment, clock, silent):
        _send(execution, job, window, clock)
    return result(execution, silent)


def _refuse_without_news(execution: Execution, silent: Mapping[Place, DomainError]) -> None:
    """Raise why nothing could be learned anywhere, unless an earlier request left something to tell."""
    if silent and silent.keys() >= _standing(execution).keys() and not execution.terminations.exists():
        raise next(iter(silent.values()))


def _launched(execution: Execution) -> QuerySet[ServerRun]:
    servers = ServerRun.objects.filter(wave__execution=execution, launch_status=LaunchStatus.LAUNCHED)
    return servers.select_related("job").order_by("wave__number", "position")


def _standing(execution: Execution) -> dict[Place, list[ServerRun]]:
    """Launched servers whose instances no termination under way covers, by account and region."""
    covered = {
        instance
        for job in execution.terminations.exclude(status__in=[JobStatus.REJECTED, JobStatus.COMPLETED])
        for instance in job.instance_ids
    }
    standing: dict[Place, list[ServerRun]] = defaultdict(list)
    for server in _launched(execution):
        if server.recovery_instance_id not in covered:
            standing[server.job.account_id, server.job.region].append(server)
    return standing


def _look_at_aws(execution: Execution, clock: Clock) -> dict[Place, DomainError]:
    """Bring what stands up to date, one call a region; answers the places that could not be asked, and why."""
    silent: dict[Place, DomainError] = {}
    for place, servers in _standing(execution).items():
        try:
            listed = _instances(*place, servers)
        except DomainError as trouble:
            silent[place] = trouble
        else:
            _learn_ids(servers, listed)
            _forget_gone(execution, servers, listed, clock)
    return silent


def _learn_ids(servers: Iterable[ServerRun], listed: Sequence[RecoveryInstance]) -> None:
    """Instances whose ids no poll has learned yet: found by their job, so that none is left standing."""
    known = {(each.job_id, each.source_server_id): each.recovery_instance_id for each in listed}
    for server in servers:
        found = known.get((server.job.job_id, server.source_server_id))
        if found is not None and not server.recovery_instance_id:
            ServerRun.objects.filter(pk=server.pk).update(recovery_instance_id=found)
            server.recovery_instance_id = found


def _instances(account: str, region: str, servers: Sequence[ServerRun]) -> list[RecoveryInstance]:
    try:
        return Drs(region, account).recovery_instances([server.source_server_id for server in servers])
    except DrsError as error:
        raise drs_trouble(error) from error


def _forget_gone(
    execution: Execution, servers: Sequence[ServerRun], listed: Sequence[RecoveryInstance], clock: Clock
) -> None:
    """Mark instances that DRS no longer has: replaced by a later launch, or terminated by somebody else.

    An instance just launched may not be listed yet, and is not taken for gone; nor is one without an id, as long as
    DRS lists any instance of its server.
    """
    states = {each.recovery_instance_id: each.ec2_state for each in listed}
    standing = {each.source_server_id for each in listed if each.ec2_state not in GONE}
    old = clock() - LISTED_WITHIN
    gone = []
    for server in servers:
        named = bool(server.recovery_instance_id)
        unlisted = server.recovery_instance_id not in states if named else server.source_server_id not in standing
        is_old = server.launched_at is not None and server.launched_at < old
        if (named and states.get(server.recovery_instance_id) in GONE) or (unlisted and is_old):
            gone.append(server.pk)
    if gone:
        with transaction.atomic():
            now = clock()
            marked = mark_terminated(execution, now, pk__in=gone)
            ids = [each.recovery_instance_id or each.source_server_id for each in marked]
            journal(execution, "terminate.found_gone", region=servers[0].job.region, instances=ids)
            roll_up(execution, now)


def _record_intents(
    actor: Actor, execution: Execution, comment: str, clock: Clock, silent: Collection[Place]
) -> list[TerminationJob]:
    """Commit what is about to be asked. The lock lets one of two requests at once find something to do."""
    with transaction.atomic():
        _lock(execution)
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
            for (account, region), standing in _standing(execution).items()
            if (account, region) not in silent and (servers := [each for each in standing if each.recovery_instance_id])
            for at in range(0, len(servers), IDS_A_CALL)
        ]
        before = {"terminationStatus": execution.termination_status}
        if jobs:
            TerminationJob.objects.bulk_create(jobs)
            watch(execution, now + UNCONFIRMED_AFTER)
            roll_up(execution, now)
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
    if later := counted_on_by(execution):
        details = {"status": execution.status, "executionId": str(later.pk)}
        raise BadRequest("EXECUTION_STILL_RUNNING", counts_on(later), details=details)


def counted_on_by(execution: Execution, attempts: Iterable[Execution] | None = None) -> Execution | None:
    """The later attempt that is under way and counts on what this one launched; `attempts`, all, spare a query."""
    if attempts is None:
        attempts = Execution.objects.active().filter(first_attempt_id=execution.first_attempt_id or execution.pk)
    later = (each for each in attempts if each.attempt > execution.attempt and not each.state.is_final)
    return next(later, None)


def counts_on(later: Execution) -> str:
    """Why nothing is terminated under a later attempt, as a sentence."""
    return f"Attempt {later.attempt} of this run is {later.state.label.lower()} and counts on these instances."


def watch(execution: Execution, at: datetime) -> None:
    """Have the sweep look at a finished run again, no later than `at`. An engine that looks at it now must not put it
    to rest afterwards, so it loses its claim."""
    soon = Least(Coalesce("next_step_at", at), at)
    Execution.objects.filter(pk=execution.pk).update(claim=None, next_step_at=soon)


def _send(execution: Execution, job: TerminationJob, window: SendWindow, clock: Clock) -> None:
    try:
        answer = Drs(job.region, job.account_id).terminate(job.instance_ids, window=window)
    except DrsError as error:
        not_taken(execution, job, error, clock())
    else:
        confirm(execution, job, answer, clock())


def not_taken(execution: Execution, job: TerminationJob, error: DrsError, now: datetime) -> None:
    """After no clear answer nothing is written: the engine finds out."""
    if error.trouble is Trouble.CONFLICT and (launching := list(launch_jobs(execution, job))):
        _wait(execution, job, error, sorted({each.job_id for each in launching}), now)
    elif error.effect is not Effect.UNCERTAIN:
        refuse(execution, job, error.code, error.message, now)


def launch_jobs(execution: Execution, job: TerminationJob) -> QuerySet[LaunchJob]:
    """The run's own launches, of the servers to terminate, of which DRS may have more news."""
    mine = LaunchJob.objects.filter(wave__execution=execution, account_id=job.account_id, region=job.region)
    return mine.filter(watched=True, servers__source_server_id__in=job.server_ids).exclude(job_id="")


def _wait(execution: Execution, job: TerminationJob, error: DrsError, launching: list[str], now: datetime) -> None:
    text = f"DRS has not ended {' and '.join(launching)} yet, which launched them. They are terminated when it has."
    with transaction.atomic():
        _lock(execution)
        sent = TerminationJob.objects.filter(pk=job.pk, status=JobStatus.INITIATED, job_id="")
        if sent.update(status=JobStatus.QUEUED, error_code=error.code, error_message=text):
            watch(execution, now + timedelta(seconds=settings.POLL_SECONDS))
            if job.error_message != text:
                journal(execution, "terminate.waits", outcome=error.code, region=job.region, text=text)
            transitions.touch(execution, now)


def confirm(execution: Execution, job: TerminationJob, found: Job, now: datetime) -> None:
    """DRS has the request as this job. Of two requests that would have the same job, the second is not confirmed."""
    status = found.status if found.status in TOLD_BY_DRS else JobStatus.PENDING  # its polls tell
    with transaction.atomic():
        _lock(execution)
        if TerminationJob.objects.filter(job_id=found.job_id).exists():
            return
        unconfirmed = TerminationJob.objects.filter(pk=job.pk, job_id="")
        done = unconfirmed.update(job_id=found.job_id, status=status, watched=True, error_code="", error_message="")
        if done:
            watch(execution, now + timedelta(seconds=settings.POLL_SECONDS))
            journal(execution, "terminate.sent", jobId=found.job_id, region=job.region, instances=job.instance_ids)


def refuse(execution: Execution, job: TerminationJob, code: str, message: str, now: datetime) -> None:
    """Nothing was terminated by this request; a person may try again."""
    with transaction.atomic():
        _lock(execution)
        failures = {each: {"code": code, "message": message} for each in job.instance_ids}
        unconfirmed = TerminationJob.objects.filter(pk=job.pk, status=JobStatus.INITIATED, job_id="")
        done = unconfirmed.update(status=JobStatus.REJECTED, error_code=code, error_message=message, failures=failures)
        if done:
            roll_up(execution, now)
            journal(execution, "terminate.refused", outcome=code, region=job.region, text=message)


def journal(execution: Execution, verb: str, *, outcome: str = "ok", **detail: object) -> None:
    record(
        ENGINE,
        verb,
        subject_kind="execution",
        subject_id=execution.pk,
        subject_name=execution.plan_name,
        outcome=outcome,
        detail=detail,
    )


def result(execution: Execution, silent: Mapping[Place, DomainError] | None = None) -> TerminationResult:
    """The recorded outcome: what DRS accepted or has done, and what failed and was not retried with success. `silent`
    are the places that could not be asked just now."""
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
    if jobs or silent is not None:
        for failure in _unasked(execution, silent or {}):
            failed[failure.recovery_instance_id or failure.source_server_id] = failure
    terminated = [each for each in accepted if each not in failed]
    waiting = {each for job in jobs if job.state is JobStatus.QUEUED for each in job.instance_ids}
    return TerminationResult(terminated, list(failed.values()), jobs, [each for each in terminated if each in waiting])


def _unasked(execution: Execution, silent: Mapping[Place, DomainError]) -> Iterator[Failure]:
    """Servers that are up and that DRS was not asked to terminate: it does not answer, or never told the instance."""
    for place, servers in _standing(execution).items():
        for server in servers:
            if trouble := silent.get(place):
                yield Failure(server.recovery_instance_id, trouble.code, trouble.message, server.source_server_id)
            elif not server.recovery_instance_id:
                text = (
                    f"DRS has not told which instance {server.hostname} ({server.source_server_id}) was launched as."
                    f" Terminate again, or look for it in {place[1]} yourself."
                )
                yield Failure("", "INSTANCE_NOT_KNOWN", text, server.source_server_id)


def _lock(execution: Execution) -> None:
    """Lock the run before anything of it, as whoever writes news of it does. What its row says of the termination is
    taken over: `execution` may have been read before AWS was asked."""
    rows = Execution.objects.select_for_update().filter(pk=execution.pk)
    for status in rows.values_list("termination_status", flat=True):
        execution.termination_status = status


def mark_terminated(execution: Execution, now: datetime, **which: object) -> list[ServerRun]:
    """The instances of these servers are gone; answers those of which that is new."""
    _lock(execution)
    servers = ServerRun.objects.filter(wave__execution=execution, launch_status=LaunchStatus.LAUNCHED, **which)
    gone = list(servers.select_related("wave"))
    servers.update(launch_status=LaunchStatus.TERMINATED, terminated_at=now)
    if gone:
        transitions.touch(execution, now, {server.wave for server in gone})
    return gone


def roll_up(execution: Execution, now: datetime) -> None:
    """The run's termination status from its servers and termination jobs, as they are under its lock."""
    _lock(execution)
    open_jobs = execution.terminations.exclude(status__in=[JobStatus.REJECTED, JobStatus.COMPLETED]).exists()
    if open_jobs:
        status = TerminationStatus.IN_PROGRESS
    elif _launched(execution).exists():
        status = TerminationStatus.PARTIAL if execution.terminations.exists() else TerminationStatus.NOT_STARTED
    else:
        status = TerminationStatus.COMPLETED
    if status != execution.termination_status:
        Execution.objects.filter(pk=execution.pk).update(termination_status=status)
        execution.termination_status = status
        transitions.touch(execution, now)
