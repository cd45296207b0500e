"""When a run will be over: a simulation of a few hundred runs, from the times that earlier launches took here.

The engine makes a forecast whenever something of a run has changed and keeps it in the row, so readers pay nothing.
Waiting for a person is not predicted: the forecast of a run with gates ahead says how many it leaves out.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from contract.clock import unix
from contract.plurals import counted
from contract.storage.prepared import Prepared, PreparedAmong
from executions.measuring.forecast_model import CriticalServer, History, ServerToLaunch, WaveToLaunch, simulate
from executions.measuring.rta_rpa import rows_of, server_path
from executions.measuring.time_parts import Part, part_of
from executions.models import Execution, JobEvent, LaunchJob, ServerRun, WaveRun
from executions.runs.current_wave import WAVES_OF_RUN
from executions.states import ExecutionStatus, LaunchStatus, Outlook, Phase, WaveStatus, phase_after

STEPS = (Part.QUEUE, Part.CLEANUP, Part.SNAPSHOT, Part.CONVERSION, Part.LAUNCH)
ENOUGH = 5  # launches, before which nothing is current_forecast
RUNS = 20  # how many of the newest runs count
SAMPLES_PER_RUN = 100
RUNS_FOR_OUTLOOK = 3  # runs, below which the outlook stays open
STALE_AFTER = timedelta(seconds=60)


class StoredForecast(TypedDict):
    """A forecast as the row keeps it. Seconds count from `at`, Unix seconds; null before there are enough launches."""

    at: int
    revision: int
    launches: int
    runs: int
    remaining: int | None
    earliest: int | None
    latest: int | None
    gates: int
    critical: list[CriticalServer]


# Rows in, rows out

_LAST_TIMES = Prepared(
    lambda: Execution.objects.final().filter(dry_run=False).newest_first().values_list("phase_times")[: 2 * RUNS]
)
_TO_LAUNCH = PreparedAmong(
    WaveRun,
    "id",
    lambda waves: (
        ServerRun.objects.filter(
            wave__pk__in=waves,
            launch_status__in=[LaunchStatus.PENDING, LaunchStatus.IN_PROGRESS],
            excluded__isnull=True,
        )
        .order_by("position")
        .values_list("wave_id", "source_server_id", "hostname", "job_id")
    ),
)
_JOBS = PreparedAmong(WaveRun, "id", lambda waves: LaunchJob.objects.filter(wave__pk__in=waves).select_related("wave"))
_LINES = PreparedAmong(
    WaveRun,
    "id",
    lambda waves: (
        JobEvent.objects.filter(job__wave__pk__in=waves)
        .order_by("at", "pk")
        .values_list("job__wave", "source_server_id", "event", "at")
    ),
)


def updated_forecast(execution: Execution, now: datetime) -> StoredForecast | None:
    """The forecast of an active run, if something changed since the last one or it is stale; else None."""
    kept: StoredForecast | None = execution.forecast
    fresh = kept is not None and kept["revision"] == execution.revision and not is_stale(execution, now)
    if execution.dry_run or fresh:
        return None
    history, waves = _history(), WAVES_OF_RUN.objects(id=execution.pk)
    ahead = _waves_to_run(execution, waves, now)
    launches = history.launches
    found = StoredForecast(
        at=int(now.timestamp()),
        revision=execution.revision,
        launches=launches,
        runs=len(history.runs),
        remaining=None,
        earliest=None,
        latest=None,
        gates=sum(wave.pause_before and wave.state is WaveStatus.PENDING and not wave.resumed_at for wave in waves),
        critical=[],
    )
    if launches >= ENOUGH:
        outcome = simulate(ahead, history, f"{execution.pk}:{execution.revision}")
        waits = sum(_wait_ahead(wave, now) for wave in waves if wave.number in {each.number for each in ahead})
        found["remaining"], found["critical"] = round(outcome.remaining + waits), outcome.critical
        found["earliest"], found["latest"] = round(outcome.earliest + waits), round(outcome.latest + waits)
    return found


def _wait_ahead(wave: WaveRun, now: datetime) -> float:
    """Seconds that the plan leaves before a wave, as far as they are not over."""
    if wave.state.has_begun:
        return 0.0
    if wave.starts_at is not None:
        return max(0.0, (wave.starts_at - now).total_seconds())
    return 60.0 * wave.wait_minutes_before


def has_forecast(execution: Execution) -> bool:
    """Whether the run is active and has a forecast."""
    kept: StoredForecast | None = None if execution.state.is_final else execution.forecast
    return kept is not None and kept["remaining"] is not None


def is_stale(execution: Execution, now: datetime) -> bool:
    """Whether a forecast has grown old although nothing happened: then a server takes longer than was thought."""
    kept: StoredForecast | None = execution.forecast
    if kept is None or kept["remaining"] is None or execution.state is ExecutionStatus.PAUSED:
        return False
    return now - datetime.fromtimestamp(kept["at"], UTC) > STALE_AFTER


class Predicted(TypedDict):
    """How long a run of the plan would take, in seconds without pauses; null before there are enough launches."""

    predictedDuration: int | None
    predictedEarliest: int | None
    predictedLatest: int | None
    launches: int
    runs: int
    basis: str


def predict_duration(execution: Execution) -> Predicted:
    """How long a run would take whose waves launch all their servers, one wave after the other."""
    servers: dict[int, list[ServerToLaunch]] = defaultdict(list)
    rows = ServerRun.objects.filter(wave__execution=execution).order_by("wave__number", "position")
    for number, server, hostname in rows.values_list("wave__number", "source_server_id", "hostname"):
        servers[number].append(ServerToLaunch(server, hostname))
    history = _history()
    launches, runs = history.launches, len(history.runs)
    known = {each.source_server_id for wave in servers.values() for each in wave}
    own = sum(server in known for run in history.runs for server, _ in run)
    found = Predicted(
        predictedDuration=None,
        predictedEarliest=None,
        predictedLatest=None,
        launches=launches,
        runs=runs,
        basis=f"Only {launches} of the {ENOUGH} launches that a prediction needs have been measured.",
    )
    if launches >= ENOUGH:
        outcome = simulate([WaveToLaunch(*each) for each in servers.items()], history, str(execution.pk))
        waits = 60 * sum(execution.waves.values_list("wait_minutes_before", flat=True))
        found["predictedDuration"] = round(outcome.remaining) + waits
        found["predictedEarliest"], found["predictedLatest"] = (
            round(outcome.earliest) + waits,
            round(outcome.latest) + waits,
        )
        found["basis"] = (
            f"From {launches} launches of {runs} {'run' if runs == 1 else 'runs'} measured here,"
            f" {own} of them of these servers; without pauses{_gates(execution)}."
        )
    return found


def _gates(execution: Execution) -> str:
    """What is said of people, whose time nobody knows."""
    count = execution.waves.filter(gate__isnull=False).count()
    return f" and without {counted(count, 'gate')}, for which people take a time that is not known" if count else ""


def _history() -> History:
    kept = [times for (times,) in _LAST_TIMES.rows() if times][:RUNS]
    return History([[(name, tuple(spent)) for name, *spent in times] for times in kept])


def _waves_to_run(execution: Execution, waves: Sequence[WaveRun], now: datetime) -> list[WaveToLaunch]:
    """The waves that are still to run, or the running one alone when the run is being cancelled."""
    open_waves = [wave for wave in waves if not wave.state.is_final]
    if execution.state is ExecutionStatus.CANCELLING:
        open_waves = [wave for wave in open_waves if wave.state.has_begun]
    entered = _current_steps(open_waves)
    jobs = {job.pk: job for job in _JOBS.objects(wave.pk for wave in open_waves)}
    servers: dict[int, list[ServerToLaunch]] = defaultdict(list)
    for wave, server, hostname, of in _TO_LAUNCH.rows(wave.pk for wave in open_waves):
        step, at = 0, jobs[of].intent_at
        if told := entered.get((wave, server)):
            step, at = told[0], told[1] - jobs[of].aws_ahead
        spent = max(0.0, (now - at).total_seconds()) if at else 0.0
        servers[wave].append(ServerToLaunch(server, hostname, step, spent))
    return [WaveToLaunch(wave.number, servers[wave.pk]) for wave in open_waves if servers[wave.pk]]


def _current_steps(waves: Sequence[WaveRun]) -> dict[tuple[int, str], tuple[int, datetime]]:
    """The step in which each server is, and since when."""
    found: dict[tuple[int, str], tuple[int, datetime]] = {}
    for wave, server, event, at in _LINES.rows(wave.pk for wave in waves if wave.state.has_begun):
        part = part_of(phase_after(event, Phase.QUEUED))
        step = STEPS.index(part) if part else 0
        if step > found.get((wave, server), (0, at))[0]:
            found[wave, server] = step, at
    return found


def phase_times(execution: Execution) -> list[list[str | float]]:
    """What each launch of an ended run took, in the form of `Execution.phase_times`."""
    found: list[list[str | float]] = []
    for wave in rows_of(Execution.objects.with_waves().get(pk=execution.pk)):
        jobs = {job.pk: job for job in wave.jobs}
        for server in wave.servers:
            spent = dict.fromkeys(STEPS, 0.0)
            for part, since, until in server_path(server, wave, jobs[server.job_id]):
                if part in spent:
                    spent[part] += (until - since).total_seconds()
            if any(spent.values()):
                found.append([server.source_server_id, *(round(each, 1) for each in spent.values())])
    return found[:SAMPLES_PER_RUN]


# As it is read


class ForecastShape(TypedDict):
    """When a run is expected to be over. Times are null while too few launches were measured (`launches`), and while no
    news of the run comes in; the outlook stays OPEN while too few runs were measured (`runs`).
    """

    asOf: int
    launches: int
    runs: int
    launchesNeeded: int
    expectedEndTime: int | None
    earliestEndTime: int | None
    latestEndTime: int | None
    gatesNotCounted: int
    rtoOutlook: str | None
    criticalServers: list[CriticalServer]


@dataclass(frozen=True)
class ShownForecast:
    """A forecast as it stands now, on a page or in an answer."""

    at: datetime
    launches: int
    runs: int
    gates: int
    critical: list[CriticalServer]
    expected: datetime | None
    earliest: datetime | None
    latest: datetime | None
    due: datetime | None
    outlook: Outlook | None
    needed: int = ENOUGH
    after_resume: tuple[int, int, int] | None = None  # of a paused run, in seconds: earliest, expected, latest
    is_unknown: bool = False  # there would be one, but no news of the run comes in

    def without_news(self) -> "ShownForecast":
        """Of a run that cannot be relied on to go on: of what was said, only a missed target stays true."""
        if self.expected is None:
            return self
        missed = self.outlook if self.outlook is Outlook.LIKELY_MISSED else None
        return replace(
            self,
            is_unknown=True,
            expected=None,
            earliest=None,
            latest=None,
            after_resume=None,
            critical=[],
            outlook=missed,
        )

    @property
    def last(self) -> str:
        """The servers that will probably be the last of their waves, in words."""
        return ", then ".join(f"{each['hostname']} in wave {each['waveNumber'] + 1}" for each in self.critical[:3])


def current_forecast(execution: Execution, now: datetime) -> ShownForecast | None:
    """The forecast now. While a run waits for a person its end moves on; none once it is over, or is being cancelled:
    waves that will not run count in what is kept."""
    kept: StoredForecast | None = execution.forecast
    if kept is None or execution.ended_at is not None or execution.cancel_requested_at is not None:
        return None
    at = datetime.fromtimestamp(kept["at"], UTC)
    is_paused = execution.state is ExecutionStatus.PAUSED
    since = now if is_paused else at
    band = left = None
    if kept["earliest"] is not None and kept["remaining"] is not None and kept["latest"] is not None:
        left = (kept["earliest"], kept["remaining"], kept["latest"])
        band = _band_now(since, left, now)
    due = execution.rto_minutes and execution.measured_from + timedelta(minutes=execution.rto_minutes)
    runs, overdue = kept.get("runs", 0), kept["latest"] is not None and now > since + timedelta(seconds=kept["latest"])
    return ShownForecast(
        at=at,
        launches=kept["launches"],
        runs=runs,
        gates=kept["gates"] or int(execution.pause_requested_at is not None),
        critical=kept["critical"],
        expected=band and band[1],
        earliest=band and band[0],
        latest=band and band[2],
        due=due or None,
        outlook=_outlook(band, due, now, enough_runs=runs >= RUNS_FOR_OUTLOOK and not overdue) if due else None,
        after_resume=left if is_paused else None,
    )


Band = tuple[datetime, datetime, datetime]  # earliest, expected, latest


def _band_now(since: datetime, kept: tuple[int, int, int], now: datetime) -> Band:
    """The band as it stands now. What should be over and is not may last as long again as it is late."""
    earliest, expected, latest = (since + timedelta(seconds=each) for each in kept)
    if expected > now:
        return max(now, earliest), expected, latest
    late = max(now - expected, STALE_AFTER)
    return now, now + late / 4, max(latest, now + late)


def _outlook(band: Band | None, due: datetime, now: datetime, *, enough_runs: bool) -> Outlook | None:
    """None while nothing can be said. That its time is over is true of a run whose end nobody can forecast, too."""
    if now > due:
        return Outlook.LIKELY_MISSED
    if band is None:
        return None
    earliest, _, latest = band
    if enough_runs and earliest > due:
        return Outlook.LIKELY_MISSED
    return Outlook.LIKELY_MET if enough_runs and latest <= due else Outlook.OPEN


def show(execution: Execution, now: datetime, *, engine_alive: bool) -> ForecastShape | None:
    """The forecast as the API has it: no end is promised while no news of the run comes in."""
    found = current_forecast(execution, now)
    if found is None:
        return None
    if execution.stalled_since or execution.failing_since or not engine_alive:
        found = found.without_news()
    return ForecastShape(
        asOf=unix(found.at),
        launches=found.launches,
        runs=found.runs,
        launchesNeeded=found.needed,
        expectedEndTime=unix(found.expected),
        earliestEndTime=unix(found.earliest),
        latestEndTime=unix(found.latest),
        gatesNotCounted=found.gates,
        rtoOutlook=found.outlook,
        criticalServers=found.critical,
    )
