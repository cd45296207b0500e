"""What people can do with single waves and servers of a run: skip, leave out, launch again, begin at once.

Like every command these lock the run, ask what speaks against it, and take the run from whoever works on it, so that
an engine that read the old state writes no more. What nobody has sent yet is changed; what was sent never is.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from audit.actor import Actor
from audit.journal import attempt
from contract.clock import Clock, db_clock, unix
from contract.errors import MOST_FAULTS, Invalid, NotFound
from drs.client import SERVERS_PER_JOB
from executions import queue
from executions.commands import control
from executions.models import Execution, LaunchJob, ServerRun, WaveRun
from executions.runs import transitions
from executions.runs.allowed import actions, steering
from executions.runs.allowed.actions import Verb
from executions.runs.gates.given import at_gate, lapse, lapse_if_changed
from executions.runs.journal import note
from executions.states import Dependents, ExecutionStatus, JobStatus, LaunchStatus, Phase, WaveStatus


def check_reason(reason: str) -> str:
    """The reason, trimmed; raises Invalid for none, and for one that is too long for the journal."""
    reason = reason.strip()
    if not reason:
        raise Invalid({"reason": ["Say why, in a few words: it is kept in the journal and in the report."]})
    if len(reason) > control.COMMENT_MAX:
        raise Invalid({"reason": [f"At most {control.COMMENT_MAX} characters; this has {len(reason)}."]})
    return reason


@attempt("wave.skipped", "execution", subject="execution_id")
def skip_wave(
    *,
    actor: Actor,
    execution_id: uuid.UUID,
    wave: int,
    reason: str,
    dependents: Dependents = Dependents.SKIP,
    clock: Clock = db_clock,
) -> Execution:
    """Have a wave, numbered from 0, that has not begun never run; waves that depend on it are skipped as well, or run
    all the same. Raises Forbidden, NotFound, Invalid (reason), Conflict (WAVE_HAS_BEGUN). Again: nothing changes."""
    control.require(actor, Verb.STEER, execution_id)
    reason = check_reason(reason)
    with transaction.atomic():
        execution, now = control.locked(execution_id), clock()
        row = _wave(execution, wave)
        kept = dependents if _needed(execution, row) else ""  # where none needs it, both are the same
        if actions.is_done(execution, steering.no_skip(execution, row, list(row.jobs.all()), dependents=kept)):
            return execution
        rows = [row, *(_dependents(execution, row) if dependents is Dependents.SKIP else ())]
        was_paused_here = any(each.state is WaveStatus.PAUSED for each in rows)
        at = at_gate(execution)
        control.change(execution, now, **({"status": ExecutionStatus.RUNNING} if was_paused_here else {}))
        _skip(actor, execution, rows, reason, dependents, now)
        if at is not None:
            lapse(execution, at, f"Wave {wave + 1} was skipped.", now)
        transaction.on_commit(lambda: queue.nudge(execution.pk))
    return execution


def _needed(execution: Execution, wave: WaveRun) -> bool:
    return any(wave.number in each.depends_on for each in execution.waves.all())


def _dependents(execution: Execution, skipped: WaveRun) -> list[WaveRun]:
    """The waves behind it that need it, directly or by way of another."""
    gone, found = {skipped.number}, []
    for each in execution.waves.order_by("number"):
        if gone.intersection(each.depends_on) and each.state in (WaveStatus.PENDING, WaveStatus.PAUSED):
            gone.add(each.number)
            found.append(each)
    return found


def _skip(
    actor: Actor, execution: Execution, rows: Sequence[WaveRun], reason: str, dependents: Dependents, now: datetime
) -> None:
    first, *others = rows
    kept = {"by": actor.name, "time": unix(now), "reason": reason, "dependents": dependents.value}
    for each in rows:
        each.skipped = kept
        each.save(update_fields=["skipped"])
    transitions.skip([first], f"Skipped by {actor.name}: {reason}", now)
    text = f"Skipped by {actor.name}, because it depends on wave {first.number + 1}: {reason}"
    transitions.skip(others, text, now)
    transitions.touch(execution, now, rows)
    note(
        execution,
        "wave.skipped",
        actor=actor,
        before={"status": WaveStatus.PENDING},
        after={"status": WaveStatus.SKIPPED},
        waves=[each.number for each in rows],
        text=first.status_message,
        facts=kept,
    )


@attempt("server.excluded", "execution", subject="execution_id")
def exclude_server(
    *, actor: Actor, execution_id: uuid.UUID, source_server_id: str, reason: str, clock: Clock = db_clock
) -> Execution:
    """Have a server of a wave that has not begun never be launched by this run. Raises Forbidden, NotFound, Invalid
    (reason), Conflict (WAVE_HAS_BEGUN), BadRequest (SERVER_NOT_EXCLUDABLE). Again: nothing changes."""
    control.require(actor, Verb.STEER, execution_id)
    reason = check_reason(reason)
    with transaction.atomic():
        execution, now = control.locked(execution_id), clock()
        rows = ServerRun.objects.select_related("wave", "job").filter(wave__execution=execution)
        server = rows.filter(source_server_id=source_server_id).first()
        if server is None:
            text = f"There is no server {source_server_id} in this run."
            raise NotFound(text, details={"sourceServerId": source_server_id})
        others = list(ServerRun.objects.filter(wave=server.wave).exclude(pk=server.pk))
        if actions.is_done(execution, steering.no_exclude(execution, server, list(server.wave.jobs.all()), others)):
            return execution
        control.change(execution, now)
        server.excluded = {"by": actor.name, "time": unix(now), "reason": reason}
        _take_out(server)
        transitions.touch(execution, now, [server.wave])
        note(
            execution,
            "server.excluded",
            actor=actor,
            before={"excluded": None},
            after={"excluded": server.excluded},
            wave=server.wave.number,
            sourceServerId=source_server_id,
            hostname=server.hostname,
            text=reason,
        )
        lapse_if_changed(execution, f"{server.hostname} was left out.", now)
        transaction.on_commit(lambda: queue.nudge(execution.pk))
    return execution


def _take_out(server: ServerRun) -> None:
    """Move the server to a job that is never sent, and whose row stands for nothing."""
    job = server.job
    server.job = _new_job(server.wave, job, JobStatus.REJECTED)
    server.save(update_fields=["job", "excluded"])
    if not job.servers.exists():
        LaunchJob.objects.filter(pk=job.pk).update(status=JobStatus.REJECTED)


def _new_job(wave: WaveRun, like: LaunchJob, status: JobStatus) -> LaunchJob:
    position = 1 + max(wave.jobs.values_list("position", flat=True))
    return LaunchJob.objects.create(
        wave=wave, position=position, account_id=like.account_id, region=like.region, status=status
    )


@attempt("wave.retried", "execution", subject="execution_id")
def retry_wave(
    *,
    actor: Actor,
    execution_id: uuid.UUID,
    wave: int,
    server_ids: Collection[str] | None = None,
    comment: str = "",
    clock: Clock = db_clock,
) -> Execution:
    """Launch the failed servers of a wave again, or those of them that are named, within the run that is paused after
    it. Raises Forbidden, NotFound, Invalid (serverIds), BadRequest (WAVE_NOT_RETRYABLE)."""
    control.require(actor, Verb.STEER, execution_id)
    control.check_comment(comment)
    with transaction.atomic():
        execution, now = control.locked(execution_id), clock()
        row = _wave(execution, wave)
        servers = list(row.servers.select_related("job"))
        actions.is_done(execution, steering.no_retry(execution, row, servers))
        chosen = _chosen(servers, server_ids)
        control.change(execution, now, status=ExecutionStatus.RUNNING)
        before = {
            each.source_server_id: [each.launch_status, each.error, each.recovery_instance_id or None]
            for each in chosen
        }
        launches = _launch_again(row, chosen)
        asked_at = row.asked_at
        _reopen(row, now)
        transitions.touch(execution, now, [row])
        note(
            execution,
            "wave.retried",
            actor=actor,
            comment=comment,
            before={"status": WaveStatus.FAILED, "servers": before},
            after={"status": row.status, "attempt": row.attempt},
            wave=row.number,
            attempt=row.attempt,
            servers=len(chosen),
            serverIds=[each.source_server_id for each in chosen],
            launches=launches,
            askedTime=unix(asked_at),
            retriedTime=unix(now),
        )
        transaction.on_commit(lambda: queue.nudge(execution.pk))
    return execution


def _chosen(servers: Iterable[ServerRun], server_ids: Collection[str] | None) -> list[ServerRun]:
    failed = {each.source_server_id: each for each in servers if steering.is_retryable(each)}
    if server_ids is None:
        return list(failed.values())
    if not server_ids:
        raise Invalid({"serverIds": ["Name at least one server, or leave it out for all that failed."]})
    wrong = [f"{each} is not a failed server of this wave." for each in server_ids if each not in failed]
    if wrong:
        raise Invalid({"serverIds": wrong[: MOST_FAULTS + 1]})
    return [failed[each] for each in dict.fromkeys(server_ids)]


def _launch_again(wave: WaveRun, servers: Sequence[ServerRun]) -> list[str]:
    """New launches with tags of their own, so that nothing that is still heard of the old ones is taken for theirs."""
    by_place: dict[tuple[str, str], list[ServerRun]] = defaultdict(list)
    for each in servers:
        _keep_instance(each)
        by_place[each.job.account_id, each.job.region].append(each)
    made = []
    for members in by_place.values():
        for at in range(0, len(members), SERVERS_PER_JOB):
            job = _new_job(wave, members[0].job, JobStatus.QUEUED)
            keys = [each.pk for each in members[at : at + SERVERS_PER_JOB]]
            ServerRun.objects.filter(pk__in=keys).update(job=job, **_NOT_LAUNCHED)
            made.append(str(job.pk))
    return made


def _keep_instance(server: ServerRun) -> None:
    """What its launch has brought up stays this run's, to be seen, proved and terminated."""
    if server.recovery_instance_id:
        kept = ServerRun.objects.get(pk=server.pk)
        kept.pk, kept.superseded = None, True
        kept.save(force_insert=True)


