"""What an engine costs with many active runs and at rest, and how fast launches are sent: the figures of issue 16.

python -m bench.engine                                 # every row, about twenty minutes
python -m bench.engine --only many                     # one of them, four minutes at most
script/with-postgres --durable .venv/bin/python -m bench.engine

steady: --runs runs of three waves in two regions; DRS is --speed times as fast as it is, so that servers come up and
waves follow one another within the window that is measured. How many, it says. quiet: as many, and DRS has nothing new.
due: --crowd launches due in the same moment. many: what those runs cost then, and how old the phases are that pages
show. queue: 60 runs for DRS's 20 jobs. hung: starts beside --runs runs in a region that hangs. rest: nothing runs, and
the inventory has --known servers in plans of eight. hand-over: ten runs, from the poll that saw a wave's last server
launched to the next wave's StartRecovery. Processor time is of the engine with all its processes, in percent of one
core. What does not come within its time ends the bench with 1; it never waits for good.
"""

import argparse
import time
from collections.abc import Callable

from bench import crowds
from bench.measures import machine, options_of, scaled
from bench.timing import (
    REGIONS,
    WARM_UP,
    Row,
    gaps_of,
    moment,
    pages_a_minute,
    polls_and_others,
    start_all,
    wait_until,
    window,
)
from bench.world import engine, percentile, world
from tests.yardstick import FIXED_WORK_SECONDS


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
        polls, others = polls_and_others(made, since)
        sent = [call["params"]["tags"]["drsorch:launch"] for call in made.simulator.journal("StartRecovery")]
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
    """Nothing runs, and an engine has done what it does first. Snapshots and launch settings were read over the last
    hours, so that some are due at any time."""
    with world(waves=8, plans=known // 8) as made:
        made.simulator.settings(page_size=200)
        from django.utils import timezone

        from contract.chunks import update_rows
        from plans.models import RecoveryPlan
        from protection.inventory.launch_details import READ_AGAIN
        from protection.models import SourceServer

        servers = list(SourceServer.objects.all())
        for number, server in enumerate(servers):
            server.details_as_of = timezone.now() - READ_AGAIN * number / len(servers)
        update_rows(servers, ["details_as_of"])
        with engine() as pid:
            wait_until("all plans weighed", lambda: not RecoveryPlan.objects.filter(readiness=None).exists())
            time.sleep(WARM_UP)
            percent = window(pid, max(seconds, 60.0))
            told = f"{percent:.2f} %; {scaled(percent):.2f} % where fixed work takes {FIXED_WORK_SECONDS} s"
    return [(f"processor at rest with {known} servers in plans, of one core", told, "≤ 1 %")]


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
    return [(f"hand-over between waves, {len(waits)} of them", spread, "≤ 0.5 s")]


ROWS: dict[str, Callable[[argparse.Namespace], list[Row]]] = {
    "steady": lambda asked: steady(asked.runs, asked.servers, asked.seconds, asked.speed),
    "quiet": lambda asked: crowds.quiet(asked.runs, asked.seconds),
    "many": lambda asked: crowds.many(asked.crowd, asked.seconds),
    "due": lambda asked: crowds.due(asked.crowd),
    "queue": lambda asked: crowds.queue(max(asked.speed, 15)),
    "hung": lambda asked: crowds.hung(asked.runs),
    "rest": lambda asked: rest(asked.known, asked.seconds),
    "hand-over": lambda _: hand_over(10),
}
PARTS = ("due",)  # of another


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--crowd", type=int, default=1000, help="runs of due and many")
    parser.add_argument("--servers", type=int, default=1, help="of each wave")
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--speed", type=float, default=10, help="of the simulated DRS while it is measured")
    parser.add_argument("--known", type=int, default=4000, help="servers of the inventory at rest")
    parser.add_argument("--only", choices=list(ROWS), action="append", help="may be given several times")
    options = parser.parse_args()
    if options.seconds < 40:
        parser.error("--seconds must be 40 or more: a region is polled every 15 s, and two polls make an interval")
    print(f"| at the start {machine()} | measured | asked |\n| --- | --- | --- |")
    for name in options.only or [each for each in ROWS if each not in PARTS]:
        for row in ROWS[name](options):
            print(f"| {' | '.join(row)} |", flush=True)
    from django.db import connection

    print(f"\n{connection.vendor}, at the end {machine()}")


if __name__ == "__main__":
    main()
