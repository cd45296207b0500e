"""What the live page shows of a run: one sentence, the next action, the exceptions, the waves. Rows in, words out."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.utils import timezone

from contract.status import Tone
from executions.forecast import Foretold, foretold
from executions.models import Execution, LaunchJob, ServerRun, WaveRun
from executions.states import ExecutionStatus, LaunchStatus, Phase, TerminationStatus, WaveStatus
from executions.tally import Progress, Tally, progress_of

# Runs of up to this many servers show finished waves open: everything fits on a screen.
SMALL_RUN = 20


@dataclass(frozen=True)
class Banner:
    """What happens next and who may make it happen; `at` is shown as "4 minutes ago" between the two texts."""

    tone: Tone
    title: str
    before: str = ""
    at: datetime | None = None
    after: str = ""


@dataclass(frozen=True)
class Trouble:
    """Something that went wrong, with AWS's own text."""

    what: str
    where: str
    text: str
    code: str = ""


@dataclass
class WaveCard:
    """One wave as it is drawn on the rail. Only `servers` reads their rows; everything else is counted."""

    run: WaveRun
    jobs: list[LaunchJob]
    tally: Tally
    failures: list[ServerRun]
    small_run: bool = True
    is_changed: bool = False
    is_rehearsal: bool = False

    @property
    def servers(self) -> list[ServerRun]:
        return list(self.run.servers.all())

    @property
    def number(self) -> int:
        return self.run.number + 1

    @property
    def title(self) -> str:
        return f"wave {self.number}, {self.run.name}"

    @property
    def total(self) -> int:
        return self.tally.total()

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
    def percent(self) -> int:
        return self.tally.percent

    @property
    def has_begun(self) -> bool:
        return self.run.started_at is not None

    @property
    def is_open(self) -> bool:
        """Whether the servers show at first; a person's own choice is kept by console.js."""
        return (self.run.state.has_begun or self.run.state is WaveStatus.FAILED) or (self.has_begun and self.small_run)

    @property
    def is_waiting(self) -> bool:
        """Whether the run stands at this wave's gate."""
        return self.run.state is WaveStatus.PAUSED

    @property
    def needs(self) -> str:
        """The waves that must complete first, as people count them."""
        return ", ".join(str(number + 1) for number in self.run.depends_on)


class Live:
    """A run as its page shows it: its own row, its waves and their jobs, and what is counted of their servers."""

    def __init__(self, execution: Execution, *, since: int | None = None, progress: Progress | None = None) -> None:
        """`execution` must have its waves and their jobs prefetched; `progress` spares the queries that count."""
        self.execution = execution
        self.state = execution.state
        progress = progress or progress_of([execution])
        runs = list(execution.waves.all())
        small = sum(progress.tallies[run.pk].total() for run in runs) <= SMALL_RUN
        self.waves = [
            WaveCard(
                run,
                list(run.jobs.all()),
                progress.tallies[run.pk],
                progress.failed[run.pk],
                small_run=small,
                is_rehearsal=execution.dry_run,
                is_changed=since is not None and run.revision > since,
            )
            for run in runs
        ]

    @cached_property
    def forecast(self) -> Foretold | None:
        return foretold(self.execution, timezone.now())

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

    @property
    def is_over(self) -> bool:
        """Whether nothing of the run moves any more, its clean-up included."""
        return self.state.is_final and self.cleanup is not TerminationStatus.IN_PROGRESS

    @property
    def cleanup(self) -> TerminationStatus:
        return TerminationStatus.of(self.execution.termination_status)

    @property
    def waves_complete(self) -> int:
        return sum(wave.run.state is WaveStatus.COMPLETED for wave in self.waves)

    @cached_property
    def current(self) -> WaveCard | None:
        """The wave in progress or next to run; at the end the last one that ran."""
        ahead = next((wave for wave in self.waves if not wave.run.state.is_final), None)
        begun = [wave for wave in self.waves if wave.has_begun]
        return ahead or (begun[-1] if begun else next(iter(self.waves), None))

    @cached_property
    def paused_wave(self) -> WaveCard | None:
        return next((wave for wave in self.waves if wave.is_waiting), None)

    @property
    def is_cancellable(self) -> bool:
        return not self.state.is_final and self.state is not ExecutionStatus.CANCELLING

    @cached_property
    def checked(self) -> int:
        """Servers that a dry run has looked at."""
        return sum(wave.tally.in_phase(Phase.DONE) for wave in self.waves)

    @property
    def banner(self) -> Banner:
        if self.execution.dry_run:
            return _rehearsed(self)
        return _BANNERS[self.state](self)

    @property
    def announcement(self) -> str:
        """What a screen reader is told, once each time it changes: states, not counts."""
        wave = self.current
        where = f" Wave {wave.number}, {wave.run.name}: {wave.run.state.label}." if wave else ""
        return f"{self.execution.plan_name}: {self.state.label}.{where}"

    @cached_property
    def data_of(self) -> datetime:
        """When AWS last answered for this run."""
        seen = [job.seen_at for wave in self.waves for job in wave.jobs if job.seen_at]
        return max(seen, default=self.execution.updated_at)

    @cached_property
    def problems(self) -> list[Trouble]:
        """Exceptions, the run's own first, then wave by wave."""
        run = self.execution
        found = [Trouble("The run", run.error_code, run.error_message, run.error_code)] if run.error_message else []
        for wave in self.waves:
            found += _problems_of(wave)
        return found

    def pause_ahead(self, after: WaveCard | None) -> str:
        """What comes behind a wave, for the sentence "Next: …"."""
        later = [wave for wave in self.waves if after is None or wave.number > after.number]
        coming = next((wave for wave in later if not wave.run.state.is_final), None)
        if coming is None:
            return "This is the last wave."
        if self.execution.pause_requested_at or coming.run.pause_before:
            return f"Next: a pause before {coming.title}."
        return f"Next: {coming.title}, without a pause."


