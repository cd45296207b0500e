"""A stage on which time stands still between two steps: figures come out to the second, however slow the machine is.

A test that waits in short steps, because its figures are those of polls, looks only where there is something to see: at
the first step after DRS has something new, when a run is due, and every five minutes whatever happens.
"""

import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from drs_simulator.testing import NearSimulator, RunningSimulator
from drs_simulator.world.jobs import Job, job_from_row
from drs_simulator.world.scenario_kinds import Acts
from drs_simulator.world.scenarios import KINDS
from executions.models import Execution
from tests.support.stage import Stage

LOOK_AT_LEAST = timedelta(minutes=5)
# Scenarios that spoil no answer: jobs are made so. How an instance ends after its job, nothing here tells.
MADE_SO = (Acts.CREATION, Acts.SERVER)
TOLD_BY_TIMELINES = {name for name, kind in KINDS.items() if kind.acts in MADE_SO} - {"dies_at_once"}

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
    looked_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    seen: Hashable = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _still.append(self.now.timestamp())

    def clock(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        _still[-1] = self.now.timestamp()

    def look(self, times: int = 3) -> None:
        super().look(times)
        self.looked_at, self.seen = self.now, self._shown()

    def look_again(self) -> None:
        shown = self._shown()
        is_due = Execution.objects.filter(next_step_at__lte=self.now).exists()
        is_late = self.now - self.looked_at >= LOOK_AT_LEAST
        if is_due or is_late or shown is None or shown != self.seen:
            self.look()

    def _shown(self) -> Hashable:
        """What DRS has to tell of jobs and instances; None where it must be asked, because it may answer otherwise."""
        if not isinstance(self.simulator, NearSimulator):
            return None
        store = self.simulator.app.store
        if any(each["name"] not in TOLD_BY_TIMELINES for each in store.rows("SELECT name FROM scenario")):
            return None
        now = store.clock.now()
        jobs = [job_from_row(row) for row in store.rows("SELECT * FROM job ORDER BY seq")]
        alive = "SELECT COUNT(*) FROM instance WHERE appears_at <= ? AND (gone_at IS NULL OR gone_at > ?)"
        return (*(_shown_of(each, now) for each in jobs), store.number(alive, now, now))


def _shown_of(job: Job, now: float) -> Hashable:
    life = job.timeline
    servers = [(each.status(now), each.id_shown_at is not None and each.id_shown_at <= now) for each in life.tracks]
    return (job.visible_at <= now, life.status(now), len(life.events_until(now)), *servers)


@contextmanager
def still_stage(simulator: RunningSimulator) -> Iterator[StillStage]:
    simulator.settings(signature_max_age_seconds=1e9)  # requests are still signed with the real time
    stage = StillStage(simulator)
    try:
        yield stage
    finally:
        _still.clear()
        stage.sweep.close()
