"""What django-q2 runs. These tasks only wake the engine up: no decision depends on their delivery."""

import uuid
from typing import Any

from django.conf import settings
from django_q.models import Schedule

from executions.engine import advance
from executions.engine.beat import CLOCK
from executions.metrics import failed_aws_calls
from executions.runs.run_numbers import number_the_others

ARCHIVE = "archive hidden runs"
RUNBOOKS = "store runbooks of changed plans"
READINESS = "note how ready plans are"
NATIVE = "look after plans' copies in DRS"
MINUTES = 5


def step(execution_id: str) -> None:
    """Task: advance one run."""
    advance.step(uuid.UUID(execution_id), CLOCK)
    failed_aws_calls.keep()


def superseded() -> None:
    """Task: of releases whose beat was a task. It may stand in a queue or a schedule still, and does nothing now."""


beat = revive = superseded


def ensure_schedule() -> None:
    """What whichever engine is left does now and then: clear away expired sessions, of which strangers can begin any
    number. Runs that a process of the release before has started get their numbers; what it had scheduled goes."""
    number_the_others()
    Schedule.objects.filter(func="executions.tasks.revive").delete()
    _run_every("clear expired sessions", "clearsessions")
    _run_every(READINESS, "note_readiness")
    if settings.RETENTION_DAYS:
        _run_every(ARCHIVE, "archive_runs")
    else:
        Schedule.objects.filter(name=ARCHIVE).delete()
    _run_every(NATIVE, "native_plans", minutes=MINUTES)
    if settings.RUNBOOKS:
        _run_every(RUNBOOKS, "store_runbooks", minutes=MINUTES)
    else:
        Schedule.objects.filter(name=RUNBOOKS).delete()


def _run_every(name: str, command: str, minutes: int | None = None) -> None:
    """Once an hour, or in `minutes`. Names are not unique: engines that start at the same moment each make a row, and
    all but one go again. Whatever stands here must keep no engine from starting."""
    rows = Schedule.objects.filter(name=name)
    columns: dict[str, Any] = {"func": "django.core.management.call_command", "args": f"'{command}'", "repeats": -1}
    columns |= {"schedule_type": Schedule.MINUTES if minutes else Schedule.HOURLY, "minutes": minutes}
    if not rows.update(**columns):
        Schedule.objects.create(name=name, **columns)
    for again in rows.order_by("pk")[1:]:
        again.delete()
