"""The one way to write the journal; call it inside the transaction of the change that it records."""

import logging
from collections.abc import Mapping
from typing import Any

from audit.actor import Actor
from audit.models import AuditEntry

log = logging.getLogger(__name__)


def record(
    actor: Actor,
    verb: str,
    *,
    subject_kind: str,
    subject_id: object,
    subject_name: str = "",
    outcome: str = "ok",
    detail: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Add one entry. `verb` is a stable word such as `execution.start`; `detail` must be JSON without secrets."""
    entry = AuditEntry.objects.create(
        actor=actor.name,
        actor_kind=actor.kind,
        verb=verb,
        subject_kind=subject_kind,
        subject_id=str(subject_id),
        subject_name=subject_name,
        outcome=outcome,
        detail=dict(detail or {}),
        address=actor.address,
        request_id=actor.request_id,
    )
    log.info("%s %s %s %s: %s", actor.name, verb, subject_kind, subject_id, outcome)
    return entry
