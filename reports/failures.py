"""Everything that went wrong in a run, with what it means and what to try."""

from collections.abc import Sequence
from typing import TypedDict

from executions.codes import explain
from executions.measuring.rta_rpa import WaveRows
from executions.models import Execution
from executions.states import LaunchStatus


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
    found: list[FailureShape] = []
    dry = execution.dry_run
    for wave in waves:
        number, told = wave.run.number, set()
        for server in wave.servers:
            if server.state is LaunchStatus.FAILED:
                text = server.error or "AWS gave no reason."
                found.append(_failure(number, server.hostname, wave.run.error_code, text, server.error, rehearsed=dry))
                told.add(server.error)
        if (
            wave.run.error_message
            and not told & {wave.run.error_message}
            and wave.run.error_code != "SERVER_LAUNCH_FAILED"
        ):
            text = wave.run.error_message
            found.append(_failure(number, wave.run.name, wave.run.error_code, text, text, rehearsed=dry))
    if execution.error_code == "PAUSE_EXPIRED":
        found.append(
            FailureShape(
                waveNumber=None,
                where="The run",
                code=execution.error_code,
                text=execution.error_message,
                meaning="Nobody resumed the run for a year.",
                advice="Start the plan again.",
            )
        )
    return found


def _failure(wave: int, where: str, code: str, text: str, told: str, *, rehearsed: bool) -> FailureShape:
    meaning, advice = explain(told, code)
    if rehearsed:  # nobody asked AWS: the text is our own
        meaning, advice = "It would not launch.", "Correct this before the plan is needed, then rehearse it again."
    return FailureShape(waveNumber=wave, where=where, code=code or None, text=text, meaning=meaning, advice=advice)
