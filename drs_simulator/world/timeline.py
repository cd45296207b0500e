"""The life of a job as a pure function of time: a spec gives a timeline, a timeline and a moment give the rows.

All times are virtual seconds. Nothing here keeps state or draws unseeded random numbers.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from mypy_boto3_drs.literals import InitiatedByType, JobLogEventType, JobStatusType, LaunchStatusType


class Fate(StrEnum):
    """What becomes of one server in a job."""

    LAUNCHED = "launched"
    LAUNCH_FAILED = "launch_failed"
    CONVERSION_FAILED = "conversion_failed"
    SNAPSHOT_FAILED = "snapshot_failed"
    SKIPPED = "skipped"
    TEMPLATE_GONE = "template_gone"
    NETWORK_FAILED = "network_failed"
    CLEANUP_FAILED = "cleanup_failed"
    NEVER_SETTLES = "never_settles"
    TERMINATED = "terminated"
    TERMINATE_FAILED = "terminate_failed"


class Snapshot(StrEnum):
    """Which data a launch uses."""

    TAKEN = "taken"
    PREVIOUS = "previous"
    CHOSEN = "chosen"


@dataclass(frozen=True)
class ServerPlan:
    """What will happen to one server. `instance_id` is the instance launched, or the one to terminate."""

    server_id: str
    instance_id: str
    fate: Fate
    snapshot: Snapshot = Snapshot.TAKEN
    replaces: str = ""
    slow: float = 1.0
    raw_error: str = ""
    # The job shows the instance id so many seconds after LAUNCHED; negative: never.
    id_delay: float | None = None
    # How many attempts to convert fail, of how many; all of them: so does the server.
    conversions_failed: int = 0
    conversions: int = 3
    keeps_replaced: bool = False  # the instance that it replaces cannot be ended
    end_state: str = ""  # of its instance in EC2, so many seconds after LAUNCHED
    end_delay: float = 0.0


@dataclass(frozen=True)
class JobSpec:
    """Everything that decides a job's life; stored once, never changed."""

    id: str
    initiated_by: InitiatedByType
    created: float
    servers: tuple[ServerPlan, ...]
    launch_end_event: bool = False
    steady: bool = False

    @property
    def terminates(self) -> bool:
        return self.initiated_by == "TERMINATE_RECOVERY_INSTANCES"


class Event(NamedTuple):
    """One log item; `server` indexes JobSpec.servers, -1 for the job itself. `attempt` is 0 where none is told."""

    at: float
    name: JobLogEventType
    server: int
    attempt: int = 0


class Change(NamedTuple):
    at: float
    status: LaunchStatusType


@dataclass(frozen=True)
class Track:
    """One server's way through a job. Times are None for what does not happen."""

    events: tuple[Event, ...]
    changes: tuple[Change, ...]
    settled_at: float
    launched_at: float | None = None
    id_shown_at: float | None = None

    def time_of(self, name: str) -> float | None:
        return next((event.at for event in self.events if event.name == name), None)

    def status(self, now: float) -> LaunchStatusType:
        index = bisect_right(self.changes, now, key=lambda change: change.at)
        return self.changes[index - 1].status if index else "PENDING"


@dataclass(frozen=True)
class Timeline:
    spec: JobSpec
    started_at: float
    ended_at: float
    events: tuple[Event, ...]
    tracks: tuple[Track, ...]

    def status(self, now: float) -> JobStatusType:
        if now < self.started_at:
            return "PENDING"
        return "STARTED" if now < self.ended_at else "COMPLETED"

    def events_until(self, now: float) -> tuple[Event, ...]:
        return self.events[: bisect_right(self.events, now, key=lambda event: event.at)]


class Step(NamedTuple):
    """After `wait` seconds (drawn from the range) log `event` and set `status`."""

    wait: tuple[float, float]
    event: str = ""
    status: str = ""
    attempt: int = 0


# Seconds. Together a server takes 6 to 11 minutes at speed 1.
QUICK = (1.0, 4.0)
START = (5.0, 15.0)
CLEANUP = (40.0, 70.0)
SNAPSHOT = (110.0, 190.0)
CONVERSION = (250.0, 390.0)
LAUNCH = (15.0, 40.0)
TERMINATE = (60.0, 150.0)
END = (5.0, 10.0)
SHOW_ID = (0.0, 4.0)  # less than END: the id is normally there before the job ends

_SNAPSHOT_STEPS = {
    Snapshot.TAKEN: [Step(QUICK, "SNAPSHOT_START"), Step(SNAPSHOT, "SNAPSHOT_END")],
    Snapshot.PREVIOUS: [
        Step(QUICK, "SNAPSHOT_START"),
        Step(SNAPSHOT, "SNAPSHOT_FAIL"),
        Step(QUICK, "USING_PREVIOUS_SNAPSHOT"),
    ],
    Snapshot.CHOSEN: [],
}


