"""Runs over HTTP: start, follow, steer, clean up."""

import uuid
from typing import Any

from django.db.models import Prefetch, Q
from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.clock import db_clock, moment
from contract.errors import Invalid
from contract.plurals import counted
from contract.rest import paging
from contract.rest.answers.unchanged import is_known
from contract.rest.schema import DRS, IDEMPOTENCY_KEY, describes
from contract.rest.serializers import (
    LIMIT,
    PLAN_ID,
    TOKEN,
    Flag,
    OneOf,
    StrictSerializer,
    Text,
    Whole,
    read_body,
    read_query,
)
from contract.rest.views import ApiView, read_id
from contract.rights import AnyOf
from executions.api.representation import (
    BulkDeleted,
    CommandAnswer,
    ExecutionsAnswer,
    ExecutionShape,
    ExecutionStarted,
    JobShape,
    KeptShape,
    TerminationAnswer,
    TerminationFailure,
    show_execution,
    show_list,
)
from executions.api.start_response import accepted
from executions.api.unchanged_run import tag_of_run
from executions.codes.ours import Code
from executions.commands import control
from executions.commands.abandon import abandon
from executions.commands.hide_finished import HIDE
from executions.commands.production import look_at_plan
from executions.models import Execution, WaveRun
from executions.runs.allowed.actions import CONTROL, Meant, right_to_start
from executions.states import ExecutionStatus, JobStatus, Kind
from protection.inventory.recovery_instances import InstancesKnown

KINDS = [kind.value for kind in Kind]
STATUSES = [status.value for status in ExecutionStatus]
INITIATED_BY_MAX = 254
START_REFUSALS = (
    Code.PLAN_HAS_NO_WAVES,
    "FORBIDDEN",
    "NOT_FOUND",
    Code.PLAN_ALREADY_EXECUTING,
    Code.SERVER_CONFLICT,
    Code.PRODUCTION_RUNNING,
    "IDEMPOTENCY_KEY_REUSED",
    *DRS,
)


class PlanRunIn(StrictSerializer):
    """How a plan is run."""

    executionType = OneOf(choices=KINDS)
    initiatedBy = Text(required=False, max_length=INITIATED_BY_MAX)
    dryRun = Flag(required=False)
    outageTime = Whole(required=False, min_value=0, max_value=99_999_999_999)
    replaceProduction = Flag(required=False)


class ExecutionIn(PlanRunIn):
    planId = Text(described=PLAN_ID)


class CommandIn(StrictSerializer):
    """What may be said to a command."""

    comment = Text(required=False, max_length=control.COMMENT_MAX)


class ResumeIn(CommandIn):
    """`waveNumber` is the wave before which, or after whose failure, the run is seen to wait: when it waits elsewhere
    by now, nothing is resumed."""

    waveNumber = Whole(required=False, min_value=0)


CANCEL: dict[str, Any] = {
    "answers": {200: CommandAnswer},
    "refusals": ("FORBIDDEN", "NOT_FOUND", Code.EXECUTION_NOT_CANCELLABLE),
}


# What a list says of waves: which is the current one, and for which a person is waited.
WAVES_OF_LIST = Prefetch(
    "waves",
    WaveRun.objects.only("execution", "number", "status", "attempt", "started_at", "asked_at", "answered_at"),
)


class ExecutionQuery(StrictSerializer):
    planId = Text(required=False, described=PLAN_ID)
    status = OneOf(choices=STATUSES, required=False)
    executionType = OneOf(choices=KINDS, required=False)
    dryRun = OneOf(choices=["true", "false"], required=False)
    hidden = OneOf(choices=["true", "false"], required=False)
    limit = Text(required=False, described=LIMIT)
    nextToken = Text(required=False, described=TOKEN)


class ExecutionList(ApiView):
    """The history, newest first; new runs; and clearing it."""

    rights = {"POST": control.ANY_START, "DELETE": AnyOf("hide finished runs", (HIDE,))}

    @describes(
        "listExecutions",
        "List runs, newest first",
        answers={200: ExecutionsAnswer},
        query=ExecutionQuery,
        refusals=["NOT_FOUND"],
    )
    def get(self, request: Request) -> Response:
        asked = read_query(request, ExecutionQuery)
        found, token = paging.page(
            filtered(asked).defer("plan_copy", "phase_times").prefetch_related(WAVES_OF_LIST),
            time="started_at",
            limit=paging.read_limit(asked.get("limit")),
            token=asked.get("nextToken"),
        )
        return Response(ExecutionsAnswer(items=show_list(found, actor_for(request), db_clock()), nextToken=token))

    @describes(
        "startExecution",
        "Start a drill or a recovery",
        answers={202: ExecutionStarted},
        body=ExecutionIn,
        headers=[IDEMPOTENCY_KEY],
        refusals=START_REFUSALS,
    )
    def post(self, request: Request) -> Response:
        given = read_body(request, ExecutionIn)
        return _start(request, given, _plan_id(given["planId"]))

    @describes(
        "deleteFinishedExecutions",
        "Hide every finished run without running instances or outstanding AWS answers; nothing is deleted",
        answers={200: BulkDeleted},
        refusals=["FORBIDDEN"],
    )
    def delete(self, request: Request) -> Response:
        done = control.hide_finished(actor=actor_for(request))
        kept = [KeptShape(executionId=str(each.execution_id), reason=each.reason) for each in done.kept]
        return Response(BulkDeleted(deletedCount=done.hidden, totalScanned=done.scanned, kept=kept))


