"""Reports of large runs: made by an engine when somebody asks, kept, and told only while nothing of the run is another.

A report is of a state: whatever its record was read from, as numbers. Who asks compares that with the state as it is
now; where they differ it is made anew, and nobody is shown the old one.
"""

import uuid
import zlib
from datetime import datetime, timedelta
from hashlib import blake2b

from django.conf import settings
from django.db.models import Count, F, Max, Q

from audit.models import AuditEntry
from contract.errors import Unavailable
from contract.plurals import counted
from executions import queue
from executions.codes.ours import Code
from executions.models import Execution, JobEvent, LaunchJob, ServerRun
from executions.pacemaker import is_alive
from executions.runs.attempts import attempts_among
from reports.made.forms import MAKERS, Form, in_form
from reports.models import MadeReport
from reports.parts.comparison import previous
from reports.report_data import RecordShape

TASK = "reports.made.tasks.make"
AT_ONCE = 500  # servers: so many are told while somebody waits
ASK_AGAIN = timedelta(seconds=60)  # longer than a task of the queue may take
TRIES = 3


class BeingMade(Unavailable):
    """The report is not there yet. `is_coming`: asking again will find it, as far as anybody knows."""

    def __init__(self, message: str, *, is_coming: bool) -> None:
        super().__init__(Code.REPORT_BEING_MADE, message, retry_after=5 if is_coming else 60)
        self.is_coming = is_coming


def is_large(execution: Execution) -> bool:
    """Whether the report of this run, with the attempts before it, is too much work for a request."""
    return ServerRun.objects.filter(wave__execution__in=attempts_among(execution)).count() > AT_ONCE


def state_of(execution: Execution) -> str:
    """What tells whether a report of this run would say something else. Read it before the report: what that says may
    be newer, never older."""
    runs = [*attempts_among(execution)]
    if compared := previous(execution).first():
        runs += attempts_among(compared)
    keys = sorted(run.pk for run in runs)
    jobs = LaunchJob.objects.filter(wave__execution__in=keys)
    entries = AuditEntry.objects.filter(subject_kind="execution", subject_id__in=[str(key) for key in keys])
    events = JobEvent.objects.filter(job__wave__execution__in=keys)
    parts = (
        settings.VERSION,
        sorted((run.pk, run.revision, run.updated_at, run.proof_due, run.plan_id) for run in runs),
        *(rows.order_by().aggregate(Count("pk"), Max("pk")) for rows in (entries, events)),
        jobs.order_by().aggregate(Count("pk"), open=Count("pk", filter=Q(watched=True))),
    )
    return blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def kept(execution: Execution, form: Form, now: datetime) -> bytes:
    """The report, if it is of the run as it is now; else raises BeingMade, and has it made."""
    state = state_of(execution)
    found = MadeReport.objects.filter(pk=execution.pk, state=state).values_list(form.value, flat=True).first()
    if found is not None:
        return zlib.decompress(found)
    raise _ask(execution, now)


def keep(execution: Execution, state: str, found: RecordShape) -> None:
    """Make the report in all forms, of a record that was read after `state`."""
    made = {form.value: zlib.compress(in_form(found, form), 1) for form in MAKERS}
    columns = {"state": state, "tries": 0, "trouble": "", "asked_at": None, **made}
    MadeReport.objects.update_or_create(pk=execution.pk, defaults=columns)


def failed(execution_id: uuid.UUID, reason: str) -> None:
    """Tell those who wait that it could not be made."""
    MadeReport.objects.filter(pk=execution_id).update(trouble=reason[:500], tries=0)


def _ask(execution: Execution, now: datetime) -> BeingMade:
    row, _ = MadeReport.objects.get_or_create(pk=execution.pk)
    is_due = Q(asked_at=None) | Q(asked_at__lt=now - ASK_AGAIN)
    mine = MadeReport.objects.filter(is_due, pk=execution.pk).update(asked_at=now, tries=F("tries") + 1, trouble="")
    if mine and not queue.enqueue(TASK, str(execution.pk)):
        failed(execution.pk, "The engines' queue could not be reached.")
    row.refresh_from_db(fields=["tries", "trouble", "asked_at"])
    return _told(execution, row)


def _told(execution: Execution, row: MadeReport) -> BeingMade:
    servers = counted(ServerRun.objects.filter(wave__execution=execution).count(), "server")
    if not is_alive():
        text = f"The report of a run of {servers} is made by an engine, and no engine is running."
        return BeingMade(f"{text} It is made when one runs again.", is_coming=False)
    if row.trouble or row.tries > TRIES:
        why = row.trouble or f"The engines were asked {TRIES} times and have not made it."
        return BeingMade(
            f"The report could not be made. {why} The engine's log says more: tell an administrator.", is_coming=False
        )
    return BeingMade(f"The report of {servers} is being made. That takes up to a minute.", is_coming=True)
