"""What people can ask of finished runs: their report, and the pack that proves it."""

import json
import uuid
from datetime import datetime

from django.db.models import prefetch_related_objects

from audit.actor import Actor
from audit.journal import attempt
from contract.clock import Clock, db_clock
from contract.errors import BadRequest
from executions.codes.ours import Code
from executions.models import Execution
from executions.runs.allowed.scopes import no_execution
from reports import evidence_pack
from reports.made.forms import Form, in_form
from reports.made.keeping import is_large, kept
from reports.report_data import RecordShape, record


def finished(execution_id: uuid.UUID) -> Execution:
    """A run that is over. Raises NotFound and BadRequest (EXECUTION_STILL_RUNNING)."""
    execution = Execution.objects.filter(pk=execution_id).first()
    if execution is None:
        raise no_execution(execution_id)
    if not execution.state.is_final:
        raise BadRequest(
            Code.EXECUTION_STILL_RUNNING,
            f"This run is {execution.state.label.lower()}. Its report is available after it has ended.",
            details={"status": execution.status},
        )
    return execution


def report(execution_id: uuid.UUID, now: datetime) -> RecordShape:
    """The report of a finished run, made now; raises as `finished`."""
    return _record(finished(execution_id), now)


def document(execution_id: uuid.UUID, form: Form, now: datetime) -> bytes:
    """The report in one of its forms: made now, or of a large run as it was made before. Raises as `finished`, and
    BeingMade."""
    execution = finished(execution_id)
    if is_large(execution):
        return kept(execution, form, now)
    return in_form(_record(execution, now), form)


def told(execution_id: uuid.UUID, now: datetime) -> RecordShape:
    """The report as data, of a large run as it was made before. Raises as `document`."""
    found: RecordShape = json.loads(document(execution_id, Form.JSON, now))
    return found


def _record(execution: Execution, now: datetime) -> RecordShape:
    prefetch_related_objects([execution], "waves__servers", "waves__jobs")
    return record(execution, now)


def require_made(execution_id: uuid.UUID, now: datetime) -> None:
    """Ask before an evidence pack of a run: raises BeingMade while the report that it holds is not there. Not a part
    of `evidence`, as an attempt that was refused stands in the journal, and so makes the report another."""
    execution = Execution.objects.filter(pk=execution_id).first()
    if execution is not None and execution.state.is_final and is_large(execution):
        kept(execution, Form.DOCUMENT, now)


@attempt("execution.evidence", "execution", subject="execution_id")
def evidence(*, actor: Actor, execution_id: uuid.UUID, clock: Clock = db_clock) -> bytes:
    """The evidence pack of a finished run, a ZIP file; the journal keeps its digests. Raises as `document`."""
    return evidence_pack.make(actor, finished(execution_id).pk, clock())
