"""What the time of a run is spent on, and how that before a launch divides."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import assert_never

from contract.clock import unix
from executions.models import LaunchJob, WaveRun
from executions.states import Phase


class Part(StrEnum):
    """What time was spent on. `quota`: until AWS took the launch (quotas, busy servers, throttling)."""

    PERSON = "person"
    QUOTA = "quota"
    QUEUE = "queue"
    CLEANUP = "cleanup"
    SNAPSHOT = "snapshot"
    CONVERSION = "conversion"
    LAUNCH = "launch"
    OTHER = "other"

    @property
    def words(self) -> str:
        """As a report names it."""
        match self:
            case Part.PERSON:
                return "waiting for a person"
            case Part.QUOTA:
                return "until AWS accepted the launch"
            case Part.QUEUE:
                return "queued at AWS"
            case Part.CLEANUP:
                return "cleaning up earlier instances"
            case Part.SNAPSHOT | Part.CONVERSION | Part.LAUNCH:
                return self.value
            case Part.OTHER:
                return "between waves"
            case _:
                assert_never(self)


def part_of(phase: Phase) -> Part | None:
    """What a server's time is spent on in this phase; None before DRS begins with it and after its end."""
    match phase:
        case Phase.CLEANUP:
            return Part.CLEANUP
        case Phase.SNAPSHOT:
            return Part.SNAPSHOT
        case Phase.CONVERSION:
            return Part.CONVERSION
        case Phase.LAUNCH:
            return Part.LAUNCH
        case Phase.QUEUED | Phase.DONE:
            return None
        case _:
            assert_never(phase)


def decisions(run: WaveRun) -> list[tuple[datetime, datetime]]:
    """From when to when people decided to launch failed servers of the wave again."""
    return [(datetime.fromtimestamp(asked, UTC), datetime.fromtimestamp(at, UTC)) for asked, at in run.retries or ()]


def before(run: WaveRun, jobs: Iterable[LaunchJob], job: LaunchJob, begin: datetime) -> Sequence[tuple[Part, datetime]]:
    """What the time before a launch was spent on. AWS is not to blame for launches before it that failed, and for the
    decision to launch again within the run."""
    sent = [unix(each.intent_at) for each in jobs if each.intent_at]
    if run.attempt == 1 or job.intent_at is None or unix(job.intent_at) == min(sent):
        return [(Part.QUOTA, begin)]
    turns = [(Part.OTHER, begin)]
    for asked, retried in decisions(run):
        if unix(retried) <= unix(job.intent_at):
            turns += [(Part.PERSON, asked), (Part.OTHER, retried)]
    return turns if len(turns) == 1 else [*turns[:-1], (Part.QUOTA, turns[-1][1])]
