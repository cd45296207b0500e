"""What people do with findings and sign-offs, one function a verb. Who may steer runs files, changes, closes and signs
off."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import transaction

from audit.actor import Actor
from audit.journal import attempt, record
from audit.safe_text import storable
from contract.clock import Clock, db_clock, unix
from contract.errors import BadRequest, Forbidden, Invalid, NotFound
from contract.names import hidden_fault, visible
from contract.rest.etag import refuse_stale
from contract.rights import Reach
from executions.codes.ours import Code
from executions.models import Execution
from executions.runs import transitions
from executions.runs.allowed.actions import CONTROL
from executions.runs.allowed.scopes import at_run, no_execution
from executions.runs.journal import note
from executions.states import ExecutionStatus
from findings.models import Finding, SignOff
from findings.states import Severity
from plans.models import RecoveryPlan
from plans.scopes.plans import at_plan, no_plan

_NONE = uuid.UUID(int=0)
TEXT_MAX = 2_000
OWNER_MAX = 254
PROPOSED = 50  # findings whose owners are proposed again
FILE, CHANGE, CLOSE, SIGN = "file findings", "change findings", "close findings", "sign off runs"


@dataclass(frozen=True)
class Wanted:
    """A finding as it shall be filed; `due` None: no day was agreed."""

    text: str
    owner: str
    severity: str
    due: date | None = None


def get(finding_id: uuid.UUID, sees: Reach) -> Finding:
    """The finding, or NotFound, also for one of a plan that is not seen."""
    found = Finding.objects.seen_by(sees).filter(pk=finding_id).first()
    if found is None:
        raise NotFound(f"There is no finding {finding_id}.", details={"findingId": str(finding_id)})
    return found


@attempt("finding.filed", "finding")
def file(
    *,
    actor: Actor,
    wanted: Wanted,
    execution_id: uuid.UUID | None = None,
    plan_id: uuid.UUID | None = None,
    clock: Clock = db_clock,
) -> Finding:
    """File what a finished run has shown, or what is known of a plan: one of the two is named. Raises Forbidden,
    NotFound, Invalid, BadRequest (EXECUTION_STILL_RUNNING)."""
    if (execution_id is None) is (plan_id is None):
        raise Invalid({"executionId": ["Name a run (executionId) or a plan (planId): one of the two."]})
    here = at_run(actor, execution_id) if execution_id else at_plan(actor, plan_id or _NONE)
    here.require(CONTROL, FILE)
    _check(wanted, not_before=clock().date())
    with transaction.atomic():
        execution = _finished(execution_id) if execution_id else None
        plan = execution.plan if execution else RecoveryPlan.objects.filter(pk=plan_id or _NONE).first()
        if execution is None and plan is None:
            raise no_plan(plan_id)
        finding = _filed(actor, wanted, clock(), execution, plan)
        finding.save()
        _note(finding, "finding.filed", actor, _told(finding), finding.filed_at)
    return finding


@attempt("finding.changed", "finding", subject="finding_id")
def change(
    *,
    actor: Actor,
    finding_id: uuid.UUID,
    wanted: Wanted,
    expected: Collection[int] | None = None,
    clock: Clock = db_clock,
) -> Finding:
    """Give an open finding another text, owner, severity or day. Nothing is written where nothing changes. Raises
    Forbidden, NotFound, VersionConflict, Invalid."""
    require_at(actor, get(finding_id, actor.sees), CHANGE)
    with transaction.atomic():
        finding, now = Finding.objects.select_for_update().get(pk=finding_id), clock()
        refuse_stale(finding.version, expected, "The finding")
        if finding.closed_at is not None:
            raise Invalid({"text": [f"{finding.closed_by} has closed it: what is closed stays as it is."]})
        _check(wanted, not_before=None if wanted.due == finding.due else now.date())
        before = _told(finding)
        _apply(finding, wanted)
        if (after := _told(finding)) != before:
            finding.version += 1
            finding.save()
            was = {name: value for name, value in before.items() if after[name] != value}
            _note(finding, "finding.changed", actor, {**after, "was": was}, now)
    return finding


@attempt("finding.closed", "finding", subject="finding_id")
def close(
    *,
    actor: Actor,
    finding_id: uuid.UUID,
    reason: str = "",
    execution_id: uuid.UUID | None = None,
    clock: Clock = db_clock,
) -> Finding:
    """Close a finding: by a later run of its plan that completed, or for a reason. Raises Forbidden, NotFound,
    Invalid."""
    require_at(actor, get(finding_id, actor.sees), CLOSE)
    reason = storable(reason.strip())
    if bool(reason) is (execution_id is not None):
        raise Invalid({"reason": ["Name a later run that completed, or give a reason: one of the two."]})
    _check_text("reason", reason, needed=False)
    with transaction.atomic():
        finding, now = Finding.objects.select_for_update().get(pk=finding_id), clock()
        if finding.closed_at is not None:
            raise Invalid({"reason": [f"{finding.closed_by} has closed it already."]})
        proof = _proof(finding, execution_id, actor.sees) if execution_id else None
        finding.closed_at, finding.closed_by, finding.closed_reason = now, visible(actor.name)[:254], reason
        if proof is not None:
            finding.closed_by_run, finding.closed_by_run_number = proof.pk, proof.number
        finding.version += 1
        finding.save()
        told = {"findingId": str(finding.pk), "reason": reason, "byExecution": str(proof.pk) if proof else None}
        _note(finding, "finding.closed", actor, told, now)
    return finding


@attempt("execution.signed_off", "execution", subject="execution_id")
def sign_off(*, actor: Actor, execution_id: uuid.UUID, looked_at: str, clock: Clock = db_clock) -> SignOff:
    """Vouch for a finished run, having looked at what `looked_at` says. Raises Forbidden, also for programs, NotFound,
    Invalid, BadRequest (EXECUTION_STILL_RUNNING)."""
    at_run(actor, execution_id).require(CONTROL, SIGN)
    if actor.kind == "service":
        raise Forbidden("No program signs off a run: a person does, who has looked.")
    looked_at = storable(looked_at.strip())
    _check_text("lookedAt", looked_at)
    with transaction.atomic():
        execution, now = _finished(execution_id), clock()
        if execution.dry_run:
            raise Invalid({"lookedAt": ["A dry run launches nothing: there is nothing to vouch for."]})
        key = actor.id or actor.name
        if execution.sign_offs.filter(by_id=key).exists():
            raise Invalid({"lookedAt": ["You have signed off this run already."]})
        made: SignOff = execution.sign_offs.create(
            by=visible(actor.name)[:254], by_id=key[:520], at=now, looked_at=looked_at
        )
        note(execution, "execution.signed_off", actor=actor, lookedAt=looked_at, time=unix(now))
        transitions.touch(execution, now)
    return made


def require_at(actor: Actor, finding: Finding, to: str) -> None:
    """Raise Forbidden unless the actor may, where the finding's plan is."""
    here = at_plan(actor, finding.plan_id) if finding.plan_id else actor
    here.require(CONTROL, to)


