"""When drills are due: rules, time zones, changes of clocks, days that were taken out."""

from datetime import UTC, date, datetime, time

import pytest

from schedules.common_rules import OFTEN, Common
from schedules.occurrences import Calendar, WrongRule, plain_rule

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def times(rule: str, starts: str, at: str, zone: str, after: str, many: int, *blackouts: tuple[str, str]) -> list[str]:
    taken = [{"from": since, "to": until} for since, until in blackouts]
    calendar = Calendar.of(rule, date.fromisoformat(starts), time.fromisoformat(at), zone, taken)
    found = calendar.all_after(datetime.fromisoformat(after).replace(tzinfo=UTC))
    return [f"{each:%m-%d %H:%M}" for each, _ in zip(found, range(many), strict=False)]


@pytest.mark.parametrize(
    ("rule", "starts", "at", "zone", "after", "expected"),
    [
        # The first Sunday of a month at half past two in Berlin: one in winter, one in summer.
        ("FREQ=MONTHLY;BYDAY=1SU", "2026-03-01", "02:30", BERLIN, "2026-02-28", ["03-01 01:30", "04-05 00:30"]),
        # 02:30 does not exist on 29 March in Berlin: the offset from before the gap, so 03:30 by the wall.
        ("FREQ=DAILY", "2026-03-28", "02:30", BERLIN, "2026-03-28", ["03-28 01:30", "03-29 01:30", "03-30 00:30"]),
        # 02:30 exists twice on 25 October: the first of the two.
        ("FREQ=DAILY", "2026-10-24", "02:30", BERLIN, "2026-10-24", ["10-24 00:30", "10-25 00:30", "10-26 01:30"]),
        ("FREQ=WEEKLY;BYDAY=SU", "2026-03-01", "02:30", NEW_YORK, "2026-03-02", ["03-08 07:30", "03-15 06:30"]),
        ("freq=weekly;interval=2;byday=tu", "2026-12-01", "08:00", "UTC", "2026-12-02", ["12-15 08:00", "12-29 08:00"]),
        ("RRULE:FREQ=DAILY;UNTIL=20260101T230000Z", "2026-01-01", "08:00", "UTC", "2026-01-01", ["01-01 08:00"]),
        # UNTIL is itself included; with Z it is UTC, a day counts whole.
        ("FREQ=DAILY;UNTIL=20260102T013000Z", "2026-01-01", "02:30", BERLIN, "2026-01-01T12:00", ["01-02 01:30"]),
        ("FREQ=DAILY;UNTIL=20260102T000000Z", "2026-01-01", "20:00", NEW_YORK, "2026-01-01", []),
        ("FREQ=DAILY;UNTIL=20260102", "2026-01-01", "08:00", "UTC", "2026-01-01", ["01-01 08:00", "01-02 08:00"]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "2026-01-01", "08:00", "UTC", "2026-01-01", ["02-29 08:00"]),
    ],
)  # fmt: skip
def test_it_follows_the_wall_clock(rule: str, starts: str, at: str, zone: str, after: str, expected: list[str]) -> None:
    more = 1 if "UNTIL" in rule else 0
    assert times(rule, starts, at, zone, after, len(expected) + more) == expected


def test_days_that_were_taken_out_have_none() -> None:
    found = times("FREQ=DAILY", "2026-12-22", "01:00", BERLIN, "2026-12-22", 3, ("2026-12-24", "2027-01-03"))
    assert found == ["12-23 00:00", "01-04 00:00", "01-05 00:00"]


def test_the_next_is_after_the_moment_and_not_at_it() -> None:
    assert times("FREQ=DAILY", "2026-01-01", "08:00", "UTC", "2026-01-05T08:00:00", 1) == ["01-06 08:00"]


