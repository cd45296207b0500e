"""How work is enqueued. It imports nothing of the engine: who asks for a step need not know how one is made.

Tasks go by the name under which earlier releases enqueued them; `executions/tasks.py` has what is behind it.
"""

import logging
import os
import uuid
from contextlib import AbstractContextManager, nullcontext
from functools import cache

from django.db import transaction
from django_q.brokers import Broker, get_broker
from django_q.conf import Conf
from django_q.tasks import async_task, queue_size

log = logging.getLogger(__name__)

STEP = "executions.tasks.step"


def nudge(execution_id: uuid.UUID) -> None:
    """Ask any engine to look at a run now. A lost nudge costs a second, so a broken broker is only logged."""
    enqueue(STEP, str(execution_id))


def enqueue(task: str, *args: str) -> bool:
    """Whether the broker took the task."""
    try:
        with _keeping_the_connection():
            async_task(task, *args, q_options={"save": False, "broker": _broker(os.getpid())})
    except Exception:  # whatever the broker raises: rows decide, and the beat finds them
        log.warning("Could not enqueue %s %s", task, args, exc_info=True)
        return False
    return True


def _keeping_the_connection() -> AbstractContextManager[None]:
    """Outside a transaction django-q2's broker in the database first closes the connection, which a request goes on
    with: opening SQLite's anew costs as much as all statements of a start."""
    return transaction.atomic() if Conf.ORM else nullcontext()


@cache
def _broker(pid: int) -> Broker:
    """The broker's client, kept for as long as the process lives: a new connection for every task costs too much."""
    return get_broker()


def queued() -> int | None:
    """How many tasks wait at the broker; None if it does not say."""
    try:
        return int(queue_size(broker=_broker(os.getpid())))
    except Exception:  # whatever the broker raises: it is only asked for efficiency and for figures
        return None
