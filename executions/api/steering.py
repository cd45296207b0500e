"""Steering single waves and servers of a run over HTTP. Waves are numbered from 0, as in every answer."""

import uuid

from rest_framework.request import Request
from rest_framework.response import Response

from audit.request_actor import actor_for
from contract.errors import NotFound
from contract.plurals import counted
from contract.rest.schema import describes
from contract.rest.serializers import SERVER_IDS, OneOf, StrictSerializer, Text, Texts, read_body
from contract.rest.views import read_id
from contract.rights import AnyOf
from executions.api.representation import CommandAnswer
from executions.api.views import STEERING, CommandIn, RunCommand
from executions.codes.ours import Code
from executions.commands import steering
from executions.models import Execution
from executions.runs.allowed.actions import Verb
from executions.states import Dependents

STEERERS = AnyOf("steer runs", STEERING)
REFUSALS = ("FORBIDDEN", "NOT_FOUND", Code.WAVE_HAS_BEGUN)


class ReasonIn(StrictSerializer):
    """Why; it is kept in the journal, on the page and in the report."""

    reason = Text(described={"minLength": 1, "maxLength": 512})


class SkipIn(ReasonIn):
    """What becomes of the waves that depend on it: SKIP, unless RUN is asked for."""

    dependents = OneOf(choices=list(Dependents), required=False)


class RetryWaveIn(CommandIn):
    """Without `serverIds` all servers of the wave that failed are launched again."""

    serverIds = Texts(required=False, described=SERVER_IDS)


class SkipWave(RunCommand):
    """Skip a wave that has not begun."""

    rights = {"POST": STEERERS}
    verb = Verb.STEER

    @describes(
        "skipWave",
        "Skip a wave that has not begun, and the waves that depend on it unless they are to run all the same",
        answers={200: CommandAnswer},
        body=SkipIn,
        refusals=REFUSALS,
    )
    def post(self, request: Request, execution_id: str, wave: str) -> Response:
        given, number = read_body(request, SkipIn), _wave(wave)
        dependents = Dependents(given.get("dependents", Dependents.SKIP))
        execution = steering.skip_wave(
            actor=actor_for(request),
            execution_id=_id(execution_id),
            wave=number,
            reason=given["reason"],
            dependents=dependents,
        )
        return _answer(execution, f"Wave {number + 1} is skipped")


class RetryWave(RunCommand):
    """Launch the failed servers of a wave again, in the same run."""

    rights = {"POST": STEERERS}
    verb = Verb.STEER

    @describes(
        "retryWave",
        "Launch failed servers again in a run that is paused after the wave's failure",
        answers={200: CommandAnswer},
        body=RetryWaveIn,
        refusals=("FORBIDDEN", "NOT_FOUND", Code.WAVE_NOT_RETRYABLE),
    )
    def post(self, request: Request, execution_id: str, wave: str) -> Response:
        given, number = read_body(request, RetryWaveIn), _wave(wave)
        execution = steering.retry_wave(
            actor=actor_for(request),
            execution_id=_id(execution_id),
            wave=number,
            server_ids=given.get("serverIds"),
            comment=given.get("comment", ""),
        )
        again = execution.waves.get(number=number).servers.filter(launch_status="PENDING", excluded__isnull=True)
        return _answer(execution, f"{counted(again.count(), 'server')} of wave {number + 1} will be launched again")


class StartWaveNow(RunCommand):
    """End the wait before a wave."""

    rights = {"POST": STEERERS}
    verb = Verb.STEER

    @describes(
        "startWaveNow",
        "End the wait before a wave",
        answers={200: CommandAnswer},
        body=CommandIn,
        refusals=(*REFUSALS, Code.WAVE_NOT_WAITING),
    )
    def post(self, request: Request, execution_id: str, wave: str) -> Response:
        given, number = read_body(request, CommandIn), _wave(wave)
        execution = steering.start_wave_now(
            actor=actor_for(request),
            execution_id=_id(execution_id),
            wave=number,
            comment=given.get("comment", ""),
        )
        return _answer(execution, f"The wait before wave {number + 1} is over")


class ExcludeServer(RunCommand):
    """Leave a server of a wave that has not begun out of the run."""

    rights = {"POST": STEERERS}
    verb = Verb.STEER

    @describes(
        "excludeServer",
        "Have a server of a wave that has not begun never be launched by this run",
        answers={200: CommandAnswer},
        body=ReasonIn,
        refusals=(*REFUSALS, Code.SERVER_NOT_EXCLUDABLE),
    )
    def post(self, request: Request, execution_id: str, server: str) -> Response:
        execution = steering.exclude_server(
            actor=actor_for(request),
            execution_id=_id(execution_id),
            source_server_id=server,
            reason=read_body(request, ReasonIn)["reason"],
        )
        return _answer(execution, f"{server} is left out")


def _answer(execution: Execution, message: str) -> Response:
    return Response(CommandAnswer(executionId=str(execution.pk), status=execution.status, message=message))


def _id(text: str) -> uuid.UUID:
    return read_id(text, "execution", "executionId")


def _wave(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise NotFound("There is no such wave; waves are numbered from 0.", details={"waveNumber": text[:64]})
    return int(text)
