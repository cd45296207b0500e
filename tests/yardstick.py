"""How slow the machine is just now. A bound of seconds is meant for one that does nothing else: beside other databases'
tests, on a processor that shares its core, the same work takes twice as long and proves the same."""

import json
import time
from collections.abc import Callable
from statistics import median

FIXED_WORK_SECONDS = 0.16  # on the machine that bounds are meant for
Clock = Callable[[], float]


def allowed(seconds: float, clock: Clock = time.process_time) -> float:
    """As many seconds by this clock; more where fixed work takes more now. Ask only when something took too long."""
    spent = [fixed_work(clock) for _ in range(3)]
    now = median(spent) if clock is time.monotonic else min(spent)  # who shares a processor waits for it now and then
    return seconds * max(1.0, now / FIXED_WORK_SECONDS)


def fixed_work(clock: Clock = time.process_time) -> float:
    """Seconds that work which is always the same takes now."""
    began = clock()
    for _ in range(3):
        json.loads(json.dumps({f"name{number}": [number, str(number)] for number in range(40_000)}))
    return clock() - began


def is_quick(spent: float, most: float, clock: Clock = time.process_time) -> bool:
    """Whether this was within the bound, or within what is allowed now."""
    return spent <= most or spent <= allowed(most, clock)
