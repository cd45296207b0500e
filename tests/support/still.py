"""A stage on which time stands still between two steps: figures come out to the second, however slow the machine is."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from drs_simulator.testing import RunningSimulator
from tests.support.stage import Stage

_still: list[float] = []


def simulator_clock() -> float:
    """The simulator's wall clock: the machine's, or a still stage's."""
    return _still[-1] if _still else time.time()


def _next_whole_minute() -> datetime:
    """A minute ahead, because the simulator's clock never runs backwards."""
    return datetime.fromtimestamp((time.time() // 60 + 2) * 60, UTC)


@dataclass
class StillStage(Stage):
    """Only `advance` moves its clock, which DRS shares; it begins on a whole minute."""

    now: datetime = field(default_factory=_next_whole_minute)

    def __post_init__(self) -> None:
        super().__post_init__()
        _still.append(self.now.timestamp())

    def clock(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        _still[-1] = self.now.timestamp()


@contextmanager
def still_stage(simulator: RunningSimulator) -> Iterator[StillStage]:
    simulator.settings(signature_max_age_seconds=1e9)  # requests are still signed with the real time
    stage = StillStage(simulator)
    try:
        yield stage
    finally:
        _still.clear()
        stage.sweep.close()
