"""What a screen reader is told of a run: a sentence a line. console.js says those that the page did not have before."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from executions.states import ExecutionStatus, TerminationStatus

if TYPE_CHECKING:
    from executions.console.live_page.page_content import Live

NEWEST = 2  # the wave at hand and the one before it: what was long said is not sent with every poll
ADVANCING = (ExecutionStatus.RUNNING, ExecutionStatus.POLLING, ExecutionStatus.LAUNCHING)


def announcement(live: "Live") -> str:
    """Neither counts nor the phases of a launch: those would be said again with every server."""
    return "\n".join(_sentences(live))


def _sentences(live: "Live") -> Iterator[str]:
    state = ExecutionStatus.RUNNING if live.state in ADVANCING else live.state
    yield f"{live.execution.purpose.label} of {live.execution.plan_name}: {state.label}."
    if live.execution.pause_requested_at and not live.state.is_final:
        yield "It pauses before the next wave."
    for wave in [each for each in live.waves if each.has_begun or each.is_waiting][-NEWEST:]:
        title = f"Wave {wave.number}, {wave.run.name}"
        yield f"{title}: {'under way' if wave.run.state.has_begun else wave.run.state.label}."
        if wave.failed:
            yield f"{title}: a server {'would fail' if wave.is_dry_run else 'failed'}."
    if live.trouble:
        yield live.trouble
    if live.state.is_final and live.cleanup is not TerminationStatus.NOT_STARTED:
        yield f"Its instances: {live.cleanup.label}."
    if live.left_by_cleanup:
        yield live.left_by_cleanup
