"""What a month of a plan has seen, in words and tones."""

from typing import TYPE_CHECKING

from contract.status import Status, Tone
from executions.states import ExecutionStatus

if TYPE_CHECKING:
    from executions.models import Execution


class Exercise(Status):
    """A run as a calendar of exercises tells it; or what is told of a month without one."""

    GOOD_DRILL = "GOOD_DRILL", "Good drill", Tone.SUCCESS
    FAILED_DRILL = "FAILED_DRILL", "Failed drill", Tone.DANGER
    INCOMPLETE_DRILL = "INCOMPLETE_DRILL", "Incomplete drill", Tone.PARTIAL
    RECOVERY = "RECOVERY", "Recovery", Tone.PROGRESS
    FAILED_RECOVERY = "FAILED_RECOVERY", "Failed recovery", Tone.DANGER
    INCOMPLETE_RECOVERY = "INCOMPLETE_RECOVERY", "Incomplete recovery", Tone.PARTIAL
    UNDER_WAY = "UNDER_WAY", "Under way", Tone.PROGRESS
    OVERDUE = "OVERDUE", "Overdue", Tone.ATTENTION
    NONE = "NONE", "None", Tone.NEUTRAL
    NO_PLAN_YET = "NO_PLAN_YET", "No plan yet", Tone.NEUTRAL

    @classmethod
    def of_run(cls, run: "Execution") -> "Exercise":
        """Good is what proves the plan in the ledger: it completed, with every server."""
        is_recovery = run.purpose.is_recovery
        if not run.state.is_final:
            return cls.UNDER_WAY
        if run.state.fell_short:
            return cls.FAILED_RECOVERY if is_recovery else cls.FAILED_DRILL
        if run.state is not ExecutionStatus.COMPLETED or run.servers_left_out:
            return cls.INCOMPLETE_RECOVERY if is_recovery else cls.INCOMPLETE_DRILL
        return cls.RECOVERY if is_recovery else cls.GOOD_DRILL

    @property
    def proves(self) -> bool:
        """Whether it proves that the plan comes up."""
        return self in (Exercise.GOOD_DRILL, Exercise.RECOVERY)
