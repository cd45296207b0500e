"""Runs over HTTP: start, follow, steer, clean up."""

import uuid
from typing import Any, ClassVar

from django.db.models import Q
from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.clock import db_clock
from contract.errors import Invalid
from contract.plurals import counted
from contract.rest import paging
from contract.rest.answers.unchanged import is_known
from contract.rest.schema import DRS, IDEMPOTENCY_KEY, describes
from contract.rest.serializers import (
    LIMIT,
    PLAN_ID,
    TOKEN,
    AccountId,
    NothingIn,
    OneOf,
    StrictSerializer,
    Text,
    read_body,
    read_query,
)
from contract.rest.views import ApiView, read_id
from contract.rights import AnyOf, Shows
from executions.api.representation import (
    BulkDeleted,
    CommandAnswer,
    ExecutionsAnswer,
    ExecutionShape,
    ExecutionStarted,
    KeptShape,
    TerminationAnswer,
    TerminationFailure,
    show_execution,
    show_job,
)
from executions.api.start import START_REFUSALS, ExecutionIn, plan_id_of, start_run
from executions.api.unchanged_run import COLUMNS, show_list, tag_of_run
from executions.codes.ours import Code
from executions.commands import control
from executions.commands.abandon import abandon
from executions.commands.hide_finished import HIDE
from executions.models import Execution
from executions.runs.allowed.actions import CONTROL, Verb, right_to_start
from executions.states import ExecutionStatus, JobStatus, Kind

KINDS = [kind.value for kind in Kind]
STATUSES = [status.value for status in ExecutionStatus]
STEERING = (CONTROL, right_to_start(Kind.RECOVERY)[0])


class RunCommand(ApiView):
    """Something that a person does with the run that the address names: their right to do it with a run of its kind is
    asked before a byte of the body is read."""

    verb: ClassVar[Verb]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method in self.rights:
            control.require(actor_for(request), self.verb, _id(kwargs["execution_id"]))


class CommandIn(StrictSerializer):
    """What may be said to a command."""

    comment = Text(required=False, max_length=control.COMMENT_MAX)


CANCEL: dict[str, Any] = {
    "answers": {200: CommandAnswer},
    "refusals": ("FORBIDDEN", "NOT_FOUND", Code.EXECUTION_NOT_CANCELLABLE),
}


RUN_NUMBER_MAX = 2_147_483_647  # as both databases count them
RUN_NUMBER = {
    "type": "integer",
    "minimum": 1,
    "maximum": RUN_NUMBER_MAX,
    "description": "What people call a run: the one run that has this number, hidden or not.",
}


class ExecutionQuery(StrictSerializer):
    planId = Text(required=False, described=PLAN_ID)
    status = OneOf(choices=STATUSES, required=False)
    executionType = OneOf(choices=KINDS, required=False)
    dryRun = OneOf(choices=["true", "false"], required=False)
    hidden = OneOf(choices=["true", "false"], required=False)
    runNumber = Text(required=False, described=RUN_NUMBER)
    accountId = AccountId()
    limit = Text(required=False, described=LIMIT)
    nextToken = Text(required=False, described=TOKEN)


class ExecutionList(ApiView):
    """The history, newest first; new runs; and clearing it."""

    shows = Shows.WHAT_ONE_SEES
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
        actor = actor_for(request)
        found, token = paging.page(
            filtered(asked).seen_by(actor.sees).only(*COLUMNS),
            time="started_at",
            limit=paging.read_limit(asked.get("limit")),
            token=asked.get("nextToken"),
        )
        return Response(ExecutionsAnswer(items=show_list(found, actor, db_clock()), nextToken=token))

    @describes(
        "startExecution",
        "Start a drill or a recovery",
        answers={202: ExecutionStarted},
        body=ExecutionIn,
        headers=[IDEMPOTENCY_KEY],
        refusals=START_REFUSALS,
    )
    def post(self, request: Request) -> Response:
        return start_run(request, read_body(request, ExecutionIn))

    @describes(
        "deleteFinishedExecutions",
        "Hide every finished run without running instances or outstanding AWS answers; nothing is deleted",
        answers={200: BulkDeleted},
        body=NothingIn,
        refusals=["FORBIDDEN"],
    )
    def delete(self, request: Request) -> Response:
        read_body(request, NothingIn)  # whoever names some runs does not mean every one
        done = control.hide_finished(actor=actor_for(request))
        kept = [KeptShape(executionId=str(each.execution_id), reason=each.reason) for each in done.kept]
        return Response(BulkDeleted(deletedCount=done.hidden, totalScanned=done.scanned, kept=kept))


