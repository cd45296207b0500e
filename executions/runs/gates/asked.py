"""What is asked for before a wave of a run is launched.

A gate that needs approvals guards everything behind it: when its wave is skipped without the gate having been passed,
it is asked for before the next wave that is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from executions.runs.decisions import PAUSE_LIMIT
from executions.states import WaveStatus
from plans.gates import GateShape, words


class HasGate(Protocol):
    """A wave of a run."""

    @property
    def state(self) -> WaveStatus: ...
    @property
    def gate(self) -> Mapping[str, Any] | None: ...
    @property
    def resumed_at(self) -> datetime | None: ...


@dataclass(frozen=True)
class Gate:
    """What is asked for; a pause that nobody gave a gate asks only that somebody resumes the run."""

    approvals: int = 0
    checklist: tuple[str, ...] = ()
    expires: timedelta = PAUSE_LIMIT
    moved: bool = False  # from before a wave that was skipped

    @property
    def is_plain(self) -> bool:
        """Whether it is a mere pause, that whoever may resumes."""
        return not self.approvals and not self.checklist

    @property
    def needed(self) -> int:
        """How many approvals pass it; one is enough where none is asked for."""
        return max(1, self.approvals)

    def all_ticked(self, ticked: Sequence[int]) -> bool:
        """Whether every item of the checklist was ticked, and nothing else."""
        return set(ticked) == set(range(len(self.checklist)))


def told(gate: Gate) -> str:
    """What it asks for, in a few words."""
    minutes = int(gate.expires.total_seconds()) // 60
    return words(GateShape(approvals=gate.approvals, checklist=list(gate.checklist), expiresMinutes=minutes))


def gates_in_force(waves: Sequence[HasGate]) -> list[Gate | None]:
    """What is asked for before each of all the waves of a run, in their order; None where nothing is."""
    found: list[Gate | None] = []
    carried: list[Mapping[str, Any]] = []
    for wave in waves:
        asked = [*carried, *([wave.gate] if wave.gate else [])]
        found.append(_together(asked, moved=bool(carried)) if asked else None)
        is_passed_over = wave.state is WaveStatus.SKIPPED and wave.resumed_at is None
        carried = [each for each in asked if each["approvals"]] if is_passed_over else []
    return found


def _together(asked: Sequence[Mapping[str, Any]], *, moved: bool) -> Gate:
    """Several at one place: the most approvals, every item once, the shortest time."""
    return Gate(
        approvals=max(each["approvals"] for each in asked),
        checklist=tuple(dict.fromkeys(item for each in asked for item in each["checklist"])),
        expires=timedelta(minutes=min(each["expiresMinutes"] for each in asked)),
        moved=moved,
    )