def proving(finding: Finding, sees: Reach) -> "list[Execution]":
    """The runs that can close a finding, newest first."""
    return list(_proving(finding, sees).order_by("-started_at")[:20])


def _proving(finding: Finding, sees: Reach) -> Any:
    runs = Execution.objects.seen_by(sees).filter(plan=finding.plan_id, plan__isnull=False, dry_run=False)
    return runs.filter(status=ExecutionStatus.COMPLETED, started_at__gte=finding.filed_at)


def _proof(finding: Finding, execution_id: uuid.UUID, sees: Reach) -> Execution:
    found: Execution | None = _proving(finding, sees).filter(pk=execution_id).first()
    if found is None:
        text = "A run of the same plan is expected that was started after the finding was filed, and completed."
        raise Invalid({"executionId": [text]})
    return found


def _finished(execution_id: uuid.UUID) -> Execution:
    """The run, locked, as whoever makes its evidence locks it."""
    found = Execution.objects.select_for_update(of=("self",)).select_related("plan").filter(pk=execution_id).first()
    if found is None:
        raise no_execution(execution_id)
    if not found.state.is_final:
        text = f"This run is {found.state.label.lower()}. Findings and sign-offs are for runs that have ended."
        raise BadRequest(Code.EXECUTION_STILL_RUNNING, text, details={"status": found.status})
    return found


