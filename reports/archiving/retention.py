"""Retention, off unless somebody sets it: rows of runs that were hidden long ago go, after their evidence pack was
written to an archive. Only of runs that are over and of which nothing stands and nothing is to be told any more; the
attempts at one run go together. The journal keeps all of its entries, and where the pack is.
"""

import hashlib
import logging
import time
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction

from audit.actor import ENGINE
from audit.journal import record
from contract.errors import DomainError
from executions.commands.hide_finished import is_done_with
from executions.models import Execution
from executions.querysets import ExecutionQuerySet
from executions.runs.attempts import attempts_among
from executions.states import FINAL
from reports import evidence_pack
from reports.archiving import archive_store

log = logging.getLogger(__name__)

SECONDS = 25.0  # of one round: a task of the queue may take 40


def archive_due(now: datetime, days: int, archive: str) -> int:
    """Archive what was hidden more than `days` ago, for some seconds; answers how many runs went. A run that cannot be
    archived stays, and keeps no other."""
    cutoff, until, gone = now - timedelta(days=days), time.monotonic() + SECONDS, 0
    for key in list(_due(cutoff).order_by("hidden_at").values_list("pk", flat=True)):
        if time.monotonic() > until:
            break
        try:
            gone += _archive(key, cutoff, archive, now)
        except (DomainError, archive_store.NotStored) as error:
            log.warning("Run %s was not archived and stays: %s", key, error)
    return gone


def _due(cutoff: datetime) -> ExecutionQuerySet:
    return Execution.objects.hidden().filter(
        is_done_with(), hidden_at__lt=cutoff, status__in=sorted(FINAL), next_step_at=None, proof_due=False
    )


def _archive(key: uuid.UUID, cutoff: datetime, archive: str, now: datetime) -> int:
    """Write the packs of all attempts at a run, then delete their rows; none goes while one of them has to stay."""
    run = Execution.objects.filter(pk=key).first()
    if run is None:
        return 0  # it went with another attempt
    attempts = list(attempts_among(run).order_by("attempt").values_list("pk", flat=True))
    if not _may_go(attempts, cutoff):
        return 0
    written = {}
    for each in attempts:
        pack = evidence_pack.make(ENGINE, each, now, at_once=True)
        digest = hashlib.sha256(pack).hexdigest()
        written[each] = (archive_store.store(archive, f"{each}-{digest[:16]}.zip", pack), digest)
    with transaction.atomic():
        list(Execution.objects.select_for_update().filter(pk__in=attempts).order_by("pk").values_list("pk"))
        if not _may_go(attempts, cutoff):
            return 0
        names = dict(Execution.objects.filter(pk__in=attempts).values_list("pk", "plan_name"))
        Execution.objects.filter(pk__in=attempts).delete()
        for each, (place, digest) in written.items():
            record(
                ENGINE,
                "execution.archived",
                subject_kind="execution",
                subject_id=each,
                subject_name=names[each],
                detail={"archive": place, "sha256": digest},
            )
    return len(attempts)


def _may_go(attempts: Sequence[uuid.UUID], cutoff: datetime) -> bool:
    return _due(cutoff).filter(pk__in=attempts).count() == len(attempts)
