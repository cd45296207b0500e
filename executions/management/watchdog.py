"""Ends an engine of which a thread hangs: in a call that never returns, or at a lock of the database that stays.

Such an engine looks alive to its supervisor. It is ended as by a crash: what it was working on becomes due again when
the leases end, and its supervisor starts a new one.
"""

import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from executions.runs.claim import LEASE

log = logging.getLogger(__name__)

BROKEN = 70  # EX_SOFTWARE: the supervisor must start a new engine
HANGS_AFTER = 3 * LEASE  # no step is that long: calls to AWS wait in threads of their own, those to SQLite 20 s
LOOK_SECONDS = 1.0
SAY_SECONDS = 5.0  # whoever hangs may hold what logging needs


@dataclass
class Watched:
    """A thread, and what changes as long as it gets anywhere."""

    thread: threading.Thread
    sign: Callable[[], object]
    seen: object = None
    silent: float = 0.0

    def look(self, seconds: float) -> bool:
        """Whether it got anywhere since the last look."""
        sign = self.sign()
        self.seen, moved = sign, sign != self.seen
        self.silent = 0.0 if moved else self.silent + seconds
        return moved


class Watchdog(threading.Thread):
    """Asks neither the database nor AWS, so that nothing holds it up that holds up those it watches. It counts its own
    looks instead of the time: a process that was frozen as a whole is not one that hangs. Once `stopping` is set, the
    engine has `stop_seconds` to end: a child that was killed may have left a lock that its stop waits for."""

    def __init__(self, *watched: Watched, stop_seconds: float, after: timedelta = HANGS_AFTER) -> None:
        super().__init__(name="watchdog", daemon=True)
        self.watched = watched
        self.after = after.total_seconds()
        self.stop_seconds = stop_seconds
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.wait(LOOK_SECONDS):
            for each in self.watched:
                if not each.look(LOOK_SECONDS) and each.silent >= self.after:
                    _end(
                        "The %s has got no further for %.0f s (%s)", each.thread.name, each.silent, _where(each.thread)
                    )
        time.sleep(self.stop_seconds)
        _end("The engine did not stop within %.0f s (%s)", self.stop_seconds, _where(threading.main_thread()))


def _end(text: str, *told: object) -> None:
    text += "; exiting so that a supervisor can restart the engine."
    saying = threading.Thread(target=log.critical, args=(text, *told), daemon=True)
    saying.start()
    saying.join(SAY_SECONDS)
    os._exit(BROKEN)


def _where(thread: threading.Thread) -> str:
    """The place in the code where it hangs, and who called that."""
    frame = sys._current_frames().get(thread.ident or 0)
    stack = traceback.extract_stack(frame) if frame else []
    return " < ".join(f"{each.filename.rpartition('/')[2]}:{each.lineno} {each.name}" for each in reversed(stack[-6:]))