def _filed(
    actor: Actor, wanted: Wanted, now: datetime, execution: Execution | None, plan: RecoveryPlan | None
) -> Finding:
    finding = Finding(
        plan=plan,
        plan_name=execution.plan_name if execution else plan.name if plan else "",
        execution=execution,
        run_number=execution.number if execution else None,
        filed_by=visible(actor.name)[:254],
        filed_at=now,
    )
    _apply(finding, wanted)
    return finding


def _apply(finding: Finding, wanted: Wanted) -> None:
    finding.text, finding.owner = storable(wanted.text.strip()), storable(wanted.owner.strip())
    finding.severity, finding.due = wanted.severity, wanted.due


def _check(wanted: Wanted, *, not_before: date | None) -> None:
    """Raises Invalid, which names all that is wrong. A day that is chosen now is none before `not_before`, in UTC."""
    faults = {"text": _fault_of_text(wanted.text.strip(), needed=True), "owner": _fault_of_owner(wanted.owner.strip())}
    if wanted.severity not in [each.value for each in Severity]:
        faults["severity"] = f"Use {', '.join(Severity)}."
    if wanted.due is not None and not_before is not None and wanted.due < not_before:
        faults["dueDate"] = f"{wanted.due} is over. Use {not_before} (UTC), a later day, or none."
    if found := {field: [fault] for field, fault in faults.items() if fault}:
        raise Invalid(found)


def _fault_of_owner(owner: str) -> str:
    if not 1 <= len(owner) <= OWNER_MAX:
        return f"A name of 1 to {OWNER_MAX} characters is required: who puts it right."
    return hidden_fault(owner, ()) or ""


def _fault_of_text(text: str, *, needed: bool) -> str:
    return f"1 to {TEXT_MAX:,} characters are required." if len(text) > TEXT_MAX or (needed and not text) else ""


def _check_text(field: str, text: str, *, needed: bool = True) -> None:
    if fault := _fault_of_text(text, needed=needed):
        raise Invalid({field: [fault]})


def known_owners(sees: Reach, finding_of: RecoveryPlan | None, actor: Actor) -> list[str]:
    """Who is proposed as an owner: whoever asks, the plan's owner, and who owned findings lately that somebody sees."""
    of_plan = [finding_of.owner] if finding_of else []
    lately = Finding.objects.seen_by(sees).newest_first().values_list("owner", flat=True)[:PROPOSED]
    return list(dict.fromkeys(each for each in [actor.name, *of_plan, *lately] if each))


def _told(finding: Finding) -> dict[str, Any]:
    """A finding as the journal keeps it."""
    return {
        "findingId": str(finding.pk),
        "text": finding.text,
        "owner": finding.owner,
        "severity": finding.severity,
        "dueDate": finding.due.isoformat() if finding.due else None,
    }


def _note(finding: Finding, verb: str, actor: Actor, told: Mapping[str, Any], now: datetime) -> None:
    """Of its run, else of its plan. A run that it changes is written, so that report and journal are of one moment."""
    told = {**told, "time": unix(now)}
    execution = Execution.objects.select_for_update().filter(pk=finding.execution_id or _NONE).first()
    if execution is not None:
        note(execution, verb, actor=actor, facts=told)
        transitions.touch(execution, now)
        return
    plan = finding.plan_id or ""
    record(actor, verb, subject_kind="plan", subject_id=plan, subject_name=finding.plan_name, detail=told)
