"""The timeline of a run as a picture of the PDF: waves with their phases, gates as gaps. The table beside it says the
same in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from reportlab.graphics.shapes import Drawing, Line, Rect, String
from reportlab.lib import colors
from reportlab.pdfbase.pdfmetrics import stringWidth

from contract.status import Tone
from drsorch_verify.derive import server_turns, span, stretches
from executions.measuring.time_parts import Part
from executions.states import WaveStatus
from reports.documents.pdf_fonts import FONT, drawable
from reports.report_data import RecordShape, WaveShape

ROW, BAR, SIZE = 25, 8, 6.5  # points
ROWS_A_PIECE = 10  # of a picture: what is taller than a page fits nowhere
INK, BASE = colors.HexColor("#14213d"), colors.HexColor("#c9d1dc")
INKS = {
    Tone.SUCCESS: colors.HexColor("#00752b"),
    Tone.PARTIAL: colors.HexColor("#a3430a"),
    Tone.DANGER: colors.HexColor("#b3261e"),
    Tone.ATTENTION: colors.HexColor("#855900"),
}
OTHER_INK = colors.HexColor("#5b6472")
STRENGTHS = (0.35, 0.55, 0.75, 0.95)


@dataclass(frozen=True)
class Row:
    """A wave, or the wait at its gate: its stretches in seconds since the start of the run."""

    text: str
    tone: Tone
    pieces: Sequence[tuple[int, int]]
    is_gap: bool = False


def timeline_picture(record: RecordShape, width: float) -> list[Any]:
    """In pieces that fit on a page; none of a run that launched nothing."""
    rows = list(_rows(record))
    start, end = record["startTime"], record["endTime"] or record["generatedTime"]
    whole = max(1, end - start)
    pieces = [rows[at : at + ROWS_A_PIECE] for at in range(0, len(rows), ROWS_A_PIECE)]
    return [_drawing(each, width, whole) for each in pieces]


def _rows(record: RecordShape) -> Iterator[Row]:
    start, over = record["startTime"], record["endTime"] or record["generatedTime"]
    for wave in record["waves"]:
        name = f"wave {wave['waveNumber'] + 1}, {wave['waveName']}"
        if wave["pausedTime"] is not None:
            until = wave["resumedTime"] or wave["endTime"] or over
            text = f"Waited before {name} · {span(until - wave['pausedTime'])}"
            yield Row(text, Tone.ATTENTION, [(wave["pausedTime"] - start, until - start)], is_gap=True)
        if wave["startTime"] is not None:
            yield _wave(wave, name, start, over)


def _wave(wave: WaveShape, name: str, start: int, over: int) -> Row:
    state, begin, until = WaveStatus.of(wave["status"]), wave["startTime"] or start, wave["endTime"] or over
    last = next((each for each in wave["servers"] if each["sourceServerId"] == wave["lastServerId"]), None)
    path = stretches(server_turns(dict(wave), dict(last)), last["launchTime"] or until) if last else []
    parts = "".join(f" · {Part(part).words} {span(to - since)}" for part, since, to in _joined(path))
    pieces = [(since - start, to - start) for _, since, to in _joined(path)] or [(begin - start, until - start)]
    return Row(f"{name[0].upper()}{name[1:]}: {state.label.lower()}, {span(until - begin)}{parts}", state.tone, pieces)


def _joined(path: Sequence[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """One stretch for each part in a row, without those that took no time."""
    found: list[tuple[str, int, int]] = []
    for part, since, until in path:
        if found and found[-1][0] == part:
            found[-1] = (part, found[-1][1], until)
        elif until > since:
            found.append((part, since, until))
    return found


def _drawing(rows: Sequence[Row], width: float, whole: int) -> Drawing:
    height = ROW * len(rows)
    made = Drawing(width, height)
    for at, row in enumerate(rows):
        top = height - at * ROW
        ink = INKS.get(row.tone, OTHER_INK)
        made.add(String(0, top - SIZE - 2, _short(row.text, width), fontName=FONT, fontSize=SIZE, fillColor=INK))
        level = top - SIZE - 6 - BAR
        made.add(Line(0, level, width, level, strokeColor=BASE, strokeWidth=0.5))
        for number, (since, until) in enumerate(row.pieces):
            left, right = (width * min(max(each / whole, 0), 1) for each in (since, until))
            size = max(1.0, right - left)
            made.add(_gap(left, size, level, ink) if row.is_gap else _bar(left, size, level, ink, number))
    return made


def _gap(left: float, size: float, level: float, ink: Any) -> Line:
    middle = level + BAR / 2
    return Line(left, middle, left + size, middle, strokeColor=ink, strokeWidth=2, strokeDashArray=[5, 3])


def _bar(left: float, size: float, level: float, ink: Any, number: int) -> Rect:
    """Phases of one wave in strengths of its color."""
    fill = colors.linearlyInterpolatedColor(colors.white, ink, 0, 1, STRENGTHS[number % len(STRENGTHS)])
    look: dict[str, Any] = {"fillColor": fill, "strokeColor": ink, "strokeWidth": 0.4}
    return Rect(left, level, size, BAR, **look)


def _short(text: str, width: float) -> str:
    """As much of it as fits on a line."""
    text = drawable(text)
    if stringWidth(text, FONT, SIZE) <= width:
        return text
    while text and stringWidth(f"{text}…", FONT, SIZE) > width:
        text = text[:-1]
    return f"{text}…"
