"""What went wrong in a run, as its page tells it: what has one cause is told once, with all that it struck."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from executions.codes.aws import UNKNOWN
from executions.codes.explain import explain, is_sum
from executions.runs.failures import NO_REASON, Failure, by_cause, named, others
from protection.inventory import aws_links


@dataclass(frozen=True)
class Problem:
    """One cause: what it struck, where, AWS's words of the first, and, the first time it is told, what it means and
    what to try. Of a quota also the pages on which AWS shows it, by region."""

    struck: Sequence[str]
    wave: int | None
    text: str
    code: str = ""
    meaning: str = ""
    advice: str = ""
    quotas: Sequence[tuple[str, str]] = ()

    @property
    def what(self) -> str:
        """What it struck, as far as it is named at once."""
        return named(self.struck)

    @property
    def where(self) -> str:
        return "" if self.wave is None else f"Wave {self.wave + 1}"

    @property
    def others(self) -> int:
        """How many more it struck."""
        return others(self.struck)


def problems_of(failures: Iterable[Failure], *, advised: bool) -> list[Problem]:
    """Causes in the order of the waves; `advised` with what each means and what to try, said once."""
    told, found = {UNKNOWN}, []
    for group in by_cause(failures, lambda each: each):
        first = group[0]
        reason = explain(first.text, first.code)
        is_new = advised and reason not in told
        meaning = reason.meaning if is_new and reason.meaning != first.text else ""
        advice = reason.advice if is_new else ""
        told.add(reason)
        code = "" if is_sum(first.code) else first.code
        struck, quotas = [each.what for each in group], _quotas(reason.quota, group)
        found.append(Problem(struck, first.wave, first.text or NO_REASON, code, meaning, advice, quotas))
    return found


def _quotas(service: str, group: Iterable[Failure]) -> list[tuple[str, str]]:
    regions = sorted({each.region for each in group if each.region}) if service else []
    return [(each, aws_links.quotas(each, service)) for each in regions]
