"""The rows of a run as `decide` sees them, and what it may decide: the one next thing to do."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from executions.runs.current_wave import current_wave
from executions.states import ExecutionStatus, JobStatus, LaunchStatus, WaveStatus
from plans.models import OnFailure

PAUSE_LIMIT = timedelta(seconds=31_536_000)  # one year


@dataclass(frozen=True)
class JobView:
    """One StartRecovery of the current wave. `seen_at` is when DRS last told us of it."""

    key: uuid.UUID
    status: JobStatus
    attempt: int = 0
    intent_at: datetime | None = None
    not_before: datetime | None = None
    seen_at: datetime | None = None
    completed_seen_at: datetime | None = None
    instances_seen_at: datetime | None = None  # when DRS, after the job's end, last said which instances there are
    error_code: str = ""
    error_message: str = ""
    place: tuple[str, str] = ("", "")  # account, region


@dataclass(frozen=True)
class UnprovenView:
    """A server that launched, and is not up yet as its wave asks for. `seen_at` is when DRS last told us of its job,
    and EC2 was asked as well; `told` is whether EC2 says anything of it."""

    launched_at: datetime
    seen_at: datetime
    told: bool
    ended_seen_at: datetime | None = None  # when the job was first seen to have ended
    watched: bool = True

    def is_overdue(self, limit: timedelta) -> bool:
        """Whether it was looked at after its time and was not up. Where EC2 does not say, that is after twice the time
        for which somebody has looked."""
        if not self.watched:
            return True
        if self.told:
            return self.seen_at > self.launched_at + limit
        since = self.ended_seen_at and max(self.launched_at, self.ended_seen_at)
        return since is not None and self.seen_at > since + 2 * limit


@dataclass(frozen=True)
class WaveView:
    """One wave. `jobs`, `servers` and `optional` are filled for the current wave only; servers of withdrawn jobs, and
    those that a person has excluded, are left out."""

    number: int
    status: WaveStatus
    pause_before: bool = False
    pause_limit: timedelta = PAUSE_LIMIT  # after which nobody is waited for any more
    paused_at: datetime | None = None
    resumed: bool = False
    wait: timedelta = timedelta()  # before it is launched
    starts_at: datetime | None = None  # when that is over
    asked_at: datetime | None = None  # since when a person is asked how to go on after its failure
    answered: bool = False
    runs_dependents: bool = False  # whoever skipped it has its dependents run all the same
    left_out: bool = False  # skipped by a person, or because one it depends on was
    depends_on: tuple[int, ...] = ()
    on_failure: OnFailure = OnFailure.STOP
    deadline_at: datetime | None = None
    jobs: tuple[JobView, ...] = ()
    servers: tuple[LaunchStatus, ...] = ()
    optional: tuple[LaunchStatus, ...] = ()  # of servers whose failure does not fail it
    unproven: tuple["UnprovenView", ...] = ()  # of launched servers that are not up yet as it asks for
    asks_for_more: bool = False  # of its servers than that they launched
    check_limit: timedelta = timedelta(minutes=15)  # from the launch until they must be

    @property
    def state(self) -> WaveStatus:
        """Its status, as rows call it."""
        return self.status

    @property
    def needs_answer(self) -> bool:
        """Whether it failed, and a person has to say how the run goes on."""
        return self.status is WaveStatus.FAILED and self.on_failure.asks_a_person and not self.answered


@dataclass(frozen=True)
class RunView:
    """A run as far as decisions need it."""

    status: ExecutionStatus
    waves: tuple[WaveView, ...]
    cancelled: bool = False
    pause_requested: bool = False
    any_launched: bool = False
    left_out: bool = False  # a retry that launches not all that is left
    restored: bool = False  # from a backup, and no person has looked at it yet
    unconfirmed_launches: bool = False  # and what it launched since that backup was not looked for yet

    @property
    def current(self) -> WaveView | None:
        """The wave in progress or next to run."""
        return current_wave(self.waves)


@dataclass(frozen=True)
class Following:
    """The wave that comes behind another one, None when none does; the numbers of those that are skipped before it, or
    instead of it; and whether a person is asked first how to go on."""

    next: WaveView | None = None
    skipped: tuple[int, ...] = ()
    asks: bool = False


# Decisions


@dataclass(frozen=True)
class Launch:
    """Send this job, after recording the intent to."""

    wave: int
    job: uuid.UUID


@dataclass(frozen=True)
class Reconcile:
    """A launch was intended and its outcome is unknown: look for it at DRS."""

    wave: int
    job: uuid.UUID


@dataclass(frozen=True)
class FindLaunches:
    """The rows come from a backup: look at DRS for launches that they do not know, in every wave."""


@dataclass(frozen=True)
class Withdraw:
    """Jobs not yet sent are no longer wanted."""

    wave: int
    jobs: tuple[uuid.UUID, ...]


@dataclass(frozen=True)
class GiveUpUnsettled:
    """DRS ended the jobs but left server rows open: count those as failed."""

    wave: int


@dataclass(frozen=True)
class GiveUpUnproven:
    """Servers launched, and were not up in time as the wave asks for: count those as failed."""

    wave: int


@dataclass(frozen=True)
class SettleWave:
    """The wave is over."""

    wave: int
    status: WaveStatus
    code: str = ""
    message: str = ""


@dataclass(frozen=True)
class Pause:
    """Wait for a person before this wave."""

    wave: int


@dataclass(frozen=True)
class PauseAfter:
    """This wave failed: wait for a person to say how the run goes on."""

    wave: int


@dataclass(frozen=True)
class StartWait:
    """The time that the plan leaves before this wave begins to run."""

    wave: int
    until: datetime


@dataclass(frozen=True)
class ExpirePause:
    """Nobody came for a year, or in the time that the gate gives them."""

    wave: int


@dataclass(frozen=True)
class ExpirePauseAfter:
    """Nobody came for a year after this wave had failed."""

    wave: int


@dataclass(frozen=True)
class Skip:
    """These waves will not run."""

    waves: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Finish:
    """The run is over."""

    status: ExecutionStatus


@dataclass(frozen=True)
class Wait:
    """Nothing to do before `until`; where a job is open, the sweep asks DRS then."""

    until: datetime


Decision = (
    Launch
    | Reconcile
    | FindLaunches
    | Withdraw
    | GiveUpUnsettled
    | GiveUpUnproven
    | SettleWave
    | Pause
    | PauseAfter
    | StartWait
    | ExpirePause
    | ExpirePauseAfter
    | Skip
    | Finish
    | Wait
)
