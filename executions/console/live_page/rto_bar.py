"""The recovery time of a run as a bar: what has passed, when the last server is likely up, and the target."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from console.templatetags.console import duration_text
from contract.clock import unix
from contract.status import Tone
from executions.console.live_page.page_content import Live


@dataclass(frozen=True)
class RtoBar:
    """Seconds since the recovery time began to count. `likely` is the forecast's band, None where there is none, or the
    run is over; then `passed` is when the last server was up. `after_resume` is the band of a run that waits for a
    person, from when it goes on; `gates` are those whose time is in no band; `is_unknown`: no news of the run comes in.
    """

    passed: int
    is_over: bool
    target: int | None
    likely: tuple[int, int] | None
    after_resume: tuple[int, int] | None = None
    gates: int = 0
    is_unknown: bool = False

    @property
    def tone(self) -> Tone:
        worst = self.likely[0] if self.likely else self.passed
        if self.target is None:
            return Tone.PROGRESS
        if max(self.passed, worst) > self.target:
            return Tone.DANGER
        return Tone.SUCCESS if self.is_over else Tone.PROGRESS

    @property
    def _whole(self) -> float:
        return 1.05 * max(self.passed, self.target or 0, self.likely[1] if self.likely else 0, 1)

    def _share(self, seconds: int) -> str:
        return f"{100 * seconds / self._whole:.2f}%"

    @property
    def passed_share(self) -> str:
        return self._share(self.passed)

    @property
    def target_share(self) -> str:
        return self._share(self.target or 0)

    @property
    def likely_from(self) -> str:
        return self._share(max(self.likely[0], self.passed) if self.likely else 0)

    @property
    def likely_size(self) -> str:
        return self._share(max(0, self.likely[1] - max(self.likely[0], self.passed)) if self.likely else 0)

    @property
    def sentence(self) -> str:
        """The same in words, for who does not see the bar."""
        told = [f"{_words(self.passed)} {'until the last server was up' if self.is_over else 'so far'}"]
        told.extend(self._when_up())
        told.append(f"the target is {_words(self.target)}" if self.target is not None else "no target was set")
        if self.target is not None and self.passed > self.target:
            late = _words(self.passed - self.target)  # a run under way may have met it: what is up is known later
            told.append(f"missed by {late}" if self.is_over else f"its time was over {late} ago")
        return f"{'; '.join(told)}."

    def _when_up(self) -> Iterator[str]:
        if self.is_unknown:
            yield "when the last server is up is not known while no news comes in"
        elif band := self.after_resume or self.likely:
            when = f"{'' if self.after_resume else 'after '}{_words(band[0])} to {_words(band[1])}"
            yield f"the last server is likely up {when}{' after the resume' if self.after_resume else ''}{self._pauses}"

    @property
    def _pauses(self) -> str:
        return ", without pauses" if self.gates else ""


def _words(seconds: int) -> str:
    return duration_text(timedelta(seconds=seconds))


def rto_bar(live: Live, now: datetime) -> RtoBar | None:
    """The bar of a run; None of a dry run, and where neither a target nor a forecast is known, or nothing came up."""
    run, begin = live.execution, unix(live.execution.measured_from)
    target = 60 * run.rto_minutes if run.rto_minutes else None
    if run.dry_run:
        return None
    if run.ended_at is not None:
        up = live.last_up if target is not None and live.launched == live.total else None
        return RtoBar(max(0, unix(up) - begin), True, target, None) if up else None
    told = live.forecast
    likely = (
        (unix(told.earliest) - begin, unix(told.latest) - begin) if told and told.earliest and told.latest else None
    )
    unknown = told is not None and told.is_unknown
    if target is None and likely is None and not unknown:
        return None
    resumed = (told.after_resume[0], told.after_resume[2]) if told and told.after_resume else None
    return RtoBar(max(0, unix(now) - begin), False, target, likely, resumed, told.gates if told else 0, unknown)