_NOT_LAUNCHED: dict[str, Any] = {
    "launch_status": LaunchStatus.PENDING,
    "phase": Phase.QUEUED,
    "recovery_instance_id": "",
    "recovery_instance_state": "",
    "launched_at": None,
    "used_previous_snapshot": False,
    "point_in_time": None,
    "lag_seconds": None,
    "launch_digest": "",
    "error": "",
    "error_code": "",
    "instance_state": "",
    "system_check": "",
    "instance_check": "",
    "checks_passed_at": None,
    "usable_at": None,
    "usable_late": None,
    "launch_actions": None,
    "missing_since": None,
    "failback_state": "",
    "observed_late": None,
    "failed_at": None,
}


def _reopen(wave: WaveRun, now: datetime) -> None:
    """Under way again, with a time limit from now on: servers that DRS still launches may never be told of."""
    columns: dict[str, Any] = {
        "status": WaveStatus.INITIATED,
        "status_message": "",
        "ended_at": None,
        "deadline_at": now + wave.time_limit,
        "error_code": "",
        "error_message": "",
        "asked_at": None,
        "retries": [*(wave.retries or ()), [unix(wave.asked_at), unix(now)]],
        "attempt": wave.attempt + 1,
    }
    for column, value in columns.items():
        setattr(wave, column, value)
    wave.save(update_fields=list(columns))


