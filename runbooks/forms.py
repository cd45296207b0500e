"""A runbook as a text, a page of its own that needs nothing else, and a PDF."""

import io
import textwrap
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

from django.template.loader import render_to_string
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer

from contract.clock import utc
from contract.names import visible
from reports.documents.pdf_fonts import FONT, drawable, letters
from runbooks.runbook import Runbook, Step

WIDTH = 100
TYPES = {"html": "text/html; charset=utf-8", "pdf": "application/pdf", "txt": "text/plain; charset=utf-8"}


def made(runbook: Runbook, form: str, now: datetime) -> bytes:
    """The runbook in one of the forms of TYPES."""
    if form == "pdf":
        return _as_pdf(runbook, now)
    text = _as_html(runbook, now) if form == "html" else _as_text(runbook, now)
    return text.encode()


def _head(runbook: Runbook, now: datetime) -> str:
    return f"Plan {runbook.plan_id}, version {runbook.version}. Made {utc(now)} by DRS Orchestration."


def _as_html(runbook: Runbook, now: datetime) -> str:
    return render_to_string("runbooks/runbook.html", {"runbook": runbook, "head": _head(runbook, now)})


def _as_text(runbook: Runbook, now: datetime) -> str:
    lines = [f"RUNBOOK: {visible(runbook.name)}", _head(runbook, now), *map(visible, runbook.said), ""]
    for number, step in enumerate(runbook.steps, 1):
        lines += _step_lines(number, step)
    return "\n".join(lines) + "\n"


def _step_lines(number: int, step: Step) -> Iterable[str]:
    title = f"{number}. {visible(step.title)}"
    yield from (title, "-" * len(title))
    for each in step.said:
        yield from _wrapped(each)
    for server in step.table:
        yield f"  [ ] {server.id}  {visible(server.name)}{' (optional)' if server.optional else ''}"
    for command in step.commands:
        yield from ("", *(f"    {line}" for line in command.split("\n")))
    if step.console:
        yield from ("", *_wrapped(f"Or by hand: {step.console}"))
    if step.done:
        yield from ("", *_wrapped(f"Done when: {step.done}"))
    yield ""


def _wrapped(text: str) -> list[str]:
    """Names of commands stay whole."""
    return textwrap.wrap(visible(text), WIDTH, break_on_hyphens=False, break_long_words=False)


_INK = colors.HexColor("#14213d")


def _style(name: str, size: float, **options: Any) -> ParagraphStyle:
    settings: dict[str, Any] = {"fontName": FONT, "fontSize": size, "leading": size * 1.35, "textColor": _INK}
    return ParagraphStyle(name, **(settings | {"splitLongWords": True, "wordWrap": "CJK"} | options))


_TITLE, _HEADING, _TEXT = _style("title", 18, spaceAfter=4), _style("heading", 11, spaceBefore=10), _style("text", 9)
_CODE = _style("code", 7.5, leftIndent=4 * mm, spaceBefore=3, spaceAfter=3, backColor=colors.HexColor("#eef1f5"))


def _as_pdf(runbook: Runbook, now: datetime) -> bytes:
    """A4, to be printed and kept. The same runbook gives the same bytes."""
    letters()
    out = io.BytesIO()
    frame: dict[str, Any] = {f"{side}Margin": 18 * mm for side in ("left", "right", "top", "bottom")}
    title = f"Runbook: {visible(runbook.name)}"
    document = SimpleDocTemplate(out, pagesize=A4, title=title, author="DRS Orchestration", invariant=1, **frame)

    def foot(canvas: Any, _: Any) -> None:
        canvas.setFont(FONT, 7)
        canvas.drawString(18 * mm, 10 * mm, _head(runbook, now))
        canvas.drawRightString(A4[0] - 18 * mm, 10 * mm, f"Page {canvas.getPageNumber()}")

    story: list[Any] = [_text(title, _TITLE), *(_text(each, _TEXT) for each in runbook.said)]
    for number, step in enumerate(runbook.steps, 1):
        story += [_text(f"{number}. {step.title}", _HEADING), *(_text(each, _TEXT) for each in step.said)]
        ticks = (f"☐ {each.id}  {each.name}{' (optional)' if each.optional else ''}" for each in step.table)
        story += [_text(each.replace("☐", "[  ]"), _TEXT) for each in ticks]
        story += [_text(each, _CODE) for each in step.commands]
        story += [_text(f"Or by hand: {step.console}", _TEXT)] if step.console else []
        story += [_text(f"Done when: {step.done}", _TEXT)] if step.done else []
        story.append(Spacer(1, 3))
    document.build(story, onFirstPage=foot, onLaterPages=foot)
    return out.getvalue()


def _text(text: str, style: ParagraphStyle) -> Paragraph:
    shown = "\n".join(visible(line) for line in text.split("\n"))
    return Paragraph(escape(drawable(shown)).replace("\n", "<br/>"), style)
