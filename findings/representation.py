"""Findings and sign-offs in the contract's shape: of the API, the report and the ledger."""

from datetime import date
from typing import TypedDict

from contract.clock import unix
from findings.models import Finding, SignOff


class RecordedFindingShape(TypedDict):
    """A finding of a run as its report has it: open while `closedTime` is null. Closed by a later run, or for a
    reason."""

    findingId: str
    text: str
    owner: str
    dueDate: str | None
    severity: str
    filedBy: str
    filedTime: int
    closedBy: str | None
    closedTime: int | None
    closedReason: str | None
    closedByExecutionId: str | None


class FiledFindingShape(RecordedFindingShape):
    """A finding of a run, or without one of a plan. `status` is OPEN, OVERDUE or CLOSED."""

    status: str
    planId: str | None
    planName: str
    executionId: str | None
    runNumber: int | None
    closedByRunNumber: int | None
    version: int


class SignOffShape(TypedDict):
    """Who vouches for a run, and what they looked at."""

    by: str
    time: int
    lookedAt: str


def recorded(finding: Finding) -> RecordedFindingShape:
    return RecordedFindingShape(
        findingId=str(finding.pk),
        text=finding.text,
        owner=finding.owner,
        dueDate=finding.due.isoformat() if finding.due else None,
        severity=finding.severity,
        filedBy=finding.filed_by,
        filedTime=unix(finding.filed_at),
        closedBy=finding.closed_by or None,
        closedTime=unix(finding.closed_at),
        closedReason=finding.closed_reason or None,
        closedByExecutionId=str(finding.closed_by_run) if finding.closed_by_run else None,
    )


def show(finding: Finding, today: date) -> FiledFindingShape:
    return FiledFindingShape(
        **recorded(finding),
        status=finding.state_on(today),
        planId=str(finding.plan_id) if finding.plan_id else None,
        planName=finding.plan_name,
        executionId=str(finding.execution_id) if finding.execution_id else None,
        runNumber=finding.run_number,
        closedByRunNumber=finding.closed_by_run_number,
        version=finding.version,
    )


def show_sign_off(each: SignOff) -> SignOffShape:
    return SignOffShape(by=each.by, time=unix(each.at), lookedAt=each.looked_at)
