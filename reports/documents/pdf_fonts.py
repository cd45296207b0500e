"""The letters of the PDF: Noto Sans, which has Latin, Greek, Cyrillic and Vietnamese, and what stands for others."""

from functools import cache
from importlib.resources import files

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

FONT = "NotoSans"


@cache
def letters() -> frozenset[int]:
    """Makes the font known to reportlab; the code points that it can draw. No font of the machine is needed."""
    found = files("fontpkg_noto_sans") / "files" / "NotoSans[wdth,wght].ttf"
    font = TTFont(FONT, str(found))
    pdfmetrics.registerFont(font)
    return frozenset(font.face.charToGlyph)


def drawable(text: str) -> str:
    """The text with `\\u{…}` for each letter that the font lacks: a row of empty boxes would make two names alike."""
    known = letters()
    return "".join(each if ord(each) in known or each in "\n\t" else f"\\u{{{ord(each):X}}}" for each in text)
