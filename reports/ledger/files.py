"""The ledger as files for an auditor."""

import csv
import io
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.platypus import Paragraph, SimpleDocTemplate, Table

from contract.names import visible
from contract.plurals import counted
from drsorch_verify.derive import span
from drsorch_verify.tables import safe
from reports.documents.pdf import HEAD, HEADING, LEAD, LINE, SMALL, TEXT, TITLE, WIDTH
from reports.documents.pdf_fonts import drawable, letters
from reports.ledger.record import FigureShape, LedgerPlanShape, LedgerShape, ProvenShape
from reports.ledger.states import Proof
from reports.sentences import clock

SHARES = (0.3, 0.12, 0.22, 0.18, 0.18)
CSV_COLUMNS = (
    "planId", "planName", "planStatus", "sourceServerId", "name", "waveNumber", "status", "provenTime", "executionId",
    "executionType", "rtaSeconds", "rtoSeconds", "rta", "rpaSeconds", "rpoSeconds", "rpa", "planOpenFindings",
    "planOverdueFindings", "planSignedOffBy", "evidenceFor",
)  # fmt: skip
EVIDENCE_FOR = "DORA (Regulation (EU) 2022/2554) articles 24 and 25; ISO 22301 clause 8.5; SOC 2 criterion A1.3"
# Who asks for what, and where it stands here. What each demands besides, no ledger of launches shows.
ASKED_FOR = (
    (
        "DORA, article 24: a programme of testing",
        "Every plan with its last complete run and its state: Plans. What is still to be put right: there.",
    ),
    (
        "DORA, article 25: testing of tools and systems",
        "Each server with its last launch, recovery time and recovery point: below each plan.",
    ),
    (
        "ISO 22301, clause 8.5: exercise programme",
        "How much was exercised within 30, 90 and 365 days: the first lines. Outcomes and who signed off: Plans.",
    ),
    (
        "SOC 2, criterion A1.3: recovery procedures are tested",
        "Plans, the launches below each, and the evidence packs of these runs.",
    ),
)


def as_csv(found: LedgerShape) -> str:
    """A line for each server of each plan. Waves are counted from 1, as people do."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for plan in found["plans"]:
        for each in plan["servers"]:
            at = "" if each["provenTime"] is None else clock(each["provenTime"])
            row = [plan["planId"], plan["planName"], plan["status"], each["sourceServerId"], each["name"]]
            row += [str(each["waveNumber"]), each["status"], at, each["executionId"] or ""]
            row += [each["executionType"] or "", *_cells(each["rta"]), *_cells(each["rpa"])]
            row += [str(plan["openFindings"]), str(plan["overdueFindings"]), ", ".join(plan["signedOffBy"])]
            row.append(EVIDENCE_FOR)
            writer.writerow([safe(cell) for cell in row])
    return out.getvalue()


def _cells(figure: FigureShape | None) -> list[str]:
    if figure is None:
        return ["", "", ""]
    return [*("" if each is None else str(each) for each in (figure["seconds"], figure["target"])), figure["reached"]]


def as_pdf(found: LedgerShape) -> bytes:
    """A4: what is covered, each plan in a line, then each plan's servers. The same record gives the same bytes."""
    letters()
    out = io.BytesIO()
    frame: dict[str, Any] = {f"{side}Margin": 18 * mm for side in ("left", "right", "top", "bottom")}
    title = "Ledger of recovery tests"
    document = SimpleDocTemplate(out, pagesize=A4, title=title, author="DRS Orchestration", invariant=1, **frame)

    def foot(canvas: Any, _: Any) -> None:
        canvas.setFont(SMALL.fontName, 7)
        canvas.drawString(18 * mm, 10 * mm, f"{title} · {clock(found['asOf'])}")
        canvas.drawRightString(A4[0] - 18 * mm, 10 * mm, f"Page {canvas.getPageNumber()}")

    document.build(_story(found, title), onFirstPage=foot, onLaterPages=foot)
    return out.getvalue()


def _story(found: LedgerShape, title: str) -> list[Any]:
    rows = [[plan["planName"] + _people(plan), *_line(plan)] for plan in found["plans"]]
    story = [
        _text(title, TITLE),
        _text(f"As of {clock(found['asOf'])}. A launch counts for {counted(found['days'], 'day')}.", LEAD),
        *(_text(f"Only plans with a group of the AWS account {each}.", LEAD) for each in [found["accountId"]] if each),
        *(_text(each, TEXT) for each in coverage_lines(found)),
        _text("Plans", HEADING),
        _table(["Plan", "State", "Last proven", "Recovery time", "Recovery point"], rows),
    ]
    for plan in found["plans"]:
        story += [_text(plan["planName"], HEADING), *_servers(plan)]
    asked = [[who, where] for who, where in ASKED_FOR]
    return [
        *story,
        _text("Who asks for this", HEADING),
        _table(["Requirement", "Where it stands here"], asked, (0.4, 0.6)),
    ]


def _people(plan: LedgerPlanShape) -> str:
    """What people said of the plan and its last complete run."""
    overdue = f", {plan['overdueFindings']} overdue" if plan["overdueFindings"] else ""
    told = f"\n{counted(plan['openFindings'], 'open finding')}{overdue}" if plan["openFindings"] else ""
    return told + (f"\nsigned off by {', '.join(plan['signedOffBy'])}" if plan["signedOffBy"] else "")


def coverage_lines(found: LedgerShape) -> list[str]:
    lines = [
        f"{each['servers']} of {each['of']} servers in plans launched within {each['days']} days."
        for each in found["coverage"]
    ]
    if found["serversInNoPlan"]:
        lines.append(
            f"{counted(found['serversInNoPlan'], 'server')} of the inventory in no plan: no run can prove them."
        )
    return lines


def _servers(plan: LedgerPlanShape) -> list[Any]:
    rows = [[f"{each['name']}\n{each['sourceServerId']}", *_line(each)] for each in plan["servers"]]
    return [_table(["Server", "State", "Last proven", "Recovery time", "Recovery point"], rows)] if rows else []


def _line(each: ProvenShape) -> list[str]:
    kind = f"\n{each['executionType'].lower()} {each['runNumber'] or ''}".rstrip() if each["executionType"] else ""
    return [
        Proof.of(each["status"]).label,
        clock(each["provenTime"]) + kind,
        _figure(each["rta"]),
        _figure(each["rpa"]),
    ]


def _figure(figure: FigureShape | None) -> str:
    if figure is None:
        return "–"
    target = (
        "no target"
        if figure["target"] is None
        else f"{figure['reached'].lower().replace('_', ' ')}, asked {span(figure['target'])}"
    )
    return f"{span(figure['seconds'])}\n{target}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], shares: Sequence[float] = SHARES) -> Table:
    cells = [[_text(each, HEAD) for each in columns], *([_text(cell, SMALL) for cell in row] for row in rows)]
    style: list[Any] = [
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 2),
    ]
    return Table(cells, [share * WIDTH for share in shares], repeatRows=1, style=style, hAlign="LEFT")


def _text(text: str, style: Any) -> Paragraph:
    """Text as it is: nothing that somebody typed is taken for markup, and nothing of it hides."""
    lines = (escape(drawable(visible(line))) for line in text.split("\n"))
    return Paragraph("<br/>".join(lines), style)
