"""What django-q2 runs for reports. Who asks for one that is not there asks again, so a lost task costs a minute."""

import uuid

from contract.clock import db_clock
from executions.models import Execution
from reports.evidence_pack import unchanging
from reports.made.keeping import failed, keep, state_of
from reports.report_data import record


def make(execution_id: str) -> None:
    """Task: make the report of a large run, in all forms."""
    key = uuid.UUID(execution_id)
    try:
        with unchanging(key):
            execution = Execution.objects.with_waves().get(pk=key)
            state, found = state_of(execution), record(execution, db_clock())
        keep(execution, state, found)
    except Execution.DoesNotExist:
        return  # it was archived meanwhile
    except Exception as error:  # whatever it was: somebody waits for it, and is told
        failed(key, f"{type(error).__name__}: {error}")
        raise
