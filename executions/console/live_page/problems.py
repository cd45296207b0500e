"""What went wrong in a run, as its page tells it: what has one cause is told once, with all that it struck."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from executions.codes.aws import UNKNOWN
from executions.codes.explain import explain, is_sum, left_to_say
from executions.runs.failures import NO_REASON, Failure

NAMED = 5  # of what one cause struck; the wave lists the others
# What differs in AWS's words from server to server, although the cause is one: ids, addresses of requests, times.
_PARTICULAR = re.compile(r"\b(?:[a-z]{1,12}-)?[0-9a-f]{8,}(?:-[0-9a-f]{4,12})*\b|\b\d[\d:.TZ-]{7,}\b", re.IGNORECASE)


@dataclass(frozen=True)
class Problem:
    """One cause: what it struck, where, AWS's words of the first, and, the first time it is told, what to try."""

    struck: Sequence[str]
    where: str
    text: str
    code: str = ""
    advice: str = ""

    @property
    def what(self) -> str:
        """What it struck, as far as it is named at once."""
        return ", ".join(self.struck[:NAMED])

    @property
    def others(self) -> int:
        """How many more it struck."""
        return len(self.struck[NAMED:])


def problems_of(failures: Iterable[Failure], *, advised: bool) -> list[Problem]:
    """Causes in the order of the waves; `advised` with what each means and what to try, said once."""
    by_cause: dict[tuple[int | None, str, str], list[Failure]] = {}
    for each in failures:
        by_cause.setdefault((each.wave, each.code, _PARTICULAR.sub("…", each.text)), []).append(each)
    told, found = {UNKNOWN}, []
    for group in by_cause.values():
        first = group[0]
        reason = explain(first.text, first.code)
        advice = left_to_say(first.text, reason) if advised and reason not in told else ""
        told.add(reason)
        where = "" if first.wave is None else f"Wave {first.wave + 1}"
        code = "" if is_sum(first.code) else first.code
        found.append(Problem([each.what for each in group], where, first.text or NO_REASON, code, advice))
    return found
