"""Whether something has proven that it comes up."""

from contract.status import Status, Tone


class Proof(Status):
    """A launch that was seen to succeed counts for so many days; then it is overdue."""

    PROVEN = "PROVEN", "Proven", Tone.SUCCESS
    OVERDUE = "OVERDUE", "Overdue", Tone.ATTENTION
    NEVER = "NEVER", "Never proven", Tone.DANGER
