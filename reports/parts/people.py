"""What people said of a run when it was over: findings and sign-offs, in the report's words."""

from typing import TYPE_CHECKING

from executions.models import Execution
from findings.models import of_run
from findings.representation import RecordedFindingShape, SignOffShape, recorded, show_sign_off
from findings.states import Severity
from reports.sentences import clock

if TYPE_CHECKING:
    from reports.report_data import RecordShape


def findings(execution: Execution) -> list[RecordedFindingShape]:
    return [recorded(each) for each in of_run(execution)]


def sign_offs(execution: Execution) -> list[SignOffShape]:
    return [show_sign_off(each) for each in execution.sign_offs.all()]


def people(record: "RecordShape") -> list[list[str]]:
    """Who vouches for the run, then what was found in it, a line each. Reports of before have neither."""
    signed = [[f"Signed off by {each['by']}, {clock(each['time'])}", each["lookedAt"]] for each in record["signOffs"]]
    return [*signed, *(_finding(each) for each in record["findings"])]


def _finding(each: RecordedFindingShape) -> list[str]:
    state = "Open" if each["closedTime"] is None else "Closed"
    due = f", due {each['dueDate']}" if each["dueDate"] else ""
    head = f"{state}: {Severity.of(each['severity']).label.lower()}, {each['owner']}{due}"
    text = f"{each['text']} (Filed by {each['filedBy']}, {clock(each['filedTime'])}.)"
    if each["closedTime"] is not None:
        why = each["closedReason"] or f"by run {each['closedByExecutionId']}"
        text += f" Closed by {each['closedBy']}, {clock(each['closedTime'])}: {why}"
    return [head, text]
