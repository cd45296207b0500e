"""Everything that went wrong in a run, with what it means and what to try."""

from collections.abc import Sequence
from typing import TypedDict

from contract.codes import Explanation
from executions.codes.explain import explain
from executions.measuring.rta_rpa import WaveRows
from executions.models import Execution
from executions.querysets import is_split
from executions.runs.failures import NO_REASON, Failure, WaveFailures, failures_of
from executions.states import LaunchStatus

# Of a server that a dry run has looked at: nobody asked AWS to launch it, and the text is our own.
REHEARSED = Explanation("It would not launch.", "Correct this before the plan is needed, then rehearse it again.")


class FailureShape(TypedDict):
    """Something that went wrong: AWS's own text, what it means and what to try."""

    waveNumber: int | None
    where: str
    code: str | None
    text: str
    meaning: str
    advice: str


def failures(execution: Execution, waves: Sequence[WaveRows]) -> list[FailureShape]:
    """Everything that went wrong, wave by wave, server by server."""
    rows = [
        WaveFailures(
            wave.run,
            [job for job in wave.jobs if not is_split(job)],
            [server for server in wave.servers if server.state is LaunchStatus.FAILED],
        )
        for wave in waves
    ]
    return [_shown(each, rehearsed=execution.dry_run) for each in failures_of(execution, rows)]


def _shown(failure: Failure, *, rehearsed: bool) -> FailureShape:
    reason = REHEARSED if rehearsed else explain(failure.text, failure.code)
    return FailureShape(
        waveNumber=failure.wave,
        where=failure.what,
        code=failure.code or None,
        text=failure.text or NO_REASON,
        meaning=reason.meaning,
        advice=reason.advice,
    )
