"""What the table of codes has of each code of ours."""

from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from typing import Self

from contract.codes import ExplainedCode, Explanation


class Where(StrEnum):
    """Where a code is met; the value is how documentation says it."""

    RUN = "run, wave or launch"
    TERMINATION = "termination"
    START = "refused start or command"
    READINESS = "readiness, dry run"


@dataclass(frozen=True)
class Entry(Explanation):
    """What a code of ours means, what to try, and where it is met."""

    where: tuple[Where, ...]
    _: KW_ONLY
    is_reason: bool = False  # it tells exactly why; of other codes AWS's own text tells more
    is_sum: bool = False  # it only says that servers failed: each of them says why
    heading: str = ""  # of readiness: the words before the names of the servers that it is about


class OurCode(ExplainedCode):
    """Base of the enums of our codes, whose members have an entry."""

    entry: Entry

    def __new__(cls, value: str, entry: Entry) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.explanation = member.entry = entry
        return member
