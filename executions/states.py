"""Every status of a run, declared once, and how they roll up. No Django, no I/O."""

from collections.abc import Iterable
from enum import Enum, StrEnum
from typing import assert_never

from contract.status import Status, Tone


class ExecutionStatus(Status):
    """Where a run is."""

    PENDING = "PENDING", "Pending", Tone.NEUTRAL
    RUNNING = "RUNNING", "Running", Tone.PROGRESS
    POLLING = "POLLING", "Polling", Tone.PROGRESS
    LAUNCHING = "LAUNCHING", "Launching", Tone.PROGRESS
    PAUSED = "PAUSED", "Paused", Tone.ATTENTION
    CANCELLING = "CANCELLING", "Cancelling", Tone.PROGRESS
    COMPLETED = "COMPLETED", "Completed", Tone.SUCCESS
    PARTIAL = "PARTIAL", "Partial", Tone.PARTIAL
    FAILED = "FAILED", "Failed", Tone.DANGER
    CANCELLED = "CANCELLED", "Cancelled", Tone.NEUTRAL

    @property
    def is_final(self) -> bool:
        return self in FINAL

    @property
    def fell_short(self) -> bool:
        """Whether it ended with less than it was started for, and nobody wanted that: it can be tried again."""
        match self:
            case ExecutionStatus.PARTIAL | ExecutionStatus.FAILED:
                return True
            case (
                ExecutionStatus.PENDING
                | ExecutionStatus.RUNNING
                | ExecutionStatus.POLLING
                | ExecutionStatus.LAUNCHING
                | ExecutionStatus.PAUSED
                | ExecutionStatus.CANCELLING
                | ExecutionStatus.COMPLETED
                | ExecutionStatus.CANCELLED
            ):
                return False
            case _:
                assert_never(self)

    @property
    def moved_by(self) -> "MovedBy":
        """Who advances a run in it."""
        match self:
            case ExecutionStatus.PENDING | ExecutionStatus.RUNNING:
                return MovedBy.STEP
            case (
                ExecutionStatus.POLLING
                | ExecutionStatus.LAUNCHING
                | ExecutionStatus.PAUSED
                | ExecutionStatus.CANCELLING
            ):
                return MovedBy.SWEEP
            case (
                ExecutionStatus.COMPLETED | ExecutionStatus.PARTIAL | ExecutionStatus.FAILED | ExecutionStatus.CANCELLED
            ):
                return MovedBy.NOBODY
            case _:
                assert_never(self)


class MovedBy(Enum):
    """Whoever has the claim, the sweep and nobody else, or nobody, because it is over."""

    STEP = "step"
    SWEEP = "sweep"
    NOBODY = "nobody"


FINAL = frozenset(each for each in ExecutionStatus if each.moved_by is MovedBy.NOBODY)
ACTIVE = frozenset(ExecutionStatus) - FINAL
POLLED = frozenset(each for each in ExecutionStatus if each.moved_by is MovedBy.SWEEP)
STEPPED = ACTIVE - POLLED
FELL_SHORT = frozenset(each for each in ExecutionStatus if each.fell_short)


class WaveStatus(Status):
    """Where a wave is."""

    PENDING = "PENDING", "Pending", Tone.NEUTRAL
    PAUSED = "PAUSED", "Paused", Tone.ATTENTION
    INITIATED = "INITIATED", "Initiated", Tone.PROGRESS
    POLLING = "POLLING", "Polling", Tone.PROGRESS
    LAUNCHING = "LAUNCHING", "Launching", Tone.PROGRESS
    COMPLETED = "COMPLETED", "Completed", Tone.SUCCESS
    FAILED = "FAILED", "Failed", Tone.DANGER
    SKIPPED = "SKIPPED", "Skipped", Tone.NEUTRAL

    @property
    def stage(self) -> "WaveStage":
        match self:
            case WaveStatus.PENDING | WaveStatus.PAUSED:
                return WaveStage.AHEAD
            case WaveStatus.INITIATED | WaveStatus.POLLING | WaveStatus.LAUNCHING:
                return WaveStage.BEGUN
            case WaveStatus.COMPLETED | WaveStatus.FAILED | WaveStatus.SKIPPED:
                return WaveStage.OVER
            case _:
                assert_never(self)

    @property
    def is_final(self) -> bool:
        return self.stage is WaveStage.OVER

    @property
    def was_skipped(self) -> bool:
        """Whether nothing of it was launched, nor is any more."""
        return self is WaveStatus.SKIPPED

    @property
    def has_begun(self) -> bool:
        """Whether its launch was at least intended."""
        return self.stage is WaveStage.BEGUN


class WaveStage(Enum):
    """Nothing of it was sent, its launch was at least intended, or it is over."""

    AHEAD = "ahead"
    BEGUN = "begun"
    OVER = "over"


WAVE_FINAL = frozenset(each for each in WaveStatus if each.is_final)
WAVE_BEGUN = frozenset(each for each in WaveStatus if each.has_begun)


