"""What people can do with runs, one function a verb. The engine does the rest.

Every command changes the row in one statement that also steals the engine's claim (`claim = NULL`) and makes the
row due, so an engine that read the old state can no longer write, and the new state is acted upon within a second.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import F

from audit.actor import Actor
from audit.journal import attempt, record
from contract.clock import Clock, db_clock, unix
from contract.errors import BadRequest, Invalid, NotFound
from contract.rights import AnyOf
from executions import queue
from executions.commands import new_run
from executions.commands.clear_history import delete_finished
from executions.commands.production import Consent, look_at_plan
from executions.models import Execution, WaveRun
from executions.runs import conflicts, notifications, transitions
from executions.states import ACTIVE, ExecutionStatus, Kind, WaveStatus
from executions.terminating.outcome import Failure, TerminationResult
from executions.terminating.terminate import terminate
from plans.models import RecoveryPlan
from protection.inventory.recovery_instances import Looked

__all__ = ["Failure", "TerminationResult", "cancel", "delete_finished", "get", "pause", "resume", "start", "terminate"]

COMMENT_MAX = 512
CONTROL = "executions.control_execution"
STARTS = {Kind.DRILL: "executions.start_drill", Kind.RECOVERY: "executions.start_recovery"}
ANY_START = AnyOf("start runs", tuple(STARTS.values()))
OUTAGE_MOST = timedelta(days=30)  # whoever recovers later than that has mistyped the time
NO_WAVE = -1  # what somebody expects to wait who saw a pause only asked for


# Start


@attempt("execution.start", "plan", subject="plan_id")
def start(
    *,
    actor: Actor,
    plan_id: uuid.UUID,
    kind: Kind,
    initiated_by: str = "",
    dry_run: bool = False,
    outage_at: datetime | None = None,
    replace_production: bool = False,
    looked: Looked | None = None,
    clock: Clock = db_clock,
) -> Execution:
    """Start a drill or a recovery of a plan; returns at once, engines do the work.

    `outage_at`, of a recovery only, is when production was lost; `replace_production` that instances which may be
    production may go; `looked` what DRS was asked about those, None to have it asked here. Raises Forbidden; Invalid;
    NotFound; BadRequest (PLAN_HAS_NO_WAVES); Conflict (PLAN_ALREADY_EXECUTING, SERVER_CONFLICT, PRODUCTION_RUNNING);
    and, of a drill, the contract's DRS errors when DRS could not be asked what runs. The first two conflicts rest on
    database constraints: of any number of starts at once, one wins. A dry run holds no server and meets none of them.
    """
    require_start(actor, Kind.DRILL if dry_run else kind)  # who may drill may rehearse a recovery
    _check_outage(kind, outage_at, clock)
    plan = RecoveryPlan.objects.filter(pk=plan_id).first()
    if plan is None:
        raise NotFound(f"There is no recovery plan {plan_id}.", details={"planId": str(plan_id)})
    consent = Consent(Looked() if dry_run else looked or look_at_plan(plan_id), replace_production)
    try:
        with transaction.atomic():
            execution = new_run.create(
                actor, plan, kind, initiated_by, clock(), consent=consent, outage_at=outage_at, dry_run=dry_run
            )
            transaction.on_commit(lambda: queue.nudge(execution.pk))
    except IntegrityError:  # somebody was faster: say who
        conflicts.refuse_second_run(plan)
        conflicts.refuse_held_servers(plan)
        raise
    return execution


def _check_outage(kind: Kind, outage_at: datetime | None, clock: Clock) -> None:
    if outage_at is None:
        return
    if kind is not Kind.RECOVERY:
        raise Invalid({"outageTime": ["Only a RECOVERY has an outage. Leave it out."]})
    if outage_at > clock():
        raise Invalid({"outageTime": ["An outage (outageTime) lies in the past; this is in the future."]})
    if outage_at < clock() - OUTAGE_MOST:
        days = OUTAGE_MOST.days
        raise Invalid(
            {"outageTime": [f"This outage (outageTime) is more than {days} days ago. Correct it, or leave it out."]}
        )


def may_start(actor: Actor, kind: Kind) -> bool:
    """Whether `actor` may start runs of this kind."""
    return actor.may(STARTS[kind])


def require_start(actor: Actor, kind: Kind) -> None:
    """Raise Forbidden unless `actor` may start runs of this kind."""
    actor.require(STARTS[kind], "start recoveries" if kind is Kind.RECOVERY else "start drills")


# Resume and cancel


def get(execution_id: uuid.UUID) -> Execution:
    """The run, or NotFound."""
    execution = Execution.objects.filter(pk=execution_id).first()
    if execution is None:
        raise no_execution(execution_id)
    return execution


def no_execution(execution_id: uuid.UUID) -> NotFound:
    """The refusal for an id of no run."""
    return NotFound(f"There is no execution {execution_id}.", details={"executionId": str(execution_id)})


def check_comment(comment: str) -> None:
    """Raise Invalid for a comment that is too long for the journal."""
    if len(comment) > COMMENT_MAX:
        raise Invalid({"comment": [f"At most {COMMENT_MAX} characters; this has {len(comment)}."]})


@attempt("execution.resume", "execution", subject="execution_id")
def resume(
    *, actor: Actor, execution_id: uuid.UUID, comment: str = "", wave: int | None = None, clock: Clock = db_clock
) -> Execution:
    """Let a paused run go on. Of two resumes at once one wins; the other is told EXECUTION_NOT_PAUSED.

    `wave` is the number, from 0, of the wave that is meant, or NO_WAVE for a pause that has not come yet: when the
    run waits elsewhere by now, nothing is resumed (EXECUTION_NOT_PAUSED). None means whatever waits.
    """
    actor.require(CONTROL, "resume runs")
    check_comment(comment)
    execution = get(execution_id)
    with transaction.atomic():
        now = clock()
        may_withdraw = wave in (None, NO_WAVE)  # a wave that is meant has to wait already
        if not (
            _resume_paused(actor, execution, comment, wave, now)
            or (may_withdraw and _withdraw_pause(actor, execution, comment, now))
        ):
            execution.refresh_from_db()
            raise BadRequest(
                "EXECUTION_NOT_PAUSED",
                f"Only a paused run can be resumed; this one is {execution.state.label.lower()}.",
                details={"status": execution.status},
            )
        transaction.on_commit(lambda: queue.nudge(execution.pk))
    return execution


def _resume_paused(actor: Actor, execution: Execution, comment: str, expected: int | None, now: datetime) -> bool:
    if not _command(execution, [ExecutionStatus.PAUSED], now, status=ExecutionStatus.RUNNING, restored_at=None):
        return False
    wave = WaveRun.objects.get(execution=execution, status=WaveStatus.PAUSED)
    if expected not in (None, wave.number):  # the raise undoes the command
        raise BadRequest(
            "EXECUTION_NOT_PAUSED",
            f"The run has moved on: it now waits before wave {wave.number + 1}. Nothing was resumed."
            " Check what is up, then resume that wave.",
            details={"status": ExecutionStatus.PAUSED},
        )
    wave.status, wave.status_message = _after_pause(wave), ""
    wave.resumed_at, wave.resumed_by = now, actor.name
    wave.revision = execution.revision
    wave.save(update_fields=["status", "status_message", "resumed_at", "resumed_by", "revision"])
    facts = {"wave": wave.number, "resumedTime": unix(now)}
    _note(actor, "execution.resume", execution, comment, before=ExecutionStatus.PAUSED, **facts)
    notifications.resumed(execution, wave, now)
    return True


def _after_pause(wave: WaveRun) -> WaveStatus:
    """A wave that was restored from a backup may pause with some of its launches sent."""
    return WaveStatus.PENDING if wave.started_at is None else WaveStatus.INITIATED


def _withdraw_pause(actor: Actor, execution: Execution, comment: str, now: datetime) -> bool:
    """A pause that was asked for and has not come yet is taken back."""
    asked = Execution.objects.filter(pk=execution.pk, pause_requested_at__isnull=False, ended_at=None)
    if not asked.update(pause_requested_at=None, claim=None, next_step_at=now):
        return False
    transitions.touch(execution, now)
    execution.refresh_from_db()
    _note(actor, "execution.pause_withdrawn", execution, comment)
    return True


@attempt("execution.pause", "execution", subject="execution_id")
def pause(*, actor: Actor, execution_id: uuid.UUID, comment: str = "", clock: Clock = db_clock) -> Execution:
    """Have a run wait for a person before its next wave. Raises EXECUTION_NOT_PAUSABLE when there is none."""
    actor.require(CONTROL, "pause runs")
    check_comment(comment)
    execution = get(execution_id)
    with transaction.atomic():
        now = clock()
        if execution.dry_run:
            raise BadRequest("EXECUTION_NOT_PAUSABLE", "A dry run does not pause: it launches nothing.")
        pausable = sorted(ACTIVE - {ExecutionStatus.PAUSED, ExecutionStatus.CANCELLING})
        # Taken from the engine first, so that it cannot begin the last wave meanwhile; the raise undoes it.
        taken = _command(execution, pausable, now, pause_requested_at=now)
        if not taken or not execution.waves.filter(status=WaveStatus.PENDING).exists():
            execution.refresh_from_db()
            raise BadRequest(
                "EXECUTION_NOT_PAUSABLE",
                f"There is no wave left to pause before; this run is {execution.state.label.lower()}.",
                details={"status": execution.status},
            )
        _note(actor, "execution.pause", execution, comment)
    return execution


@attempt("execution.cancel", "execution", subject="execution_id")
def cancel(*, actor: Actor, execution_id: uuid.UUID, comment: str = "", clock: Clock = db_clock) -> Execution:
    """Stop a run: at once where nothing is under way, else after the running wave, whose DRS jobs cannot be stopped."""
    actor.require(CONTROL, "cancel runs")
    check_comment(comment)
    execution = get(execution_id)
    before = execution.state
    with transaction.atomic():
        now = clock()
        if _cancel_idle(execution, now):
            notifications.ended(execution, now, by=actor.name)
        elif not _cancel_busy(execution, now):
            execution.refresh_from_db()
            if execution.state is ExecutionStatus.CANCELLING:
                _note(actor, "execution.cancel", execution, comment, changed=False)
                return execution
            raise BadRequest(
                "EXECUTION_NOT_CANCELLABLE",
                f"This run is over ({execution.state.label.lower()}); there is nothing to cancel.",
                details={"status": execution.status},
            )
        ended = {"endTime": unix(execution.ended_at)} if execution.ended_at else {}
        _note(actor, "execution.cancel", execution, comment, before=before, **ended)
        transaction.on_commit(lambda: queue.nudge(execution.pk))
    return execution


def _cancel_idle(execution: Execution, now: datetime) -> bool:
    """End a run at once that has nothing under way at AWS."""
    if execution.waves.filter(status=WaveStatus.PAUSED, started_at__isnull=False).exists():
        return False
    idle = [ExecutionStatus.PENDING, ExecutionStatus.PAUSED]
    ending = transitions.end_columns(execution, ExecutionStatus.CANCELLED, now)
    if not _command(execution, idle, now, cancel_requested_at=now, **ending):
        return False
    waves = list(execution.waves.filter(status__in=[WaveStatus.PENDING, WaveStatus.PAUSED]))
    transitions.skip(waves, "The run was cancelled before this wave.", now)
    transitions.release(execution)
    transitions.touch(execution, now, waves)
    return True


def _cancel_busy(execution: Execution, now: datetime) -> bool:
    busy = [ExecutionStatus.RUNNING, ExecutionStatus.POLLING, ExecutionStatus.LAUNCHING]
    paused = execution.waves.filter(status=WaveStatus.PAUSED, started_at__isnull=False)
    if paused.exists():
        busy.append(ExecutionStatus.PAUSED)
    if not _command(execution, busy, now, status=ExecutionStatus.CANCELLING, cancel_requested_at=now):
        return False
    paused.update(status=WaveStatus.INITIATED, revision=execution.revision)
    return True


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


def _note(
    actor: Actor,
    verb: str,
    execution: Execution,
    comment: str,
    *,
    before: ExecutionStatus | None = None,
    **detail: object,
) -> None:
    record(
        actor,
        verb,
        subject_kind="execution",
        subject_id=execution.pk,
        subject_name=execution.plan_name,
        detail={**detail, **({"comment": comment} if comment else {})},
        before={"status": before or execution.status},
        after={"status": execution.status},
    )
