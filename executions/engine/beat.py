"""The beat: one thread of an engine's main process looks at everything that is due, for as long as the engine has the
turn. The others stand by, and take the turn when its holder is silent.

Nothing rests on there being only one: rows decide, so two beats at once would only be a waste.
"""

import logging
import threading
import time
import uuid
from mmap import mmap

from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import connections, transaction

from contract.clock import SteadyClock
from executions import pacemaker
from executions.engine.mend import pull_back
from executions.engine.sweep import Sweep
from executions.queue import nudge, queued
from executions.runs.silence import unattended

log = logging.getLogger(__name__)

HOLDER = uuid.uuid4()
SWEEP_SECONDS = 0.5
STANDBY_SECONDS = 2.0
RENEW_SECONDS = 1.5  # how long it goes on before it asks for its turn again, which is a write; a turn is 5 s

# Made before the workers are forked: what this engine's main process knows of the time, all its processes do.
CLOCK = SteadyClock(anchor=mmap(-1, SteadyClock.SIZE), believed_after=settings.LAUNCH_QUARANTINE_SECONDS)


class Beat:
    """`rounds` grows as long as it looks, or asks for the turn: it stands still while the database does not answer.
    `signs` is another as long as it gets anywhere at all, be it to an error of the database: it hangs when that stands
    still."""

    def __init__(self, clock: SteadyClock = CLOCK, holder: uuid.UUID = HOLDER) -> None:
        self.clock = clock
        self.holder = holder
        self.rounds = 0
        self.troubles = 0
        self.sure_until = float("-inf")  # that the turn is its own, on this host's monotonic clock
        self.sweep: Sweep | None = None
        self.stopping = threading.Event()

    @property
    def signs(self) -> tuple[int, int, int]:
        return self.rounds, self.troubles, self.sweep.collected if self.sweep else 0

    def run(self) -> None:
        """Until `stopping` is set. What is under way then is finished, and another engine has the turn meanwhile."""
        sweep = self.sweep = Sweep(clock=self.clock, nudge=nudge, queued=queued)
        try:
            while not self.stopping.is_set():
                self._round(sweep)
            self._stop(sweep)
        finally:
            sweep.close()
            connections.close_all()

    def look_at_the_clock(self) -> None:
        """Notice a jump of the database's clock, and make good what it did to rows."""
        moved = self.clock.watch()
        if moved is not None:
            pull_back(self.clock(), moved)

    def _round(self, sweep: Sweep) -> None:
        """One sweep, or one question for the turn; the database may be away for either."""
        started = time.monotonic()
        try:
            self.look_at_the_clock()
            if not self._has_turn():
                sweep.drain()
                time.sleep(STANDBY_SECONDS)
            else:
                sweep.once()
                self.rounds += 1
                sweep.rest(max(0.05, SWEEP_SECONDS - (time.monotonic() - started)))
            self.rounds += 1
        except DatabaseTrouble:  # it restarts, perhaps: whatever was begun becomes due again
            self.troubles += 1
            log.exception("Sweep failed on a database error; retrying")
            connections.close_all()
            time.sleep(SWEEP_SECONDS)

    def _has_turn(self) -> bool:
        """Whether it may sweep; by the time as pages see it, which believe the database."""
        if time.monotonic() < self.sure_until:
            return True
        asked = time.monotonic()
        taken = self._take(continues=asked - self.sure_until < pacemaker.SILENT_AFTER.total_seconds())
        if taken:
            self.sure_until = asked + RENEW_SECONDS
        return taken

    def _take(self, *, continues: bool) -> bool:
        """Ask for the turn. Who does not go on with its own notes what no engine did before."""
        now = self.clock.clock()
        last = None if continues else pacemaker.last_beat()
        if last is None or now - last <= pacemaker.SILENT_AFTER:
            return pacemaker.take(self.holder, now)
        with transaction.atomic():
            taken = pacemaker.take(self.holder, now)
            if taken:
                unattended.tell(last, now)
        return taken

    def _stop(self, sweep: Sweep) -> None:
        try:
            pacemaker.hand_over(self.holder)
        except DatabaseTrouble:
            log.warning("The turn could not be handed over; it ends by itself", exc_info=True)
            connections.close_all()
        while sweep.is_busy:
            try:
                sweep.drain()
            except DatabaseTrouble:  # of one that is left to its lease; the rest has its turn
                log.exception("Database error while finishing work in progress")
                connections.close_all()
