"""What people can do with runs, one function a verb. The engine does the rest.

Every command changes the row in one statement that also steals the engine's claim (`claim = NULL`) and makes the
row due, so an engine that read the old state can no longer write, and the new state is acted upon within a second.
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F

from audit.actor import Actor
from audit.journal import record
from contract.clock import Clock, db_clock
from contract.errors import BadRequest, Conflict, Invalid, NotFound
from drs.client import SERVERS_A_JOB
from executions import tasks, transitions
from executions.models import Execution, LaunchJob, ServerHold, ServerRun, WaveRun
from executions.states import ExecutionStatus, Kind, WaveStatus
from plans.models import RecoveryPlan, Wave
from protection.models import ProtectionGroup, SourceServer

COMMENT_MAX = 512


# Start


def start(
    *,
    actor: Actor,
    plan_id: uuid.UUID,
    kind: Kind,
    initiated_by: str = "",
    dry_run: bool = False,
    clock: Clock = db_clock,
) -> Execution:
    """Start a drill or a recovery of a plan; returns at once, engines do the work.

    Raises Forbidden; Invalid; NotFound; BadRequest (PLAN_HAS_NO_WAVES); Conflict (PLAN_ALREADY_EXECUTING,
    SERVER_CONFLICT). Both conflicts rest on database constraints: of any number of starts at once, one wins.
    """
    _require_start(actor, kind)
    if dry_run:
        raise Invalid({"dryRun": ["Dry runs are not available yet; start a DRILL instead."]})
    plan = RecoveryPlan.objects.filter(pk=plan_id).first()
    if plan is None:
        raise NotFound(f"There is no recovery plan {plan_id}.", details={"planId": str(plan_id)})
    try:
        with transaction.atomic():
            execution = _create(actor, plan, kind, initiated_by, clock())
            transaction.on_commit(lambda: tasks.nudge(execution.pk))
    except IntegrityError:  # somebody was faster: say who
        _refuse_second_run(plan)
        _refuse_held_servers(plan)
        raise
    return execution


def _require_start(actor: Actor, kind: Kind) -> None:
    if kind is Kind.RECOVERY:
        actor.require("executions.start_recovery", "start recoveries")
    else:
        actor.require("executions.start_drill", "start drills")


def _create(actor: Actor, plan: RecoveryPlan, kind: Kind, initiated_by: str, now: datetime) -> Execution:
    """All rows of a new run. The locks keep plan and groups as they are until the run is visible."""
    RecoveryPlan.objects.select_for_update().get(pk=plan.pk)
    list(ProtectionGroup.objects.select_for_update().filter(waves__plan=plan).order_by("pk").values_list("pk"))
    waves = list(plan.waves.prefetch_related("servers__assignment__group", "group_links", "depends_on"))
    if not waves:
        raise BadRequest("PLAN_HAS_NO_WAVES", f"“{plan.name}” has no waves. Add one, then start again.")
    _refuse_second_run(plan)
    _refuse_held_servers(plan)
    execution = Execution.objects.create(
        plan=plan,
        plan_name=plan.name,
        plan_copy=_frozen(plan, waves),
        kind=kind,
        total_waves=len(waves),
        initiated_by=initiated_by.strip() or actor.name,
        started_by=actor.name,
        next_step_at=now,
    )
    _copy_waves(execution, waves)
    _hold(execution, waves)
    record(
        actor,
        "execution.start",
        subject_kind="execution",
        subject_id=execution.pk,
        subject_name=plan.name,
        detail={
            "kind": kind,
            "waves": len(waves),
            "initiatedBy": execution.initiated_by,
            "planVersion": plan.version,
        },
    )
    return execution


def _frozen(plan: RecoveryPlan, waves: Sequence[Wave]) -> dict[str, Any]:
    """The plan as it was at the start, for the record."""
    return {
        "planId": str(plan.pk),
        "planName": plan.name,
        "description": plan.description,
        "version": plan.version,
        "waves": [
            {
                "waveNumber": wave.number,
                "waveName": wave.name,
                "protectionGroupIds": [str(link.group_id) for link in wave.group_links.all()],
                "serverIds": [server.source_server_id for server in wave.servers.all()],
                "dependsOnWaves": _dependencies(wave),
                "pauseBeforeWave": wave.pause_before,
                "onFailure": wave.on_failure,
            }
            for wave in waves
        ],
    }


def _dependencies(wave: Wave) -> list[int]:
    return sorted(each.number for each in wave.depends_on.all())


def _copy_waves(execution: Execution, waves: Sequence[Wave]) -> None:
    runs = WaveRun.objects.bulk_create(
        WaveRun(
            execution=execution,
            number=wave.number,
            name=wave.name,
            pause_before=wave.pause_before,
            depends_on=_dependencies(wave),
            on_failure=wave.on_failure,
        )
        for wave in waves
    )
    names = dict(
        SourceServer.objects.filter(
            pk__in=[s.source_server_id for wave in waves for s in wave.servers.all()]
        ).values_list("pk", "name")
    )
    jobs: list[LaunchJob] = []
    servers: list[ServerRun] = []
    for run, wave in zip(runs, waves, strict=True):
        for job, ids in _jobs_of(run, wave):
            jobs.append(job)
            servers += [
                ServerRun(
                    wave=run,
                    job=job,
                    position=position,
                    source_server_id=each,
                    hostname=names.get(each, each),
                )
                for position, each in ids
            ]
    LaunchJob.objects.bulk_create(jobs)
    ServerRun.objects.bulk_create(servers, batch_size=500)


def _jobs_of(run: WaveRun, wave: Wave) -> Iterable[tuple[LaunchJob, list[tuple[int, str]]]]:
    """A wave's servers cut into jobs that DRS takes: one account and region each, at most 100 servers."""
    placed = [
        (
            (server.assignment.group.account_id, server.assignment.group.region),
            (position, server.source_server_id),
        )
        for position, server in enumerate(wave.servers.all())
    ]
    position = 0
    for (account, region), members in groupby(sorted(placed), key=lambda each: each[0]):
        ids = [member for _, member in members]
        for at in range(0, len(ids), SERVERS_A_JOB):
            yield (
                LaunchJob(wave=run, position=position, account_id=account, region=region),
                ids[at : at + SERVERS_A_JOB],
            )
            position += 1


