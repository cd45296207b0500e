"""One look at everything that is due: polls DRS, advances runs, keeps the inventory fresh. Called once a second."""

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError

from contract.clock import Clock, db_clock
from executions.engine import step
from executions.models import Execution
from executions.poll import Poller
from executions.states import STEPPED
from protection import inventory

log = logging.getLogger(__name__)

BATCH = 500
INLINE_SECONDS = 2.0  # how long a sweep itself steps runs before it looks at the polls again
SHARED = 8  # how many due runs are offered to idle workers
INVENTORY_CHECK = timedelta(seconds=5)


class Sweep:
    """Lives as long as a beat. `nudge` offers a run to idle workers; `is_idle` tells whether there are any."""

    def __init__(
        self,
        *,
        clock: Clock = db_clock,
        nudge: Callable[[uuid.UUID], None] = lambda _: None,
        is_idle: Callable[[], bool] = lambda: False,
    ) -> None:
        self.clock = clock
        self.nudge = nudge
        self.is_idle = is_idle
        self.poller = Poller(clock)
        self.readings: list[Future[inventory.Reading]] = []
        self.next_inventory_check: datetime | None = None

    def once(self) -> None:
        """Sweep. Idle: two queries. With any number of unchanged polls: a fixed number."""
        now = self.clock()
        due = Execution.objects.filter(next_step_at__lte=now).order_by("next_step_at")
        rows = list(due.values_list("pk", "status")[:BATCH])
        polled = [pk for pk, status in rows if status not in STEPPED]
        if polled:
            self.poller.start(polled, now)
        ready = self.poller.collect(now)
        self._step(ready + [pk for pk, status in rows if status in STEPPED])
        self._inventory(now)

    def drain(self) -> None:
        """Apply the answers still under way, without asking anything new."""
        while self.poller.under_way:
            for pk in self.poller.collect(self.clock(), patience=1.0):
                self.nudge(pk)

    def close(self) -> None:
        """End the threads without waiting for AWS."""
        self.poller.close()

    def _step(self, due: Sequence[uuid.UUID]) -> None:
        """Advance what is due here, for a while, and let idle workers share it."""
        if len(due) > 1 and self.is_idle():
            for pk in due[1 : 1 + SHARED]:
                self.nudge(pk)
        until = time.monotonic() + INLINE_SECONDS
        for pk in due:
            try:
                step(pk, self.clock)
            except DatabaseError:
                raise
            except Exception:  # one run's trouble must not stop the others; its lease ends and it is tried again
                log.exception("a step of %s failed", pk)
            if time.monotonic() > until:
                return

    def _inventory(self, now: datetime) -> None:
        """Start reading regions whose servers were not read for a while, and keep what has been read."""
        for future in [each for each in self.readings if each.done()]:
            self.readings.remove(future)
            inventory.keep(future.result())
        if self.next_inventory_check is not None and now < self.next_inventory_check:
            return
        self.next_inventory_check = now + INVENTORY_CHECK
        every = timedelta(seconds=settings.INVENTORY_SECONDS)
        for region in inventory.claim_due_regions(now, every=every):
            self.readings.append(self.poller.threads.submit(inventory.fetch, region, reading="poller"))
