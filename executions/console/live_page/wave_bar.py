"""How far the servers of a wave are, as a bar in segments: up, failed, and in which phase the others are."""

from dataclasses import dataclass

from contract.status import Tone
from executions.runs.server_counts import Tally
from executions.states import LaunchStatus, Phase

_SHADES = {Phase.LAUNCH: 0.8, Phase.CONVERSION: 0.6, Phase.SNAPSHOT: 0.4, Phase.CLEANUP: 0.25}


@dataclass(frozen=True)
class Segment:
    """Servers of one kind, in per cent of all."""

    label: str
    count: int
    tone: Tone
    left: float
    width: float
    shade: float = 1.0

    @property
    def x(self) -> str:
        return f"{self.left:.1f}%"

    @property
    def size(self) -> str:
        return f"{self.width:.1f}%"


def segments(tally: Tally) -> list[Segment]:
    """Those that have begun, what is done first; the rest of the bar stays empty."""
    total = tally.total() or 1
    kinds = [
        ("up", tally.having(LaunchStatus.LAUNCHED), Tone.SUCCESS, 1.0),
        ("launched and ended since", tally.having(LaunchStatus.TERMINATED), Tone.SUCCESS, 0.5),
        ("failed", tally.having(LaunchStatus.FAILED), Tone.DANGER, 1.0),
    ]
    open_now = Tally({key: count for key, count in tally.items() if not key[0].is_settled})
    kinds += [(phase.label.lower(), open_now.in_phase(phase), Tone.PROGRESS, shade) for phase, shade in _SHADES.items()]
    found, left = list[Segment](), 0.0
    for label, count, tone, shade in kinds:
        if count:
            width = 100 * count / total
            found.append(Segment(label, count, tone, left, width, shade))
            left += width
    return found
