"""What a check says: one line, with what to do about it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypedDict

from contract.status import Status, Tone
from drs.errors import DrsError, Trouble


class Level(Status):
    """How a check ended. UNKNOWN: it could not be looked at, which is no sign of trouble."""

    OK = "OK", "OK", Tone.SUCCESS
    WARNING = "WARNING", "Warning", Tone.ATTENTION
    FAILED = "FAILED", "Failed", Tone.DANGER
    UNKNOWN = "UNKNOWN", "Not known", Tone.NEUTRAL


class FindingShape(TypedDict):
    """One check of one thing. `remedy` is what to do; empty where nothing is to be done."""

    check: str
    status: str
    subject: str
    message: str
    remedy: str


class DoctorAnswer(TypedDict):
    """Whether it would work here. `ok` is false when something FAILED."""

    checks: list[FindingShape]
    ok: bool


@dataclass(frozen=True)
class Finding:
    """One line."""

    check: str
    level: Level
    subject: str
    message: str
    remedy: str = ""

    def shown(self) -> FindingShape:
        return {
            "check": self.check,
            "status": self.level.value,
            "subject": self.subject,
            "message": self.message,
            "remedy": self.remedy,
        }


@dataclass(frozen=True)
class Check:
    """The findings of one check are made by its name."""

    name: str

    def ok(self, subject: str, message: str) -> Finding:
        return Finding(self.name, Level.OK, subject, message)

    def warning(self, subject: str, message: str, remedy: str) -> Finding:
        return Finding(self.name, Level.WARNING, subject, message, remedy)

    def failed(self, subject: str, message: str, remedy: str) -> Finding:
        return Finding(self.name, Level.FAILED, subject, message, remedy)

    def unknown(self, subject: str, message: str, remedy: str) -> Finding:
        return Finding(self.name, Level.UNKNOWN, subject, message, remedy)

    def not_asked(self, subject: str, error: DrsError, remedy: str) -> Finding:
        """AWS did not answer what a check wanted to know."""
        why = error.message if error.trouble is Trouble.NOT_SENT else f"{error.code}: {error.message}"
        return self.unknown(subject, f"AWS did not answer {error.operation}: {why}", remedy)


def answer(findings: Iterable[Finding]) -> DoctorAnswer:
    found = list(findings)
    return {"checks": [each.shown() for each in found], "ok": not any(each.level is Level.FAILED for each in found)}


def worst_first(findings: Iterable[Finding]) -> Iterator[Finding]:
    """For pages: what failed, then warnings, what is not known, and what is well; each in its order."""
    order = [Level.FAILED, Level.WARNING, Level.UNKNOWN, Level.OK]
    yield from sorted(findings, key=lambda each: order.index(each.level))
