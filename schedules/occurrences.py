"""When drills are due: RFC 5545's rules in a time zone, without the days that were taken out. No Django, no I/O.

Wall-clock time is what people mean: 02:30 stays 02:30 when clocks change. A time that does not exist that day is taken
with the offset from before the gap, one that exists twice is the first of the two, as RFC 5545 says.
"""

import re
import zoneinfo
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any, Self

from dateutil.rrule import rrule, rruleset, rrulestr

PARTS = ("FREQ", "INTERVAL", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "BYWEEKNO", "BYYEARDAY", "WKST")
BASIC = frozenset({"FREQ", "INTERVAL", "UNTIL", "WKST"})
# By frequency, so that a rule that never comes true is not looked through day by day until the year 9999.
USABLE: Mapping[str, frozenset[str]] = {
    "DAILY": frozenset({"BYDAY", "BYMONTH"}),
    "WEEKLY": frozenset({"BYDAY", "BYMONTH"}),
    "MONTHLY": frozenset({"BYDAY", "BYMONTH", "BYMONTHDAY", "BYSETPOS"}),
    "YEARLY": frozenset(PARTS),
}
FREQUENCIES = tuple(USABLE)
# What numbers go to, from 1 or, backwards, from -1: dateutil takes a day 0 for any day.
MOST: Mapping[str, int] = {"BYMONTHDAY": 31, "BYMONTH": 12, "BYSETPOS": 366, "BYWEEKNO": 53, "BYYEARDAY": 366}
HOSTS_OWN = ("localtime", "posixrules", "Factory", "posix/", "right/")  # not the same zone on every host
LOOKED_AHEAD = timedelta(days=5 * 366)  # a rule that has no drill in that time has none
RULE_MAX = 255
BLACKOUTS_MAX = 50
LAST = datetime(2200, 1, 1)  # noqa: DTZ001  (by the wall, as a start)
FIRST_YEAR = 2000  # a rule is followed from its start, day by day
_UNTIL = re.compile(r"(?P<day>[0-9]{8})(?P<time>T[0-9]{6})?(?P<utc>Z)?", re.ASCII)
_RULE = re.compile(r"[A-Z]+=[A-Z0-9,+-]+(;[A-Z]+=[A-Z0-9,+-]+)*", re.ASCII)


class WrongRule(ValueError):
    """Why a schedule cannot be; `field` is what is wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def plain_rule(text: str) -> str:
    """The rule as it is stored. Raises WrongRule."""
    rule = text.strip().upper().removeprefix("RRULE:").rstrip(";")
    if not _RULE.fullmatch(rule) or len(rule) > RULE_MAX:
        raise WrongRule("rule", "Use a rule of RFC 5545, such as FREQ=MONTHLY;BYDAY=1SU.")
    parts = [each.partition("=")[::2] for each in rule.split(";")]
    names = [name for name, _ in parts]
    if "COUNT" in names:
        raise WrongRule("rule", "COUNT cannot be used. Say by UNTIL which day is the last.")
    if unknown := [name for name in names if name not in PARTS]:
        raise WrongRule("rule", f"{unknown[0]} cannot be used. Use {', '.join(PARTS)}; the time stands by itself.")
    if len(set(names)) < len(names):
        raise WrongRule("rule", "A part of the rule stands there twice.")
    if dict(parts).get("FREQ") not in FREQUENCIES:
        raise WrongRule("rule", f"FREQ is needed: {', '.join(FREQUENCIES)}.")
    frequency = dict(parts)["FREQ"]
    if wrong := [name for name in names if name not in BASIC | USABLE[frequency]]:
        raise WrongRule("rule", f"{wrong[0]} cannot be used with FREQ={frequency}.")
    if frequency == "DAILY" and "INTERVAL" in names and set(names) & USABLE["DAILY"]:
        raise WrongRule("rule", "With FREQ=DAILY use INTERVAL, or days and months, not both.")
    if not re.fullmatch("[1-9][0-9]{0,2}", dict(parts).get("INTERVAL", "1")):
        raise WrongRule("rule", "INTERVAL is a whole number from 1 to 999.")
    return rule


@dataclass(frozen=True)
class Blackout:
    """Days without drills, both included."""

    since: date
    until: date


def read_blackouts(given: Sequence[Mapping[str, Any]]) -> list[Blackout]:
    """Raises WrongRule."""
    if len(given) > BLACKOUTS_MAX:
        raise WrongRule("blackouts", f"At most {BLACKOUTS_MAX} are possible.")
    try:
        found = [Blackout(date.fromisoformat(each["from"]), date.fromisoformat(each["to"])) for each in given]
    except (KeyError, TypeError, ValueError):
        raise WrongRule("blackouts", "Each has from and to, days such as 2026-12-20.") from None
    if any(each.until < each.since for each in found):
        raise WrongRule("blackouts", "One ends before it begins.")
    return found


def read_zone(name: str) -> zoneinfo.ZoneInfo:
    """Raises WrongRule."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise WrongRule("timeZone", "Use a time zone such as Europe/Berlin or UTC.") from None


