"""`manage.py engine`: a django-q2 cluster that lives and dies as one unit.

Stock `qcluster` wedges for good when a child is killed: a dead worker may hold the queue's lock for ever. Here a
child killed by a signal, or a dead parent, ends the whole tree with a non-zero status; a supervisor restarts it,
and rows that were being worked on become due again when their leases end.
"""

import ctypes
import json
import logging
import os
import signal
import threading
import time
from argparse import ArgumentParser
from contextlib import suppress
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from types import FrameType
from typing import Any, cast

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseTrouble
from django.db import connection, connections
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q import cluster as q
from django_q.conf import Conf

from contract.clock import db_clock
from contract.database_errors import is_outage
from executions import pacemaker, tasks
from executions.engine.beat import Beat
from executions.management.watchdog import BROKEN, Watchdog, Watched
from executions.metrics import cloudwatch_lines
from notify.delivery_worker import LAST_WAIT_SECONDS, DeliveryWorker

log = logging.getLogger(__name__)

WATCH_SECONDS = 2.0
STOP_SECONDS = 55.0  # the slowest calls to AWS that are under way, and what follows from them
HEARTBEAT_FILE_SECONDS = 60.0  # an older one counts as none: a round may wait for the database
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """From now on every forked child is killed when its parent ends, however that ends. Linux only."""
    libc = ctypes.CDLL(None, use_errno=True)
    parent = [0]

    def remember() -> None:
        parent[0] = os.getpid()

    def bind() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent[0]:  # it ended before we could ask to be told
            os._exit(BROKEN)

    os.register_at_fork(before=remember, after_in_child=bind)


def heartbeat_file() -> Path:
    """What the engines of this host touch, in the one directory that every deployment lets them write to."""
    return Path(settings.CACHE_DIR) / "engine.alive"


def _run_beside(name: str, stop: threading.Event) -> None:
    """What a room above does until `stop` is set; it is imported here, so that no launch waits for that."""
    import_string(name)(stop)


class OneUnitSentinel(q.Sentinel):
    """A sentinel that gives up when a child was killed, instead of trusting what that child left locked."""

    def reincarnate(self, process: BaseProcess) -> None:
        if (process.exitcode or 0) < 0:
            log.critical("%s was killed (exit code %s); stopping this engine", process.name, process.exitcode)
            os._exit(BROKEN)
        super().reincarnate(process)  # type: ignore[no-untyped-call]


class OneUnitCluster(q.Cluster):
    """A cluster whose signal handler only takes note: stopping inside a handler can deadlock (django-q2 #346)."""

    stopping = False

    def sig_handler(self, signum: int, frame: FrameType | None) -> None:
        self.stopping = True

    @property
    def is_broken(self) -> bool:
        """Whether the sentinel ended although nobody asked it to."""
        return not self.stopping and not cast(BaseProcess, self.sentinel).is_alive()

    @property
    def is_well(self) -> bool:
        """Whether the sentinel made its round of workers, pusher and monitor in the last three seconds: then it has
        replaced those that ended."""
        try:
            return bool(self.stat.sentinel)  # what it writes after each round lasts so long
        except Exception as error:  # it is read from files: what is wrong with them stops no recovery
            log.warning("The sentinel's status file cannot be read: %s", error)
            return False

    def stop(self) -> bool:
        """Let tasks in flight finish; False when they did not within STOP_SECONDS. A stop that hangs is a crash."""
        sentinel = cast(BaseProcess, self.sentinel)
        cast(Event, self.stop_event).set()
        sentinel.join(STOP_SECONDS)
        return not sentinel.is_alive()


