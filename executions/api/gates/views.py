"""What lets a paused run go on, over HTTP: a resume, and the gate at which it waits: what is asked, and was given."""

import uuid
from collections.abc import Mapping
from typing import Any, TypedDict

from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.clock import unix
from contract.errors import NotFound
from contract.plurals import counted
from contract.rest.schema import describes
from contract.rest.serializers import Flag, Text, Whole, Wholes, read_body
from contract.rest.views import ApiView, read_id
from contract.rights import AnyOf
from drsorch_verify.gates import digest
from executions.api.representation import ActionShape, CommandAnswer
from executions.api.steering import STEERERS, ReasonIn
from executions.api.views import CommandIn, RunCommand
from executions.codes.ours import Code
from executions.commands import control, gates
from executions.models import Execution, GateEntry
from executions.runs.allowed.actions import Action, Meant, Verb
from executions.runs.allowed.gates import NOT_WAITING, gate_actions
from executions.runs.gates.given import AtGate, at_gate
from executions.runs.gates.looked_at import state_of
from executions.states import ExecutionStatus

REFUSALS = ("FORBIDDEN", "NOT_FOUND", Code.EXECUTION_NOT_PAUSED)


class GateEntryShape(TypedDict):
    """What somebody, or the engine, did at the gate since the run came to it. `stands`: an approval that counts."""

    act: str
    by: str
    time: int
    text: str
    checklist: list[int]
    digest: str | None
    stands: bool


class GateActionsShape(TypedDict):
    approve: ActionShape
    decline: ActionShape
    resume: ActionShape
    breakGlass: ActionShape


class LookedAtShape(TypedDict):
    """What an approver looks at, and `digest` is of: SHA-256 over this object's canonical JSON (sorted keys, no
    spaces). Of each wave: number, status, attempt, whether a person skipped it, and its servers, each with its id,
    launch status, instance, state of the instance, and whether it was left out."""

    plan: str
    waves: list[list[Any]]


class GateAnswer(TypedDict):
    """The gate before the wave. `approvals` are needed, by people other than `startedBy`; 0 where a resume passes it.
    Nobody having passed it by `expiresTime`, the run ends."""

    executionId: str
    waveNumber: int
    waveName: str
    approvals: int
    approvalsGiven: int
    checklist: list[str]
    startedBy: str
    pausedTime: int
    expiresTime: int
    digest: str
    lookedAt: LookedAtShape
    entries: list[GateEntryShape]
    actions: GateActionsShape


class ApproveIn(CommandIn):
    """`digest` as GET answered it; `checklist` has the numbers, from 0, of all items."""

    digest = Text(described={"minLength": 64, "maxLength": 64})
    checklist = Wholes(required=False)


class ResumeIn(CommandIn):
    """`waveNumber` is the wave before which, or after whose failure, the run is seen to wait: when it waits elsewhere
    by now, nothing is resumed. `checklist` has the items of a gate that needs no approvals, by number from 0, all of
    them. `breakGlass` passes a gate without the approvals that it needs: with a `reason`, and everybody is told."""

    waveNumber = Whole(required=False, min_value=0)
    checklist = Wholes(required=False)
    breakGlass = Flag(required=False)
    reason = Text(required=False, max_length=control.COMMENT_MAX)


class DeclineIn(ReasonIn):
    """Why not."""


class GateView(ApiView):
    """What is asked at the gate, what was given, and the digest of what an approver looks at."""

    @describes(
        "getGate",
        "Get the gate at which a run waits: what is asked, what was given, and the digest of what is looked at",
        answers={200: GateAnswer},
        refusals=["NOT_FOUND"],
    )
    def get(self, request: Request, execution_id: str) -> Response:
        execution = control.get(_id(execution_id))
        at = at_gate(execution) if execution.state is ExecutionStatus.PAUSED else None
        if at is None:
            raise NotFound(NOT_WAITING, details={"executionId": str(execution.pk), "status": execution.status})
        state, may = state_of(execution), gate_actions(execution, actor_for(request))
        given = {each.pk for each in at.given}
        return Response(
            GateAnswer(
                executionId=str(execution.pk),
                waveNumber=at.wave.number,
                waveName=at.wave.name,
                approvals=at.gate.approvals,
                approvalsGiven=len(given),
                checklist=list(at.gate.checklist),
                startedBy=execution.started_by,
                pausedTime=unix(at.paused_at),
                expiresTime=unix(at.expires_at),
                digest=digest(state),
                lookedAt=LookedAtShape(plan=state["plan"], waves=state["waves"]),
                entries=[_entry(each, stands=each.pk in given) for each in at.entries],
                actions=GateActionsShape(
                    approve=_action(may.approve),
                    decline=_action(may.decline),
                    resume=_action(may.resume),
                    breakGlass=_action(may.break_glass),
                ),
            )
        )


