"""The only file that knows django-q2. Its tasks only wake the engine up: no decision depends on their delivery."""

import logging
import uuid

from django_q.tasks import async_task

log = logging.getLogger(__name__)


def nudge(execution_id: uuid.UUID) -> None:
    """Ask any engine to look at a run now. A lost nudge costs a second, so a broken broker is only logged."""
    try:
        async_task("executions.tasks.step", str(execution_id), q_options={"save": False, "group": "step"})
    except Exception:  # whatever the broker raises: the row is due, and the beat finds it
        log.warning("could not enqueue a step of %s; the beat will find it", execution_id, exc_info=True)
