"""Evidence packs in tests of any room: whatever became of a run that is over, its pack holds as long as its rows do."""

import os
import uuid
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from audit.actor import SYSTEM
from audit.models import AuditEntry
from drsorch_verify.check import problems
from executions.models import Execution, ServerRun
from reports import evidence_pack
from tests.audit import event_schema

Picture = tuple[Hashable, ...]

_seen: set[Picture] = set()  # by this process, in whatever test


def found_wrong(execution: Execution, now: datetime) -> list[str]:
    """What the verifier says of a pack of the run made now. Nothing is left of it; the PDF, which only its digest
    vouches for, is not drawn."""
    with transaction.atomic():
        made = evidence_pack.vouched(SYSTEM, evidence_pack.account(execution.pk, now), {})
        transaction.set_rollback(True)
    return problems(made)


def picture(run: Execution) -> Picture:
    """What became of a run, without its names, times and numbers."""
    servers = ServerRun.objects.filter(wave__execution=run)
    return (
        *(run.kind, run.dry_run, run.status, run.error_code, run.termination_status),
        frozenset(_entries(run).order_by().values_list("verb", flat=True)),
        frozenset(run.waves.order_by().values_list("status", "error_code")),
        frozenset(servers.order_by().values_list("launch_status", "error_code")),
    )


def _entries(run: Execution) -> QuerySet[AuditEntry]:
    return AuditEntry.objects.filter(subject_kind="execution", subject_id=str(run.pk))


def _every() -> bool:
    return "TEST_EVERY_PACK" in os.environ


@dataclass
class Packs:
    """Makes a pack of each run that is over when something new is known of it: of each picture once, of each news with
    `every`. A test that writes rows by hand, as nothing in the product does, or has thousands of them, says so:
    `touched`."""

    touched: bool = False
    every: bool = field(default_factory=_every)
    checked: dict[uuid.UUID, tuple[int, int]] = field(default_factory=dict)

    def hold(self, now: datetime) -> None:
        for run in () if self.touched else Execution.objects.final().only("pk", "revision").order_by():
            known = run.revision, _entries(run).count()
            if self.checked.get(run.pk) != known:
                self.checked[run.pk] = known
                self._check(Execution.objects.get(pk=run.pk), now)

    def _check(self, run: Execution, now: datetime) -> None:
        shown = picture(run)
        if self.every or shown not in _seen:
            _seen.add(shown)
            wrong = found_wrong(run, now) + event_schema.faults_of(_entries(run))
            assert not wrong, (run.status, [(each.status, each.status_message) for each in run.waves.all()], wrong)
