"""What an engine costs with many active runs and at rest, and how fast waves follow one another.

python -m bench.engine [--runs 200 --servers 1 --seconds 90 --speed 10]
python -m bench.engine --only rest [--known 4000]
script/with-postgres --durable .venv/bin/python -m bench.engine

steady: so many runs of three waves in two regions; DRS is --speed times as fast as it is, so that servers come up and
waves follow one another within the window that is measured. How many, it says. rest: nothing runs, and the inventory
has --known servers in plans of eight. hand-over: ten runs, from the poll that saw a wave's last server launched to the
next wave's StartRecovery. Processor time is of the engine with all its processes, in percent of one core. What does not
come within its time ends the bench with 1; it never waits for good.
"""

import os
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from typing import Any

from bench.measures import options_of
from bench.world import World, cpu_seconds, engine, percentile, world

REGIONS = ("us-east-1", "us-west-2")
WARM_UP = 20.0  # seconds in which every worker has had a task, and has made its AWS clients
PATIENCE = 600.0
Row = tuple[str, str, str]


def moment(call: dict[str, Any]) -> float:
    return datetime.fromisoformat(call["at"]).timestamp()


def start_all(made: World) -> None:
    from audit.actor import SYSTEM
    from executions.commands import control
    from executions.states import Kind

    for plan in made.plans:
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


def steady(runs: int, servers: int, seconds: float, speed: float) -> list[Row]:
    """Load with news."""
    with world(waves=3, plans=runs, regions=REGIONS, servers=servers) as made, engine() as pid:
        from executions.models import JobEvent, LaunchJob, ServerRun

        began = time.monotonic()
        start_all(made)
        wait_until("all launched", lambda: LaunchJob.objects.exclude(job_id="").count() >= runs)
        launched_in = time.monotonic() - began
        made.simulator.set_speed(speed)
        time.sleep(WARM_UP)
        since = made.simulator.journal()[-1]["id"]
        before = ServerRun.objects.filter(launch_status="LAUNCHED").count(), JobEvent.objects.count()
        percent = window(pid, seconds)
        up = ServerRun.objects.filter(launch_status="LAUNCHED").count() - before[0]
        calls = made.simulator.journal("DescribeJobs", since=since)
        sent = [call["params"]["tags"]["drsorch:launch"] for call in made.simulator.journal("StartRecovery")]
        polls = [call for call in calls if "jobIDs" in call["params"]["filters"]]
        others = [call for call in calls if call not in polls]
        gaps = gaps_of(polls)
        return [
            (f"{runs} starts at once, all launched", f"{launched_in:.1f} s", ""),
            ("processor of the engine, of one core", f"{percent:.1f} %", "≤ 6 % for 200 runs without news"),
            ("news meanwhile", f"{up} servers up, {JobEvent.objects.count() - before[1]} lines of logs", ""),
            ("StartRecovery calls a launch", f"{len(sent) / len(set(sent)):.2f}", "1"),
            ("DescribeJobs pages a minute and region, of polls", f"{pages_a_minute(polls):.1f}", "≤ 4"),
            ("and to see what others run there", f"{60 * len(others) / len(REGIONS) / seconds:.1f}", ""),
            ("gap between polls of a job", f"{min(gaps):.1f} … {max(gaps):.1f} s", "15 ± 2 s"),
        ]


def rest(known: int, seconds: float) -> list[Row]:
    """Nothing runs. Snapshots and launch settings were read over the last hours, so that some are due at any time."""
    with world(waves=8, plans=known // 8) as made:
        made.simulator.settings(page_size=200)
        from django.utils import timezone

        from executions.engine.changed_rows import update_rows
        from protection.inventory.launch_details import READ_AGAIN
        from protection.models import SourceServer

        servers = list(SourceServer.objects.all())
        for number, server in enumerate(servers):
            server.details_as_of = timezone.now() - READ_AGAIN * number / len(servers)
        update_rows(servers, ["details_as_of"])
        with engine() as pid:
            time.sleep(WARM_UP)
            percent = window(pid, max(seconds, 60.0))
    return [(f"processor at rest with {known} servers in plans, of one core", f"{percent:.2f} %", "≤ 1 %")]


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
        wait_until("the end of all runs", lambda: not Execution.objects.active().exists())
        polls = [moment(call) for call in made.simulator.journal("DescribeJobs")]
        sent = {call["job_id"]: moment(call) for call in made.simulator.journal("StartRecovery")}
        later = LaunchJob.objects.filter(wave__number__gt=0).values_list("job_id", flat=True)
        waits = [sent[each] - max(poll for poll in polls if poll < sent[each]) for each in later]
    spread = f"p50 {percentile(waits, 0.5):.2f} s, p95 {percentile(waits, 0.95):.2f} s, max {max(waits):.2f} s"
    return [(f"hand-over between waves, {len(waits)} of them", spread, "≤ 1.5 s")]


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--servers", type=int, default=1, help="of each wave")
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--speed", type=float, default=10, help="of the simulated DRS while it is measured")
    parser.add_argument("--known", type=int, default=4000, help="servers of the inventory at rest")
    parser.add_argument("--only", choices=["steady", "rest", "hand-over"])
    options = parser.parse_args()
    if options.seconds < 40:
        parser.error("--seconds must be 40 or more: a region is polled every 15 s, and two polls make an interval")
    rows: list[Row] = []
    if options.only in (None, "steady"):
        rows += steady(options.runs, options.servers, options.seconds, options.speed)
    if options.only in (None, "rest"):
        rows += rest(options.known, options.seconds)
    if options.only in (None, "hand-over"):
        rows += hand_over(10)
    from django.db import connection

    print(f"| {connection.vendor}, load average {os.getloadavg()[0]:.1f} | measured | target |\n| --- | --- | --- |")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
