"""The forms of a report, all made of one record."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from django.template.loader import render_to_string
from django.utils import timezone

from contract.rest.answers.renderers import CompactJson
from drsorch_verify.check import document
from drsorch_verify.derive import span
from drsorch_verify.tables import as_csv
from executions.console.live_page.page_content import Live
from executions.console.live_page.timeline import Timeline
from executions.models import Execution
from executions.states import ExecutionStatus, LaunchStatus, Reached, WaveStatus
from reports.documents.pdf import as_pdf
from reports.report_data import RecordShape
from reports.sentences import PLAN_COLUMNS, clock, ending, facts, gates, parts, plan, reached, would_launch


class Form(StrEnum):
    """How a report is told; the value names the column that keeps it."""

    JSON = "json"
    DOCUMENT = "document"  # the same as JSON, as it stands in an evidence pack
    CSV = "csv"
    PDF = "pdf"
    PAGE = "page"


def _as_page(found: RecordShape) -> bytes:
    """The page without its frame: nothing in it depends on who looks."""
    run = Execution.objects.with_jobs().get(pk=found["executionId"])
    context = {**_context(found), "timeline": Timeline(Live(run), timezone.now())}
    return render_to_string("reports/_report.html", context).encode()


MAKERS: Mapping[Form, Callable[[RecordShape], bytes]] = {
    Form.JSON: lambda found: CompactJson().render(found),
    Form.DOCUMENT: document,
    Form.CSV: lambda found: as_csv(found).encode(),
    Form.PDF: as_pdf,
    Form.PAGE: _as_page,
}


def in_form(found: RecordShape, form: Form) -> bytes:
    return MAKERS[form](found)


def _context(found: RecordShape) -> dict[str, Any]:
    return {
        "record": found,
        "tone": ExecutionStatus.of(found["status"]).tone,
        "facts": facts(found),
        "gates": gates(found),
        "parts": parts(found["measured"]["split"]),
        "plan": [list(zip(PLAN_COLUMNS, row, strict=True)) for row in plan(found)],
        "ending": ending(found),
        "waves": [
            {
                "number": wave["waveNumber"] + 1,
                "name": wave["waveName"],
                "state": WaveStatus.of(wave["status"]),
                "took": span(wave["tookSeconds"]),
                "note": wave["statusMessage"],
                "servers": [_server(each) for each in wave["servers"]],
            }
            for wave in found["waves"]
        ],
        "journal": [(clock(each["time"]), each) for each in found["journal"]],
    }


def _server(server: Any) -> dict[str, Any]:
    up = server["rtoSeconds"]
    return {
        "name": server["hostname"],
        "instance": server["recoveryInstanceId"],
        "state": LaunchStatus.of(server["launchStatus"]),
        "would": would_launch(server["launchStatus"], server["findings"]),
        "up": "–" if up is None else span(up),
        "point": clock(server["pointInTime"]),
        "old": server["usedPreviousSnapshot"],
        "late": server["late"],
        "excluded": server["excluded"] and server["error"],
        "findings": [each["message"] for each in server["findings"]],
        "rpo": reached(server["rpo"]),
        "lag": span(server["lagSeconds"]) if server["lagSeconds"] else "",
        "missed": server["rpo"]["reached"] == Reached.MISSED,
    }
