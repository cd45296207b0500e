"""Simulates the rest of a run some hundred times, from what launches took here before. Pure: no rows, no clock."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict

ENOUGH_OWN_LAUNCHES = 8  # launches of one server, from which on only its own count for it
WORK, FEWEST, MOST = 20_000, 40, 400  # launches simulated in all; runs simulated
BAND = 0.05  # one run in twenty ends before the band, one after it
NARROWEST_BAND = 15.0  # seconds around the middle, because DRS is asked that often
OVERDUE = (0.02, 0.05, 0.1, 0.4, 1.0)  # of what a step took that takes longer than any before

Sample = tuple[float, ...]  # seconds, one for each of `forecast.STEPS`


class CriticalServer(TypedDict):
    """The server that is most often the last of its wave, and how often, from 0 to 1."""

    waveNumber: int
    sourceServerId: str
    hostname: str
    share: float


@dataclass(frozen=True)
class ServerToLaunch:
    """A server that is not up yet: how far it is, and for how many seconds in that step."""

    source_server_id: str
    hostname: str
    step: int = 0
    spent: float = 0.0


@dataclass(frozen=True)
class WaveToLaunch:
    """A wave with servers that are not up yet."""

    number: int
    servers: Sequence[ServerToLaunch]


Run = Sequence[tuple[str, Sample]]  # what the launches of one run took, by source server


@dataclass(frozen=True)
class RemainingTimes:
    """How many seconds a server may have left: after the runs that launched one that was as far, and after all."""

    by_run: Mapping[int, Sequence[float]]
    every: Sequence[float]

    def draw(self, run: int, dice: random.Random) -> float:
        pool = self.by_run.get(run) or self.every
        return pool[int(dice.random() * len(pool))]


@dataclass
class History:
    """What launches took before, run by run: those of one run are alike, so it is runs that tell much or little."""

    runs: Sequence[Run] = ()

    @cached_property
    def launches(self) -> int:
        return sum(len(run) for run in self.runs)

    @cached_property
    def _own(self) -> Mapping[str, list[tuple[int, Sample]]]:
        found: dict[str, list[tuple[int, Sample]]] = defaultdict(list)
        for at, run in enumerate(self.runs):
            for source_server_id, sample in run:
                found[source_server_id].append((at, sample))
        return found

    @cached_property
    def _all(self) -> list[tuple[int, Sample]]:
        return [(at, sample) for at, run in enumerate(self.runs) for _, sample in run]

    @cached_property
    def _not_started(self) -> RemainingTimes:
        return _gathered((at, sum(sample)) for at, sample in self._all)

    def remaining_times(self, server: ServerToLaunch) -> RemainingTimes:
        """How long a server like this took, in each launch that was as far for as long."""
        own = self._own.get(server.source_server_id, [])
        pool = own if len(own) >= ENOUGH_OWN_LAUNCHES else self._all
        step, spent = server.step, server.spent
        if pool is self._all and (step, spent) == (0, 0.0):
            return self._not_started
        alike = [(at, sum(each[step:]) - spent) for at, each in pool if each[step] > spent or (step, spent) == (0, 0.0)]
        # It takes longer than any before: a little longer or as long again, and then the steps that remain.
        return _gathered(alike or [(at, spent * more + sum(each[step + 1 :])) for at, each in pool for more in OVERDUE])


def _gathered(pairs: Iterable[tuple[int, float]]) -> RemainingTimes:
    by_run: dict[int, list[float]] = defaultdict(list)
    for at, seconds in pairs:
        by_run[at].append(seconds)
    return RemainingTimes(by_run, [seconds for pool in by_run.values() for seconds in pool])


@dataclass(frozen=True)
class Outcome:
    """Seconds until the end: the middle, the band around it, and who is last."""

    remaining: float
    earliest: float
    latest: float
    critical: list[CriticalServer]


def simulate(waves: Sequence[WaveToLaunch], history: History, seed: str) -> Outcome:
    """Simulate the rest of a run some hundred times, each like one earlier run. Pure; a seed gives one answer."""
    dice = random.Random(seed)  # noqa: S311  (guesses a time, guards nothing)
    pools = [[history.remaining_times(server) for server in wave.servers] for wave in waves]
    count, known = sum(len(wave.servers) for wave in waves), len(history.runs)
    runs = min(MOST, max(FEWEST, WORK // max(count, 1)))
    last: list[Counter[int]] = [Counter() for _ in waves]
    totals = []
    for _ in range(runs):
        like, total = int(dice.random() * known), 0.0
        for wave, servers in zip(last, pools, strict=True):
            took, slowest = max((remaining_times.draw(like, dice), at) for at, remaining_times in enumerate(servers))
            wave[slowest] += 1
            total += took
        totals.append(total)
    totals.sort()
    middle = totals[runs // 2]
    earliest, latest = _band(middle, totals[int(runs * BAND)], totals[int(runs * (1 - BAND))], known)
    critical = [_critical(wave, ranks, runs) for wave, ranks in zip(waves, last, strict=True)]
    return Outcome(middle, earliest, latest, critical)


def _band(middle: float, early: float, late: float, runs: int) -> tuple[float, float]:
    """Few runs have not yet shown how they differ: the fewer, the further the next one may lie outside of them.

    The factors are those with which 90 % of runs end in the band when runs differ by a fifth
    (`test_the_band_holds_what_it_promises`), as Student's t would have it.
    """
    stretch, least = 1 + 5 / runs, NARROWEST_BAND + middle / (2 * runs)
    return max(0.0, middle - max(stretch * (middle - early), least)), middle + max(stretch * (late - middle), least)


def _critical(wave: WaveToLaunch, ranks: "Counter[int]", runs: int) -> CriticalServer:
    ((at, times),) = ranks.most_common(1)
    server = wave.servers[at]
    return CriticalServer(
        waveNumber=wave.number,
        sourceServerId=server.source_server_id,
        hostname=server.hostname,
        share=round(times / runs, 2),
    )
