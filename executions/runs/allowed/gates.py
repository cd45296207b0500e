"""What can be done at the gate at which a run waits, and if not, why: the page asks, and so does the service."""

from dataclasses import dataclass

from audit.actor import Actor
from contract.names import name_key, visible
from executions.codes.ours import Code
from executions.models import Execution
from executions.runs.allowed.actions import Action, Refusal, Verb, action_of, no_resume
from executions.runs.gates.given import AtGate, at_gate, starter_id

NOT_WAITING = "The run does not wait before a wave."


@dataclass(frozen=True)
class GateActions:
    """The four things a person can do at a gate."""

    approve: Action
    decline: Action
    resume: Action
    break_glass: Action


def gate_actions(execution: Execution, actor: Actor) -> GateActions:
    """What `actor` can do at the gate at which the run waits."""
    at = at_gate(execution)
    approve, glass = no_approve(execution, at, actor), no_break_glass(at)
    resume = no_resume(execution)
    return GateActions(
        approve=action_of(actor, Verb.APPROVE, execution, approve.reason if approve else ""),
        decline=action_of(actor, Verb.APPROVE, execution, "" if at else NOT_WAITING),
        resume=action_of(actor, Verb.RESUME, execution, resume.reason if resume else ""),
        break_glass=action_of(actor, Verb.BREAK_GLASS, execution, glass.reason if glass else ""),
    )


def no_decline(at: AtGate | None) -> Refusal | None:
    """Why nobody can decline."""
    return None if at else Refusal(Code.EXECUTION_NOT_PAUSED, NOT_WAITING)


def no_approve(execution: Execution, at: AtGate | None, actor: Actor) -> Refusal | None:
    """Why this one cannot approve. Only people do, and never whoever started the run."""
    if at is None:
        return Refusal(Code.EXECUTION_NOT_PAUSED, NOT_WAITING)
    if _is_by(starter_id(execution), execution.started_by, actor):
        return Refusal(Code.APPROVER_IS_STARTER, "You started this run: somebody else approves it.")
    if any(_is_by(each.by_id, each.by, actor) for each in at.given):
        return Refusal(Code.EXECUTION_NOT_PAUSED, "You have approved it already.", is_done=True)
    return None


def _is_by(known: str, name: str, actor: Actor) -> bool:
    """Two sign-ins of one address or name are one person's, however it is spelled."""
    return name_key(name) == name_key(visible(actor.name)) or bool(known and known == actor.id)


def no_break_glass(at: AtGate | None) -> Refusal | None:
    """Why there is no glass to break."""
    if at is None:
        return Refusal(Code.EXECUTION_NOT_PAUSED, NOT_WAITING)
    if at.gate.is_plain:
        return Refusal(Code.EXECUTION_NOT_PAUSED, "This pause asks for nothing: resume the run.")
    return None