def filtered(asked: dict[str, Any]) -> Any:
    runs = Execution.objects.hidden() if asked.get("hidden") == "true" else Execution.objects.shown()
    if "planId" in asked:
        plan_id = _plan_id(asked["planId"])
        runs = runs.filter(Q(plan=plan_id) | Q(plan=None, plan_copy__planId=str(plan_id)))  # its history outlives it
    if "status" in asked:
        runs = runs.filter(status=asked["status"])
    if "executionType" in asked:
        runs = runs.filter(kind=asked["executionType"])
    if "dryRun" in asked:
        runs = runs.filter(dry_run=asked["dryRun"] == "true")
    return runs


class PlanExecuteIn(PlanRunIn):
    planId = Text(required=False, described=PLAN_ID)


class PlanExecute(ApiView):
    """Run this plan."""

    rights = {"POST": control.ANY_START}

    @describes(
        "executeRecoveryPlan",
        "Start a drill or a recovery of this plan",
        answers={202: ExecutionStarted},
        body=PlanExecuteIn,
        headers=[IDEMPOTENCY_KEY],
        refusals=START_REFUSALS,
    )
    def post(self, request: Request, plan_id: str) -> Response:
        given = read_body(request, PlanExecuteIn)
        body_id = given.pop("planId", plan_id)
        if body_id.lower() != plan_id.lower():
            raise Invalid({"planId": ["Differs from the plan in the address. Leave it out."]})
        return _start(request, given, _plan_id(plan_id))


def _start(request: Request, given: dict[str, Any], plan_id: uuid.UUID) -> Response:
    actor, kind, dry_run = actor_for(request), Kind.of(given["executionType"]), given.get("dryRun", False)

    def look() -> InstancesKnown | None:
        if dry_run or not control.may_start(actor, kind):
            return None
        return look_at_plan(plan_id)

    def work(looked: InstancesKnown | None) -> Execution:
        return control.start(
            actor=actor,
            plan_id=plan_id,
            kind=kind,
            initiated_by=given.get("initiatedBy", ""),
            dry_run=dry_run,
            outage_at=moment(given.get("outageTime")),
            replace_production=given.get("replaceProduction", False),
            looked=looked,
        )

    return accepted(request, {**given, "planId": plan_id}, look, work)


class ExecutionDetail(ApiView):
    """One run. DELETE cancels it, as `…/cancel` does."""

    rights = {"DELETE": AnyOf("cancel runs", (CONTROL,))}

    @describes(
        "getExecution",
        "Get a run; with the ETag of an earlier answer in If-None-Match only if something has changed, else 304",
        answers={200: ExecutionShape},
        refusals=["NOT_FOUND"],
    )
    def get(self, request: Request, execution_id: str) -> Response:
        key, actor, now = _id(execution_id), actor_for(request), db_clock()
        tag = tag_of_run(key, actor, now)  # read before the rows: it may be older than the answer, never newer
        if is_known(request, tag):
            return Response(status=304, headers={"ETag": tag})
        return Response(show_execution(key, actor, now), headers={"ETag": tag})

    @describes("cancelExecutionByDelete", "Cancel a run", body=CommandIn, **CANCEL)
    def delete(self, request: Request, execution_id: str) -> Response:
        return _cancel(request, execution_id)


class Cancel(ApiView):
    """Stop a run: at once where nothing is under way, else after the wave that runs."""

    rights = {"POST": AnyOf("cancel runs", (CONTROL,))}

    @describes("cancelExecution", "Cancel a run", body=CommandIn, **CANCEL)
    def post(self, request: Request, execution_id: str) -> Response:
        return _cancel(request, execution_id)


def _cancel(request: Request, execution_id: str) -> Response:
    execution = control.cancel(**_command(request, execution_id))
    if execution.state is ExecutionStatus.CANCELLING:
        return _state(execution, "Cancelling: the wave that runs ends first, later waves are skipped")
    return _state(execution, "Execution cancelled")