def _hold(execution: Execution, waves: Sequence[Wave]) -> None:
    ServerHold.objects.bulk_create(
        ServerHold(assignment_id=server.assignment_id, execution=execution, wave_number=wave.number)
        for wave in waves
        for server in wave.servers.all()
    )


def _refuse_second_run(plan: RecoveryPlan) -> None:
    running = Execution.objects.active().filter(plan=plan, dry_run=False).first()
    if running is not None:
        raise Conflict(
            "PLAN_ALREADY_EXECUTING",
            f"“{plan.name}” is already being run ({running.state.label.lower()}, started by {running.started_by}).",
            details={"executionId": str(running.pk), "status": running.status},
        )


def _refuse_held_servers(plan: RecoveryPlan) -> None:
    held = (
        ServerHold.objects.filter(assignment__wave_servers__plan=plan)
        .select_related("execution")
        .annotate(own_wave=F("assignment__wave_servers__wave__number"))
        .filter(assignment__wave_servers__plan=plan)
        .order_by("own_wave", "pk")
    )
    conflicts = [
        {
            "serverId": each.assignment_id,
            "waveNumber": each.own_wave,
            "executionId": str(each.execution_id),
            "planId": str(each.execution.plan_id),
            "planName": each.execution.plan_name,
            "status": each.execution.status,
        }
        for each in held
    ]
    if conflicts:
        names = "”, “".join(sorted({str(each["planName"]) for each in conflicts}))
        raise Conflict(
            "SERVER_CONFLICT",
            f"{len(conflicts)} of this plan's servers are in use by a run of “{names}”. Wait for its end or cancel it.",
            details={"conflicts": conflicts},
        )


# Resume and cancel


def get(execution_id: uuid.UUID) -> Execution:
    """The run, or NotFound."""
    execution = Execution.objects.filter(pk=execution_id).first()
    if execution is None:
        raise NotFound(f"There is no execution {execution_id}.", details={"executionId": str(execution_id)})
    return execution


