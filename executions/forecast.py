"""When a run will be over, from what launches took here before: a few hundred imagined runs, and how they end.

The engine makes a forecast whenever something of a run has changed and keeps it in the row, so readers pay nothing.
Waiting for a person is not foreseen: the forecast of a run with gates ahead says how many it leaves out.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TypedDict

from contract.clock import unix
from executions.measure import Part, rows_of, server_path
from executions.models import Execution, JobEvent, ServerRun, WaveRun
from executions.states import ExecutionStatus, LaunchStatus, Outlook, Phase, WaveStatus, phase_after

STEPS = (Part.QUEUE, Part.CLEANUP, Part.SNAPSHOT, Part.CONVERSION, Part.LAUNCH)
_STEP_OF = {Phase.CLEANUP: 1, Phase.SNAPSHOT: 2, Phase.CONVERSION: 3, Phase.LAUNCH: 4}
ENOUGH = 5  # launches, before which nothing is foretold
OWN = 8  # launches of one server, from which on only its own count for it
RUNS = 20  # how many of the newest runs count
SAMPLES_A_RUN = 100
WORK, FEWEST, MOST = 20_000, 40, 400  # launches imagined in all; runs imagined
BAND = 0.05  # one run in twenty ends before the band, one after it

Sample = tuple[float, ...]  # seconds, one for each of STEPS


class CriticalServer(TypedDict):
    """The server that is most often the last of its wave, and how often, from 0 to 1."""

    waveNumber: int
    sourceServerId: str
    hostname: str
    share: float


class Kept(TypedDict):
    """A forecast as the row keeps it. Seconds count from `at`, Unix seconds; null before there are enough launches."""

    at: int
    revision: int
    launches: int
    remaining: int | None
    earliest: int | None
    latest: int | None
    gates: int
    critical: list[CriticalServer]


@dataclass(frozen=True)
class ServerAhead:
    """A server that is not up yet: how far it is, and for how many seconds in that step."""

    source_server_id: str
    hostname: str
    step: int = 0
    spent: float = 0.0


@dataclass(frozen=True)
class WaveAhead:
    """A wave with servers that are not up yet."""

    number: int
    servers: Sequence[ServerAhead]


@dataclass
class History:
    """What launches took before."""

    samples: Sequence[tuple[str, Sample]] = ()

    @cached_property
    def _all(self) -> list[Sample]:
        return [sample for _, sample in self.samples]

    @cached_property
    def _own(self) -> Mapping[str, list[Sample]]:
        found: dict[str, list[Sample]] = defaultdict(list)
        for source_server_id, sample in self.samples:
            found[source_server_id].append(sample)
        return found

    def left(self, server: ServerAhead) -> list[float]:
        """How many seconds a server like this had left, once for each launch that was as far for as long."""
        own = self._own.get(server.source_server_id, [])
        pool = own if len(own) >= OWN else self._all
        step, spent = server.step, server.spent
        alike = [sum(sample[step:]) - spent for sample in pool if sample[step] > spent or (step == 0 and spent == 0)]
        # It takes longer than any before: a tenth as long again, and then the steps that remain.
        return alike or [spent / 10 + sum(sample[step + 1 :]) for sample in pool]


@dataclass(frozen=True)
class Outcome:
    """Seconds until the end: the middle, the band around it, and who is last."""

    remaining: float
    earliest: float
    latest: float
    critical: list[CriticalServer]


def foretell(waves: Sequence[WaveAhead], history: History, seed: str) -> Outcome:
    """Imagine the rest of a run some hundred times. Pure; the same seed gives the same answer."""
    dice = random.Random(seed)  # noqa: S311  (guesses a time, guards nothing)
    pools = [[history.left(server) for server in wave.servers] for wave in waves]
    count = sum(len(wave.servers) for wave in waves)
    runs = min(MOST, max(FEWEST, WORK // max(count, 1)))
    last: list[Counter[int]] = [Counter() for _ in waves]
    totals = []
    for _ in range(runs):
        total = 0.0
        for wave, servers in zip(last, pools, strict=True):
            took, slowest = max((pool[int(dice.random() * len(pool))], at) for at, pool in enumerate(servers))
            wave[slowest] += 1
            total += took
        totals.append(total)
    totals.sort()
    return Outcome(
        remaining=totals[runs // 2],
        earliest=totals[int(runs * BAND)],
        latest=totals[int(runs * (1 - BAND))],
        critical=[_critical(wave, ranks, runs) for wave, ranks in zip(waves, last, strict=True)],
    )


def _critical(wave: WaveAhead, ranks: "Counter[int]", runs: int) -> CriticalServer:
    ((at, times),) = ranks.most_common(1)
    server = wave.servers[at]
    return CriticalServer(
        waveNumber=wave.number,
        sourceServerId=server.source_server_id,
        hostname=server.hostname,
        share=round(times / runs, 2),
    )


# Rows in, rows out


def renewed(execution: Execution, now: datetime) -> Kept | None:
    """The forecast of an active run, if something changed since the last one; else None."""
    kept: Kept | None = execution.forecast
    if execution.dry_run or (kept is not None and kept["revision"] == execution.revision):
        return None
    history, waves = _history(), list(execution.waves.order_by("number"))
    ahead = _ahead(execution, waves, now)
    launches = len(history.samples)
    found = Kept(
        at=int(now.timestamp()),
        revision=execution.revision,
        launches=launches,
        remaining=None,
        earliest=None,
        latest=None,
        gates=sum(wave.pause_before and wave.state is WaveStatus.PENDING and not wave.resumed_at for wave in waves),
        critical=[],
    )
    if launches >= ENOUGH:
        outcome = foretell(ahead, history, f"{execution.pk}:{execution.revision}")
        found["remaining"], found["critical"] = round(outcome.remaining), outcome.critical
        found["earliest"], found["latest"] = round(outcome.earliest), round(outcome.latest)
    return found


class Predicted(TypedDict):
    """How long a run of the plan would take, in seconds without pauses; null before there are enough launches."""

    predictedDuration: int | None
    predictedEarliest: int | None
    predictedLatest: int | None
    launches: int
    basis: str


def predicted(execution: Execution) -> Predicted:
    """How long a run would take whose waves launch all their servers, one wave after the other."""
    servers: dict[int, list[ServerAhead]] = defaultdict(list)
    rows = ServerRun.objects.filter(wave__execution=execution).order_by("wave__number", "position")
    for number, server, hostname in rows.values_list("wave__number", "source_server_id", "hostname"):
        servers[number].append(ServerAhead(server, hostname))
    history = _history()
    launches = len(history.samples)
    known = {each.source_server_id for wave in servers.values() for each in wave}
    own = sum(server in known for server, _ in history.samples)
    found = Predicted(
        predictedDuration=None,
        predictedEarliest=None,
        predictedLatest=None,
        launches=launches,
        basis=f"Only {launches} of the {ENOUGH} launches measured that a prediction needs.",
    )
    if launches >= ENOUGH:
        outcome = foretell([WaveAhead(*each) for each in servers.items()], history, str(execution.pk))
        found["predictedDuration"] = round(outcome.remaining)
        found["predictedEarliest"], found["predictedLatest"] = round(outcome.earliest), round(outcome.latest)
        found["basis"] = f"From {launches} launches measured here, {own} of them of these servers; without pauses."
    return found


def _history() -> History:
    runs = Execution.objects.final().filter(dry_run=False).newest_first()
    kept = [times for times in runs.values_list("phase_times", flat=True)[: 2 * RUNS] if times][:RUNS]
    return History([(name, tuple(spent)) for times in kept for name, *spent in times])


def _ahead(execution: Execution, waves: Sequence[WaveRun], now: datetime) -> list[WaveAhead]:
    """The waves that are still to run, or the running one alone when the run is being cancelled."""
    open_waves = [wave for wave in waves if not wave.state.is_final]
    if execution.state is ExecutionStatus.CANCELLING:
        open_waves = [wave for wave in open_waves if wave.state.has_begun]
    rows = ServerRun.objects.filter(
        wave__in=open_waves, launch_status__in=[LaunchStatus.PENDING, LaunchStatus.IN_PROGRESS]
    )
    entered = _entered(open_waves)
    begun = dict(rows.filter(job__intent_at__isnull=False).values_list("pk", "job__intent_at"))
    servers: dict[int, list[ServerAhead]] = defaultdict(list)
    for row in rows.order_by("position"):
        since = begun.get(row.pk)
        step, at = entered.get((row.wave_id, row.source_server_id), (0, since))
        spent = max(0.0, (now - at).total_seconds()) if at else 0.0
        servers[row.wave_id].append(ServerAhead(row.source_server_id, row.hostname, step, spent))
    return [WaveAhead(wave.number, servers[wave.pk]) for wave in open_waves if servers[wave.pk]]


def _entered(waves: Sequence[WaveRun]) -> dict[tuple[int, str], tuple[int, datetime]]:
    """The step in which each server is, and since when."""
    lines = JobEvent.objects.filter(job__wave__in=[wave for wave in waves if wave.state.has_begun]).order_by("at", "pk")
    found: dict[tuple[int, str], tuple[int, datetime]] = {}
    for wave, server, event, at in lines.values_list("job__wave", "source_server_id", "event", "at"):
        step = _STEP_OF.get(phase_after(event, Phase.QUEUED), 0)
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
    return found[:SAMPLES_A_RUN]


# As it is read


class ForecastShape(TypedDict):
    """When a run is expected to be over. Times are null while too few launches were measured (`launches`)."""

    asOf: int
    launches: int
    launchesNeeded: int
    expectedEndTime: int | None
    earliestEndTime: int | None
    latestEndTime: int | None
    gatesNotCounted: int
    rtoOutlook: str | None
    criticalServers: list[CriticalServer]


@dataclass(frozen=True)
class Foretold:
    """A forecast as it stands now, on a page or in an answer."""

    at: datetime
    launches: int
    gates: int
    critical: list[CriticalServer]
    expected: datetime | None
    earliest: datetime | None
    latest: datetime | None
    due: datetime | None
    outlook: Outlook | None
    needed: int = ENOUGH

    @property
    def last(self) -> str:
        """The servers that will probably be the last of their waves, in words."""
        return ", then ".join(f"{each['hostname']} in wave {each['waveNumber'] + 1}" for each in self.critical[:3])


def foretold(execution: Execution, now: datetime) -> Foretold | None:
    """The forecast now. While a run waits for a person its end moves on; none once it is over."""
    kept: Kept | None = execution.forecast
    if kept is None or execution.ended_at is not None:
        return None
    at = datetime.fromtimestamp(kept["at"], UTC)
    since = now if execution.state is ExecutionStatus.PAUSED else at

    def end(seconds: int | None) -> datetime | None:
        return None if seconds is None else max(now, since + timedelta(seconds=seconds))

    earliest, latest = end(kept["earliest"]), end(kept["latest"])
    due = execution.rto_minutes and execution.counts_from + timedelta(minutes=execution.rto_minutes)
    return Foretold(
        at=at,
        launches=kept["launches"],
        gates=kept["gates"],
        critical=kept["critical"],
        expected=end(kept["remaining"]),
        earliest=earliest,
        latest=latest,
        due=due or None,
        outlook=_outlook(earliest, latest, due) if due and earliest and latest else None,
    )


def _outlook(earliest: datetime, latest: datetime, due: datetime) -> Outlook:
    if latest <= due:
        return Outlook.LIKELY_MET
    return Outlook.LIKELY_MISSED if earliest > due else Outlook.OPEN


def show(execution: Execution, now: datetime) -> ForecastShape | None:
    """The forecast as the API has it."""
    found = foretold(execution, now)
    if found is None:
        return None
    return ForecastShape(
        asOf=unix(found.at),
        launches=found.launches,
        launchesNeeded=found.needed,
        expectedEndTime=unix(found.expected),
        earliestEndTime=unix(found.earliest),
        latestEndTime=unix(found.latest),
        gatesNotCounted=found.gates,
        rtoOutlook=found.outlook,
        criticalServers=found.critical,
    )
