"""What django-q2 runs. These tasks only wake the engine up: no decision depends on their delivery."""

import logging
import time
import uuid
from mmap import mmap

from django.db import Error as DatabaseTrouble
from django.db import connections
from django_q.models import Schedule

from contract.clock import db_clock
from executions import pacemaker
from executions.engine import advance
from executions.engine.sweep import Sweep
from executions.metrics import failed_aws_calls
from executions.models import Execution
from executions.queue import BEAT, REVIVE, enqueue, nudge, queued
from executions.states import STEPPED

log = logging.getLogger(__name__)

HOLDER = uuid.uuid4()  # of all processes of one engine, which is forked after this
STOPPING = mmap(-1, 1)  # the same: whether the engine was told to stop
BEAT_SECONDS = 10.0
LONGEST_BEAT_SECONDS = 1800.0  # half of what the broker allows it, which is 3600
HERE_SECONDS = 2.0
SWEEP_EVERY_SECONDS = 1.0


def revive() -> None:
    """Make sure that an engine beats; called by the schedule and by every engine's watchdog."""
    if pacemaker.is_silent(db_clock()) and not enqueue(BEAT, timeout=3600):
        _beat_here()


def step(execution_id: str) -> None:
    """Task: advance one run."""
    advance.step(uuid.UUID(execution_id))
    failed_aws_calls.keep()


def beat() -> None:
    """Task: sweep once a second for ten seconds, then pass the baton on. Ends at once if another engine beats.

    It goes on while anything is under way: with one worker nobody could sweep while this one waits for a region that
    hangs, and all other regions would stand still.
    """
    if STOPPING[0] or not pacemaker.take(HOLDER, db_clock()):
        return
    sweep, last = Sweep(nudge=nudge, is_idle=_queue_is_empty), time.monotonic() + LONGEST_BEAT_SECONDS
    try:
        holds = _sweep_for(BEAT_SECONDS, sweep, last)
        while holds and not _pass_on(sweep, last):
            holds = _sweep_for(BEAT_SECONDS, sweep, last)
        _drain(sweep)
    finally:
        sweep.close()


def _drain(sweep: Sweep) -> None:
    """Finish what is under way. What meets trouble of the database is left to its lease; the rest has its turn."""
    while sweep.is_busy:
        try:
            sweep.drain()
        except DatabaseTrouble:
            log.exception("Database error while finishing work in progress")
            connections.close_all()


def _beat_here() -> None:
    """The broker is down and took the beat with it: sweep in this process for a moment."""
    if not pacemaker.take(HOLDER, db_clock()):
        return
    sweep = Sweep()
    try:
        _sweep_for(HERE_SECONDS, sweep)
        _drain(sweep)
    finally:
        sweep.close()
        pacemaker.hand_over(HOLDER)


def stop_beating() -> None:
    """Have this engine's beat end within a second, because the engine stops; the next engine takes over."""
    STOPPING[0] = 1
    pacemaker.hand_over(HOLDER)


def _pass_on(sweep: Sweep, last: float) -> bool:
    """Give the turn back and enqueue the next beat. False when this one must go on: the broker is down, or a last look
    found something to do that would have been nudged before, and whoever does it may hang with the beat behind it."""
    pacemaker.hand_over(HOLDER)
    if not enqueue(BEAT, timeout=3600):
        return not pacemaker.take(HOLDER, db_clock())
    try:
        due = Execution.objects.filter(next_step_at__lte=db_clock(), status__in=STEPPED)
        if time.monotonic() >= last or not due.exists():
            return True
        sweep.once()
        return not (sweep.is_busy and not STOPPING[0] and pacemaker.take(HOLDER, db_clock()))
    except DatabaseTrouble:  # what is under way is drained, and the next beat is on its way
        log.warning("The final sweep of this engine beat failed", exc_info=True)
        connections.close_all()
        return True


def _sweep_for(seconds: float, sweep: Sweep, last: float = 0.0) -> bool:
    """Sweep every second, and until `last` at most while anything is under way; False when the turn was lost, or given
    up because the engine stops."""
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end or (sweep.is_busy and now < last):
        started = time.monotonic()
        try:
            sweep.once()
            if STOPPING[0] or not pacemaker.renew(HOLDER, db_clock()):
                return False
            sweep.rest(max(0.05, SWEEP_EVERY_SECONDS - (time.monotonic() - started)))
        except DatabaseTrouble:  # the database restarts: wait for it; whatever was begun becomes due again
            log.exception("Sweep failed on a database error; retrying")
            connections.close_all()
            if STOPPING[0]:
                return False
            time.sleep(SWEEP_EVERY_SECONDS)
    return True


def _queue_is_empty() -> bool:
    return queued() == 0


def ensure_schedule() -> None:
    """What whichever engine is left does now and then: revive a lost beat, and clear away expired sessions, of which
    strangers can begin any number."""
    Schedule.objects.update_or_create(
        name="revive the beat",
        defaults={"func": REVIVE, "schedule_type": Schedule.MINUTES, "minutes": 1, "repeats": -1},
    )
    Schedule.objects.update_or_create(
        name="clear expired sessions",
        defaults={
            "func": "django.core.management.call_command",
            "args": "'clearsessions'",
            "schedule_type": Schedule.HOURLY,
            "repeats": -1,
        },
    )
