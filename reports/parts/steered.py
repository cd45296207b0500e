"""What people did to single waves and servers of a run, as the report has it."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from contract.clock import unix
from executions.models import JobEvent


class EventShape(TypedDict):
    time: int
    event: str


class LeftOutShape(TypedDict):
    """Who skipped a wave or left a server out, when, and why."""

    by: str
    time: int
    reason: str


class EarlierLaunchShape(TypedDict):
    """A launch of a server before its wave was retried within the run, and what its log said of the server."""

    launchId: str
    events: list[EventShape]


def left_out(kept: Mapping[str, Any] | None) -> LeftOutShape | None:
    """The same as the row keeps it, or none."""
    return None if kept is None else LeftOutShape(by=kept["by"], time=kept["time"], reason=kept["reason"])


def why_left_out(kept: Mapping[str, Any] | None) -> str | None:
    """The same in a sentence, where a server that was launched has its error."""
    return None if kept is None else f"Left out by {kept['by']}: {kept['reason']}"


def earlier_launches(events: Sequence[JobEvent]) -> list[EarlierLaunchShape]:
    """What the logs of a server's launches before the last one said."""
    by_launch: dict[str, list[EventShape]] = {}
    for event in events:
        by_launch.setdefault(str(event.job_id), []).append(EventShape(time=unix(event.at), event=event.event))
    return [EarlierLaunchShape(launchId=key, events=lines) for key, lines in by_launch.items()]
