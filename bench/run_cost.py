"""What one run costs from start to end: rows and bytes in the database, queries, calls to AWS, processor time.

python -m bench.run_cost [--runs 20 --waves 2]
script/with-postgres python -m bench.run_cost

The engine's sweep in this process, on a clock that moves 15 s a step, as often as it polls; the simulated DRS apart.
"""

import argparse
import time
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from bench.world import World, world

STEP_SECONDS = 15.0


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


def play(made: World) -> None:
    """Start every plan, and let time pass until the last run is over."""
    from audit.actor import SYSTEM
    from contract.clock import db_clock
    from executions.commands import control
    from executions.engine.sweep import Sweep
    from executions.models import Execution
    from executions.states import Kind

    offset = timedelta()

    def clock() -> datetime:
        return db_clock() + offset

    sweep, simulator = Sweep(clock=clock), made.simulator
    for plan in made.plans:
        control.start(actor=SYSTEM, plan_id=plan, kind=Kind.DRILL, clock=clock)  # type: ignore[arg-type]
    while Execution.objects.active().exists():
        sweep.once()
        sweep.drain()
        if not Execution.objects.filter(next_step_at__lte=clock()).exists():
            offset += timedelta(seconds=STEP_SECONDS)
            simulator.advance(STEP_SECONDS)  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--waves", type=int, default=2)
    options = parser.parse_args()
    with world(waves=options.waves, plans=options.runs) as made:
        from django.db import connection

        queries = 0

        def count(execute: Any, *arguments: Any) -> Any:
            nonlocal queries
            queries += 1
            return execute(*arguments)

        rows_before, bytes_before = rows(), size()
        since = made.simulator.journal()[-1]["id"]  # type: ignore[attr-defined]
        cpu = time.process_time()
        with connection.execute_wrapper(count):
            play(made)
        cpu, bytes_used, added = time.process_time() - cpu, size() - bytes_before, rows() - rows_before
        calls = Counter(call["operation"] for call in made.simulator.journal(since=since))  # type: ignore[attr-defined]
        of_each = [
            ("processor", f"{1000 * cpu / options.runs:.0f} ms"),
            ("queries", f"{queries / options.runs:.0f}"),
            ("bytes", f"{bytes_used / options.runs:,.0f}"),
            *((f"rows of {table}", f"{number / options.runs:.1f}") for table, number in sorted(added.items())),
            *((f"calls of {operation}", f"{number / options.runs:.1f}") for operation, number in calls.most_common()),
        ]
        title = f"{made.vendor}: one of {options.runs} runs at once, {options.waves} waves of one server"
        print(f"| {title} | |\n| --- | --- |")
        for name, figure in of_each:
            print(f"| {name} | {figure} |")


if __name__ == "__main__":
    main()
