"""What people can do with runs, one function a verb. The engine does the rest.

Every command locks the row, asks `runs/allowed/` what speaks against it, and changes it in one statement that also
steals the engine's claim (`claim = NULL`) and makes the row due, so an engine that read the old state can no longer
write, and the new state is acted upon within a second.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import F

from audit.actor import Actor
from audit.journal import attempt
from contract.clock import Clock, db_clock, unix
from contract.errors import Invalid
from contract.names import hidden_fault
from contract.rights import ANYTHING, AnyOf
from contract.storage.prepared import Asked, Prepared
from executions import queue
from executions.commands import new_run
from executions.commands.hide_finished import hide_finished
from executions.commands.points_in_time import NEWEST, ChosenSnapshots
from executions.commands.production import Consent, look_at_plan
from executions.models import Execution, WaveRun
from executions.runs import notifications, transitions
from executions.runs.allowed import actions, conflicts
from executions.runs.allowed.actions import Meant, Verb, right_to_start
from executions.runs.allowed.scopes import at_run, no_execution
from executions.runs.current_wave import failed_waiting_wave
from executions.runs.gates.asked import Gate
from executions.runs.gates.given import at_gate, keep
from executions.runs.journal import note
from executions.states import WAVE_FINAL, ExecutionStatus, GateAct, Kind, WaveStatus
from executions.terminating.outcome import Failure, TerminationResult
from executions.terminating.terminate import terminate
from plans.models import RecoveryPlan
from plans.scopes.plans import at_plan, no_plan
from protection.inventory.recovery_instances import InstancesKnown

__all__ = ["Failure", "TerminationResult", "cancel", "get", "hide_finished", "pause", "resume", "start", "terminate"]

COMMENT_MAX = 512
ANY_START = AnyOf("start runs", (right_to_start(Kind.DRILL)[0], right_to_start(Kind.RECOVERY)[0]))
_PLAN = Prepared(lambda: RecoveryPlan.objects.filter(pk=Asked(RecoveryPlan, "id")))
OUTAGE_MOST = timedelta(days=30)  # whoever recovers later than that has mistyped the time


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
    looked: InstancesKnown | None = None,
    snapshots: ChosenSnapshots = NEWEST,
    clock: Clock = db_clock,
) -> Execution:
    """Start a drill or a recovery of a plan; returns at once, engines do the work.

    `outage_at`, of a recovery only, is when production was lost; `replace_production` that instances which may be
    production may go; `looked` what DRS was asked about those, None to have it asked here; `snapshots` what servers are
    launched from (points_in_time.choose). Raises Forbidden; Invalid;
    NotFound; BadRequest (PLAN_HAS_NO_WAVES); Conflict (PLAN_ALREADY_EXECUTING, SERVER_CONFLICT, PRODUCTION_RUNNING);
    and, of a drill, the contract's DRS errors when DRS could not be asked what runs. The first two conflicts rest on
    database constraints: of any number of starts at once, one wins. A dry run holds no server and meets none of them.
    """
    asked = Kind.DRILL if dry_run else kind  # who may start a drill may do a dry run of a recovery
    require_start(actor.at(ANYTHING), asked)
    check_initiator(initiated_by)
    _check_outage(kind, outage_at, clock)
    plan = next(iter(_PLAN.objects(id=plan_id)), None)
    if plan is None:
        raise no_plan(plan_id)
    actor = at_plan(actor, plan_id)
    require_start(actor, asked)
    consent = Consent(InstancesKnown() if dry_run else looked or look_at_plan(plan_id), replace_production)
    try:
        with transaction.atomic():
            execution = new_run.create(
                actor,
                plan,
                kind,
                initiated_by,
                clock(),
                consent=consent,
                outage_at=outage_at,
                dry_run=dry_run,
                snapshots=snapshots,
            )
            transaction.on_commit(lambda: queue.nudge(execution.pk))
    except IntegrityError:  # somebody was faster: say who
        conflicts.refuse_second_run(plan)
        conflicts.refuse_held_servers(plan)
        raise
    return execution


def check_initiator(name: str) -> None:
    """Raise Invalid for a name with characters that cannot be seen."""
    if fault := hidden_fault(name.strip()):
        raise Invalid({"initiatedBy": [fault]})


def _check_outage(kind: Kind, outage_at: datetime | None, clock: Clock) -> None:
    if outage_at is None:
        return
    if not kind.is_recovery:
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
    return actor.may(right_to_start(kind)[0])


def require_start(actor: Actor, kind: Kind) -> None:
    """Raise Forbidden unless `actor` may start runs of this kind."""
    actor.require(*right_to_start(kind))


# Resume and cancel


def get(execution_id: uuid.UUID) -> Execution:
    """The run, or NotFound."""
    execution = Execution.objects.filter(pk=execution_id).first()
    if execution is None:
        raise no_execution(execution_id)
    return execution


def check_comment(comment: str) -> None:
    """Raise Invalid for a comment that is too long for the journal."""
    if len(comment) > COMMENT_MAX:
        raise Invalid({"comment": [f"At most {COMMENT_MAX} characters; this has {len(comment)}."]})


def require(actor: Actor, verb: Verb, execution_id: uuid.UUID) -> None:
    """Raise Forbidden unless `actor` may do that with this run, and NotFound if there is none: in this order. Of one
    that they do not see nothing is told, not even its kind."""
    execution = Execution.objects.seen_by(actor.sees).filter(pk=execution_id).only("kind").first()
    actions.require_right(actor.at(ANYTHING), verb, execution.purpose if execution else Kind.DRILL)
    if execution is None:
        raise no_execution(execution_id)
    actions.require_right(at_run(actor, execution_id), verb, execution.purpose)


def locked(execution_id: uuid.UUID) -> Execution:
    """The run as it is now; it stays so until the transaction ends."""
    execution = Execution.objects.select_for_update().filter(pk=execution_id).first()
    if execution is None:
        raise no_execution(execution_id)
    return execution


@attempt("execution.resume", "execution", subject="execution_id")
def resume(
    *,
    actor: Actor,
    execution_id: uuid.UUID,
    comment: str = "",
    meant: Meant | None = None,
    checklist: Sequence[int] = (),
    clock: Clock = db_clock,
) -> Execution:
    """Let a paused run go on. Of two resumes at once one wins; the other is told EXECUTION_NOT_PAUSED.

    `meant` is where somebody saw it wait: when it waits elsewhere by now, nothing is resumed (EXECUTION_NOT_PAUSED).
    None means whatever waits. A gate that needs approvals is not passed by this: Conflict (GATE_NEEDS_APPROVALS); the
    checklist of one that needs none has to be ticked: Invalid (checklist).
    """
    require(actor, Verb.RESUME, execution_id)
    check_comment(comment)
    with transaction.atomic():
        execution, now = locked(execution_id), clock()
        actions.is_done(execution, actions.no_resume(execution, meant))
        if execution.state is ExecutionStatus.PAUSED:
            _resume_paused(actor, execution, comment, checklist, now)
        else:
            _withdraw_pause(actor, execution, comment, now)
        transaction.on_commit(lambda: queue.nudge(execution.pk))
    return execution


def _resume_paused(actor: Actor, execution: Execution, comment: str, checklist: Sequence[int], now: datetime) -> None:
    if failed := failed_waiting_wave(execution.waves.all()):
        change(execution, now, status=ExecutionStatus.RUNNING, restored_at=None)
        _answer(actor, execution, failed, comment, now)
        return
    at = at_gate(execution)
    if at is None:
        raise RuntimeError(f"{execution} is paused, and no wave of it waits")
    check_ticks(at.gate, checklist)
    facts = keep(actor, at, GateAct.RESUMED, comment, now, checklist=checklist)
    go_on(actor, execution, at.wave, now)
    _note(actor, "execution.resume", execution, comment, before=ExecutionStatus.PAUSED, resumedTime=unix(now), **facts)


def check_ticks(gate: Gate, ticked: Sequence[int]) -> None:
    """Raise Invalid unless the whole checklist of a gate was ticked."""
    if not gate.all_ticked(ticked):
        numbers = ", ".join(str(number) for number in range(len(gate.checklist)))
        asked = (
            f"Tick every item of the checklist; the API takes their numbers: {numbers}."
            if gate.checklist
            else "There is none: leave it out."
        )
        raise Invalid({"checklist": [asked]})


def go_on(actor: Actor, execution: Execution, wave: WaveRun, now: datetime) -> None:
    """Let a locked run go on with the wave before which it waits. The caller says so in the journal."""
    change(execution, now, status=ExecutionStatus.RUNNING, restored_at=None)
    wave.status, wave.status_message = _after_pause(wave), ""
    wave.resumed_at, wave.resumed_by = now, actor.name
    wave.revision = execution.revision
    wave.save(update_fields=["status", "status_message", "resumed_at", "resumed_by", "revision"])
    notifications.resumed(execution, wave, now)


def _answer(actor: Actor, execution: Execution, failed: WaveRun, comment: str, now: datetime) -> None:
    """Go on after a failed wave, which counts as failed: what depends on it is skipped."""
    failed.answered_at, failed.answered_by, failed.revision = now, actor.name, execution.revision
    failed.save(update_fields=["answered_at", "answered_by", "revision"])
    facts = {"afterWave": failed.number, "resumedTime": unix(now)}
    _note(actor, "execution.resume", execution, comment, before=ExecutionStatus.PAUSED, **facts)
    notifications.resumed_after(execution, failed, now)


def _after_pause(wave: WaveRun) -> WaveStatus:
    """A wave that was restored from a backup may pause with some of its launches sent."""
    return WaveStatus.PENDING if wave.started_at is None else WaveStatus.INITIATED


def _withdraw_pause(actor: Actor, execution: Execution, comment: str, now: datetime) -> None:
    """A pause that was asked for and has not come yet is taken back."""
    change(execution, now, pause_requested_at=None)
    _note(actor, "execution.pause_withdrawn", execution, comment)


@attempt("execution.pause", "execution", subject="execution_id")
def pause(*, actor: Actor, execution_id: uuid.UUID, comment: str = "", clock: Clock = db_clock) -> Execution:
    """Have a run wait for a person before its next wave; again: nothing changes. Raises EXECUTION_NOT_PAUSABLE."""
    require(actor, Verb.PAUSE, execution_id)
    check_comment(comment)
    with transaction.atomic():
        execution, now = locked(execution_id), clock()
        if actions.is_done(execution, actions.no_pause(execution)):
            _note(actor, "execution.pause", execution, comment, changed=False)
            return execution
        change(execution, now, pause_requested_at=now)
        _note(actor, "execution.pause", execution, comment)
    return execution


@attempt("execution.cancel", "execution", subject="execution_id")
def cancel(*, actor: Actor, execution_id: uuid.UUID, comment: str = "", clock: Clock = db_clock) -> Execution:
    """Stop a run: at once where nothing is under way, else after the running wave, whose DRS jobs cannot be stopped.
    Again: nothing changes. Raises EXECUTION_NOT_CANCELLABLE."""
    require(actor, Verb.CANCEL, execution_id)
    check_comment(comment)
    with transaction.atomic():
        execution, now = locked(execution_id), clock()
        if actions.is_done(execution, actions.no_cancel(execution)):
            _note(actor, "execution.cancel", execution, comment, changed=False)
            return execution
        before = execution.state
        _cancel(execution, now)
        if execution.state.is_final:
            notifications.ended(execution, now, by=actor.name)
        ended = {"endTime": unix(execution.ended_at)} if execution.ended_at else {}
        _note(actor, "execution.cancel", execution, comment, before=before, **ended)
        transaction.on_commit(lambda: queue.nudge(execution.pk))
    return execution


def _cancel(execution: Execution, now: datetime) -> None:
    """End a run that has nothing under way at AWS; any other goes on with what is."""
    paused = execution.waves.filter(status=WaveStatus.PAUSED, started_at__isnull=False)
    if execution.state in (ExecutionStatus.PENDING, ExecutionStatus.PAUSED) and not paused.exists():
        _cancel_idle(execution, now)
        return
    change(execution, now, status=ExecutionStatus.CANCELLING, cancel_requested_at=now)
    paused.update(status=WaveStatus.INITIATED)
    execution.waves.exclude(status__in=WAVE_FINAL).update(revision=execution.revision)  # of none more is launched


def _cancel_idle(execution: Execution, now: datetime) -> None:
    ending = transitions.end_columns(execution, ExecutionStatus.CANCELLED, now)
    change(execution, now, cancel_requested_at=now, **ending)
    waves = list(execution.waves.filter(status__in=[WaveStatus.PENDING, WaveStatus.PAUSED]))
    transitions.skip(waves, "The run was cancelled before this wave.", now)
    transitions.release(execution)
    transitions.touch(execution, now, waves)


def change(execution: Execution, now: datetime, **columns: object) -> None:
    """Change a locked run, and take it from any engine that holds it."""
    columns = {
        "claim": None,
        "next_step_at": now,
        "revision": F("revision") + 1,
        "updated_at": now,
        **columns,
    }
    Execution.objects.filter(pk=execution.pk).update(**columns)
    execution.refresh_from_db()


def _note(
    actor: Actor,
    verb: str,
    execution: Execution,
    comment: str,
    *,
    before: ExecutionStatus | None = None,
    **detail: object,
) -> None:
    note(
        execution,
        verb,
        actor=actor,
        comment=comment,
        before={"status": before or execution.status},
        after={"status": execution.status},
        facts=detail,
    )
