"""Numbers that pages send, which every address reads by one function, and numbers in sentences."""

import pytest

from console.pages import whole_number
from executions.console.live_page.rto_bar import RtoBar
from reports.sentences import usual_settings


@pytest.mark.parametrize("text", ["", None, "-1", "1.0", " 1", "²", "٣", "1" * 10, "rev"])
def test_it_takes_nothing_but_a_few_digits(text: str | None) -> None:
    assert whole_number(text) is None


def test_it_reads_a_number() -> None:
    assert [whole_number(text) for text in ("0", "41", "007", "9" * 9)] == [0, 41, 7, 999_999_999]


def test_only_of_a_run_that_is_over_it_is_said_that_it_missed_its_target() -> None:
    under_way, over = RtoBar(136, False, 60, None).sentence, RtoBar(136, True, 60, None).sentence
    assert under_way == "2 min 16 s so far; the target is 1 min; its time was over 1 min 16 s ago."
    assert over == "2 min 16 s until the last server was up; the target is 1 min; missed by 1 min 16 s."


def test_a_setting_that_a_wave_does_not_have_is_no_target_and_minutes_have_a_unit() -> None:
    assert "Gate: none; Wait before: 0 minutes; Timeout: the setting;" in usual_settings()
