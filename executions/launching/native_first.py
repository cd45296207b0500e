"""The last look at what DRS runs by itself: a drill launches no server that an execution of a recovery plan of DRS has.

A start is refused for it; what began since then, such as while the drill was paused, is seen only here. The drill
waits: DRS would refuse the real recovery's launch while ours has the server, or end its instance for ours. A recovery
goes on.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial

from contract.clock import Clock, db_clock
from executions.launching.refusals import hold
from executions.models import LaunchJob, WaveRun
from executions.runs.aws_calls import AwsCalls
from executions.runs.claim import Run
from protection.inventory import native_runs
from protection.inventory.native_runs import NativeRun

SUSPECTED = timedelta(minutes=5)  # for so long what the inventory read is worth a question; engines read each minute


def waits_for_native(run: Run, wave: WaveRun, job: LaunchJob, servers: Sequence[str], clock: Clock) -> AwsCalls[bool]:
    """Before a launch is intended: True when some of its servers wait now; the job is looked at again for the others.
    Where DRS does not tell, what it told last holds. Raises ClaimLost."""
    if run.execution.purpose.is_recovery:
        return False
    held = native_runs.running(servers, db_clock(), SUSPECTED)
    if held:
        reading = yield partial(native_runs.fetch, job.region, job.account_id, reading="guard")
        native_runs.keep(reading)
        held = held if reading.error else native_runs.by_server(reading.runs)
    busy = [each for each in servers if each in held]
    if busy:
        hold(run, wave, job, busy, _why(busy, held), clock())
    return bool(busy)


def _why(busy: Sequence[str], held: Mapping[str, NativeRun]) -> str:
    which = " and ".join(sorted({held[each].words for each in busy}))
    return f"Waiting for {which} to end: this drill launches none of its servers meanwhile."