@pytest.mark.parametrize(
    ("rule", "zone", "field"),
    [
        ("FREQ=HOURLY", "UTC", "rule"),
        ("FREQ=DAILY;COUNT=3", "UTC", "rule"),
        ("FREQ=DAILY;BYHOUR=3", "UTC", "rule"),
        ("FREQ=DAILY;FREQ=WEEKLY", "UTC", "rule"),
        ("FREQ=DAILY\nDTSTART:20260101T000000", "UTC", "rule"),
        ("FREQ=WEEKLY;BYDAY=XX", "UTC", "rule"),
        ("FREQ=DAILY;INTERVAL=0", "UTC", "rule"),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "UTC", "rule"),
        ("FREQ=DAILY;INTERVAL=7;BYDAY=MO", "UTC", "rule"),
        ("every sunday", "UTC", "rule"),
        ("FREQ=WEEKLY;BYDAY=1MO", "UTC", "rule"),  # RFC 5545: only months and years have a first Monday
        ("FREQ=DAILY;BYDAY=-1FR", "UTC", "rule"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=1MO", "UTC", "rule"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "UTC", "rule"),  # would be every day
        ("FREQ=MONTHLY;BYMONTHDAY=15,0", "UTC", "rule"),
        ("FREQ=MONTHLY;BYMONTHDAY=-32", "UTC", "rule"),
        ("FREQ=DAILY;BYMONTH=13", "UTC", "rule"),
        ("FREQ=MONTHLY;BYMONTH=-1;BYDAY=1SU", "UTC", "rule"),
        ("FREQ=YEARLY;BYWEEKNO=54", "UTC", "rule"),
        ("FREQ=YEARLY;BYYEARDAY=0", "UTC", "rule"),
        ("FREQ=DAILY", "localtime", "timeZone"),
        ("FREQ=DAILY", "right/UTC", "timeZone"),
        ("FREQ=DAILY;UNTIL=TOMORROW", "UTC", "rule"),
        ("FREQ=DAILY;UNTIL=20261301", "UTC", "rule"),
        ("FREQ=DAILY;UNTIL=20261231Z", "UTC", "rule"),
        ("FREQ=DAILY", "Europe/Atlantis", "timeZone"),
        ("FREQ=DAILY", "../../etc/passwd", "timeZone"),
    ],
)
def test_it_refuses_what_it_would_not_follow(rule: str, zone: str, field: str) -> None:
    with pytest.raises(WrongRule) as refused:
        Calendar.asked(rule, date(2026, 1, 1), time(3), zone, [])
    assert refused.value.field == field


def test_a_rule_that_never_comes_true_has_no_next() -> None:
    assert times("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "2026-01-01", "03:00", "UTC", "2026-01-01", 1) == []


@pytest.mark.parametrize("often", OFTEN)
def test_a_common_rule_is_read_as_it_was_chosen(often: str) -> None:
    made = Common(often, "-1" if often.startswith("M") else "1", "TU")
    assert Common.of(plain_rule(made.rule)) == made
    assert str(made).endswith("on the last Tuesday" if often.startswith("M") else "on Tuesday")


@pytest.mark.parametrize(
    "rule", ["FREQ=WEEKLY;BYDAY=1SU", "FREQ=MONTHLY;BYDAY=SU", "FREQ=WEEKLY;BYDAY=MO,TU",
             "FREQ=WEEKLY;INTERVAL=3;BYDAY=MO", "FREQ=MONTHLY;BYDAY=1SU;BYMONTH=3", "FREQ=DAILY"]
)  # fmt: skip
def test_a_rule_that_says_more_is_none_of_the_common_ones(rule: str) -> None:
    assert Common.of(plain_rule(rule)) is None


def test_a_rule_that_an_earlier_version_took_is_still_followed() -> None:
    """Engines and pages read what is stored, whatever would be refused today."""
    assert times("FREQ=MONTHLY;BYMONTHDAY=0,15", "2026-01-01", "08:00", "UTC", "2026-01-01", 1) == ["01-15 08:00"]
