"""How long from a start to DRS's StartRecovery, one start at a time: python -m bench.start [--runs 100].

On PostgreSQL: script/with-postgres --durable .venv/bin/python -m bench.start
"""

import time
from datetime import datetime
from itertools import islice

from bench.measures import options_of
from bench.world import engine, percentile, world


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--runs", type=int, default=100)
    options = parser.parse_args()
    with world(plans=options.runs) as made, engine():
        from audit.actor import SYSTEM
        from executions.commands import control
        from executions.models import LaunchJob
        from executions.states import Kind

        posts: list[float] = []
        began: dict[str, float] = {}
        for plan in islice(made.plans, options.runs):
            started = time.time()
            run = control.start(actor=SYSTEM, plan_id=plan, kind=Kind.DRILL)
            posts.append(time.time() - started)
            began[str(LaunchJob.objects.get(wave__execution=run).pk)] = started
            time.sleep(0.25)
        time.sleep(3)
        calls = made.simulator.journal("StartRecovery")
        waits = [
            datetime.fromisoformat(c["at"]).timestamp() - began[c["params"]["tags"]["drsorch:launch"]] for c in calls
        ]
        print(f"| {made.vendor} | launches {len(waits)} of {options.runs} | p50 | p95 | max |")
        for name, values in (("start", posts), ("start → StartRecovery", waits)):
            middle, late, worst = percentile(values, 0.5), percentile(values, 0.95), max(values)
            print(f"| {made.vendor} | {name} | {middle * 1000:.0f} ms | {late * 1000:.0f} ms | {worst * 1000:.0f} ms |")


if __name__ == "__main__":
    main()
