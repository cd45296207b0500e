"""What the live page shows of a run: one sentence, the next action, the exceptions, the waves. Rows in, words out."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.utils import timezone

from contract.clock import moment
from executions.console.live_page.after_the_end import InAll, last_up, late_text, launched_in_all
from executions.console.live_page.announcement import announcement
from executions.console.live_page.banners import Banner, banner_of
from executions.console.live_page.old_data import OldData, in_banner, old_data
from executions.console.live_page.problems import Problem, problems_of
from executions.console.live_page.silence import Silence
from executions.console.live_page.wave_bar import Segment, segments
from executions.measuring.forecast import ShownForecast, current_forecast
from executions.models import Execution, LaunchJob, ServerRun, WaveRun
from executions.querysets import STANDING, is_split
from executions.runs.allowed.terminable_instances import terminable_counts
from executions.runs.attempts import attempts_of
from executions.runs.current_wave import shown_wave, waiting_wave
from executions.runs.failures import WaveFailures, failures_of
from executions.runs.server_counts import Progress, Tally, progress_of
from executions.states import ExecutionStatus, LaunchStatus, Phase, TerminationStatus, WaveStatus
from executions.terminating.cleanup_proof import sentences
from executions.terminating.instances import earlier_instances
from executions.terminating.outcome import TerminationResult, result
from plans.gates import words

# Runs of up to this many servers show finished waves open: everything fits on a screen.
SMALL_RUN = 20


@dataclass
class WaveCard:
    """One wave as it is drawn on the rail: its servers are counted; `server_rows.py` reads them."""

    run: WaveRun
    jobs: list[LaunchJob]
    tally: Tally
    failures: list[ServerRun]
    small_run: bool = True
    is_changed: bool = False
    is_dry_run: bool = False
    pause_asked: bool = False
    is_over: bool = False  # the run, or it is being cancelled

    @property
    def has_gate(self) -> bool:
        return self.run.pause_before or self.run.paused_at is not None or self.pause_asked

    @property
    def gate_words(self) -> str:
        """What its gate asks for; empty for a mere pause."""
        return words(self.run.gate) if self.run.gate else ""

    @property
    def number(self) -> int:
        return self.run.number + 1

    @property
    def title(self) -> str:
        return f"wave {self.number}, {self.run.name}"

    @property
    def total(self) -> int:
        return self.tally.total()

    @property
    def is_nothing_left(self) -> bool:
        """Whether a later attempt had nothing to launch in it, and counts it as complete."""
        return not self.total and self.run.state is WaveStatus.COMPLETED

    @cached_property
    def up(self) -> int:
        return self.tally.having(LaunchStatus.LAUNCHED)

    @cached_property
    def failed(self) -> int:
        return self.tally.having(LaunchStatus.FAILED)

    @cached_property
    def launched(self) -> int:
        """Servers that came up, whether or not they were terminated since."""
        return self.up + self.tally.having(LaunchStatus.TERMINATED)

    @property
    def unsettled(self) -> int:
        """Servers of a wave that was begun, of which nobody knows whether they come up."""
        return self.total - self.launched - self.failed if self.has_begun else 0

    @property
    def is_refused(self) -> bool:
        """Whether AWS refuses one of its launches, and may go on to."""
        return any(job.refused_since and not job.job_id for job in self.jobs)

    @property
    def percent(self) -> int:
        return self.tally.percent

    @cached_property
    def segments(self) -> list[Segment]:
        """The bar of its servers; a dry run launches none."""
        return segments(self.tally) if self.has_begun and not self.is_dry_run else []

    @property
    def state(self) -> WaveStatus:
        return self.run.state

    @property
    def started_at(self) -> datetime | None:
        return self.run.started_at

    @property
    def has_begun(self) -> bool:
        return self.run.started_at is not None

    @property
    def is_open(self) -> bool:
        """Whether the servers show at first, or why it waits; a person's own choice is kept by console.js."""
        state = self.run.state
        is_told = not state.is_final and (bool(self.run.status_message) or self.waits_until is not None)
        is_told = is_told or self.is_nothing_left
        return state.has_begun or state is WaveStatus.FAILED or is_told or (self.has_begun and self.small_run)

    @property
    def is_waiting(self) -> bool:
        """Whether the run stands at this wave's gate."""
        return self.run.state is WaveStatus.PAUSED

    @property
    def is_steerable(self) -> bool:
        """Whether it can be skipped and servers of it left out: nothing of it was sent, nor is it a dry run's."""
        waits = self.run.state in (WaveStatus.PENDING, WaveStatus.PAUSED)
        return waits and self.run.started_at is None and not self.is_dry_run and not self.is_over

    @property
    def waits_until(self) -> datetime | None:
        """Until when the run waits before it, as its plan says."""
        return self.run.starts_at if self.run.state is WaveStatus.PENDING and not self.is_over else None

    @property
    def needs(self) -> str:
        """The waves that must complete first, as people count them."""
        return ", ".join(str(number + 1) for number in self.run.depends_on)


