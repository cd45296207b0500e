"""The report as PDF, set with reportlab: A4, in the order of the page."""

import io
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import KeepTogether, PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table

from contract.names import visible
from drsorch_verify.derive import span
from executions.states import ExecutionStatus
from reports.documents.pdf_fonts import FONT, drawable, letters
from reports.documents.timeline_picture import INKS, timeline_picture
from reports.failures import causes
from reports.parts.gate_words import broken_glass, gates
from reports.parts.people import people
from reports.report_data import RecordShape, ServerShape, WaveShape
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
    timeline,
    title_of,
    usual_settings,
    wave_took,
    would_launch,
)

WIDTH = A4[0] - 36 * mm
RED = colors.HexColor("#b3261e")
INK, QUIET, LINE = colors.HexColor("#14213d"), colors.HexColor("#5b6472"), colors.HexColor("#c9d1dc")
PLAN_SHARES = (0.25, 0.4, 0.1, 0.25)
CELL, LONG = 2_000, 500  # characters
JOURNAL_LINES = 400  # the JSON has all of them
SERVER_COLUMNS = (0.24, 0.11, 0.1, 0.28, 0.14, 0.13)
DRY_RUN_COLUMNS = (0.24, 0.16, 0.6)


def _style(name: str, size: float, **options: Any) -> ParagraphStyle:
    settings: dict[str, Any] = {"fontName": FONT, "fontSize": size, "leading": size * 1.35, "textColor": INK}
    return ParagraphStyle(name, **(settings | {"splitLongWords": True, "wordWrap": "LTR"} | options))


TITLE = _style("title", 18, spaceAfter=4)
HEADING = _style("heading", 12, spaceBefore=12, spaceAfter=4)
LEAD = _style("lead", 10.5, spaceAfter=6)
TEXT = _style("text", 8.5)
ALARM = _style("alarm", 9.5, textColor=RED, spaceAfter=6)
SMALL = _style("small", 7)
SIGNED = ("Carried out by", "Checked by", "Approved by")
HEAD = _style("head", 7, textColor=QUIET)


def as_pdf(record: RecordShape) -> bytes:
    """The whole document. The same record gives the same bytes."""
    letters()
    record = _shown(record)
    out = io.BytesIO()
    title = title_of(record)
    frame: dict[str, Any] = {f"{side}Margin": 18 * mm for side in ("left", "right", "top", "bottom")}
    document = SimpleDocTemplate(out, pagesize=A4, title=title, author="DRS Orchestration", invariant=1, **frame)

    def foot(canvas: Any, _: Any) -> None:
        canvas.setFont(FONT, 7)
        canvas.setFillColor(QUIET)
        canvas.drawString(18 * mm, 10 * mm, f"Run {record['executionId']} · {clock(record['generatedTime'])}")
        canvas.drawRightString(A4[0] - 18 * mm, 10 * mm, f"Page {canvas.getPageNumber()}")

    document.build(_story(record), onFirstPage=foot, onLaterPages=foot)
    return out.getvalue()


