"""The only file that knows django-q2. Its tasks only wake the engine up: no decision depends on their delivery."""

import logging
import os
import time
import uuid
from functools import cache
from mmap import mmap

from django.db import Error as DatabaseTrouble
from django.db import connections
from django_q.brokers import Broker, get_broker
from django_q.models import Schedule
from django_q.tasks import async_task, queue_size

from contract.clock import db_clock
from executions import pacemaker
from executions.engine import advance as engine
from executions.engine.sweep import Sweep
from executions.metrics import failed_aws_calls as aws_errors
from executions.models import Execution
from executions.states import STEPPED

log = logging.getLogger(__name__)

HOLDER = uuid.uuid4()  # of all processes of one engine, which is forked after this
STOPPING = mmap(-1, 1)  # the same: whether the engine was told to stop
BEAT_SECONDS = 10.0
LONGEST_BEAT_SECONDS = 1800.0  # half of what the broker allows it, which is 3600
HERE_SECONDS = 2.0
SWEEP_EVERY_SECONDS = 1.0


def nudge(execution_id: uuid.UUID) -> None:
    """Ask any engine to look at a run now. A lost nudge costs a second, so a broken broker is only logged."""
    _enqueue("executions.tasks.step", str(execution_id))


def revive() -> None:
    """Make sure that an engine beats; called by the schedule and by every engine's watchdog."""
    if pacemaker.is_silent(db_clock()) and not _enqueue("executions.tasks.beat", timeout=3600):
        _beat_here()


def _enqueue(task: str, *args: str, **options: int) -> bool:
    try:
        async_task(task, *args, q_options={"save": False, "broker": _broker(os.getpid()), **options})
    except Exception:  # whatever the broker raises: rows decide, and the beat or the schedule finds them
        log.warning("could not enqueue %s %s", task, args, exc_info=True)
        return False
    return True


@cache
def _broker(pid: int) -> Broker:
    """The broker's client, kept for as long as the process lives: a new connection for every task costs too much."""
    return get_broker()


def step(execution_id: str) -> None:
    """Task: advance one run."""
    engine.step(uuid.UUID(execution_id))
    aws_errors.keep()


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
            log.exception("an errand failed")
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
    if not _enqueue("executions.tasks.beat", timeout=3600):
        return not pacemaker.take(HOLDER, db_clock())
    try:
        due = Execution.objects.filter(next_step_at__lte=db_clock(), status__in=STEPPED)
        if time.monotonic() >= last or not due.exists():
            return True
        sweep.once()
        return not (sweep.is_busy and not STOPPING[0] and pacemaker.take(HOLDER, db_clock()))
    except DatabaseTrouble:  # what is under way is drained, and the next beat is on its way
        log.warning("the last look of a beat failed", exc_info=True)
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
            log.exception("a sweep failed")
            connections.close_all()
            if STOPPING[0]:
                return False
            time.sleep(SWEEP_EVERY_SECONDS)
    return True


def queued() -> int | None:
    """How many tasks wait at the broker; None if it does not say."""
    try:
        return int(queue_size(broker=_broker(os.getpid())))
    except Exception:  # whatever the broker raises: it is only asked for efficiency and for figures
        return None


def _queue_is_empty() -> bool:
    return queued() == 0


def ensure_schedule() -> None:
    """What whichever engine is left does now and then: revive a lost beat, and clear away expired sessions, of which
    strangers can begin any number."""
    Schedule.objects.update_or_create(
        name="revive the beat",
        defaults={"func": "executions.tasks.revive", "schedule_type": Schedule.MINUTES, "minutes": 1, "repeats": -1},
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