class LaunchStatus(Status):
    """What became of one server's launch."""

    PENDING = "PENDING", "Pending", Tone.NEUTRAL
    IN_PROGRESS = "IN_PROGRESS", "In progress", Tone.PROGRESS
    LAUNCHED = "LAUNCHED", "Launched", Tone.SUCCESS
    FAILED = "FAILED", "Failed", Tone.DANGER
    TERMINATED = "TERMINATED", "Terminated", Tone.NEUTRAL

    @property
    def is_settled(self) -> bool:
        match self:
            case LaunchStatus.PENDING | LaunchStatus.IN_PROGRESS:
                return False
            case LaunchStatus.LAUNCHED | LaunchStatus.FAILED | LaunchStatus.TERMINATED:
                return True
            case _:
                assert_never(self)

    @property
    def came_up(self) -> bool:
        """Whether its instance was started, whatever became of it since."""
        match self:
            case LaunchStatus.LAUNCHED | LaunchStatus.TERMINATED:
                return True
            case LaunchStatus.PENDING | LaunchStatus.IN_PROGRESS | LaunchStatus.FAILED:
                return False
            case _:
                assert_never(self)

    @property
    def outcome(self) -> "LaunchStatus":
        """What became of the launch itself: an instance that was terminated since had launched all the same."""
        return LaunchStatus.LAUNCHED if self.came_up else self

    @property
    def is_gone(self) -> bool:
        """Whether its instance was started, and stands no more."""
        return self is LaunchStatus.TERMINATED


UNSETTLED = frozenset(each for each in LaunchStatus if not each.is_settled)
CAME_UP = frozenset(each for each in LaunchStatus if each.came_up)


class Phase(Status):
    """How far DRS is with a server, read from the job's log."""

    QUEUED = "QUEUED", "Queued", Tone.NEUTRAL
    CLEANUP = "CLEANUP", "Cleaning up", Tone.PROGRESS
    SNAPSHOT = "SNAPSHOT", "Taking snapshot", Tone.PROGRESS
    CONVERSION = "CONVERSION", "Converting", Tone.PROGRESS
    LAUNCH = "LAUNCH", "Launching", Tone.PROGRESS
    DONE = "DONE", "Done", Tone.NEUTRAL


class JobStatus(Status):
    """Where one StartRecovery is: ours before DRS has it, DRS's own words after."""

    QUEUED = "QUEUED", "Queued", Tone.NEUTRAL
    INITIATED = "INITIATED", "Sent, unconfirmed", Tone.PROGRESS
    PENDING = "PENDING", "Pending", Tone.PROGRESS
    STARTED = "STARTED", "Started", Tone.PROGRESS
    COMPLETED = "COMPLETED", "Ended", Tone.NEUTRAL
    REJECTED = "REJECTED", "Rejected", Tone.DANGER
    WITHDRAWN = "WITHDRAWN", "Not sent", Tone.NEUTRAL

    @property
    def stage(self) -> "JobStage":
        match self:
            case JobStatus.QUEUED:
                return JobStage.WAITS
            case JobStatus.INITIATED:
                return JobStage.SENT
            case JobStatus.PENDING | JobStatus.STARTED:
                return JobStage.OPEN
            case JobStatus.COMPLETED:
                return JobStage.ENDED
            case JobStatus.REJECTED | JobStatus.WITHDRAWN:
                return JobStage.NEVER
            case _:
                assert_never(self)

    @property
    def is_open(self) -> bool:
        """Whether DRS works on it."""
        return self.stage is JobStage.OPEN


class JobStage(Enum):
    """Where a request is between us and DRS."""

    WAITS = "waits"  # here; it will be sent
    SENT = "sent"  # perhaps at DRS: its answer is not known
    OPEN = "open"  # DRS works on it
    ENDED = "ended"  # DRS has done with it
    NEVER = "never"  # DRS never had it, and will not


JOB_UNCONFIRMED = frozenset(each for each in JobStatus if each.stage in (JobStage.WAITS, JobStage.SENT))
JOB_MAY_RUN = frozenset(each for each in JobStatus if each.stage in (JobStage.SENT, JobStage.OPEN))
JOB_TOLD = frozenset(each for each in JobStatus if each.stage in (JobStage.OPEN, JobStage.ENDED))  # DRS's own words


class InstanceState(StrEnum):
    """Whether DRS knows a launched instance. What it does not list any more may run on, in EC2."""

    KNOWN = ""
    UNKNOWN = "UNKNOWN"
    STOPPED = "STOPPED"  # in EC2, by somebody else


class Kind(Status):
    """What a run is for."""

    DRILL = "DRILL", "Drill", Tone.NEUTRAL
    RECOVERY = "RECOVERY", "Recovery", Tone.DANGER

    @property
    def is_recovery(self) -> bool:
        """Whether its instances may become production; those of any other are a drill's to DRS."""
        match self:
            case Kind.RECOVERY:
                return True
            case Kind.DRILL:
                return False
            case _:
                assert_never(self)


