"""Makes visible what nobody sees and what reorders a line: control, format (zero-width, bidi), private-use, surrogate
and separator characters, and letters that are drawn as nothing.

It stands here, with the standard library alone, so that the verifier shows and makes tables as the product does. The
characters are listed, not asked of `unicodedata`: every version of Python has to make the same of them.
"""

import re
from functools import cache

# By code point, first and last. Format characters as of Unicode 17 and everything that Unicode says is to be ignored
# by default; the fillers of Hangul and the empty pattern of Braille look like blanks and are none.
HIDDEN = (
    (0x00, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x34F, 0x34F), (0x600, 0x605), (0x61C, 0x61C), (0x6DD, 0x6DD),
    (0x70F, 0x70F), (0x890, 0x891), (0x8E2, 0x8E2), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F), (0x2800, 0x2800), (0x3164, 0x3164), (0xD800, 0xF8FF),
    (0xFDD0, 0xFDEF), (0xFE00, 0xFE0D), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0xFFFE, 0xFFFF),
    (0x110BD, 0x110BD), (0x110CD, 0x110CD), (0x13430, 0x1343F), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A),
    (0xE0000, 0x10FFFF),
)  # fmt: skip
# These two say whether the picture before them is drawn in color; anywhere else nobody sees them.
_STRAY_STYLE = "(?<![\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff])[\ufe0e\ufe0f]"


@cache
def hidden(keep: str = "") -> re.Pattern[str]:
    """Finds each hidden character but those of `keep`, all of which are ASCII controls."""
    controls = "".join(chr(each) for each in range(0x20) if chr(each) not in keep)
    ranges = "".join(f"{chr(first)}-{chr(last)}" for first, last in HIDDEN[1:])
    return re.compile(f"[{controls}{ranges}]|{_STRAY_STYLE}")


def visible(text: str, keep: str = "") -> str:
    """The text with every hidden character spelled out, as in Python and JSON: \\x1b, \\u202e, \\U000e0041."""
    found = hidden(keep)
    return _unusual(keep).sub(lambda run: found.sub(_spelled, run[0]), text)


@cache
def _unusual(keep: str) -> re.Pattern[str]:
    """Finds what may be hidden, many times as fast as all ranges are looked through: all but ASCII, most letters and
    punctuation. No picture is among those: what stands behind one is looked at together with it."""
    usual = " -~\u00a0-\u00a8\u00aa-\u00ac\u00af-\u034e\u0370-\u05ff\u2010-\u2027\u2030-\u203b\u329a-\ud7ff"
    return re.compile(f"[^{usual}{keep}]+")


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"
