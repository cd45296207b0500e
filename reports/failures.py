"""Everything that went wrong in a run, with what it means and what to try."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from contract.codes import Explanation
from executions.codes.explain import explain
from executions.measuring.rta_rpa import WaveRows
from executions.models import Execution
from executions.querysets import is_split
from executions.runs.failures import NO_REASON, Failure, WaveFailures, by_cause, failures_of, named, others
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


@dataclass(frozen=True)
class Cause:
    """One cause for people, whatever number of servers it struck: the document has each of them by itself."""

    where: str
    meaning: str
    advice: str
    text: str
    code: str


def causes(found: Sequence[FailureShape]) -> list[Cause]:
    """What went wrong as the page of the run tells it: what has one cause is told once, with all that it struck."""
    return [_cause(group) for group in by_cause(found, _failure)]


def _cause(group: Sequence[FailureShape]) -> Cause:
    first, struck = group[0], [each["where"] for each in group]
    wave = "" if first["waveNumber"] is None else f"Wave {first['waveNumber'] + 1}, "
    more = f" and {others(struck)} more, listed below" if others(struck) else ""
    of = "" if len(struck) == 1 else f", of {struck[0]}"
    return Cause(
        where=f"{wave}{named(struck)}{more}",
        meaning=first["meaning"],
        advice=first["advice"],
        text=f"In full{of}: {first['text']}",
        code=first["code"] or "",
    )


def _failure(told: FailureShape) -> Failure:
    return Failure(told["waveNumber"], told["where"], told["text"], told["code"] or "")
