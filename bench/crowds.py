"""The rows of `bench.engine` with very many runs: a thousand active ones, a line for DRS's quota, a thousand launches
that are due at once, and a region that hangs beside one that does not. Each ends within four minutes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from bench.measures import percentile
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
from bench.world import World, engine, world

STILL = 0.01  # virtual seconds a second: what is under way stays so, and nobody has news
IN_LINE, QUOTA = 60, 20


def quiet(runs: int, seconds: float) -> list[Row]:
    """Active runs of which DRS has nothing new to tell."""
    with launched_at_once(runs) as (made, pid, _):
        time.sleep(WARM_UP)
        since = made.simulator.journal()[-1]["id"]
        percent = window(pid, seconds)
        polls, others = polls_and_others(made, since)
        gaps = gaps_of(polls)
    pages = f"{pages_a_minute(polls):.1f} and {60 * len(others) / len(REGIONS) / seconds:.1f} for what others run there"
    return [
        (f"{runs} active runs without news: processor of the engine, of one core", f"{percent:.1f} %", "≤ 4 %"),
        ("DescribeJobs pages a minute and region", pages, "≤ 4"),
        ("gap between polls of a job", f"{min(gaps):.1f} … {max(gaps):.1f} s", "15 ± 2 s"),
    ]


def many(runs: int, seconds: float) -> list[Row]:
    """What so many active runs cost, and how old what a page says of a server's phase may be: it is read from the log
    of its job."""
    with launched_at_once(runs) as (made, pid, row):
        time.sleep(WARM_UP)
        sent = {call["job_id"]: moment(call) for call in made.simulator.journal("StartRecovery")}
        percent, end = window(pid, max(seconds, 75.0)), time.time()
        read = {call["params"]["jobID"]: moment(call) for call in made.simulator.journal("DescribeJobLogItems")}
    ages = [end - read.get(job_id, began) for job_id, began in sent.items()]
    told = f"p50 {percentile(ages, 0.5):.0f} s, max {max(ages):.0f} s"
    return [
        row,
        (f"{runs} active runs: processor of the engine, of one core", f"{percent:.1f} %", "≤ 12 %"),
        ("age of a phase on the page", told, "≤ 60 s"),
    ]


def due(runs: int) -> list[Row]:
    """As many launches as there are runs, all due in the same moment."""
    with launched_at_once(runs) as (_, _, row):
        return [row]


@contextmanager
def launched_at_once(runs: int) -> Iterator[tuple[World, int, Row]]:
    """So many runs that an engine finds due together, once it has sent them all, and how long that took."""
    with world(plans=runs, regions=REGIONS, speed=STILL) as made:
        from django.utils import timezone
        from django_q.models import OrmQ

        from executions.models import Execution

        start_all(made)
        Execution.objects.update(next_step_at=timezone.now() + timedelta(hours=1))
        OrmQ.objects.all().delete()
        with engine() as pid:
            began = time.time()
            Execution.objects.update(next_step_at=timezone.now())
            wait_until("all sent", lambda: len(made.simulator.journal("StartRecovery")) >= runs, 150)
            sent = [moment(call) - began for call in made.simulator.journal("StartRecovery")]
            told = f"p50 {percentile(sent, 0.5):.1f} s, last {max(sent):.1f} s"
            yield made, pid, (f"{runs} launches due at once: sent after", told, "≤ 60 s for 1,000")


def queue(speed: float) -> list[Row]:
    """More runs in one region than DRS has jobs for."""
    region = REGIONS[:1]
    with world(plans=IN_LINE, regions=region, speed=speed) as made:
        made.simulator.settings(max_jobs=QUOTA)
        with engine():
            from executions.models import LaunchJob

            began = time.monotonic()
            start_all(made)
            wait_until("all of the line", lambda: LaunchJob.objects.exclude(job_id="").count() >= IN_LINE, 200)
            took = time.monotonic() - began
        calls = made.simulator.journal("DescribeJobs")
        sent = made.simulator.journal("StartRecovery")
    pages = f"{60 * len(calls) / (moment(calls[-1]) - moment(calls[0])):.1f}"
    return [
        (f"{IN_LINE} runs in line for {QUOTA} jobs, DRS {speed:.0f} times as fast: all launched", f"{took:.0f} s", ""),
        ("DescribeJobs pages a minute meanwhile, of all kinds", pages, "≤ 6"),
        ("StartRecovery calls a launch", f"{len(sent) / IN_LINE:.2f}", "≤ 2"),
    ]


def hung(runs: int) -> list[Row]:
    """Starts in a region that answers, while as many runs as that wait in one that hangs."""
    east, west = REGIONS
    with world(plans=2 * runs, regions=REGIONS) as made:
        start_all(made, made.plans[:runs])
        made.simulator.scenario("unreachable", region=east, seconds=60)
        with engine():
            time.sleep(WARM_UP)
            waits = [start_wait(made, plan, west) for plan in made.plans[runs : runs + 10]]
    told = f"p50 {percentile(waits, 0.5):.2f} s, max {max(waits):.2f} s"
    return [(f"start in a healthy region beside {runs} runs in one that hangs: StartRecovery after", told, "≤ 1 s")]


def start_wait(made: World, plan: Any, region: str) -> float:
    """Seconds from a start to its request at DRS."""

    def sent() -> list[float]:
        return [moment(call) for call in made.simulator.journal("StartRecovery") if call["region"] == region]

    before, began = len(sent()), time.time()
    start_all(made, [plan])
    wait_until("the launch in the region that answers", lambda: len(sent()) > before, 60)
    return sent()[-1] - began
