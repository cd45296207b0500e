"""A child process that sweeps until it reaches a named point, and then kills (or freezes) itself there.

    python -m tests.support.failpoints POINT [SIGKILL|SIGSTOP]

The engine knows nothing of this: the points are events of botocore and statements of Django's database wrapper.
"""

import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import django

Hit = Callable[[], None]


class Statements:
    """A database wrapper that strikes at a statement: the first one that matches the last of a row of fragments."""

    def __init__(self, fragments: tuple[str, ...], hit: Hit, *, outside: bool) -> None:
        self.left = list(fragments)
        self.hit = hit
        self.outside = outside

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        text = f"{sql} {params}"
        if self.left and self.left[0] in text:
            self.left.pop(0)
            if not self.left and not self.outside:
                self.hit()
        elif not self.left and not context["connection"].in_atomic_block:
            self.hit()  # the transaction of the last fragment is committed
        return execute(sql, params, many, context)


# Fragments of statements, and whether to strike before the last of them or after its transaction.
STATEMENTS = {
    "before the intent": (("launch.intent",), False),
    "before the record": (("launch.sent",), False),
    "after the record": (("launch.sent",), True),
    "before the verdict": (("wave.completed",), False),
    "after the verdict": (("wave.completed",), True),
    "before the next intent": (("wave.completed", "launch.intent"), False),
    "before the end": (("execution.ended",), False),
    "before the news are written": (('UPDATE "executions_serverrun"',), False),
}
# The same, where one bad server is taken out of a job.
SPLITS = {
    "before leaving out": (("launch.left_out",), False),
    "after leaving out": (("launch.left_out",), True),
    "before the split": (("launch.split",), False),
    "after the split": (("launch.split",), True),
    "before the intent of a part": (("launch.split", "launch.intent"), False),
    "after the intent of a part": (("launch.split", "launch.intent"), True),
    "before the record of a part": (("launch.split", "launch.sent"), False),
    "after the record of a part": (("launch.split", "launch.sent"), True),
}
# Events of boto3's clients, for all of its operations unless one is named.
EVENTS = {
    "before signing": ("launcher", "before-sign.drs.StartRecovery"),
    "before sending": ("launcher", "before-send.drs.StartRecovery"),
    "after the response": ("launcher", "after-call.drs.StartRecovery"),
    "before a poll": ("poller", "before-send.drs.DescribeJobs"),
    "after a poll": ("poller", "after-call.drs.DescribeJobs"),
}
POINTS = (*STATEMENTS, *EVENTS)


def strike(name: str) -> None:
    print(f"reached; {name}", flush=True)
    # To this very thread: sent to the process, it might strike another one while this one runs on.
    signal.pthread_kill(threading.get_ident(), signal.Signals[name])
    print("awake", flush=True)


def once(hit: Hit) -> Hit:
    """At the first call only: a process that was frozen must go on when it is woken."""
    done: list[bool] = []

    def first() -> None:
        if not done:
            done.append(True)
            hit()

    return first


def main(point: str, signal_name: str = "SIGKILL") -> None:
    django.setup()
    from django.db import connection

    from drs import client
    from executions.engine.sweep import Sweep

    hit = once(partial(strike, signal_name))
    if point in STATEMENTS | SPLITS:
        fragments, outside = (STATEMENTS | SPLITS)[point]
        connection.execute_wrappers.append(Statements(fragments, hit, outside=outside))
    else:
        role, event = EVENTS[point]
        # First of all, so that the freeze comes before the check that it is to test.
        client._boto("us-east-1", "", role).meta.events.register_first(event, lambda **_: hit())
    sweep = Sweep()
    end = time.monotonic() + 30
    while time.monotonic() < end:
        sweep.once()
        time.sleep(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