class Abandon(ApiView):
    """The way out of a run whose region of AWS stays silent."""

    rights = {"POST": AnyOf("give up on AWS's answer", (CONTROL,))}

    @describes(
        "abandonExecution",
        "End a run that waits for a region that has stopped answering; launches in progress continue at AWS",
        answers={200: CommandAnswer},
        body=CommandIn,
        refusals=("FORBIDDEN", "NOT_FOUND", Code.EXECUTION_NOT_ABANDONABLE),
    )
    def post(self, request: Request, execution_id: str) -> Response:
        execution = abandon(**_command(request, execution_id))
        return _state(execution, "Execution abandoned; anything AWS still launches is recorded when it answers")


class Resume(ApiView):
    """Let a paused run go on."""

    rights = {"POST": AnyOf("resume runs", (CONTROL, right_to_start(Kind.RECOVERY)[0]))}

    @describes(
        "resumeExecution",
        "Resume a paused run, or withdraw a pause that has not taken effect yet",
        answers={200: CommandAnswer},
        body=ResumeIn,
        refusals=("FORBIDDEN", "NOT_FOUND", Code.EXECUTION_NOT_PAUSED),
    )
    def post(self, request: Request, execution_id: str) -> Response:
        given = read_body(request, ResumeIn)
        execution = control.resume(
            actor=actor_for(request),
            execution_id=_id(execution_id),
            comment=given.get("comment", ""),
            meant=Meant(given["waveNumber"]) if "waveNumber" in given else None,
        )
        # The command wrote this revision: either into the wave that it resumed, or into none.
        resumed = execution.waves.filter(revision=execution.revision).exists()
        return _state(execution, "Execution resumed successfully" if resumed else "The pause was withdrawn")


class Pause(ApiView):
    """Have a run pause before its next wave."""

    rights = {"POST": AnyOf("pause runs", (CONTROL,))}

    @describes(
        "pauseExecution",
        "Have a run pause before its next wave",
        answers={200: CommandAnswer},
        body=CommandIn,
        refusals=("FORBIDDEN", "NOT_FOUND", Code.EXECUTION_NOT_PAUSABLE),
    )
    def post(self, request: Request, execution_id: str) -> Response:
        execution = control.pause(**_command(request, execution_id))
        answer = _state(execution, "The execution pauses before its next wave")
        answer.data["pauseRequested"] = True
        return answer


class Terminate(ApiView):
    """Terminate the instances that a finished run launched."""

    rights = {
        "POST": AnyOf("terminate instances", ("executions.terminate_drill", "executions.terminate_recovery")),
    }

    @describes(
        "terminateRecoveryInstances",
        "Terminate the instances of a finished run",
        answers={200: TerminationAnswer},
        body=CommandIn,
        refusals=("FORBIDDEN", "NOT_FOUND", Code.EXECUTION_STILL_RUNNING, *DRS),
    )
    def post(self, request: Request, execution_id: str) -> Response:
        command = _command(request, execution_id)
        result = control.terminate(**command)
        jobs = [JobShape(jobId=job.job_id or None, region=job.region, status=job.status) for job in result.jobs]
        return Response(
            TerminationAnswer(
                executionId=str(command["execution_id"]),
                terminated=result.terminated,
                failed=[_failure(each) for each in result.failed],
                alreadyGone=result.already_gone,
                unknown=[_failure(each) for each in result.unknown],
                jobs=jobs,
                message=_terminated(result),
            )
        )


def _failure(each: control.Failure) -> TerminationFailure:
    return TerminationFailure(recoveryInstanceId=each.recovery_instance_id, code=each.code, message=each.message)


def _terminated(result: control.TerminationResult) -> str:
    """The four outcomes in a sentence; those that are empty are left out."""
    done, waiting, gone = result.taken, len(result.waiting), len(result.already_gone)
    ended = (JobStatus.COMPLETED, JobStatus.REJECTED, JobStatus.WITHDRAWN)
    is_over = all(job.state in ended for job in result.jobs)
    taken = f"{counted(done, 'instance')} {'terminated successfully' if is_over else 'accepted by DRS for termination'}"
    if waiting:
        taken = f"{counted(done, 'instance')} accepted by DRS, {waiting} wait until it takes them"
    said = [taken] if done or waiting or result.failed else []
    said += [f"{gone} already gone"] if gone else []
    said += [f"{len(result.failed)} failed"] if result.failed or waiting else []
    if result.unknown:
        said.append(f"unknown to DRS, may run in EC2: {', '.join(each.name for each in result.unknown)}")
    return ", ".join(said) or "There are no instances to terminate"


def _command(request: Request, execution_id: str) -> dict[str, Any]:
    return {
        "actor": actor_for(request),
        "execution_id": _id(execution_id),
        "comment": read_body(request, CommandIn).get("comment", ""),
    }


def _state(execution: Execution, message: str) -> Response:
    return Response(CommandAnswer(executionId=str(execution.pk), status=execution.status, message=message))


def _id(text: str) -> uuid.UUID:
    return read_id(text, "execution", "executionId")


def _plan_id(text: str) -> uuid.UUID:
    return read_id(text, "recovery plan", "planId")
