"""How a code is declared: once, with what it means and what to try. No Django."""

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True)
class Explanation:
    """What something that went wrong means, and what to try: plain sentences for whoever reads it at night. `quota` is
    the service, as Service Quotas calls it, of which a quota is the cause."""

    meaning: str
    advice: str
    quota: str = field(default="", kw_only=True)

    def __str__(self) -> str:
        return f"{self.meaning} {self.advice}"


class ExplainedCode(StrEnum):
    """Base of the enums of codes: a refusal with such a code has its advice in `details`."""

    explanation: Explanation

    @property
    def meaning(self) -> str:
        return self.explanation.meaning

    @property
    def advice(self) -> str:
        return self.explanation.advice
