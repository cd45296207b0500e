"""What people do at the gates of runs: approve, decline, or pass one without its approvals.

Each says which state of the run it is about by that state's digest: whoever looked at another one changes nothing.
"""

import uuid
from collections.abc import Sequence
from typing import Any

from django.db import transaction

from audit.actor import Actor
from audit.journal import attempt
from contract.clock import Clock, db_clock, unix
from contract.errors import Forbidden
from contract.plurals import counted
from drsorch_verify.gates import digest as digest_of
from executions import queue
from executions.codes.ours import Code
from executions.commands import control
from executions.commands.steering import check_reason
from executions.models import Execution
from executions.runs import notifications, transitions
from executions.runs.allowed import actions
from executions.runs.allowed import gates as allowed
from executions.runs.allowed.actions import Refusal, Verb
from executions.runs.gates.given import at_gate, keep, lapse_if_changed
from executions.runs.gates.looked_at import state_of
from executions.runs.gates.waiting import NEWS
from executions.runs.journal import note
from executions.states import ExecutionStatus, GateAct


@attempt("gate.approved", "execution", subject="execution_id")
def approve(
    *,
    actor: Actor,
    execution_id: uuid.UUID,
    digest: str,
    comment: str = "",
    checklist: Sequence[int] = (),
    clock: Clock = db_clock,
) -> Execution:
    """Say yes to what was looked at, at the gate at which the run waits; the last approval that it needs resumes it.

    Raises Forbidden (FORBIDDEN, APPROVER_IS_STARTER), NotFound, Invalid (checklist, comment), BadRequest
    (EXECUTION_NOT_PAUSED), Conflict (GATE_CHANGED). Again by the same person: nothing changes.
    """
    control.require(actor, Verb.APPROVE, execution_id)
    if actor.kind != "person":
        raise Forbidden("No program approves: people do.")
    control.check_comment(comment)
    with transaction.atomic():
        execution, now = control.locked(execution_id), clock()
        lapse_if_changed(execution, NEWS, now)
        at = at_gate(execution)
        if actions.is_done(execution, allowed.no_approve(execution, at, actor)) or at is None:
            return execution
        looked_at = _looked_at(execution, digest)
        control.check_ticks(at.gate, checklist)
        is_last = at.missing == 1
        facts = keep(actor, at, GateAct.APPROVED, comment, now, digest, looked_at, checklist)
        if is_last:
            control.go_on(actor, execution, at.wave, now)
            facts["resumedTime"] = unix(now)
            transaction.on_commit(lambda: queue.nudge(execution.pk))
        else:
            transitions.touch(execution, now, [at.wave])
        note(
            execution,
            "gate.approved",
            actor=actor,
            comment=comment,
            before={"status": ExecutionStatus.PAUSED},
            after={"status": execution.status},
            facts=facts,
        )
    return execution


def _looked_at(execution: Execution, digest: str) -> dict[str, Any]:
    """The state of the run, if that is the one with this digest. Raises Conflict (GATE_CHANGED)."""
    state = state_of(execution)
    now_is = digest_of(state)
    if now_is != digest:
        text = "The run is not any more what you looked at. Nothing was approved. Look at it again."
        raise Refusal(Code.GATE_CHANGED, text, details={"digest": now_is}).error(execution)
    return state


@attempt("gate.declined", "execution", subject="execution_id")
def decline(*, actor: Actor, execution_id: uuid.UUID, reason: str, clock: Clock = db_clock) -> Execution:
    """Say no at the gate at which the run waits, which goes on waiting; approvals that were given lapse.

    Raises Forbidden, NotFound, Invalid (reason), BadRequest (EXECUTION_NOT_PAUSED)."""
    control.require(actor, Verb.APPROVE, execution_id)
    reason = check_reason(reason)
    with transaction.atomic():
        execution, now = control.locked(execution_id), clock()
        at = at_gate(execution)
        actions.is_done(execution, allowed.no_decline(at))
        assert at is not None  # noqa: S101  (it was refused)
        lost = [each.by for each in at.given]
        facts = keep(actor, at, GateAct.DECLINED, reason, now)
        transitions.touch(execution, now, [at.wave])
        told = f"{counted(len(lost), 'approval')} lapsed: {', '.join(lost)}. " if lost else ""
        note(
            execution,
            "gate.declined",
            actor=actor,
            before={"approvers": lost},
            after={"approvers": []},
            facts={**facts, "reason": reason},
        )
        notifications.declined(execution, at, actor.name, f"{told}{reason}", now)
    return execution


@attempt("gate.broken", "execution", subject="execution_id")
def break_glass(
    *, actor: Actor, execution_id: uuid.UUID, reason: str, meant: actions.Meant | None = None, clock: Clock = db_clock
) -> Execution:
    """Let a run go on through a gate without the approvals that it needs; everybody who is subscribed to anything is
    told. Raises Forbidden, NotFound, Invalid (reason), BadRequest (EXECUTION_NOT_PAUSED)."""
    control.require(actor, Verb.RESUME, execution_id)
    control.require(actor, Verb.BREAK_GLASS, execution_id)
    if actor.kind == "service":
        raise Forbidden("No program passes a gate without what it asks for: a person does.")
    reason = check_reason(reason)
    with transaction.atomic():
        execution, now = control.locked(execution_id), clock()
        at = at_gate(execution)
        actions.is_done(execution, actions.waits_elsewhere(execution, meant) or allowed.no_break_glass(at))
        assert at is not None  # noqa: S101  (it was refused)
        state = state_of(execution)
        missing = at.missing if at.gate.approvals else 0
        facts = keep(actor, at, GateAct.BROKEN, reason, now, digest_of(state), state)
        control.go_on(actor, execution, at.wave, now)
        note(
            execution,
            "gate.broken",
            actor=actor,
            before={"status": ExecutionStatus.PAUSED},
            after={"status": execution.status},
            facts={**facts, "reason": reason, "missing": missing, "resumedTime": unix(now)},
        )
        notifications.glass_broken(execution, at, actor.name, reason, missing, now)
        transaction.on_commit(lambda: queue.nudge(execution.pk))
    return execution
