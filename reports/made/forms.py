"""The forms of a report, all made of one record."""

from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from typing import Any

from django.template.loader import render_to_string
from django.utils import timezone

from contract.rest.answers.renderers import CompactJson
from contract.status import Tone
from drsorch_verify.check import document
from drsorch_verify.derive import span
from drsorch_verify.tables import as_csv
from executions.console.live_page.page_content import Live
from executions.console.live_page.timeline import Timeline
from executions.models import Execution
from executions.states import ExecutionStatus, LaunchStatus, Reached, WaveStatus
from reports.documents.pdf import as_pdf
from reports.failures import causes
from reports.parts.gate_words import broken_glass, gates
from reports.parts.people import people
from reports.report_data import RecordShape
from reports.sentences import (
    PLAN_COLUMNS,
    became,
    clock,
    ending,
    facts,
    how_ended,
    nothing_left,
    parts,
    plan,
    reached,
    replaced_ids,
    usual_settings,
    wave_took,
    would_launch,
)


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
    replaced = replaced_ids(found)
    return {
        "record": found,
        "tone": _tone(found),
        "facts": facts(found),
        "gates": gates(found),
        "broken_glass": broken_glass(found),
        "parts": parts(found["measured"]["split"], tried_again=bool(found["earlier"])),
        "causes": causes(found["failures"]),
        "plan": [list(zip(PLAN_COLUMNS, row, strict=True)) for row in plan(found)],
        "usual": usual_settings(),
        "ending": ending(found),
        "people": people(found),
        "waves": [
            {
                "number": wave["waveNumber"] + 1,
                "name": wave["waveName"],
                "state": WaveStatus.of(wave["status"]),
                "took": wave_took(wave),
                "nothing_left": nothing_left(wave),
                "note": wave["statusMessage"],
                "servers": [_server(each, replaced) for each in wave["servers"]],
            }
            for wave in found["waves"]
        ],
        "journal": [(clock(each["time"]), each) for each in found["journal"]],
    }


def _tone(found: RecordShape) -> Tone:
    """Nothing green stands above a target that was missed."""
    measured, tone = found["measured"], ExecutionStatus.of(found["status"]).tone
    missed = Reached.MISSED in (measured["rto"]["reached"], measured["rpo"]["reached"])
    return Tone.PARTIAL if missed and tone is Tone.SUCCESS else tone


def _server(server: Any, replaced: Collection[str]) -> dict[str, Any]:
    up = server["rtoSeconds"]
    return {
        "name": server["hostname"],
        "instance": server["recoveryInstanceId"],
        "state": LaunchStatus.of(server["launchStatus"]).outcome,
        "ended": how_ended(server, replaced),
        "would": would_launch(server["launchStatus"], server["findings"]),
        "up": "–" if up is None else span(up),
        "point": clock(server["pointInTime"]),
        "old": server["usedPreviousSnapshot"],
        "chosen": bool(server["recoverySnapshotId"]),
        "late": server["late"],
        "excluded": server["notLaunched"] or (server["excluded"] and server["error"]),
        "left_out": became(server) if server["notLaunched"] or server["excluded"] else "",
        "findings": [each["message"] for each in server["findings"]],
        "rpo": reached(server["rpo"]),
        "lag": span(server["lagSeconds"]) if server["lagSeconds"] else "",
        "missed": server["rpo"]["reached"] == Reached.MISSED,
    }
