"""The report's CSV in a spreadsheet of any locale: no text of it begins a formula, hides anything or ends its line."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drsorch_verify.tables import safe
from drsorch_verify.visible import hidden

FORMULA = "=+-@|%＝＋－＠｜％﹢﹣﹦﹪﹫\u2212"
BEFORE = [
    "",
    " ",
    "\t",
    "\r",
    "\n",
    "\x00",
    "\ufeff",
    "\u200b",
    "\u00a0",
    "\u3000",
    "\u2028",
    "\u202e",
    "'",
    '"',
    '"";',
]
PIECES = [*FORMULA, *BEFORE, ";", "；", ",", "1+1", "cmd|' /C calc'!A0", "HYPERLINK(1)", "app-01"]
texts = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=12).map("".join))


def line(*cells: object) -> str:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerow([safe(cell) for cell in cells])
    return out.getvalue()


def begins_formula(cell: str) -> bool:
    return cell.lstrip(' \t\r\n\u00a0\u3000"').startswith(tuple(FORMULA))


@pytest.mark.parametrize("sign", FORMULA)
@pytest.mark.parametrize("before", ["", " ", "\u00a0", "\u3000", "x;", "x； ", 'x";', '"'])
def test_a_formula_gets_a_quote(before: str, sign: str) -> None:
    assert safe(f"{before}{sign}1+1") == f"{before}'{sign}1+1"


@pytest.mark.slow
@settings(max_examples=500)
@given(texts, texts)
def test_no_text_begins_a_formula_in_any_locale(one: str, other: str) -> None:
    written = line(one, other, 7)
    assert not hidden("\r\n").search(written)
    (row,) = csv.reader(io.StringIO(written))
    assert len(row) == 3
    for cell in row:
        assert not begins_formula(cell), ascii(row)
    # A spreadsheet that splits at semicolons may heed the quotes, or not.
    for piece in written.split(";"):
        assert not begins_formula(piece), ascii(written)
    for delimiter in ";\t":
        for cells in csv.reader(io.StringIO(written), delimiter=delimiter):
            for cell in cells:
                assert not begins_formula(cell), ascii(written)


@given(st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1))
def test_plain_words_and_numbers_stay_as_they_are(word: str) -> None:
    assert hidden().search(word) or safe(word) == word
    assert line("a, b", 7, None) == '"a, b","7",""\r\n'
