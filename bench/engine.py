"""What 200 active runs cost, and how fast waves follow one another: python -m bench.engine [--runs 200 --seconds 90].

On PostgreSQL: script/with-postgres --durable .venv/bin/python -m bench.engine
"""

import argparse
import os
import time
from collections import defaultdict
from datetime import datetime
from itertools import pairwise
from typing import Any

from bench.world import World, cpu_seconds, engine, percentile, world

REGIONS = ("us-east-1", "us-west-2")
WARM_UP = 45.0  # seconds in which every worker has had the beat once, and has made its AWS clients
Row = tuple[str, str, str]


def moment(call: dict[str, Any]) -> float:
    return datetime.fromisoformat(call["at"]).timestamp()


def start_all(made: World) -> None:
    from audit.actor import SYSTEM
    from executions.commands import control
    from executions.states import Kind

    for plan in made.plans:
        control.start(actor=SYSTEM, plan_id=plan, kind=Kind.DRILL)


def steady(runs: int, seconds: float) -> list[Row]:
    """Load while nothing much is new."""
    with world(plans=runs, regions=REGIONS) as made, engine() as pid:
        from executions.models import Execution

        began = time.monotonic()
        start_all(made)
        while Execution.objects.filter(status__in=["POLLING", "LAUNCHING"]).count() < runs:
            time.sleep(0.5)
        launched_in = time.monotonic() - began
        time.sleep(WARM_UP)
        from tests.support.processes import descendants

        tree = descendants(pid)
        since = made.simulator.journal()[-1]["id"]
        cpu, at = cpu_seconds(tree), time.monotonic()
        time.sleep(seconds)
        used, took = cpu_seconds(tree) - cpu, time.monotonic() - at
        calls = made.simulator.journal("DescribeJobs", since=since)
        polls = [call for call in calls if "jobIDs" in call["params"]["filters"]]
        others = [call for call in calls if call not in polls]
        gaps = gaps_of(polls)
        return [
            (f"{runs} starts at once, all launched", f"{launched_in:.1f} s", ""),
            ("processor of the engine, of one core", f"{100 * used / took:.1f} %", "≤ 6 %"),
            ("DescribeJobs pages a minute and region, of polls", f"{pages_a_minute(polls):.1f}", "≤ 4"),
            ("and to see what others run there", f"{60 * len(others) / len(REGIONS) / took:.1f}", ""),
            ("gap between polls of a job", f"{min(gaps):.1f} … {max(gaps):.1f} s", "15 ± 2 s"),
        ]


def pages_a_minute(calls: list[dict[str, Any]]) -> float:
    """Of the busier region, from its first poll to its last: a window cuts off parts of intervals."""
    rates = []
    for region in REGIONS:
        moments = [moment(call) for call in calls if call["region"] == region]
        first, last = moments[0], moments[-1]
        rates.append(60 * sum(each > first + 1 for each in moments) / (last - first))
    return max(rates)


def gaps_of(calls: list[dict[str, Any]]) -> list[float]:
    seen: dict[str, list[float]] = defaultdict(list)
    for call in calls:
        for job_id in call["params"]["filters"].get("jobIDs", []):
            seen[job_id].append(moment(call))
    return [later - sooner for moments in seen.values() for sooner, later in pairwise(moments)]


def hand_over(runs: int) -> list[Row]:
    """From the poll that saw a wave's last server LAUNCHED to the next wave's StartRecovery."""
    with world(waves=3, plans=runs, speed=30) as made, engine():
        from executions.models import Execution, LaunchJob

        start_all(made)
        while Execution.objects.active().exists():
            time.sleep(1)
        polls = [moment(call) for call in made.simulator.journal("DescribeJobs")]
        sent = {call["job_id"]: moment(call) for call in made.simulator.journal("StartRecovery")}
        later = LaunchJob.objects.filter(wave__number__gt=0).values_list("job_id", flat=True)
        waits = [sent[each] - max(poll for poll in polls if poll < sent[each]) for each in later]
    spread = f"p50 {percentile(waits, 0.5):.2f} s, p95 {percentile(waits, 0.95):.2f} s, max {max(waits):.2f} s"
    return [(f"hand-over between waves, {len(waits)} of them", spread, "≤ 1.5 s")]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--only", choices=["steady", "hand-over"])
    options = parser.parse_args()
    if options.seconds < 40:
        parser.error("--seconds must be 40 or more: a region is polled every 15 s, and two polls make an interval")
    rows: list[Row] = []
    if options.only != "hand-over":
        rows += steady(options.runs, options.seconds)
    if options.only != "steady":
        rows += hand_over(10)
    from django.db import connection

    print(f"| {connection.vendor}, load average {os.getloadavg()[0]:.1f} | measured | target |\n| --- | --- | --- |")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
