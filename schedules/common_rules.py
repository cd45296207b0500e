"""The rules that most schedules have, as people choose them and read them. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# How often: the words, the frequency of RFC 5545, and its interval.
OFTEN: Mapping[str, tuple[str, str, int]] = {
    "W1": ("Every week", "WEEKLY", 1),
    "W2": ("Every two weeks", "WEEKLY", 2),
    "M1": ("Every month", "MONTHLY", 1),
    "M3": ("Every three months", "MONTHLY", 3),
    "M6": ("Every six months", "MONTHLY", 6),
    "M12": ("Every twelve months", "MONTHLY", 12),
}
WHICH: Mapping[str, str] = {"1": "first", "2": "second", "3": "third", "4": "fourth", "-1": "last"}
DAYS: Mapping[str, str] = {
    "MO": "Monday", "TU": "Tuesday", "WE": "Wednesday", "TH": "Thursday", "FR": "Friday", "SA": "Saturday",
    "SU": "Sunday",
}  # fmt: skip
_PLACE = re.compile(rf"({'|'.join(WHICH)})?({'|'.join(DAYS)})")


@dataclass(frozen=True)
class Common:
    """A rule of these: `which` day of the month counts only where it is by months."""

    often: str
    which: str
    day: str

    @classmethod
    def of(cls, rule: str) -> "Common | None":
        """The rule as one of these, or None."""
        parts = dict(each.partition("=")[::2] for each in rule.split(";"))
        place = _PLACE.fullmatch(parts.get("BYDAY", ""))
        if place is None or not set(parts) <= {"FREQ", "INTERVAL", "BYDAY"}:
            return None
        for key, (_, frequency, interval) in OFTEN.items():
            if (parts.get("FREQ"), parts.get("INTERVAL", "1")) == (frequency, str(interval)):
                is_monthly = frequency == "MONTHLY"
                return cls(key, place[1] or "1", place[2]) if is_monthly is bool(place[1]) else None
        return None

    @property
    def rule(self) -> str:
        _, frequency, interval = OFTEN[self.often]
        every = f";INTERVAL={interval}" if interval > 1 else ""
        return f"FREQ={frequency}{every};BYDAY={self.which if frequency == 'MONTHLY' else ''}{self.day}"

    def __str__(self) -> str:
        words, frequency, _ = OFTEN[self.often]
        place = f"the {WHICH[self.which]} {DAYS[self.day]}" if frequency == "MONTHLY" else DAYS[self.day]
        return f"{words}, on {place}"


def told(rule: str) -> str:
    """The rule in words; empty for one that is not common."""
    found = Common.of(rule)
    return str(found) if found else ""