class Command(BaseCommand):
    help = "Runs the wave orchestrator. Any number of engines may run, on any number of hosts."
    requires_system_checks = []  # an engine needs no pages; they must not keep it from starting
    looks = 0

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="exit 0 if an engine is alive, 1 if not; start none")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["check"]:
            self._check()
            return
        self._require_durable_commits()
        tasks.ensure_schedule()
        connections.close_all()  # nothing of the database may be open over a fork
        die_with_parent()
        q.Sentinel = OneUnitSentinel  # type: ignore[misc]  # the cluster finds its sentinel by this name
        cluster = OneUnitCluster()
        cluster.start()
        self._tell(f"Engine running with {Conf.WORKERS} workers (pid {os.getpid()}).")
        # Threads of this process, which has nothing else to do: a worker that hangs holds up neither, nor they another.
        stop, beat, deliveries = threading.Event(), Beat(), DeliveryWorker()
        worker = threading.Thread(target=deliveries.run, args=[stop], name="notifications")
        beating = threading.Thread(target=beat.run, name="beat", daemon=True)
        for name in settings.ENGINE_THREADS:
            threading.Thread(target=_run_beside, args=[name, stop], name=name, daemon=True).start()
        worker.start()
        beating.start()
        watchdog = Watchdog(
            Watched(beating, lambda: beat.signs),
            Watched(worker, lambda: deliveries.rounds),
            Watched(threading.current_thread(), lambda: self.looks),  # it asks the database, too, for figures
            stop_seconds=STOP_SECONDS + LAST_WAIT_SECONDS + 1,
        )
        watchdog.start()
        self._watch(cluster, beat, beating)
        watchdog.stopping.set()
        stop.set()
        self._stop(cluster, beating)
        worker.join(LAST_WAIT_SECONDS)

    def _tell(self, text: str) -> None:
        """One line on standard output, in the form of all others."""
        if settings.LOG_FORMAT == "json":
            line = {"at": timezone.now().isoformat(), "level": "INFO", "logger": __name__, "message": text}
            text = json.dumps(line)
        self.stdout.write(text)
        self.stdout.flush()

    def _check(self) -> None:
        beat = pacemaker.last_beat()
        if beat is None:
            raise CommandError("no engine has ever run on this database")
        age = db_clock() - beat
        if age > pacemaker.SILENT_AFTER:
            raise CommandError(f"no engine has sent a heartbeat for {age.total_seconds():.0f} s")
        with suppress(OSError):  # none was started here, it was told to stop, or it is somebody else's
            silence = time.time() - heartbeat_file().stat().st_mtime
            if silence > HEARTBEAT_FILE_SECONDS:
                raise CommandError(f"an engine is running, but this host's has sent no heartbeat for {silence:.0f} s")
        self.stdout.write(f"The last engine heartbeat was {age.total_seconds():.0f} s ago.")

    def _require_durable_commits(self) -> None:
        """A launch is sent once because its intent is committed first, which must outlive a crash of the database."""
        if connection.vendor != "postgresql":
            return
        with connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            if cursor.fetchone() == ("off",):
                raise CommandError(
                    "PostgreSQL has synchronous_commit = off: after a crash it could forget a launch that was sent,"
                    " and servers would be launched twice. Set it to on for this database or role, then start again."
                )

    def _watch(self, cluster: OneUnitCluster, beat: Beat, beating: threading.Thread) -> None:
        """Until the cluster is told to stop. A part that broke ends the whole."""
        rounds = -1
        while not cluster.stopping:
            if cluster.is_broken or not beating.is_alive():
                log.critical("The sentinel or the beat ended; exiting so that a supervisor can restart the engine.")
                os._exit(BROKEN)
            if beat.rounds != rounds and cluster.is_well:
                rounds = beat.rounds
                self._touch_heartbeat_file()
            if settings.LOG_FORMAT == "json":  # which CloudWatch reads figures from, and no person at a terminal
                self._report_figures()
            self.looks += 1
            time.sleep(WATCH_SECONDS)
        beat.stopping.set()

    def _stop(self, cluster: OneUnitCluster, beating: threading.Thread) -> None:
        until = time.monotonic() + STOP_SECONDS
        stopped = cluster.stop()
        beating.join(max(0.0, until - time.monotonic()))
        if not stopped or beating.is_alive():
            os._exit(BROKEN)
        with suppress(OSError):  # none was given, or it is somebody else's: the stop was orderly all the same
            heartbeat_file().unlink()

    def _touch_heartbeat_file(self) -> None:
        try:
            heartbeat_file().touch()
        except OSError as error:  # such as a file of somebody else's, which stops no recovery
            log.warning("This engine's heartbeat file cannot be written: %s", error)

    def _report_figures(self) -> None:
        try:
            cloudwatch_lines.report_if_due()
        except DatabaseTrouble as error:
            if is_outage(error):
                log.warning("The database cannot be queried (%s); retrying.", error)
            else:
                log.exception("The figures could not be counted; retrying.")
            connections.close_all()
