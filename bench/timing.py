"""What the rows of `bench.engine` share: starts, waits with an end, and figures of the simulator's calls."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from bench.world import World, cpu_seconds

REGIONS = ("us-east-1", "us-west-2")
WARM_UP = 20.0  # seconds in which every worker has had a task, and has made its AWS clients
PATIENCE = 200.0
Row = tuple[str, str, str]
Calls = list[dict[str, Any]]


def moment(call: dict[str, Any]) -> float:
    return datetime.fromisoformat(call["at"]).timestamp()


def start_all(made: World, plans: Sequence[Any] | None = None) -> None:
    """Drills of these plans, or of all."""
    from audit.actor import SYSTEM
    from executions.commands import control
    from executions.states import Kind

    for plan in made.plans if plans is None else plans:
        control.start(actor=SYSTEM, plan_id=plan, kind=Kind.DRILL)


def wait_until(what: str, is_so: Callable[[], bool], patience: float = PATIENCE) -> None:
    end = time.monotonic() + patience
    while not is_so():
        if time.monotonic() > end:
            raise SystemExit(f"Not within {patience:.0f} s: {what}")
        time.sleep(0.5)


def window(pid: int, seconds: float) -> float:
    """Percent of one core that the engine takes, over so many seconds."""
    from tests.support.processes import descendants

    tree = descendants(pid)
    cpu, at = cpu_seconds(tree), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu_seconds(tree) - cpu) / (time.monotonic() - at)


def polls_and_others(made: World, since: int) -> tuple[Calls, Calls]:
    """DescribeJobs of our own jobs, by their ids, and of whatever runs there."""
    calls = made.simulator.journal("DescribeJobs", since=since)
    polls = [call for call in calls if "jobIDs" in call["params"]["filters"]]
    return polls, [call for call in calls if call not in polls]


def pages_a_minute(calls: Calls) -> float:
    """Of the busier region, from its first poll to its last: a window cuts off parts of intervals."""
    rates = []
    for region in REGIONS:
        moments = [moment(call) for call in calls if call["region"] == region]
        first, last = moments[0], moments[-1]
        rates.append(60 * sum(each > first + 1 for each in moments) / (last - first))
    return max(rates)


def gaps_of(calls: Calls) -> list[float]:
    seen: dict[str, list[float]] = defaultdict(list)
    for call in calls:
        for job_id in call["params"]["filters"].get("jobIDs", []):
            seen[job_id].append(moment(call))
    return [later - sooner for moments in seen.values() for sooner, later in pairwise(moments)]
