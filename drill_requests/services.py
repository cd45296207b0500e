"""Asking for a drill, and what a person makes of it. Whoever asks starts nothing, whatever rights they have: a program
that is talked into something can do no more than put a question before a person. Recoveries cannot be asked for."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from audit.actor import Actor
from audit.journal import attempt, record
from contract.clock import Clock, db_clock, unix
from contract.errors import Forbidden, Invalid, NotFound
from contract.names import hidden_fault
from contract.rights import Reach
from drill_requests.models import DrillRequest
from drill_requests.states import RequestState
from executions.commands import control
from executions.commands.production import places_of_plan
from executions.models import Execution
from executions.states import Kind
from plans.models import RecoveryPlan
from plans.scopes.plans import at_plan, no_plan
from protection.inventory.recovery_instances import ANEW, look

MAY = "executions.start_drill"
VALID_FOR = timedelta(hours=1)
KEPT_FOR = timedelta(days=90)  # the journal keeps them for ever
REASON_MAX = 500


def seen_by(sees: Reach) -> QuerySet[DrillRequest]:
    """The requests for plans that somebody sees who sees so far."""
    rows = DrillRequest.objects.select_related("plan")
    return rows if sees.everywhere else rows.filter(plan__in=RecoveryPlan.objects.seen_by(sees))


def open_ones(sees: Reach, now: datetime) -> QuerySet[DrillRequest]:
    """Those that wait for a person."""
    return seen_by(sees).filter(outcome=RequestState.OPEN.value, expires_at__gt=now)


def get(request_id: uuid.UUID, sees: Reach) -> DrillRequest:
    """The request, or NotFound, also for one of a plan that is not seen."""
    found = seen_by(sees).filter(pk=request_id).first()
    if found is None:
        raise NotFound(f"There is no drill request {request_id}.", details={"drillRequestId": str(request_id)})
    return found


@attempt("drill_request.create", "plan", subject="plan_id")
def ask(
    *, actor: Actor, plan_id: uuid.UUID, reason: str, dry_run: bool = False, clock: Clock = db_clock
) -> DrillRequest:
    """Ask that a person starts a drill of a plan. Asked again by the same one while that is open, it is the same
    request. Raises NotFound, Invalid."""
    at_plan(actor, plan_id)  # whoever sees a plan may ask
    reason = reason.strip()
    fault = hidden_fault(reason) if reason else "Say why, for whoever decides."
    if len(reason) > REASON_MAX:
        fault = f"At most {REASON_MAX} characters; this has {len(reason):,}."
    if fault:
        raise Invalid({"reason": [fault]})
    with transaction.atomic():
        plan = RecoveryPlan.objects.select_for_update().filter(pk=plan_id).first()
        if plan is None:
            raise no_plan(plan_id)
        now = clock()
        mine = open_ones(actor.sees, now).filter(plan=plan, asked_by=actor.name[:254], dry_run=dry_run).first()
        if mine is not None:
            return mine
        DrillRequest.objects.filter(asked_at__lt=now - KEPT_FOR).delete()
        row = DrillRequest.objects.create(
            plan=plan,
            dry_run=dry_run,
            reason=reason,
            asked_by=actor.name[:254],
            asked_at=now,
            expires_at=now + VALID_FOR,
        )
        _journal(actor, "drill_request.create", row, reason=reason, dryRun=dry_run, expiresTime=unix(row.expires_at))
    return row


@attempt("drill_request.confirm", "drill_request", subject="request_id")
def confirm(*, actor: Actor, request_id: uuid.UUID, clock: Clock = db_clock) -> Execution:
    """Start the drill that was asked for, as whoever confirms it, once. What may run there now DRS is asked beforehand,
    outside of any transaction. Raises Forbidden, NotFound, Invalid for one that is over, and what a start raises: then
    the request stays open."""
    known = _decidable(actor, request_id, clock)
    looked = None if known.dry_run else look(places_of_plan(known.plan_id), believed=ANEW)
    with transaction.atomic():
        row = _locked(known, clock)
        run = control.start(
            actor=actor,
            plan_id=row.plan_id,
            kind=Kind.DRILL,
            dry_run=row.dry_run,
            initiated_by=row.asked_by,
            looked=looked,
            clock=clock,
        )
        row.outcome, row.decided_by, row.decided_at = RequestState.STARTED.value, actor.name[:254], clock()
        row.execution = run
        row.save(update_fields=["outcome", "decided_by", "decided_at", "execution"])
        _journal(actor, "drill_request.confirm", row, askedBy=row.asked_by, executionId=str(run.pk))
    return run


@attempt("drill_request.decline", "drill_request", subject="request_id")
def decline(*, actor: Actor, request_id: uuid.UUID, clock: Clock = db_clock) -> DrillRequest:
    """Say no; nothing starts. Raises Forbidden, NotFound, Invalid for one that is over."""
    known = _decidable(actor, request_id, clock)
    with transaction.atomic():
        row = _locked(known, clock)
        row.outcome, row.decided_by, row.decided_at = RequestState.DECLINED.value, actor.name[:254], clock()
        row.save(update_fields=["outcome", "decided_by", "decided_at"])
        _journal(actor, "drill_request.decline", row, askedBy=row.asked_by)
    return row


def _decidable(actor: Actor, request_id: uuid.UUID, clock: Clock) -> DrillRequest:
    """The request, for a person who may decide it."""
    known = get(request_id, actor.sees)
    at_plan(actor, known.plan_id).require(MAY, "decide on drills that were asked for")
    if actor.kind != "person":
        raise Forbidden("A person decides on a drill that was asked for.")
    _require_open(known, clock)
    return known


def _locked(known: DrillRequest, clock: Clock) -> DrillRequest:
    """The same row, for nobody else until the transaction is over. Raises Invalid."""
    row = DrillRequest.objects.select_for_update().get(pk=known.pk)
    row.plan = known.plan
    _require_open(row, clock)
    return row


def _require_open(row: DrillRequest, clock: Clock) -> None:
    found = row.state(clock())
    if found is RequestState.OPEN:
        return
    by = f" by {row.decided_by}" if row.decided_by else ""
    what = {"STARTED": f"was confirmed{by} before", "DECLINED": f"was declined{by}"}.get(found, "has expired")
    raise Invalid({"request": [f"The request {what}. Nothing was started now."]})


def _journal(actor: Actor, verb: str, row: DrillRequest, **detail: Any) -> None:
    kept = {"drillRequestId": str(row.pk), **detail}
    record(actor, verb, subject_kind="plan", subject_id=row.plan_id, subject_name=row.plan.name, detail=kept)
