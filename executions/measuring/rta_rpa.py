"""What a run achieved: recovery time (RTA) and recovery point (RPA) against their objectives (RTO, RPO), and where the
time went. Rows in, figures out.

Everything is in whole seconds, between moments cut to Unix seconds as the API shows them: the parts of a stretch add
up to it exactly, and anybody can work a figure out from what is shown. `drsorch_verify` derives the same by itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from contract.clock import unix
from executions.measuring.data_time import lag_of, point_of
from executions.measuring.time_parts import Part, before, decisions, part_of
from executions.models import Execution, JobEvent, LaunchJob, ServerRun, WaveRun
from executions.runs.attempts import attempts_among
from executions.states import Phase, Reached, phase_after

Split = dict[Part, int]


@dataclass(frozen=True)
class Verdict:
    """A figure, its target (both seconds), and by how much it was missed."""

    reached: Reached
    seconds: int | None
    target: int | None
    missed_by: int | None = None


@dataclass(frozen=True)
class ServerFigures:
    """One server. `rto` from the first attempt's start, `took` from its wave's; None when it was not launched.

    `lag` is how far the source lagged when the snapshot of this launch was taken: the RPA holds it. `later` data is
    from after the declared outage: then the outage was not then, and the RPA is not known. While `reading`, AWS is
    still asked how old the data is.
    """

    row: ServerRun
    launched: bool
    rto: int | None
    took: int | None
    split: Split
    lag: int
    later: bool
    reading: bool
    rpo: int | None
    rpo_verdict: Verdict


@dataclass(frozen=True)
class WaveFigures:
    """One wave: from its first launch to its last server up (`took`), and the wait at its gate (`waited`).

    The split is that of the server that came last.
    """

    row: WaveRun
    waited: int
    took: int | None
    rto: int | None
    last: ServerRun | None
    split: Split
    servers: Sequence[ServerFigures]


@dataclass(frozen=True)
class Measured:
    """A run with the attempts before it. RTA and RPA, and their verdicts, count from `reference`: the declared outage,
    or the first attempt's `start`; `from_start` is the recovery time from that start. `servers` are all that were to
    come up, each as its last attempt left it; `waves` and `earlier` those of this run and of each attempt before it.
    """

    start: datetime
    reference: datetime
    complete: bool
    rto: Verdict
    from_start: int | None
    rpo: Verdict
    rpo_lag: int
    rpo_unknown: int
    rpo_reading: int
    later_than_outage: int
    previous_snapshots: int
    split: Split
    waves: Sequence[WaveFigures]
    earlier: Sequence[Sequence[WaveFigures]]
    servers: Sequence[ServerFigures]


@dataclass
class WaveRows:
    """The rows of a wave. `events` are the log lines of its servers by source server, oldest first; `earlier` those of
    launches before the wave was retried."""

    run: WaveRun
    servers: Sequence[ServerRun]
    jobs: Sequence[LaunchJob]
    events: dict[str, list[JobEvent]] = field(default_factory=dict)
    earlier: dict[str, list[JobEvent]] = field(default_factory=dict)


@dataclass
class Attempt:
    """A run with the rows of its waves."""

    execution: Execution
    waves: Sequence[WaveRows]


Stretch = tuple[Part, datetime, datetime]


def rows_of(execution: Execution) -> list[WaveRows]:
    """The rows that `measure` needs of a run read `with_waves`; one query more, for the log."""
    rows = {each.pk: WaveRows(each, list(each.servers.all()), list(each.jobs.all())) for each in execution.waves.all()}
    last = {(wave, each.source_server_id): each.job_id for wave, of in rows.items() for each in of.servers}
    events = JobEvent.objects.filter(job__wave__execution=execution).exclude(source_server_id="")
    for event in events.select_related("job").order_by("at", "pk"):
        server, wave = event.source_server_id, event.job.wave_id
        kept = rows[wave].events if last.get((wave, server)) == event.job_id else rows[wave].earlier
        kept.setdefault(server, []).append(event)
    return list(rows.values())


def attempts_before(execution: Execution) -> list[Attempt]:
    """The attempts before a retry, the first one first, without those that were deleted. No query for other runs."""
    if execution.first_attempt_id is None:
        return []
    found = attempts_among(execution).filter(attempt__lt=execution.attempt).order_by("attempt")
    return [Attempt(each, rows_of(each)) for each in found.prefetch_related("waves__servers", "waves__jobs")]


def measure(execution: Execution, waves: Sequence[WaveRows], before: Sequence[Attempt] = ()) -> Measured:
    """Every figure of a run and of the attempts before it, against the targets that its plan had at the start."""
    start, reference, over = execution.counts_from, execution.measured_from, execution.state.is_final
    earlier = [[_wave(wave, execution) for wave in each.waves] for each in before]
    figures = [_wave(wave, execution) for wave in waves]
    latest = {s.row.source_server_id: s for each in [*earlier, figures] for wave in each for s in wave.servers}
    servers = list(latest.values())
    last = max((each.row.launched_at for each in servers if each.row.launched_at), default=None)
    complete = bool(servers) and all(each.launched for each in servers)
    gone = execution.attempt - 1 - len(before)
    return Measured(
        start=start,
        reference=reference,
        complete=complete,
        rto=_verdict(
            _seconds_between(reference, last) if complete or over else None,
            _minutes_to_seconds(execution.rto_minutes),
            reached=complete,
            over=over,
        ),
        from_start=_seconds_between(start, last) if complete or over else None,
        rpo=_worst_rpa(servers, _minutes_to_seconds(execution.rpo_minutes), over=over, gone=gone > 0),
        rpo_lag=_lag_of_worst(servers),
        rpo_unknown=sum(each.launched and each.rpo is None and not each.reading for each in servers),
        rpo_reading=sum(each.reading for each in servers),
        later_than_outage=sum(each.launched and each.later for each in servers),
        previous_snapshots=sum(each.launched and each.row.used_previous_snapshot for each in servers),
        split=_sum(_path([*before, Attempt(execution, waves)], start, last) if last else []),
        waves=figures,
        earlier=earlier,
        servers=servers,
    )


def _wave(wave: WaveRows, execution: Execution) -> WaveFigures:
    """A wave of the run, or of an attempt before it, by the run's start and targets."""
    jobs = {job.pk: job for job in wave.jobs}
    last, took, split = time_of(wave)
    return WaveFigures(
        row=wave.run,
        waited=_sum(_gate(wave.run))[Part.PERSON],
        took=took,
        rto=_seconds_between(execution.counts_from, last.launched_at if last else None),
        last=last,
        split=split,
        servers=[_server(each, wave, jobs[each.job_id], execution) for each in wave.servers],
    )


