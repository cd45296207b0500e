"""Evidence packs in tests of any room: whatever became of a run that is over, its pack holds as long as its rows do."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction

from audit.actor import SYSTEM
from audit.models import AuditEntry
from drsorch_verify.check import problems
from executions.models import Execution
from reports import evidence_pack


def found_wrong(execution: Execution, now: datetime) -> list[str]:
    """What the verifier says of a pack of the run made now. Nothing is left of it; the PDF, which only its digest
    vouches for, is not drawn."""
    with transaction.atomic():
        made = evidence_pack.vouched(SYSTEM, evidence_pack.account(execution.pk, now), {})
        transaction.set_rollback(True)
    return problems(made)


@dataclass
class Packs:
    """Makes a pack of each run that is over whenever something new is known of it. A test that writes rows by hand,
    as nothing in the product does, says so: `touched`."""

    touched: bool = False
    checked: dict[uuid.UUID, tuple[int, int]] = field(default_factory=dict)

    def hold(self, now: datetime) -> None:
        for run in () if self.touched else Execution.objects.final().only("pk", "revision", "status"):
            entries = AuditEntry.objects.filter(subject_kind="execution", subject_id=str(run.pk)).count()
            if self.checked.get(run.pk) != (run.revision, entries):
                self.checked[run.pk] = (run.revision, entries)
                wrong = found_wrong(run, now)
                assert not wrong, (run.status, [(each.status, each.status_message) for each in run.waves.all()], wrong)
