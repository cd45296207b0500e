"""Numbers that pages send: every address reads them by one function."""

import pytest

from console.pages import whole_number


@pytest.mark.parametrize("text", ["", None, "-1", "1.0", " 1", "²", "٣", "1" * 10, "rev"])
def test_it_takes_nothing_but_a_few_digits(text: str | None) -> None:
    assert whole_number(text) is None


def test_it_reads_a_number() -> None:
    assert [whole_number(text) for text in ("0", "41", "007", "9" * 9)] == [0, 41, 7, 999_999_999]