UNKNOWN_KIND = "UNKNOWN"  # DRS does not say; counts as production


def kind_by_drs(is_drill: bool | None) -> str:
    """What DRS calls an instance: a drill's, a recovery's, or UNKNOWN."""
    return UNKNOWN_KIND if is_drill is None else Kind.DRILL.value if is_drill else Kind.RECOVERY.value


class TerminationStatus(Status):
    """Where the clean-up of a run's instances is."""

    NOT_STARTED = "NOT_STARTED", "Not terminated", Tone.NEUTRAL
    IN_PROGRESS = "IN_PROGRESS", "Terminating", Tone.PROGRESS
    COMPLETED = "COMPLETED", "Terminated", Tone.SUCCESS
    PARTIAL = "PARTIAL", "Partly terminated", Tone.PARTIAL


class Reached(Status):
    """A measured figure against its target."""

    MET = "MET", "Met", Tone.SUCCESS
    MISSED = "MISSED", "Missed", Tone.DANGER
    NOT_REACHED = "NOT_REACHED", "Not every server launched", Tone.DANGER
    READING = "READING", "Still being read", Tone.NEUTRAL
    UNKNOWN = "UNKNOWN", "Not known", Tone.NEUTRAL
    NO_TARGET = "NO_TARGET", "No target", Tone.NEUTRAL


class Outlook(Status):
    """What a forecast says of the RTO: all of its band is in time, none of it, or some."""

    LIKELY_MET = "LIKELY_MET", "Likely met", Tone.SUCCESS
    OPEN = "OPEN", "May be missed", Tone.ATTENTION
    LIKELY_MISSED = "LIKELY_MISSED", "Likely missed", Tone.DANGER


class Dependents(StrEnum):
    """What becomes of the waves that depend on one that a person skips."""

    SKIP = "SKIP"
    RUN = "RUN"


class GateAct(Status):
    """What was done at a gate. RESUMED passes one that needs no approvals, BROKEN one that does, without them."""

    APPROVED = "APPROVED", "Approved", Tone.SUCCESS
    RESUMED = "RESUMED", "Resumed", Tone.SUCCESS
    BROKEN = "BROKEN", "Broken", Tone.DANGER
    DECLINED = "DECLINED", "Declined", Tone.DANGER
    LAPSED = "LAPSED", "Lapsed", Tone.ATTENTION
    REMINDED = "REMINDED", "Reminded", Tone.NEUTRAL


class Verdict(Status):
    """Whether a run of a plan would work now, best first."""

    READY = "READY", "Ready", Tone.SUCCESS
    READY_WITH_WARNINGS = "READY_WITH_WARNINGS", "Ready with warnings", Tone.PARTIAL
    UNKNOWN = "UNKNOWN", "Not known", Tone.NEUTRAL
    NOT_READY = "NOT_READY", "Not ready", Tone.DANGER

    @property
    def severity(self) -> str:
        """What the API calls a reason that forces this verdict."""
        match self:
            case Verdict.NOT_READY:
                return "BLOCKING"
            case Verdict.READY_WITH_WARNINGS:
                return "WARNING"
            case Verdict.UNKNOWN | Verdict.READY:
                return self.value
            case _:
                assert_never(self)


def roll_up(
    waves: Iterable[WaveStatus], *, any_launched: bool, cancelled: bool, left_out: bool = False
) -> ExecutionStatus:
    """The final status of a run whose waves are all final. One that left servers out is never complete."""
    statuses = set(waves)
    if cancelled:
        return ExecutionStatus.CANCELLED
    if statuses == {WaveStatus.COMPLETED} and not left_out:
        return ExecutionStatus.COMPLETED
    return ExecutionStatus.PARTIAL if any_launched else ExecutionStatus.FAILED


def phase_after(event: str, phase: Phase) -> Phase:
    """The phase of a server once `event` stands in its job's log; unknown events change nothing."""
    return _PHASE_AFTER.get(event, phase)


_PHASE_AFTER = {
    "CLEANUP_START": Phase.CLEANUP,
    "CLEANUP_END": Phase.CLEANUP,
    "SNAPSHOT_START": Phase.SNAPSHOT,
    "SNAPSHOT_END": Phase.SNAPSHOT,
    "SNAPSHOT_FAIL": Phase.SNAPSHOT,
    "USING_PREVIOUS_SNAPSHOT": Phase.SNAPSHOT,
    "CONVERSION_START": Phase.CONVERSION,
    "CONVERSION_END": Phase.CONVERSION,
    "LAUNCH_START": Phase.LAUNCH,
    "LAUNCH_END": Phase.DONE,
    "CONVERSION_FAIL": Phase.CONVERSION,  # DRS may try again; a server that has failed is done by its status
}
