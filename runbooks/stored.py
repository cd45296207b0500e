"""Runbooks kept where they are found when this product is not: written anew by an engine when what they say changes.

Whoever looks there at night finds one of each plan. What is there under a name that a plan had before, or of one that
was deleted, says so and nothing else: it is written over, because nothing is ever deleted there.
"""

import hashlib
import logging
import re
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

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
    for plan_id in _deleted():
        if time.monotonic() > until:
            break
        try:
            _retire_deleted(plan_id, where, now)
        except archive_store.NotStored as error:
            failed += 1
            log.warning("The runbook of the deleted plan %s was not written over: %s", plan_id, error)
    return written, failed


def _store(plan_id: uuid.UUID, where: str, now: datetime) -> bool:
    runbook, last = runbook_of(plan_id), _last(plan_id)
    digest = hashlib.sha256(made(runbook, "txt", _NO_TIME)).hexdigest()
    if last and (last.detail["digest"], last.detail["where"]) == (digest, where):
        return False
    files = [
        archive_store.store(where, f"{_name(runbook)}.{form}", made(runbook, form, now), kind)
        for form, kind in TYPES.items()
    ]
    if last and last.detail["where"] == where:
        said = f"This plan is called “{runbook.name}” now: use {_name(runbook)}."
        _retire(set(last.detail["files"]) - set(files), runbook.plan_id, last.subject_name, said, where, now)
    detail = {"digest": digest, "where": where, "files": files, "version": runbook.version}
    _note(plan_id, runbook.name, detail)
    return True


def _retire(files: Iterable[str], plan_id: uuid.UUID, name: str, said: str, where: str, now: datetime) -> None:
    """Write over what must not be followed any more."""
    empty = Runbook(plan_id, f"{name} (NOT TO BE USED)", 0, [said], [], [], [])
    for each in sorted(files):
        form = each.rpartition(".")[2]
        archive_store.store(where, each.rpartition("/")[2], made(empty, form, now), TYPES[form])


def _deleted() -> list[uuid.UUID]:
    """Plans of which runbooks were stored, and that do not exist any more."""
    kept = {str(each) for each in RecoveryPlan.objects.values_list("pk", flat=True)}
    ids = AuditEntry.objects.filter(verb=STORED, subject_kind="plan").order_by().values_list("subject_id", flat=True)
    return [uuid.UUID(each) for each in ids.distinct() if each not in kept]


def _retire_deleted(plan_id: uuid.UUID, where: str, now: datetime) -> None:
    last = _last(plan_id)
    if last is None or not last.detail["digest"] or last.detail["where"] != where:
        return
    _retire(last.detail["files"], plan_id, last.subject_name, "This plan was deleted.", where, now)
    _note(plan_id, last.subject_name, {**last.detail, "digest": ""})


def _note(plan_id: uuid.UUID, name: str, detail: dict[str, Any]) -> None:
    record(ENGINE, STORED, subject_kind="plan", subject_id=plan_id, subject_name=name, detail=detail)


def _last(plan_id: uuid.UUID) -> AuditEntry | None:
    entries = AuditEntry.objects.filter(verb=STORED, subject_kind="plan", subject_id=str(plan_id))
    return entries.order_by("-pk").first()


def _name(runbook: Runbook) -> str:
    """What somebody finds at night: the plan's name as far as a file may have it, and its id."""
    slug = re.sub("[^a-z0-9]+", "-", runbook.name.lower()).strip("-")[:60]
    return f"runbook-{slug}-{runbook.plan_id}" if slug else f"runbook-{runbook.plan_id}"