def filtered(asked: dict[str, Any]) -> Any:
    runs = Execution.objects.hidden() if asked.get("hidden") == "true" else Execution.objects.shown()
    if "runNumber" in asked:
        runs = runs if "hidden" in asked else Execution.objects.all()
        runs = runs.filter(number=_run_number(asked["runNumber"]))
    if "planId" in asked:
        plan_id = plan_id_of(asked["planId"])
        runs = runs.filter(Q(plan=plan_id) | Q(plan=None, plan_copy__planId=str(plan_id)))  # its history outlives it
    if "status" in asked:
        runs = runs.filter(status=asked["status"])
    if "executionType" in asked:
        runs = runs.filter(kind=asked["executionType"])
    if "dryRun" in asked:
        runs = runs.filter(dry_run=asked["dryRun"] == "true")
    if asked.get("accountId"):
        runs = runs.in_account(asked["accountId"])
    return runs


def _run_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= RUN_NUMBER_MAX):
        raise Invalid({"runNumber": [f"Use a whole number from 1 to {RUN_NUMBER_MAX:,}."]})
    return int(text)


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


class Cancel(RunCommand):
    """Stop a run: at once where nothing is under way, else after the wave that runs."""

    rights = {"POST": AnyOf("cancel runs", (CONTROL,))}
    verb = Verb.CANCEL

    @describes("cancelExecution", "Cancel a run", body=CommandIn, **CANCEL)
    def post(self, request: Request, execution_id: str) -> Response:
        return _cancel(request, execution_id)


def _cancel(request: Request, execution_id: str) -> Response:
    execution = control.cancel(**_command(request, execution_id))
    if execution.state is ExecutionStatus.CANCELLING:
        return _state(execution, "Cancelling: the wave that runs ends first, later waves are skipped")
    return _state(execution, "Execution cancelled")


class Abandon(RunCommand):
    """The way out of a run whose region of AWS stays silent."""

    rights = {"POST": AnyOf("give up on AWS's answer", (CONTROL,))}
    verb = Verb.ABANDON

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


class Pause(RunCommand):
    """Have a run pause before its next wave; a recovery by whoever may start one."""

    rights = {"POST": AnyOf("pause runs", STEERING)}
    verb = Verb.PAUSE

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


class Terminate(RunCommand):
    """Terminate the instances that a finished run launched."""

    rights = {
        "POST": AnyOf("terminate instances", ("executions.terminate_drill", "executions.terminate_recovery")),
    }
    verb = Verb.TERMINATE

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
        jobs = [show_job(job, job.status) for job in result.jobs]
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
    done, waiting, unclear = result.taken, len(result.waiting), len(result.unconfirmed)
    gone, is_open = len(result.already_gone), bool(result.waiting or result.unconfirmed)
    ended = (JobStatus.COMPLETED, JobStatus.REJECTED, JobStatus.WITHDRAWN)
    is_over = all(job.state in ended for job in result.jobs)
    taken = f"{counted(done, 'instance')} {'terminated successfully' if is_over else 'accepted by DRS for termination'}"
    if is_open:
        taken = f"{counted(done, 'instance')} accepted by DRS"
    counts = (
        (waiting, f"{waiting} wait until it takes them"),
        (unclear, f"{unclear} asked for, without a clear answer from DRS yet, which is being looked up"),
        (gone, f"{gone} already gone"),
        (result.failed or is_open, f"{len(result.failed)} failed"),
    )
    said = [taken] if done or is_open or result.failed else []
    said += [text for count, text in counts if count]
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
