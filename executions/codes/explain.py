"""What a code of ours or a text of AWS means, and what to try."""

from collections.abc import Sequence

from contract.codes import Explanation
from executions.codes.aws import AWS_REASONS, UNKNOWN
from executions.codes.entry import OurCode
from executions.codes.ours import Code
from executions.codes.readiness import Against

EVERY_CODE: Sequence[OurCode] = (*Code, *Against)
_BY_VALUE = {each.value: each for each in EVERY_CODE}


def explain(text: str, code: str = "") -> Explanation:
    """A code that is a reason by itself decides; else what AWS says, in its text or in its code; else our code."""
    ours = _BY_VALUE.get(code)
    if ours is not None and ours.entry.is_reason:
        return ours.explanation
    found = next((each for said in (text, code) for each in AWS_REASONS if each.is_in(said)), None)
    if found is not None:
        return found.explanation
    return UNKNOWN if ours is None or ours.entry.is_sum else ours.explanation


def of_end(text: str, code: str) -> Explanation | None:
    """The same of a whole run or wave, where a sum of its servers says enough; None if it ended without a code."""
    found = explain(text, code) if code else None
    return _BY_VALUE[code].explanation if found is UNKNOWN and code in _BY_VALUE else found


def left_to_say(text: str, reason: Explanation) -> str:
    """What somebody who has read `text` is to be told of its reason."""
    return reason.advice if text == reason.meaning else str(reason)


def is_sum(code: str) -> bool:
    """Whether the code only says that servers failed, each of which says why by itself."""
    ours = _BY_VALUE.get(code)
    return ours is not None and ours.entry.is_sum
