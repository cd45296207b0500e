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
    _run_hourly("clear expired sessions", "clearsessions")
    if settings.RETENTION_DAYS:
        _run_hourly(ARCHIVE, "archive_runs")
    else:
        Schedule.objects.filter(name=ARCHIVE).delete()


def _run_hourly(name: str, command: str) -> None:
    """Names are not unique: engines that start at the same moment each make a row, and all but one go again. Whatever
    stands here must keep no engine from starting."""
    rows = Schedule.objects.filter(name=name)
    columns = {"func": "django.core.management.call_command", "args": f"'{command}'"}
    if not rows.update(**columns, schedule_type=Schedule.HOURLY, repeats=-1):
        Schedule.objects.create(name=name, **columns, schedule_type=Schedule.HOURLY, repeats=-1)
    for again in rows.order_by("pk")[1:]:
        again.delete()
