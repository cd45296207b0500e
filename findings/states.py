"""How bad a finding is, and where it is. Declared once; no Django models."""

from contract.status import Status, Tone


class Severity(Status):
    """By what it would do to a recovery."""

    HIGH = "HIGH", "High", Tone.DANGER
    MEDIUM = "MEDIUM", "Medium", Tone.ATTENTION
    LOW = "LOW", "Low", Tone.NEUTRAL


class State(Status):
    """OVERDUE is open after the day that it was due."""

    OPEN = "OPEN", "Open", Tone.ATTENTION
    OVERDUE = "OVERDUE", "Overdue", Tone.DANGER
    CLOSED = "CLOSED", "Closed", Tone.SUCCESS