@attempt("wave.started_now", "execution", subject="execution_id")
def start_wave_now(
    *, actor: Actor, execution_id: uuid.UUID, wave: int, comment: str = "", clock: Clock = db_clock
) -> Execution:
    """End the wait before a wave. Raises Forbidden, NotFound, Conflict (WAVE_HAS_BEGUN), BadRequest
    (WAVE_NOT_WAITING). Again: nothing changes."""
    control.require(actor, Verb.STEER, execution_id)
    control.check_comment(comment)
    with transaction.atomic():
        execution, now = control.locked(execution_id), clock()
        row = _wave(execution, wave)
        if actions.is_done(execution, steering.no_start_now(execution, row, now)):
            return execution
        control.change(execution, now)
        before, row.starts_at = row.starts_at, now
        row.save(update_fields=["starts_at"])
        transitions.touch(execution, now, [row])
        note(
            execution,
            "wave.started_now",
            actor=actor,
            comment=comment,
            before={"startsAt": unix(before)},
            after={"startsAt": unix(now)},
            wave=row.number,
        )
        transaction.on_commit(lambda: queue.nudge(execution.pk))
    return execution


def _wave(execution: Execution, number: int) -> WaveRun:
    row = execution.waves.filter(number=number).first() if 0 <= number < 2**31 else None
    if row is None:
        details = {"executionId": str(execution.pk), "waveNumber": number}
        raise NotFound(f"There is no wave {number} in this run; waves are numbered from 0.", details=details)
    return row
