"""Terminates the instances of a finished run: sent to DRS within the request, followed to the end by `follow_up`.

The intent is committed before the call, so a killed request loses nothing: the engine finds what became of it. A
repeat would be harmless at DRS (it conflicts, or finds nothing), but is not made: only failed instances are retried.
DRS lets no instance go while the job that launched it lasts, which is some seconds longer than the run: such a request
waits (QUEUED), and the engine sends it when that job has ended. What DRS does not list is not asked for, and is gone
only if something tells so.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from django.conf import settings
from django.db import transaction

from audit.actor import Actor
from audit.journal import attempt
from contract.clock import Clock, db_clock
from contract.errors import DomainError, NotFound
from drs.client import SERVERS_PER_JOB, Drs, SendWindow
from drs.errors import DrsError
from drs.shapes import Job, RecoveryInstance
from executions.codes.ours import Code
from executions.models import Execution, ServerRun, TerminationJob
from executions.runs import transitions
from executions.runs.allowed.actions import Verb, is_done, no_terminate, require_right, right_of
from executions.runs.allowed.scopes import at_run
from executions.runs.aws_calls import run_inline
from executions.runs.journal import note
from executions.states import JobStatus, Kind
from executions.terminating.instances import (
    GONE,
    LISTED_WITHIN,
    UNCONFIRMED_AFTER,
    Place,
    ended_by_job,
    is_back,
    launched,
    lock_run,
    mark_known,
    mark_terminated,
    mark_unknown,
    roll_up,
    terminable_by_region,
    wake_by,
)
from executions.terminating.outcome import TerminationResult, result
from executions.terminating.send import send
from protection.inventory.drs_refusals import drs_trouble


@attempt("execution.terminate", "execution", subject="execution_id")
def terminate(
    *,
    actor: Actor,
    execution_id: uuid.UUID,
    comment: str = "",
    only: Collection[str] | None = None,
    at_once: bool = True,
    clock: Clock = db_clock,
) -> TerminationResult:
    """Ask DRS to terminate every instance of a finished run that is still there, or `only` these; unless `at_once`, by
    an engine, as soon as one looks. Again: the recorded result.

    Raises Forbidden, NotFound, BadRequest (EXECUTION_STILL_RUNNING), and the contract's DRS errors when no region
    could even be asked which instances exist; one of several that could not is told in `failed`.
    """
    execution = Execution.objects.filter(pk=execution_id).first()
    if execution is None:
        raise NotFound(f"There is no execution {execution_id}.", details={"executionId": str(execution_id)})
    require_right(at_run(actor, execution_id), Verb.TERMINATE, execution.purpose)
    _require_for_protected(at_run(actor, execution_id), execution, only)
    has_nothing_left = is_done(execution, no_terminate(execution))
    if not at_once:
        record_intents(actor, execution, comment, clock, (), only, JobStatus.QUEUED)
        return result(execution)
    silent = {} if has_nothing_left else _refresh_instances(execution, clock)
    _refuse_if_nothing_known(execution, silent)
    window = SendWindow(settings.SEND_WINDOW_SECONDS)  # opened before the intents: the engine judges them by their age
    run_inline(send(execution, record_intents(actor, execution, comment, clock, silent, only), window, clock))
    return result(execution, silent)


def _require_for_protected(actor: Actor, execution: Execution, only: Collection[str] | None) -> None:
    """What somebody replicates back may run production, whatever launched it. Raises Forbidden."""
    mine = [each for each in launched(execution) if each.failback_state and _is_meant(each, only)]
    if mine:
        right, _ = right_of(Verb.TERMINATE, Kind.RECOVERY)
        names = ", ".join(f"{each.hostname} {each.recovery_instance_id}" for each in mine)
        actor.require(right, f"terminate {names}: somebody replicates it back, so it may run production")


def _refuse_if_nothing_known(execution: Execution, silent: Mapping[Place, DomainError]) -> None:
    """Raise why nothing could be learned anywhere, unless an earlier request left something to tell."""
    if silent and silent.keys() >= terminable_by_region(execution).keys() and not execution.terminations.exists():
        raise next(iter(silent.values()))


@dataclass(frozen=True)
class ListedInstances:
    """What DRS says of some servers' instances now, and those of its jobs that may have ended one."""

    instances: Sequence[RecoveryInstance]
    asked_at: datetime
    jobs: Sequence[Job] = ()

    @cached_property
    def _ids(self) -> set[str]:
        return {each.recovery_instance_id for each in self.instances}

    @cached_property
    def _standing(self) -> set[str]:
        return {each.source_server_id for each in self.instances if each.ec2_state not in GONE}

    def lack(self, server: ServerRun) -> bool:
        """Whether DRS does not list the instance. One just launched may not be listed yet, and is not missed; nor is
        one without an id, as long as DRS lists any instance of its server."""
        if server.launched_at is None or server.launched_at >= self.asked_at - LISTED_WITHIN:
            return False
        if server.recovery_instance_id:
            return server.recovery_instance_id not in self._ids
        return server.source_server_id not in self._standing


def _refresh_instances(execution: Execution, clock: Clock) -> dict[Place, DomainError]:
    """Bring what stands up to date, place by place; answers the places that could not be asked, and why."""
    silent: dict[Place, DomainError] = {}
    for place, servers in terminable_by_region(execution).items():
        try:
            listed_now = _list_instances(place, servers, clock)
        except DomainError as trouble:
            silent[place] = trouble
        else:
            _save_instance_ids(execution, servers, listed_now.instances, clock())
            _mark_instances(execution, servers, listed_now, clock)
    return silent


