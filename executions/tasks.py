"""What django-q2 runs. These tasks only wake the engine up: no decision depends on their delivery."""

import uuid

from django.conf import settings
from django_q.models import Schedule

from executions.engine import advance
from executions.engine.beat import CLOCK
from executions.metrics import failed_aws_calls

ARCHIVE = "archive hidden runs"


def step(execution_id: str) -> None:
    """Task: advance one run."""
    advance.step(uuid.UUID(execution_id), CLOCK)
    failed_aws_calls.keep()


def superseded() -> None:
    """Task: of releases whose beat was a task. It may stand in a queue or a schedule still, and does nothing now."""


beat = revive = superseded


def ensure_schedule() -> None:
    """What whichever engine is left does now and then: clear away expired sessions, of which strangers can begin any
    number. What earlier releases had scheduled is taken away."""
    Schedule.objects.filter(func="executions.tasks.revive").delete()
    Schedule.objects.update_or_create(
        name="clear expired sessions",
        defaults={
            "func": "django.core.management.call_command",
            "args": "'clearsessions'",
            "schedule_type": Schedule.HOURLY,
            "repeats": -1,
        },
    )
    if not settings.RETENTION_DAYS:
        Schedule.objects.filter(name=ARCHIVE).delete()
        return
    Schedule.objects.update_or_create(
        name=ARCHIVE,
        defaults={
            "func": "django.core.management.call_command",
            "args": "'archive_runs'",
            "schedule_type": Schedule.HOURLY,
            "repeats": -1,
        },
    )