def time_of(wave: WaveRows) -> tuple[ServerRun | None, int | None, Split]:
    """The server that came last in a wave, how long after its start, and on what that time was spent."""
    last = _last(wave)
    if last is None:
        return None, None, _sum([])
    job = {each.pk: each for each in wave.jobs}[last.job_id]
    return last, _seconds_between(wave.run.started_at, last.launched_at), _sum(server_path(last, wave, job))


def _server(row: ServerRun, wave: WaveRows, job: LaunchJob, execution: Execution) -> ServerFigures:
    launched = row.state.came_up and row.launched_at is not None
    outage, lag = execution.outage_at, lag_of(row, job)
    point = point_of(row)
    data = point and point - job.aws_ahead - timedelta(seconds=lag)
    later = outage is not None and data is not None and unix(data) > unix(outage)
    rpo = None if later else _seconds_between(data, execution.measured_from)
    verdict = _verdict(rpo, _minutes_to_seconds(execution.rpo_minutes), reached=launched, over=execution.state.is_final)
    reading = launched and point is None and job.watched
    return ServerFigures(
        row=row,
        launched=launched,
        rto=_seconds_between(execution.counts_from, row.launched_at),
        took=_seconds_between(wave.run.started_at, row.launched_at),
        split=_sum(server_path(row, wave, job)),
        lag=lag,
        later=later,
        reading=reading,
        rpo=rpo,
        rpo_verdict=_still_read(verdict) if reading else verdict,
    )


def _still_read(verdict: Verdict) -> Verdict:
    return replace(verdict, reached=Reached.READING) if verdict.reached is Reached.UNKNOWN else verdict


def _last(wave: WaveRows) -> ServerRun | None:
    """The server that came up last; of several in the same second the one that stands last."""
    up = [(unix(each.launched_at), at, each) for at, each in enumerate(wave.servers) if each.launched_at is not None]
    return max(up)[2] if up else None


def _minutes_to_seconds(minutes: int | None) -> int | None:
    return None if minutes is None else 60 * minutes


def _verdict(seconds: int | None, target: int | None, *, reached: bool, over: bool) -> Verdict:
    if target is None:
        return Verdict(Reached.NO_TARGET, seconds, None)
    if not reached:
        return Verdict(Reached.NOT_REACHED if over else Reached.UNKNOWN, seconds, target)
    if seconds is None:
        return Verdict(Reached.UNKNOWN, None, target)
    if seconds > target:
        return Verdict(Reached.MISSED, seconds, target, seconds - target)
    return Verdict(Reached.MET, seconds, target)


