"""Runbooks kept where they are found when this product is not: written anew by an engine when what they say changes."""

import hashlib
import logging
import re
import time
import uuid
from datetime import UTC, datetime

from audit.actor import ENGINE
from audit.journal import record
from audit.models import AuditEntry
from contract.errors import DomainError
from plans.models import RecoveryPlan
from reports.archiving import archive_store
from runbooks.forms import TYPES, made
from runbooks.runbook import Runbook, runbook_of

log = logging.getLogger(__name__)

STORED = "runbook.stored"
SECONDS = 25.0  # of one round: a task of the queue may take 40
_NO_TIME = datetime(2000, 1, 1, tzinfo=UTC)  # so that the digest is of what the runbook says


def store_changed(now: datetime, where: str) -> tuple[int, int]:
    """Write every runbook that is not there as it is now, for some seconds; answers how many were written, and how many
    could not be. One that cannot be written keeps no other, and is tried again in the next round."""
    until, written, failed = time.monotonic() + SECONDS, 0, 0
    for plan_id in list(RecoveryPlan.objects.order_by("-updated_at").values_list("pk", flat=True)):
        if time.monotonic() > until:
            break
        try:
            written += _store(plan_id, where, now)
        except (DomainError, archive_store.NotStored) as error:
            failed += 1
            log.warning("The runbook of plan %s was not stored: %s", plan_id, error)
    return written, failed


def _store(plan_id: uuid.UUID, where: str, now: datetime) -> bool:
    runbook = runbook_of(plan_id)
    digest = hashlib.sha256(made(runbook, "txt", _NO_TIME)).hexdigest()
    if _last(plan_id) == {"digest": digest, "where": where}:
        return False
    files = [
        archive_store.store(where, f"{_name(runbook)}.{form}", made(runbook, form, now), kind)
        for form, kind in TYPES.items()
    ]
    record(
        ENGINE,
        STORED,
        subject_kind="plan",
        subject_id=plan_id,
        subject_name=runbook.name,
        detail={"digest": digest, "where": where, "files": files, "version": runbook.version},
    )
    return True


def _last(plan_id: uuid.UUID) -> dict[str, str]:
    entries = AuditEntry.objects.filter(verb=STORED, subject_kind="plan", subject_id=str(plan_id))
    entry = entries.order_by("-pk").first()
    return {name: entry.detail[name] for name in ("digest", "where")} if entry else {}


def _name(runbook: Runbook) -> str:
    """What somebody finds at night: the plan's name as far as a file may have it, and its id."""
    slug = re.sub("[^a-z0-9]+", "-", runbook.name.lower()).strip("-")[:60]
    return f"runbook-{slug}-{runbook.plan_id}" if slug else f"runbook-{runbook.plan_id}"