def faults(rule: str, zone: str, blackouts: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """All that is wrong with the parts of a schedule that can be judged alone, by field."""
    found = dict[str, list[str]]()
    for read in (partial(plain_rule, rule), partial(read_zone, zone), partial(read_blackouts, blackouts)):
        try:
            read()
        except WrongRule as wrong:
            found[wrong.field] = [wrong.message]
    return found


@dataclass(frozen=True)
class Calendar:
    """When drills are due."""

    rule: str
    start: datetime
    zone: zoneinfo.ZoneInfo
    blackouts: Sequence[Blackout]

    @classmethod
    def asked(cls, rule: str, starts_on: date, at: time, zone: str, blackouts: Sequence[Mapping[str, Any]]) -> Self:
        """As somebody wants it now, who may have meant something else. Raises WrongRule."""
        made = cls.of(rule, starts_on, at, zone, blackouts)
        parts = dict(each.split("=") for each in made.rule.split(";"))
        by_day = parts.get("BYDAY", "")
        if re.search("[0-9]", by_day) and (parts["FREQ"] not in ("MONTHLY", "YEARLY") or "BYWEEKNO" in parts):
            text = f"{by_day} counts the days of a month or a year"
            raise WrongRule("rule", f"{text}: use FREQ=MONTHLY or YEARLY, without BYWEEKNO, or leave the number out.")
        _refuse_numbers(parts)
        if zone.startswith(HOSTS_OWN):
            raise WrongRule("timeZone", "Use a time zone such as Europe/Berlin or UTC.")
        if not FIRST_YEAR <= starts_on.year < LAST.year:
            raise WrongRule("startsOn", f"A day of the years {FIRST_YEAR} to {LAST.year - 1} is expected.")
        return made

    @classmethod
    def of(cls, rule: str, starts_on: date, at: time, zone: str, blackouts: Sequence[Mapping[str, Any]]) -> Self:
        """Raises WrongRule."""
        found = read_zone(zone)
        start = datetime.combine(starts_on, at.replace(second=0, microsecond=0))
        made = cls(plain_rule(rule), start, found, read_blackouts(blackouts))
        made._read()
        return made

    def after(self, moment: datetime) -> datetime | None:
        """The first one after this moment, in UTC; None if none comes within five years."""
        return next(self.all_after(moment), None)

    def all_after(self, moment: datetime) -> Iterator[datetime]:
        """Those of the five years after this moment, in their order."""
        local = moment.astimezone(self.zone).replace(tzinfo=None)
        end = local + LOOKED_AHEAD
        # A day before: a change of clocks can move one behind this moment.
        for each in self._read(end).xafter(local - timedelta(days=1)):
            if each > end:
                return
            at = each.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
            if at > moment and not any(day.since <= each.date() <= day.until for day in self.blackouts):
                yield at

    def _read(self, end: datetime | None = None) -> rrule:
        """The rule, which goes on until `end` at the most: one that never comes true would be looked through for
        thousands of years. Raises WrongRule."""
        parts = dict(each.split("=") for each in self.rule.split(";"))
        until = _last_moment(parts.pop("UNTIL"), self.zone) if "UNTIL" in parts else None
        try:
            found = rrulestr(";".join(f"{name}={value}" for name, value in parts.items()), dtstart=self.start)
        except (ValueError, TypeError, OverflowError) as error:
            raise WrongRule("rule", f"The rule cannot be read: {error}.") from None
        if isinstance(found, rruleset):
            raise WrongRule("rule", "One rule is possible.")
        last = end or min(self.start, LAST) + LOOKED_AHEAD
        bounded: rrule = found.replace(until=min(until, last) if until else last)
        return bounded


def _refuse_numbers(parts: Mapping[str, str]) -> None:
    """Those that no month or year has. Raises WrongRule."""
    for name, most in MOST.items():
        for each in map(int, filter(None, parts.get(name, "").split(","))):
            if not (1 <= each <= most or (name != "BYMONTH" and 1 <= -each <= most)):
                last = "" if name == "BYMONTH" else f", or backwards from -1 to -{most}"
                raise WrongRule("rule", f"{name}={each} cannot be: use 1 to {most}{last}.")


def _last_moment(text: str, zone: zoneinfo.ZoneInfo) -> datetime:
    """UNTIL by the wall, itself included: a day counts whole, and Z is UTC. Raises WrongRule."""
    found = _UNTIL.fullmatch(text)
    try:
        if found is None or (found["utc"] and not found["time"]):
            raise ValueError(text)
        moment = datetime.strptime(found["day"] + (found["time"] or "T235959"), "%Y%m%dT%H%M%S")  # noqa: DTZ007
        return moment.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) if found["utc"] else moment
    except (ValueError, OverflowError):
        raise WrongRule("rule", "UNTIL is a day such as 20271231, or a time such as 20271231T013000Z.") from None
