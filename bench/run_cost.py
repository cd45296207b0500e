"""What one run costs from start to end: rows and bytes in the database, queries, calls to AWS, processor time.

python -m bench.run_cost [--runs 20 --waves 2 --servers 1]
python -m bench.run_cost --runs 1 --waves 10 --servers 100       # a thousand servers: CPU of each
script/with-postgres python -m bench.run_cost

The engine's sweep in this process, the simulated DRS in another, and one clock for both that moves 15 s a step, as
often as it polls: a slow machine does not poll more often. Processor time is of this process with its threads, without
the simulator and, on PostgreSQL, without the database. The inventory is read before and not again; nothing is told.
"""

import argparse
import cProfile
import pstats
import time
from collections import Counter
from datetime import timedelta
from typing import Any

from bench.measures import options_of
from bench.world import ROOT, OneClock, World, world

STEP_SECONDS = 15.0
FAR = timedelta(days=1)


def rows() -> Counter[str]:
    from django.apps import apps

    ours = [each for each in apps.get_models() if each._meta.app_label in ("executions", "audit", "notify")]
    return Counter({each._meta.db_table: each._default_manager.count() for each in ours})


def size() -> int:
    """Bytes of the database, with its indexes."""
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        else:
            cursor.execute("SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])


def play(made: World, clock: OneClock) -> None:
    """Start every plan, and let time pass until the last run is over and DRS is asked no more about it."""
    from audit.actor import SYSTEM
    from executions.commands import control
    from executions.engine.sweep import Sweep
    from executions.models import Execution, LaunchJob
    from executions.states import Kind

    sweep = Sweep(clock=clock)
    for plan in made.plans:
        control.start(actor=SYSTEM, plan_id=plan, kind=Kind.DRILL, clock=clock)
    while Execution.objects.active().exists() or LaunchJob.objects.filter(watched=True).exists():
        sweep.next_inventory_check = clock() + FAR
        sweep.once()
        sweep.drain()
        if not Execution.objects.filter(next_step_at__lte=clock()).exists():
            clock.advance(STEP_SECONDS)
    sweep.close()


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--runs", type=int, default=20, help="at once")
    parser.add_argument("--waves", type=int, default=2, help="of each run")
    parser.add_argument("--servers", type=int, default=1, help="of each wave")
    parser.add_argument("--profile", action="store_true", help="print where the time goes, which makes it slower")
    options = parser.parse_args()
    clock = OneClock()
    with world(waves=options.waves, plans=options.runs, servers=options.servers, clock=clock) as made:
        title = f"{made.vendor}: one of {options.runs} runs at once, {options.waves} waves of {options.servers}"
        print(f"| {title} | |\n| --- | --- |")
        for name, figure in measure(made, clock, options):
            print(f"| {name} | {figure} |")


def measure(made: World, clock: OneClock, options: argparse.Namespace) -> list[tuple[str, str]]:
    from django.db import connection

    queries = 0

    def count(execute: Any, *arguments: Any) -> Any:
        nonlocal queries
        queries += 1
        return execute(*arguments)

    rows_before, bytes_before = rows(), size()
    since, runs = made.simulator.journal()[-1]["id"], options.runs
    profile = cProfile.Profile(time.process_time)
    cpu = time.process_time()
    with connection.execute_wrapper(count):
        if options.profile:
            profile.runcall(play, made, clock)
        else:
            play(made, clock)
    cpu, bytes_used, added = time.process_time() - cpu, size() - bytes_before, rows() - rows_before
    if options.profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(rf"{ROOT}/(?!\.venv)", 45)
    calls = Counter(call["operation"] for call in made.simulator.journal(since=since))
    return [
        ("processor", f"{1000 * cpu / runs:.0f} ms"),
        ("processor, a server", f"{1000 * cpu / len(made.servers):.1f} ms"),
        ("queries", f"{queries / runs:.0f}"),
        ("bytes", f"{bytes_used / runs:,.0f}"),
        *((f"rows of {table}", f"{number / runs:.1f}") for table, number in sorted(added.items())),
        *((f"calls of {operation}", f"{number / runs:.1f}") for operation, number in calls.most_common()),
    ]


if __name__ == "__main__":
    main()
