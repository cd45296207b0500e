"""What became of a drill that was due by calendar."""

from contract.status import Status, Tone


class Outcome(Status):
    """REFUSED: it was tried for as long as it may be late. MISSED: no engine ran in that time."""

    STARTED = "STARTED", "Started", Tone.SUCCESS
    REFUSED = "REFUSED", "Not started", Tone.DANGER
    MISSED = "MISSED", "Missed", Tone.DANGER