def _entry(entry: GateEntry, *, stands: bool) -> GateEntryShape:
    return GateEntryShape(
        act=entry.act,
        by=entry.by,
        time=unix(entry.at),
        text=entry.text,
        checklist=entry.checklist,
        digest=entry.digest or None,
        stands=stands,
    )


def _action(action: Action) -> ActionShape:
    return ActionShape(allowed=action.allowed, reason=action.reason)


class Resume(RunCommand):
    """Let a paused run go on; a recovery by whoever may start one."""

    rights = {"POST": AnyOf("resume runs", STEERERS.names)}
    verb = Verb.RESUME

    @describes(
        "resumeExecution",
        "Resume a paused run, or withdraw a pause that has not taken effect yet",
        answers={200: CommandAnswer},
        body=ResumeIn,
        refusals=("FORBIDDEN", "NOT_FOUND", Code.EXECUTION_NOT_PAUSED, Code.GATE_NEEDS_APPROVALS),
    )
    def post(self, request: Request, execution_id: str) -> Response:
        given = read_body(request, ResumeIn)
        meant = Meant(given["waveNumber"]) if "waveNumber" in given else None
        if given.get("breakGlass"):
            execution = gates.break_glass(
                actor=actor_for(request),
                execution_id=_id(execution_id),
                reason=given.get("reason", ""),
                meant=meant,
            )
            return _answer(execution, "Execution resumed without the approvals of its gate; everybody is told")
        execution = control.resume(
            actor=actor_for(request),
            execution_id=_id(execution_id),
            comment=given.get("comment", ""),
            meant=meant,
            checklist=given.get("checklist", ()),
        )
        # The command wrote this revision: either into the wave that it resumed, or into none.
        resumed = execution.waves.filter(revision=execution.revision).exists()
        return _answer(execution, "Execution resumed successfully" if resumed else "The pause was withdrawn")


class Approve(RunCommand):
    """Say yes to what was looked at."""

    rights = {"POST": AnyOf("approve runs", STEERERS.names)}
    verb = Verb.APPROVE

    @describes(
        "approveGate",
        "Approve at the gate at which a run waits; the last approval that it needs resumes the run",
        answers={200: CommandAnswer},
        body=ApproveIn,
        refusals=(*REFUSALS, Code.GATE_CHANGED, Code.APPROVER_IS_STARTER),
    )
    def post(self, request: Request, execution_id: str) -> Response:
        given: Mapping[str, Any] = read_body(request, ApproveIn)
        execution = gates.approve(
            actor=actor_for(request),
            execution_id=_id(execution_id),
            digest=given["digest"],
            comment=given.get("comment", ""),
            checklist=given.get("checklist", ()),
        )
        at = at_gate(execution) if execution.state is ExecutionStatus.PAUSED else None
        if at is None:
            return _answer(execution, "Approved; the execution goes on")
        return _answer(execution, f"Approved; {_missing(at)} before it goes on")


def _missing(at: AtGate) -> str:
    return f"{counted(at.missing, 'more approval')} {'is' if at.missing == 1 else 'are'} needed"


class Decline(RunCommand):
    """Say no: the run goes on waiting."""

    rights = {"POST": AnyOf("approve runs", STEERERS.names)}
    verb = Verb.APPROVE

    @describes(
        "declineGate",
        "Decline at the gate at which a run waits; approvals that were given lapse, and the run goes on waiting",
        answers={200: CommandAnswer},
        body=DeclineIn,
        refusals=REFUSALS,
    )
    def post(self, request: Request, execution_id: str) -> Response:
        reason = read_body(request, DeclineIn)["reason"]
        execution = gates.decline(actor=actor_for(request), execution_id=_id(execution_id), reason=reason)
        return _answer(execution, "Declined; the execution goes on waiting")


def _answer(execution: Execution, message: str) -> Response:
    return Response(CommandAnswer(executionId=str(execution.pk), status=execution.status, message=message))


def _id(text: str) -> uuid.UUID:
    return read_id(text, "execution", "executionId")
