"""Extending the lease of a drill's instances."""

import uuid
from datetime import datetime, timedelta

from django.db import transaction

from audit.actor import Actor
from audit.journal import attempt
from contract.clock import Clock, db_clock, unix, utc
from contract.errors import BadRequest, Invalid
from contract.rights import ANYTHING
from executions.codes.ours import Code
from executions.commands.control import check_comment, get
from executions.models import Execution
from executions.runs import transitions
from executions.runs.allowed.actions import CONTROL
from executions.runs.allowed.scopes import at_run
from executions.runs.allowed.terminable_instances import terminable_counts
from executions.runs.journal import note
from executions.terminating.instances import launched

HOURS_MOST = 8_760


@attempt("lease.extend", "execution", subject="execution_id")
def extend_lease(
    *, actor: Actor, execution_id: uuid.UUID, hours: int, comment: str, clock: Clock = db_clock
) -> Execution:
    """Let the instances of a drill that is over run for so many hours from now; nothing is told or terminated before.
    What another person was promised is never shortened.
    Raises Forbidden, NotFound, Invalid, and BadRequest (LEASE_NOT_EXTENDABLE)."""
    actor.at(ANYTHING).require(CONTROL, "extend leases")
    at_run(actor, execution_id).require(CONTROL, "extend leases")
    check_comment(comment)
    faults = {}
    if not 1 <= hours <= HOURS_MOST:
        faults["hours"] = [f"Whole hours from 1 to {HOURS_MOST:,}."]
    if not comment.strip():
        faults["comment"] = ["Say why, for the journal."]
    if faults:
        raise Invalid(faults)
    get(execution_id)
    with transaction.atomic():
        execution, now = Execution.objects.select_for_update().get(pk=execution_id), clock()
        before, ends = execution.lease_ends_at, now + timedelta(hours=hours)
        if reason := why_not_extendable(execution) or _longer(before, ends):
            raise BadRequest(Code.LEASE_NOT_EXTENDABLE, reason, details={"status": execution.status})
        columns = {"lease_ends_at": ends, "lease_warned_at": None, "lease_over_at": None}
        Execution.objects.filter(pk=execution_id).update(**columns)
        note(
            execution,
            "lease.extend",
            actor=actor,
            comment=comment.strip(),
            before={"leaseEndsTime": unix(before) if before else None},
            after={"leaseEndsTime": unix(ends)},
            hours=hours,
            extendedTime=unix(now),
            leaseEndsTime=unix(ends),
        )
        transitions.touch(execution, now)
    execution.refresh_from_db()
    return execution


def why_not_extendable(execution: Execution) -> str:
    """Why there is no lease to extend, as a sentence; empty when there is."""
    if execution.purpose.is_recovery or execution.dry_run:
        return "Only instances of drills have a lease."
    if not execution.state.is_final:
        return "The lease begins when the run has ended."
    if not launched(execution).exists():
        return "None of its instances is running."
    if not terminable_counts([execution]):
        return "Its instances are being terminated."
    return ""


def _longer(now_until: datetime | None, asked: datetime) -> str:
    if now_until is None or now_until <= asked:
        return ""
    return f"The lease is already longer: until {utc(now_until)}. To end it sooner, terminate the instances."