def _problems_of(wave: WaveCard) -> list[Trouble]:
    where = f"Wave {wave.number}"
    found = [
        Trouble(server.hostname, where, server.error or "AWS gave no reason.", wave.run.error_code)
        for server in wave.failures
    ]
    found += [
        Trouble(f"Job {job.job_id or job.position + 1} in {job.region}", where, job.error_message, job.error_code)
        for job in wave.jobs
        if job.error_message and job.error_message != wave.run.error_message
    ]
    if wave.run.error_message and (not found or wave.run.error_code not in ("", "SERVER_LAUNCH_FAILED")):
        found.insert(0, Trouble(wave.run.name, where, wave.run.error_message, wave.run.error_code))
    return found


def _plural(count: int, one: str) -> str:
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def _pending(live: Live) -> Banner:
    return Banner(Tone.NEUTRAL, "Not started yet.", after="An engine picks it up within a few seconds.")


_DOING = {
    WaveStatus.INITIATED: "is being sent to AWS",
    WaveStatus.POLLING: "waits for AWS to begin",
    WaveStatus.LAUNCHING: "is launching",
}


def _running(live: Live) -> Banner:
    wave = live.current
    if wave is None:
        return Banner(Tone.PROGRESS, "Running.")
    doing = _DOING.get(wave.run.state, "starts now")
    title = f"{wave.title[0].upper()}{wave.title[1:]}, {doing}."
    return Banner(Tone.PROGRESS, title, before="Nothing to do.", after=live.pause_ahead(wave))


def _paused(live: Live) -> Banner:
    wave = live.paused_wave or live.current
    if wave is None:
        return Banner(Tone.ATTENTION, "Paused.")
    before = next((each for each in reversed(live.waves) if each.run.ended_at and each.number < wave.number), None)
    asked = "Resume when the servers that are up pass your checks."
    if before is None:
        return Banner(Tone.ATTENTION, f"Paused before {wave.title}.", after=asked)
    finished = f"Wave {before.number} {'failed' if before.run.state is WaveStatus.FAILED else 'finished'}"
    return Banner(Tone.ATTENTION, f"Paused before {wave.title}.", finished, before.run.ended_at, asked)


def _cancelling(live: Live) -> Banner:
    wave = live.current
    rest = f"{wave.title[0].upper()}{wave.title[1:]}, finishes first: " if wave else ""
    return Banner(Tone.PROGRESS, "Cancelling.", after=f"{rest}AWS cannot stop a launch. Later waves are skipped.")


def _instances(live: Live) -> str:
    """What is left behind; running instances cost money."""
    if not live.up:
        return "No instance of it runs."
    return f"{_plural(live.up, 'instance')} still running, and costing money, until terminated."


def _completed(live: Live) -> Banner:
    return Banner(
        Tone.SUCCESS,
        f"All {_plural(live.total, 'server')} launched.",
        before="Finished",
        at=live.execution.ended_at,
        after=_instances(live),
    )


def _partial(live: Live) -> Banner:
    title = f"{live.launched} of {_plural(live.total, 'server')} launched, {live.failed} failed."
    return Banner(Tone.PARTIAL, title, before="Ended", at=live.execution.ended_at, after=_instances(live))


def _failed(live: Live) -> Banner:
    return Banner(
        Tone.DANGER,
        "Failed: no server was launched." if not live.launched else "Failed.",
        before="Ended",
        at=live.execution.ended_at,
        after="The reasons are below. Start the plan again when they are gone.",
    )


def _cancelled(live: Live) -> Banner:
    return Banner(Tone.NEUTRAL, "Cancelled.", before="Ended", at=live.execution.ended_at, after=_instances(live))


def _rehearsed(live: Live) -> Banner:
    """What a dry run found so far, or in the end."""
    if not live.state.is_final:
        return Banner(Tone.PROGRESS, "Checking.", after="It stops at no pause and needs nobody.")
    if live.state is ExecutionStatus.CANCELLED:
        return Banner(Tone.NEUTRAL, "Cancelled.", before="Ended", at=live.execution.ended_at)
    if live.failed:
        title = f"{live.failed} of {_plural(live.total, 'server')} would not launch."
        return Banner(Tone.DANGER, title, before="Ended", at=live.execution.ended_at, after="The reasons are below.")
    title = f"All {_plural(live.total, 'server')} would launch."
    return Banner(Tone.SUCCESS, title, before="Checked", at=live.execution.ended_at, after="Nothing was launched.")


_BANNERS = {
    ExecutionStatus.PENDING: _pending,
    ExecutionStatus.RUNNING: _running,
    ExecutionStatus.POLLING: _running,
    ExecutionStatus.LAUNCHING: _running,
    ExecutionStatus.PAUSED: _paused,
    ExecutionStatus.CANCELLING: _cancelling,
    ExecutionStatus.COMPLETED: _completed,
    ExecutionStatus.PARTIAL: _partial,
    ExecutionStatus.FAILED: _failed,
    ExecutionStatus.CANCELLED: _cancelled,
}