_FAILING_EARLY = {
    Fate.CLEANUP_FAILED: [Step(QUICK, status="FAILED")],
    Fate.TEMPLATE_GONE: [
        Step(QUICK, "UPDATE_LAUNCH_TEMPLATE_START"),
        Step(QUICK, "UPDATE_LAUNCH_TEMPLATE_FAILED", "FAILED"),
    ],
    Fate.NETWORK_FAILED: [Step(LAUNCH, "NETWORK_RECOVERY_FAIL", "FAILED")],
}
OF_THE_JOB = frozenset({"NETWORK_RECOVERY_FAIL"})  # events that name no server


def _steps(plan: ServerPlan, launch_end_event: bool) -> Iterator[Step]:
    """The script of one server."""
    if plan.fate is Fate.SKIPPED:
        yield Step(QUICK, "SERVER_SKIPPED", "FAILED")
        return
    if plan.fate in (Fate.TERMINATED, Fate.TERMINATE_FAILED):
        yield Step(QUICK, "CLEANUP_START")
        failed = plan.fate is Fate.TERMINATE_FAILED
        yield Step(TERMINATE, *(("CLEANUP_FAIL", "FAILED") if failed else ("CLEANUP_END", "TERMINATED")))
        return
    if plan.replaces:
        yield Step(QUICK, "CLEANUP_START")
        yield Step(CLEANUP, "CLEANUP_FAIL" if plan.keeps_replaced else "CLEANUP_END")
    if plan.fate in _FAILING_EARLY:
        yield from _FAILING_EARLY[plan.fate]
        return
    if plan.fate is Fate.SNAPSHOT_FAILED:
        yield from (Step(QUICK, "SNAPSHOT_START"), Step(SNAPSHOT, "SNAPSHOT_FAIL"))
        yield Step(QUICK, "USING_PREVIOUS_SNAPSHOT_FAILED", "FAILED")
        return
    yield from _SNAPSHOT_STEPS[plan.snapshot]
    for attempt in range(1, plan.conversions_failed + 1):
        yield Step(QUICK, "CONVERSION_START", attempt=attempt)
        is_last = attempt == plan.conversions
        yield Step(CONVERSION, "CONVERSION_FAIL", "FAILED" if is_last else "", attempt)
        if is_last:
            return
    yield Step(QUICK, "CONVERSION_START", attempt=plan.conversions_failed and plan.conversions_failed + 1)
    if plan.fate is Fate.CONVERSION_FAILED:
        yield Step(CONVERSION, "CONVERSION_FAIL", "FAILED")
        return
    yield from (Step(CONVERSION, "CONVERSION_END"), Step(QUICK))
    yield from _launch_steps(plan.fate, launch_end_event)


def _launch_steps(fate: Fate, launch_end_event: bool) -> Iterator[Step]:
    if fate is Fate.NEVER_SETTLES:
        yield Step(QUICK, "LAUNCH_START")
        return
    yield Step(QUICK, "LAUNCH_START", "IN_PROGRESS")
    if fate is Fate.LAUNCH_FAILED:
        yield Step(LAUNCH, "LAUNCH_FAILED", "FAILED")
    else:
        yield Step(LAUNCH, "LAUNCH_END" if launch_end_event else "", "LAUNCHED")


def _random_seconds(dice: random.Random, span: tuple[float, float], *, steady: bool) -> float:
    """A wait from its range; of a steady job always the middle, so that a person can work out the whole."""
    return sum(span) / 2 if steady else dice.uniform(*span)


def _track(spec: JobSpec, index: int, started_at: float) -> Track:
    plan = spec.servers[index]
    dice = random.Random(f"{spec.id}:{plan.server_id}")
    at, launched_at, shown_at = started_at, None, None
    events: list[Event] = []
    changes: list[Change] = []
    for step in _steps(plan, spec.launch_end_event):
        at += _random_seconds(dice, step.wait, steady=spec.steady) * plan.slow
        if step.event:
            # LAUNCH_END is not in the published enum; the scenario that sends it wants exactly that.
            of = -1 if step.event in OF_THE_JOB else index
            events.append(Event(at, cast("JobLogEventType", step.event), of, step.attempt))
        if step.status:
            changes.append(Change(at, cast("LaunchStatusType", step.status)))
        if step.status == "LAUNCHED":
            launched_at = at
            delay = dice.uniform(*SHOW_ID) if plan.id_delay is None else plan.id_delay
            shown_at = at + delay if delay >= 0 else None
    return Track(tuple(events), tuple(changes), at, launched_at, shown_at)


def timeline(spec: JobSpec) -> Timeline:
    """The whole life of a job in virtual seconds; the same spec always gives the same life."""
    dice = random.Random(spec.id)
    started_at = spec.created + _random_seconds(dice, START, steady=spec.steady)
    tracks = tuple(_track(spec, index, started_at) for index in range(len(spec.servers)))
    ended_at = max(track.settled_at for track in tracks) + _random_seconds(dice, END, steady=spec.steady)
    middle = sorted(event for track in tracks for event in track.events)
    events = (Event(started_at, "JOB_START", -1), *middle, Event(ended_at, "JOB_END", -1))
    return Timeline(spec, started_at, ended_at, events, tracks)


def hex_id(prefix: str, *parts: object) -> str:
    """A stable id in the style of real ones: the prefix, a 3 and 16 hexadecimal digits."""
    return f"{prefix}3{sha256(':'.join(map(str, parts)).encode()).hexdigest()[:16]}"
