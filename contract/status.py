"""How a status is declared: once, with the words a person reads and the tone it is shown in. No Django."""

from enum import StrEnum
from typing import Self


class Tone(StrEnum):
    """The six tones of the console; each stands for icon, word and color together."""

    NEUTRAL = "neutral"
    PROGRESS = "progress"
    ATTENTION = "attention"
    SUCCESS = "success"
    PARTIAL = "partial"
    DANGER = "danger"


class Status(StrEnum):
    """Base of the status enums: `NAME = ("VALUE", "Label", Tone.X)`."""

    label: str
    tone: Tone

    def __new__(cls, value: str, label: str, tone: Tone) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        member.tone = tone
        return member

    @classmethod
    def of(cls, value: str) -> Self:
        """The member for a stored value."""
        found = cls._value2member_map_.get(value)  # the call below does the same ten times slower
        return found if isinstance(found, cls) else cls(value)  # type: ignore[call-arg]  # no construction, as mypy thinks

    @classmethod
    def choices(cls) -> list[tuple[str, str]]:
        """(value, label) pairs for a Django field."""
        return [(member.value, member.label) for member in cls]