def _list_instances(place: Place, servers: Sequence[ServerRun], clock: Clock) -> ListedInstances:
    account, region = place
    drs = Drs(region, account)
    try:
        listed = ListedInstances(drs.recovery_instances([server.source_server_id for server in servers]), clock())
    except DrsError as error:
        raise drs_trouble(error) from error
    missing = [each.job.created_at for each in servers if listed.lack(each) and each.job.created_at]
    try:
        return replace(listed, jobs=drs.jobs_since(min(missing))) if missing else listed
    except DrsError:
        return listed  # then nothing tells that they ended; they are looked at again with the next request


def _save_instance_ids(
    execution: Execution, servers: Iterable[ServerRun], listed: Sequence[RecoveryInstance], now: datetime
) -> None:
    """Instances whose ids no poll has learned yet: found by their job, so that none is left standing."""
    known = {(each.job_id, each.source_server_id): each.recovery_instance_id for each in listed}
    learned = [each for each in servers if not each.recovery_instance_id and known.get(_key(each))]
    if not learned:
        return
    with transaction.atomic():
        lock_run(execution)
        for server in learned:
            server.recovery_instance_id = known[_key(server)]
            ServerRun.launches.filter(pk=server.pk).update(recovery_instance_id=server.recovery_instance_id)
        transitions.touch(execution, now, {each.wave for each in learned})


def _key(server: ServerRun) -> tuple[str, str]:
    return server.job.job_id, server.source_server_id


def _mark_instances(
    execution: Execution, servers: Sequence[ServerRun], listed_now: ListedInstances, clock: Clock
) -> None:
    """Mark instances as gone that DRS names so, or that a termination is known to have ended. Of one that is only not
    listed any more nobody knows: it may have been disconnected and deleted from DRS, and run on."""
    states = {each.recovery_instance_id: each.ec2_state for each in listed_now.instances}
    ended = _terminated_by_us(execution)
    gone: list[int] = []
    unknown: list[int] = []
    known: list[int] = []
    for server in servers:
        state = states.get(server.recovery_instance_id) if server.recovery_instance_id else None
        if state in GONE:
            gone.append(server.pk)
        elif state is not None and is_back(server, state):
            known.append(server.pk)
        elif state is None and listed_now.lack(server):
            is_over = server.recovery_instance_id in ended or ended_by_job(server, listed_now.jobs) is not None
            (gone if is_over else unknown).append(server.pk)
    region = servers[0].job.region
    with transaction.atomic():
        now = clock()
        if found := mark_terminated(execution, now, pk__in=gone):
            note(execution, "terminate.found_gone", region=region, instances=_names(found))
        if lost := mark_unknown(execution, now, pk__in=unknown):
            note(execution, "terminate.unknown", region=region, instances=_names(lost))
        mark_known(execution, now, pk__in=known)
        roll_up(execution, now)


def _names(servers: Iterable[ServerRun]) -> list[str]:
    return [each.recovery_instance_id or each.source_server_id for each in servers]


def _terminated_by_us(execution: Execution) -> set[str]:
    """Instances that DRS took for termination, and of which it has not said that they stand."""
    return {
        instance
        for job in execution.terminations.exclude(job_id="")
        for instance in job.instance_ids
        if job.failures.get(instance, {}).get("code", Code.TERMINATION_LOST) == Code.TERMINATION_LOST
    }


def _is_meant(server: ServerRun, only: Collection[str] | None) -> bool:
    return server.can_be_asked_for and (only is None or server.recovery_instance_id in only)


def _requests(servers: Iterable[ServerRun]) -> list[list[ServerRun]]:
    """At most so many of one request as DRS takes, and each server once: its jobs name servers, and not instances."""
    found: list[list[ServerRun]] = []
    for server in servers:
        room = (
            each
            for each in found
            if len(each) < SERVERS_PER_JOB
            and (not server.superseded or all(other.source_server_id != server.source_server_id for other in each))
        )
        mine = next(room, None)
        if mine is None:
            found.append(mine := [])
        mine.append(server)
    return found


def record_intents(
    actor: Actor,
    execution: Execution,
    comment: str,
    clock: Clock,
    silent: Collection[Place],
    only: Collection[str] | None = None,
    status: JobStatus = JobStatus.INITIATED,
) -> list[TerminationJob]:
    """Commit what is about to be asked, of `only` these if they are given; QUEUED, by an engine. The lock lets one of
    two requests at once find something to do."""
    with transaction.atomic():
        lock_run(execution)
        has_nothing_left = is_done(execution, no_terminate(execution))  # now: it may have been tried again meanwhile
        now = clock()
        jobs = [
            TerminationJob(
                execution=execution,
                account_id=account,
                region=region,
                instance_ids=[server.recovery_instance_id for server in servers],
                server_ids=[server.source_server_id for server in servers],
                status=status,
                intent_at=now if status is JobStatus.INITIATED else None,
                requested_by=actor.name,
                requested_at=now,
            )
            for (account, region), here in ({} if has_nothing_left else terminable_by_region(execution)).items()
            if (account, region) not in silent
            for servers in _requests([each for each in here if _is_meant(each, only)])
        ]
        before = {"terminationStatus": execution.termination_status}
        if jobs:
            TerminationJob.objects.bulk_create(jobs)
            wake_by(execution, now + UNCONFIRMED_AFTER if status is JobStatus.INITIATED else now)
            roll_up(execution, now)
        instances = [each for job in jobs for each in job.instance_ids]
        note(
            execution,
            "execution.terminate",
            actor=actor,
            comment=comment,
            before=before,
            after={"terminationStatus": execution.termination_status},
            instances=instances,
            facts={} if jobs else {"changed": False},
        )
    return jobs
