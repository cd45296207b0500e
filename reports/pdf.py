"""The report as PDF, set with reportlab: A4, the same order as the page."""

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import reportlab
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table

from drsorch_verify.derive import span
from reports.record import RecordShape, WaveShape
from reports.words import clock, ending, facts, gates, parts, reached

WIDTH = A4[0] - 36 * mm
INK, QUIET, LINE = colors.HexColor("#14213d"), colors.HexColor("#5b6472"), colors.HexColor("#c9d1dc")
JOURNAL_LINES = 400  # the JSON has all of them
SERVER_COLUMNS = (0.19, 0.19, 0.13, 0.12, 0.10, 0.15, 0.12)


@cache
def _fonts() -> None:
    """Bitstream Vera comes with reportlab: no font of the machine is needed."""
    folder = Path(reportlab.__file__).parent / "fonts"
    pdfmetrics.registerFont(TTFont("Vera", str(folder / "Vera.ttf")))
    pdfmetrics.registerFont(TTFont("Vera-Bold", str(folder / "VeraBd.ttf")))


def _style(name: str, size: float, **options: Any) -> ParagraphStyle:
    settings: dict[str, Any] = {"fontName": "Vera", "fontSize": size, "leading": size * 1.35, "textColor": INK}
    return ParagraphStyle(name, **(settings | {"splitLongWords": True, "wordWrap": "LTR"} | options))


TITLE = _style("title", 16, fontName="Vera-Bold", spaceAfter=4)
HEADING = _style("heading", 11, fontName="Vera-Bold", spaceBefore=12, spaceAfter=4)
LEAD = _style("lead", 10.5, spaceAfter=6)
TEXT = _style("text", 8.5)
SMALL = _style("small", 7)
HEAD = _style("head", 7, textColor=QUIET)


def as_pdf(record: RecordShape) -> bytes:
    """The whole document. The same record gives the same bytes."""
    _fonts()
    out = io.BytesIO()
    title = f"Report: {record['planName']}"
    frame: dict[str, Any] = {f"{side}Margin": 18 * mm for side in ("left", "right", "top", "bottom")}
    document = SimpleDocTemplate(out, pagesize=A4, title=title, author="DRS Orchestration", invariant=1, **frame)

    def foot(canvas: Any, _: Any) -> None:
        canvas.setFont("Vera", 7)
        canvas.setFillColor(QUIET)
        canvas.drawString(18 * mm, 10 * mm, f"Execution {record['executionId']} · {clock(record['generatedTime'])}")
        canvas.drawRightString(A4[0] - 18 * mm, 10 * mm, f"Page {canvas.getPageNumber()}")

    document.build(_story(record), onFirstPage=foot, onLaterPages=foot)
    return out.getvalue()


def _story(record: RecordShape) -> list[Any]:
    story: list[Any] = [
        _text(f"{record['executionType'].capitalize()} report: {record['planName']}", TITLE),
        _text(record["verdict"], LEAD),
        _table([], facts(record), (0.3, 0.7), TEXT),
    ]
    if gates(record):
        story += _section("Waits for a person", ["Gate", "Waited", "How it ended"], gates(record), (0.4, 0.2, 0.4))
    story += _section("Where the time went", ["Part", "Time"], parts(record["measured"]["split"]), (0.5, 0.5))
    story.append(_text("Servers", HEADING))
    for wave in record["waves"]:
        story += _wave(wave)
    story += _failures(record)
    story += _section("Clean-up and comparison", [], ending(record), (0.3, 0.7))
    lines = [[clock(each["time"]), each["text"], each["actor"]] for each in record["journal"]]
    if len(lines) > JOURNAL_LINES:
        lines = [*lines[:JOURNAL_LINES], ["", f"{len(lines) - JOURNAL_LINES} more entries are in the JSON.", ""]]
    return story + _section("Journal", ["Time", "What", "Who"], lines, (0.23, 0.52, 0.25))


def _wave(wave: WaveShape) -> list[Any]:
    head = f"Wave {wave['waveNumber'] + 1}, {wave['waveName']}: {wave['status'].lower()}, {span(wave['tookSeconds'])}"
    columns = ["Server", "Recovery instance", "Status", "Up after", "In the wave", "Data as of", "RPO"]
    rows = [
        [
            each["hostname"],
            each["recoveryInstanceId"] or "–",
            each["launchStatus"].capitalize() + (", earlier snapshot" if each["usedPreviousSnapshot"] else ""),
            span(each["rtoSeconds"]) if each["rtoSeconds"] is not None else "–",
            span(each["tookSeconds"]) if each["tookSeconds"] is not None else "–",
            clock(each["pointInTime"]),
            reached(each["rpo"]),
        ]
        for each in wave["servers"]
    ]
    plan = next((each for each in [wave["statusMessage"]] if each), "")
    story: list[Any] = [Spacer(1, 4), _text(head, TEXT)]
    return [*story, *([_text(plan, SMALL)] if plan else []), _table(columns, rows, SERVER_COLUMNS, SMALL)]


def _failures(record: RecordShape) -> list[Any]:
    if not record["failures"]:
        return []
    story: list[Any] = [_text("What failed", HEADING)]
    for each in record["failures"]:
        where = each["where"] if each["waveNumber"] is None else f"Wave {each['waveNumber'] + 1}, {each['where']}"
        lines = [f"{where}: {each['meaning']}", f"Try: {each['advice']}", f"AWS: {each['text']}"]
        story.append(KeepTogether([_text(lines[0], TEXT), *(_text(line, SMALL) for line in lines[1:]), Spacer(1, 5)]))
    return story


def _section(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[float]) -> list[Any]:
    return [_text(title, HEADING), _table(columns, rows, widths, SMALL if columns else TEXT)]


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[float], style: ParagraphStyle
) -> Any:
    cells = [[_text(cell, HEAD) for cell in columns]] if columns else []
    cells += [[_text(cell, style) for cell in row] for row in rows]
    if not cells:
        return Spacer(1, 1)
    padding: list[Any] = [("LEFTPADDING", (0, 0), (-1, -1), 2), ("TOPPADDING", (0, 0), (-1, -1), 2)]
    lines: list[Any] = [("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE), ("VALIGN", (0, 0), (-1, -1), "TOP")]
    return Table(
        cells,
        [share * WIDTH for share in widths],
        repeatRows=1 if columns else 0,
        style=[*padding, *lines],
        hAlign="LEFT",
    )


def _text(text: str, style: ParagraphStyle) -> Paragraph:
    """Text as it is: nothing that somebody typed is taken for markup."""
    return Paragraph(escape(text), style)
