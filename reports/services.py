"""What people can ask of finished runs: their report, and the pack that proves it."""

import uuid
from datetime import datetime

from audit.actor import Actor
from audit.journal import attempt
from contract.clock import Clock, db_clock
from contract.errors import BadRequest
from executions.codes.ours import Code
from executions.commands.control import no_execution
from executions.models import Execution
from reports import evidence_pack
from reports.report_data import RecordShape, record


def finished(execution_id: uuid.UUID) -> Execution:
    """A run that is over, with its waves. Raises NotFound and BadRequest (EXECUTION_STILL_RUNNING)."""
    execution = Execution.objects.with_waves().filter(pk=execution_id).first()
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
    """The report of a finished run; raises as `finished`."""
    return record(finished(execution_id), now)


@attempt("execution.evidence", "execution", subject="execution_id")
def evidence(*, actor: Actor, execution_id: uuid.UUID, clock: Clock = db_clock) -> bytes:
    """The evidence pack of a finished run, a ZIP file; the journal keeps its digests. Raises as `finished`."""
    return evidence_pack.make(actor, finished(execution_id).pk, clock())
