"""Keeps the bundle up to date, in a thread of its own in every engine; of all engines one writes at a time."""

import logging
import threading
import time
from datetime import timedelta

from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import connections
from django.db.models import Q
from django.db.models.functions import Coalesce

from contract.clock import Clock, db_clock
from executions import installation
from executions.models import Installation
from reports.archiving import archive_store
from takeover import bundle

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
LEAST_SECONDS = 2.0  # between two bundles, and ...
SHARE = 5  # ... at least so many times as long as the last one took: an engine has other things to do
ANYWAY = timedelta(minutes=5)  # what changes without a journal entry, such as names of servers
CLAIMED = timedelta(seconds=30)
AGAIN_SECONDS = 5.0  # after one that was not stored


def run(stop: threading.Event) -> None:
    """Until `stop` is set."""
    if settings.BUNDLE:
        Writer(settings.BUNDLE).run(stop)


class Writer:
    """Writes to `where`, a directory or an S3 bucket and prefix."""

    def __init__(self, where: str, clock: Clock = db_clock) -> None:
        self.where = where
        self.clock = clock
        self.runbooks = bundle.Runbooks()

    def run(self, stop: threading.Event) -> None:
        rest = 0.0
        while not stop.wait(max(rest, LOOK_SECONDS)):
            rest = self._look()
        connections.close_all()

    def _look(self) -> float:
        """How long to rest then."""
        began = time.monotonic()
        try:
            if not self.write_if_due():
                return 0.0
        except archive_store.NotStored:
            return AGAIN_SECONDS
        except DatabaseTrouble as error:
            log.warning("The bundle waits for the database: %s", " ".join(str(error).split()))
            connections.close_all()
            return AGAIN_SECONDS
        except Exception:  # whatever it is: runs must go on, doctor says how old the bundle is, and it is tried again
            log.exception("The bundle could not be made; retrying")
            connections.close_all()
            return AGAIN_SECONDS
        return max(LEAST_SECONDS, SHARE * (time.monotonic() - began))

    def write_if_due(self) -> bool:
        """Write one if anything changed since the last. Raises NotStored."""
        now, ours = self.clock(), installation.own()
        is_old = ours.bundled_at is None or now - ours.bundled_at > ANYWAY
        if ours.superseded_by or (not is_old and ours.bundled_mark == bundle.current_mark()):
            return False
        free = Q(bundle_claimed_until=None) | Q(bundle_claimed_until__lte=now)
        if not Installation.objects.filter(free, pk=1).update(bundle_claimed_until=now + CLAIMED):
            return False
        self.write()
        return True

    def write(self, runbook_seconds: float = bundle.RUNBOOK_SECONDS) -> str:
        """Write one now; answers where. Raises NotStored."""
        installation.own()
        try:
            made = bundle.make(self.runbooks, runbook_seconds=runbook_seconds)
            where = archive_store.store(self.where, made.name, made.content, private=True)
        except Exception as error:
            since = Coalesce("bundle_failing_since", self.clock())
            self._note(bundle_failing_since=since, bundle_error=" ".join(str(error).split())[:1000])
            raise
        runs = [str(each) for each in made.under_way]
        self._note(bundled_at=made.at, bundled_mark=made.mark, bundled_runs=runs, bundle_failing_since=None)
        return where

    def _note(self, **columns: object) -> None:
        Installation.objects.filter(pk=1).update(bundle_claimed_until=None, **columns)
