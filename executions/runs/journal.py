"""The one way to write of a run in the journal."""

from collections.abc import Mapping
from typing import Any

from audit.actor import ENGINE, Actor
from audit.journal import OK, record
from audit.models import AuditEntry
from executions.models import Execution


def note(
    execution: Execution,
    verb: str,
    actor: Actor = ENGINE,
    *,
    outcome: str = OK,
    comment: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    facts: Mapping[str, object] | None = None,
    **detail: object,
) -> AuditEntry:
    """Add one entry about this run, in the transaction of the change. `detail`, and `facts` that somebody else has
    gathered, say what was done; `comment`, if any, is the actor's own word."""
    return record(
        actor,
        verb,
        subject_kind="execution",
        subject_id=execution.pk,
        subject_name=execution.plan_name,
        outcome=outcome,
        detail={**detail, **(facts or {}), **({"comment": comment} if comment else {})},
        before=before,
        after=after,
    )