class Live(Silence):
    """A run as its page shows it: its own row, its waves and their jobs, and what is counted of their servers."""

    def __init__(
        self,
        execution: Execution,
        *,
        since: int | None = None,
        had_gate: bool = False,
        engine_alive: bool = True,
        progress: Progress | None = None,
    ) -> None:
        """`execution` must have its waves and their jobs prefetched; `progress` spares the queries that count.

        `since` is the revision that the page has, `had_gate` whether it shows a pause that was asked for.
        """
        self.execution = execution
        self.engine_alive = engine_alive
        self.state = execution.state
        progress = progress or progress_of([execution])
        runs = list(execution.waves.all())
        # Of those that are up: DRS does not list their instances any more, which may run on in EC2.
        self.unknown_to_drs = sum(progress.unknown.get(run.pk, 0) for run in runs)
        self.stopped = sum(progress.stopped.get(run.pk, 0) for run in runs)
        self._behind = sum(progress.behind.get(run.pk, 0) for run in runs)
        small = sum(progress.tallies[run.pk].total() for run in runs) <= SMALL_RUN
        self.waves = [
            WaveCard(
                run,
                [job for job in run.jobs.all() if not is_split(job)],
                progress.tallies[run.pk],
                progress.failed[run.pk],
                small_run=small,
                is_dry_run=execution.dry_run,
                is_over=self.state.is_final or execution.cancel_requested_at is not None,
                is_changed=since is not None and run.revision > since,
            )
            for run in runs
        ]
        self._draw_asked_pause(changed=since is not None and had_gate != bool(execution.pause_requested_at))

    def _draw_asked_pause(self, *, changed: bool) -> None:
        """At the next wave; asking, or taking it back, gives the wave no revision."""
        ahead = next((wave for wave in self.waves if wave.run.state is WaveStatus.PENDING), None)
        if ahead and not self.state.is_final:
            ahead.pause_asked = self.execution.pause_requested_at is not None
            ahead.is_changed = ahead.is_changed or changed

    @cached_property
    def forecast(self) -> ShownForecast | None:
        found = current_forecast(self.execution, timezone.now())
        return found.without_news() if found and self.trouble else found

    @property
    def changed_waves(self) -> list[WaveCard]:
        return [wave for wave in self.waves if wave.is_changed]

    @cached_property
    def total(self) -> int:
        return sum(wave.total for wave in self.waves)

    @cached_property
    def up(self) -> int:
        return sum(wave.up for wave in self.waves)

    @cached_property
    def failed(self) -> int:
        return sum(wave.failed for wave in self.waves)

    @cached_property
    def launched(self) -> int:
        return sum(wave.launched for wave in self.waves)

    @cached_property
    def unknown(self) -> int:
        """Servers of a run that is over which AWS may still launch: their jobs go on."""
        return sum(wave.unsettled for wave in self.waves) if self.execution.next_step_at else 0

    @cached_property
    def late(self) -> str:
        """What came up after it was given up, in a sentence; empty when nothing did."""
        return late_text(self.execution, [wave.run for wave in self.waves])

    @cached_property
    def last_up(self) -> datetime | None:
        """When the last server was up, of a run that is over."""
        return last_up(self.execution)

    @cached_property
    def in_all(self) -> InAll | None:
        """Of a later attempt: what it has launched together with those before it."""
        return launched_in_all(self.execution)

    @cached_property
    def attempts(self) -> list[Execution]:
        """Every attempt at the run, where there may be more than this."""
        return attempts_of(self.execution) if self.execution.attempt > 1 or self.state.fell_short else []

    @property
    def later_attempt(self) -> Execution | None:
        """The last one of those that came after it."""
        last = self.attempts[-1] if self.attempts else self.execution
        return last if last.attempt > self.execution.attempt else None

    @cached_property
    def standing(self) -> int:
        """Instances that can be asked to be terminated: of some that may have been done already."""
        if self.cleanup is not TerminationStatus.IN_PROGRESS:
            return self.up + self.not_usable
        return terminable_counts([self.execution]).get(self.execution.pk, 0)

    @property
    def is_read_next(self) -> bool:
        """Whether only its report is left to read: nothing of it costs money, and no attempt came later."""
        return self.later_attempt is None and (self.is_recovery or not self.standing)

    @property
    def is_over(self) -> bool:
        """Whether nothing of the run moves any more: its clean-up is over and was looked at, and DRS owes no news."""
        return self.has_rested and self.execution.next_step_at is None and not self.execution.proof_due

    @cached_property
    def not_usable(self) -> int:
        """Instances that stand and did not come up as they had to, of a run that is over."""
        if not self.state.is_final or not (self.failed or any(wave.run.attempt > 1 for wave in self.waves)):
            return 0
        rows = ServerRun.launches.filter(STANDING, wave__execution=self.execution, launch_status=LaunchStatus.FAILED)
        return rows.count()

    @property
    def earlier_instances(self) -> list[ServerRun]:
        """What launches of waves that were tried again brought up."""
        return earlier_instances(self.execution, [wave.run for wave in self.waves])

    @property
    def proof(self) -> list[tuple[datetime | None, str]]:
        """What DRS listed after the clean-up, and when it was asked."""
        proof = self.execution.cleanup_proof or []
        return [(moment(each["askedTime"]), text) for each, text in zip(proof, sentences(proof), strict=True)]

    @property
    def has_rested(self) -> bool:
        """Whether only late news of its jobs may come: nobody waits for those every three seconds."""
        return self.state.is_final and self.cleanup is not TerminationStatus.IN_PROGRESS

    @property
    def is_recovery(self) -> bool:
        return self.execution.purpose.is_recovery

    @property
    def cleanup(self) -> TerminationStatus:
        return TerminationStatus.of(self.execution.termination_status)

    @cached_property
    def termination(self) -> TerminationResult | None:
        """What became of the instances of a run that is over."""
        return result(self.execution) if self.state.is_final else None

    @property
    def left_by_cleanup(self) -> str:
        """What a clean-up did not end, and why not, for the sentence on top; empty when it did all."""
        failed = (
            self.termination.failed if self.termination and self.cleanup is not TerminationStatus.NOT_STARTED else ()
        )
        if not failed:
            return ""
        more = f" {len(failed) - 1} more below." if len(failed) > 1 else ""
        return f"{failed[0].name} was not terminated: {failed[0].message}{more}"

    @property
    def waves_complete(self) -> int:
        return sum(wave.run.state is WaveStatus.COMPLETED for wave in self.waves)

    @cached_property
    def current(self) -> WaveCard | None:
        """The wave in progress or next to run; at the end the last one that ran, None when none did."""
        return shown_wave(self.waves)

    @property
    def has_later_waves(self) -> bool:
        return self.current is not None and self.current.number < len(self.waves)

    @cached_property
    def paused_wave(self) -> WaveCard | None:
        return waiting_wave(self.waves)

    @cached_property
    def asked_wave(self) -> WaveCard | None:
        """The wave that failed, and after which the run waits for a decision."""
        return None if self.state.is_final else next((each for each in self.waves if each.run.needs_answer), None)

    @property
    def paused_since(self) -> datetime | None:
        """Since when it waits for a person."""
        if self.asked_wave is not None:
            return self.asked_wave.run.asked_at
        return self.paused_wave.run.paused_at if self.paused_wave else None

    @property
    def left_out(self) -> int:
        """Servers that are not up of a run that completed all the same: skipped, left out, or optional and failed."""
        return self.total - self.launched if self.state is ExecutionStatus.COMPLETED else 0

    @property
    def is_cancellable(self) -> bool:
        return not self.state.is_final and self.state is not ExecutionStatus.CANCELLING

    @cached_property
    def checked(self) -> int:
        """Servers that a dry run has looked at."""
        return sum(wave.tally.in_phase(Phase.DONE) for wave in self.waves)

    @property
    def banner(self) -> Banner:
        return banner_of(self)

    @property
    def announcement(self) -> str:
        return announcement(self)

    @cached_property
    def data_of(self) -> datetime | None:
        """When AWS last answered for this run, or for its clean-up."""
        told = [job.seen_at for wave in self.waves for job in wave.jobs if job.seen_at]
        if self.cleanup is not TerminationStatus.NOT_STARTED:
            told += filter(None, self.execution.terminations.values_list("seen_at", flat=True))
        return max(told, default=None)

    @cached_property
    def problems(self) -> list[Problem]:
        """What went wrong; of a real run with what each reason means and what to try, said once."""
        waves = [WaveFailures(wave.run, wave.jobs, wave.failures) for wave in self.waves]
        found = problems_of(failures_of(self.execution, waves), advised=not self.execution.dry_run)
        return found + [Problem([each.hostname], each.wave, each.text) for each in self.old_data]

    @cached_property
    def old_data(self) -> list[OldData]:
        """Servers that came up with an earlier snapshot."""
        return old_data(self.execution) if self._behind else []

    @property
    def behind(self) -> str:
        """That some run on older data, for the sentence on top; empty when none does."""
        return in_banner(self.old_data)