def _shown(value: Any) -> Any:
    """The record with every text on one line and nothing hidden: a host name cannot pass for a line of the report."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {name: _shown(each) for name, each in value.items()}
    return [_shown(each) for each in value] if isinstance(value, list | tuple) else value


def _story(record: RecordShape) -> list[Any]:
    split = parts(record["measured"]["split"], tried_again=bool(record["earlier"]))
    return [
        *_cover(record),
        PageBreak(),
        *_failures(record),
        *([] if record["dryRun"] else _section("Where the time went", ["Part", "Time"], split, (0.5, 0.5))),
        *_section("Gates and pauses", ["Gate", "Waited", "What was said"], gates(record), (0.3, 0.15, 0.55)),
        *_section("Timeline", ["Time", "After", "What"], timeline(record), (0.25, 0.15, 0.6)),
        *_servers(record),
        *_section("The plan as it was", PLAN_COLUMNS, plan(record), PLAN_SHARES),
        *([_text(usual_settings(), SMALL)] if record["plan"].get("waves") else []),
        *_section("Clean-up and comparison", [], ending(record), (0.3, 0.7)),
        *_section("Findings and sign-offs", [], people(record), (0.3, 0.7)),
        *_section("Journal", ["Time", "What", "Who"], _journal(record), (0.23, 0.52, 0.25)),
    ]


def _cover(record: RecordShape) -> list[Any]:
    """What it comes to, for who reads one page, and where that page is signed."""
    state, number = ExecutionStatus.of(record["status"]), record["runNumber"]
    picture = [] if record["dryRun"] else timeline_picture(record, WIDTH)
    return [
        _text(f"Report{f' of run {number}' if number else ''}", HEAD),
        _text(title_of(record), TITLE),
        _text(state.label, _style("state", 14, textColor=INKS.get(state.tone, INK), spaceAfter=6)),
        _text(record["verdict"], LEAD),
        *(_text(each, ALARM) for each in broken_glass(record)),
        *(_text(each, TEXT) for each in record["expected"]),
        _table([], facts(record), (0.3, 0.7), TEXT),
        *([_text("Waves and phases over time", HEADING), *picture, _text(_from_to(record), SMALL)] if picture else []),
        KeepTogether([_text("Signatures", HEADING), _signatures()]),
    ]


def _from_to(record: RecordShape) -> str:
    return (
        f"{clock(record['startTime'])} on the left, {clock(record['endTime'] or record['generatedTime'])} on the right."
    )


def _signatures() -> Table:
    """Lines to write on."""
    head = [_text(each, HEAD) for each in ("", "Name", "Date", "Signature")]
    rows = [[_text(each, TEXT), "", "", ""] for each in SIGNED]
    return Table(
        [head, *rows],
        [share * WIDTH for share in (0.2, 0.3, 0.2, 0.3)],
        [5 * mm, *([11 * mm] * len(rows))],
        style=[("LINEBELOW", (0, 1), (-1, -1), 0.6, QUIET), ("VALIGN", (0, 0), (-1, -1), "BOTTOM")],
        hAlign="LEFT",
    )


def _journal(record: RecordShape) -> list[list[str]]:
    lines = [[clock(each["time"]), each["text"], each["actor"]] for each in record["journal"]]
    if len(lines) > JOURNAL_LINES:
        return [*lines[:JOURNAL_LINES], ["", f"{len(lines) - JOURNAL_LINES} more entries are in the JSON.", ""]]
    return lines


def _servers(record: RecordShape) -> list[Any]:
    story: list[Any] = [_text("Servers", HEADING)]
    for wave in record["waves"]:
        said = [] if nothing_left(wave) else [wave["status"].lower()]
        took = ", ".join(filter(None, [*said, wave_took(wave)]))
        head = f"Wave {wave['waveNumber'] + 1}, {wave['waveName']}: {took}"
        story += [Spacer(1, 4), _text(head, TEXT)]
        story += [_text(wave["statusMessage"], SMALL)] if wave["statusMessage"] else []
        story.append(_dry_run(wave) if record["dryRun"] else _launched(wave, replaced_ids(record)))
    return story


def _launched(wave: WaveShape, replaced: Collection[str]) -> Any:
    rows = [
        [
            "\n".join(filter(None, (each["hostname"], each["recoveryInstanceId"], how_ended(each, replaced)))),
            became(each) + ("\nlate" if each["late"] else ""),
            _or_dash(each["rtoSeconds"]),
            _way(each),
            clock(each["pointInTime"]) + _which(each),
            reached(each["rpo"]),
        ]
        for each in wave["servers"]
    ]
    columns = ["Server and recovery instance", "Status", "Up after", "In the wave", "Data as of", "RPA"]
    return _table(columns, rows, SERVER_COLUMNS, SMALL)


def _which(server: ServerShape) -> str:
    if server["recoverySnapshotId"]:
        return "\nchosen snapshot"
    return "\nearlier snapshot" if server["usedPreviousSnapshot"] else ""


def _dry_run(wave: WaveShape) -> Any:
    rows = [
        [
            each["hostname"],
            would_launch(each["launchStatus"], each["findings"]),
            "\n".join(found["message"] for found in each["findings"]) or "No problem found.",
        ]
        for each in wave["servers"]
    ]
    return _table(["Server", "In a run", "Findings"], rows, DRY_RUN_COLUMNS, SMALL)


def _or_dash(seconds: int | None) -> str:
    return "–" if seconds is None else span(seconds)


def _way(server: ServerShape) -> str:
    """How long a server took in its wave, and with what."""
    if server["tookSeconds"] is None:
        return "–"
    return f"{span(server['tookSeconds'])}: " + ", ".join(
        f"{name[0].lower()}{name[1:]} {time}" for name, time in parts(server["split"])
    )


def _failures(record: RecordShape) -> list[Any]:
    if not record["failures"]:
        return []
    story: list[Any] = [_text("What would fail" if record["dryRun"] else "What failed", HEADING)]
    for each in causes(record["failures"]):
        lines = [f"{each.where}: {each.meaning}", f"Try: {each.advice}", each.text]
        story.append(KeepTogether([_text(lines[0], TEXT), *(_text(line, SMALL) for line in lines[1:]), Spacer(1, 5)]))
    return story


def _section(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[float]) -> list[Any]:
    """A titled table; nothing where there is nothing to say."""
    return [_text(title, HEADING), _table(columns, rows, widths, SMALL if columns else TEXT)] if rows else []


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[float], style: ParagraphStyle
) -> Any:
    cells = [[_text(cell, HEAD) for cell in columns]] if columns else []
    cells += [[_text(_short(cell), style) for cell in row] for row in rows]
    if not rows:
        return Spacer(1, 1)
    padding: list[Any] = [("LEFTPADDING", (0, 0), (-1, -1), 2), ("TOPPADDING", (0, 0), (-1, -1), 2)]
    lines: list[Any] = [("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE), ("VALIGN", (0, 0), (-1, -1), "TOP")]
    return Table(
        cells,
        [share * WIDTH for share in widths],
        repeatRows=1 if columns else 0,
        splitInRow=int(any(len(cell) > LONG for row in rows for cell in row)),  # or one taller than a page fits nowhere
        style=[*padding, *lines],
        hAlign="LEFT",
    )


def _short(cell: str) -> str:
    """Nobody reads more of one."""
    return cell if len(cell) <= CELL else f"{cell[:CELL]} … (all of it is in the JSON)"


def _text(text: str, style: ParagraphStyle) -> Paragraph:
    """Text as it is: nothing that somebody typed is taken for markup, and no letter is left out."""
    return Paragraph(escape(drawable(text)).replace("\n", "<br/>"), style)