def check_comment(comment: str) -> None:
    """Raise Invalid for a comment that is too long for the journal."""
    if len(comment) > COMMENT_MAX:
        raise Invalid({"comment": [f"At most {COMMENT_MAX} characters; this has {len(comment)}."]})


def resume(*, actor: Actor, execution_id: uuid.UUID, comment: str = "", clock: Clock = db_clock) -> Execution:
    """Let a paused run go on. Of two resumes at once one wins; the other is told EXECUTION_NOT_PAUSED."""
    actor.require("executions.control_execution", "resume runs")
    check_comment(comment)
    execution = get(execution_id)
    with transaction.atomic():
        now = clock()
        changed = _command(execution, [ExecutionStatus.PAUSED], now, status=ExecutionStatus.RUNNING)
        if not changed:
            execution.refresh_from_db()
            raise BadRequest(
                "EXECUTION_NOT_PAUSED",
                f"Only a paused run can be resumed; this one is {execution.state.label.lower()}.",
                details={"status": execution.status},
            )
        wave = WaveRun.objects.get(execution=execution, status=WaveStatus.PAUSED)
        wave.status, wave.resumed_at, wave.resumed_by = WaveStatus.PENDING, now, actor.name
        wave.revision = execution.revision
        wave.save(update_fields=["status", "resumed_at", "resumed_by", "revision"])
        _note(actor, "execution.resume", execution, comment, wave=wave.number)
        transaction.on_commit(lambda: tasks.nudge(execution.pk))
    return execution


def cancel(*, actor: Actor, execution_id: uuid.UUID, comment: str = "", clock: Clock = db_clock) -> Execution:
    """Stop a run: at once where nothing is under way, else after the running wave, whose DRS jobs cannot be stopped."""
    actor.require("executions.control_execution", "cancel runs")
    check_comment(comment)
    execution = get(execution_id)
    with transaction.atomic():
        now = clock()
        if not (_cancel_idle(execution, now) or _cancel_busy(execution, now)):
            execution.refresh_from_db()
            if execution.state is ExecutionStatus.CANCELLING:
                return execution
            raise BadRequest(
                "EXECUTION_NOT_CANCELLABLE",
                f"This run is over ({execution.state.label.lower()}); there is nothing to cancel.",
                details={"status": execution.status},
            )
        _note(actor, "execution.cancel", execution, comment)
        transaction.on_commit(lambda: tasks.nudge(execution.pk))
    return execution


def _cancel_idle(execution: Execution, now: datetime) -> bool:
    """End a run at once that has nothing under way at AWS."""
    idle = [ExecutionStatus.PENDING, ExecutionStatus.PAUSED]
    ending = transitions.end_columns(ExecutionStatus.CANCELLED, now)
    if not _command(execution, idle, now, cancel_requested_at=now, **ending):
        return False
    waves = list(execution.waves.filter(status__in=[WaveStatus.PENDING, WaveStatus.PAUSED]))
    transitions.skip(waves, "The run was cancelled before this wave.", now)
    transitions.release(execution)
    transitions.touch(execution, now, waves)
    return True


def _cancel_busy(execution: Execution, now: datetime) -> bool:
    busy = [ExecutionStatus.RUNNING, ExecutionStatus.POLLING, ExecutionStatus.LAUNCHING]
    return _command(execution, busy, now, status=ExecutionStatus.CANCELLING, cancel_requested_at=now)


def _command(execution: Execution, allowed: Sequence[ExecutionStatus], now: datetime, **columns: object) -> bool:
    """Change a run that is in one of `allowed`, in one statement, and take it from any engine that holds it."""
    columns = {
        "claim": None,
        "next_step_at": now,
        "revision": F("revision") + 1,
        "updated_at": now,
        **columns,
    }
    done = Execution.objects.filter(pk=execution.pk, status__in=allowed).update(**columns)
    if done:
        execution.refresh_from_db()
    return bool(done)


def _note(actor: Actor, verb: str, execution: Execution, comment: str, **detail: object) -> None:
    record(
        actor,
        verb,
        subject_kind="execution",
        subject_id=execution.pk,
        subject_name=execution.plan_name,
        detail={**detail, **({"comment": comment} if comment else {})},
    )