def judged(seconds: int | None, target_minutes: int | None) -> Verdict:
    """A figure of a launch that came up, against a target."""
    return _verdict(seconds, _minutes_to_seconds(target_minutes), reached=True, over=True)


def _worst_rpa(servers: Sequence[ServerFigures], target: int | None, *, over: bool, gone: bool) -> Verdict:
    """The run's RPA is that of its worst server; met only when every server's is known, `gone` attempts' too."""
    known = [each.rpo for each in servers if each.launched and each.rpo is not None]
    worst = max(known, default=None)
    verdict = _verdict(worst, target, reached=bool(known) or all(each.launched for each in servers), over=over)
    if verdict.reached is Reached.MET and not all(each.launched for each in servers):
        return Verdict(Reached.NOT_REACHED if over else Reached.UNKNOWN, worst, target)
    if verdict.reached is Reached.MET and (len(known) < len(servers) or gone):
        verdict = Verdict(Reached.UNKNOWN, worst, target)
    return _still_read(verdict) if any(each.reading for each in servers) else verdict


def _lag_of_worst(servers: Sequence[ServerFigures]) -> int:
    """How much of the run's RPA is the lag of its worst server; of several the one that stands last."""
    known = [(each.rpo, at, each.lag) for at, each in enumerate(servers) if each.launched and each.rpo is not None]
    return max(known)[2] if known else 0


# Where the time went: stretches one after the other, each with its part


def server_path(server: ServerRun, wave: WaveRows, job: LaunchJob) -> list[Stretch]:
    """From the start of the wave to the server's launch; empty when it was not launched. Lines of a log whose clock is
    not ours are moved to ours."""
    begin, end = wave.run.started_at, server.launched_at
    if begin is None or end is None:
        return []
    turns = [*before(wave.run, wave.jobs, job, begin), (Part.QUEUE, job.intent_at or begin)]
    phase = Phase.QUEUED
    for event in wave.events.get(server.source_server_id, ()):
        phase = phase_after(event.event, phase)
        if part := part_of(phase):
            turns.append((part, event.at - job.aws_ahead))
    return _stretches(turns, end)


def _stretches(turns: Sequence[tuple[Part, datetime]], end: datetime) -> list[Stretch]:
    """Stretches between turning points, never backwards and never past the end, whatever AWS's clock says."""
    found: list[Stretch] = []
    cursor = min(turns[0][1], end)
    for at, (part, _) in enumerate(turns):
        until = min(max(cursor, turns[at + 1][1] if at + 1 < len(turns) else end), end)
        found.append((part, cursor, until))
        cursor = until
    return found


def _gate(run: WaveRun) -> list[Stretch]:
    """The wait for a person before a wave, once it is over."""
    until = run.resumed_at or run.ended_at
    return [(Part.PERSON, run.paused_at, until)] if run.paused_at and until else []


def _path(attempts: Sequence[Attempt], start: datetime, end: datetime) -> list[Stretch]:
    """From the first start to the last launch: each wave by the server that came last in it.

    Between two attempts somebody had to decide to try again.
    """
    turns: list[tuple[Part, datetime]] = [(Part.OTHER, start)]
    for at, each in enumerate(attempts):
        if at:
            turns.append((Part.PERSON, attempts[at - 1].execution.ended_at or start))
        turns += [(Part.OTHER, each.execution.started_at), *_turns(each.waves, end)]
    return _stretches(turns, end)


def _turns(waves: Sequence[WaveRows], end: datetime) -> list[tuple[Part, datetime]]:
    turns: list[tuple[Part, datetime]] = []
    for wave in waves:
        for _, since, until in _gate(wave.run):
            turns += [(Part.PERSON, since), (Part.OTHER, until)]
        last = _last(wave)
        if last is not None:
            job = next(job for job in wave.jobs if job.pk == last.job_id)
            turns += [(part, since) for part, since, _ in server_path(last, wave, job)]
            turns.append((Part.OTHER, last.launched_at or end))
        elif wave.run.started_at:
            turns.append((Part.OTHER, wave.run.started_at))
        for asked, retried in decisions(wave.run):
            turns += [(Part.PERSON, asked), (Part.OTHER, retried)]
        if wave.run.asked_at and wave.run.answered_at:
            turns += [(Part.PERSON, wave.run.asked_at), (Part.OTHER, wave.run.answered_at)]
    return turns


def _sum(stretches: Iterable[Stretch]) -> Split:
    split = dict.fromkeys(Part, 0)
    for part, since, until in stretches:
        split[part] += unix(until) - unix(since)
    return split


def _seconds_between(since: datetime | None, until: datetime | None) -> int | None:
    """Whole seconds from one moment to another, none when that is the earlier one."""
    if since is None or until is None:
        return None
    return max(0, unix(until) - unix(since))
