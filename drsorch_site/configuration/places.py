"""Settings that name where files are kept: what could never work stops the start, not each file hours later."""

from identity.provider.cognito import WrongSetting
from reports.archiving.places import FORM, fault


def read_place(name: str, place: str) -> str:
    """A place, or empty for none. Raises WrongSetting."""
    if place and (problem := fault(place)):
        raise WrongSetting(name, f"invalid: {problem}")
    return place


def read_archive(place: str, *, is_used: bool) -> str:
    """Where evidence packs go before rows do. Raises WrongSetting where they would, and could not."""
    if is_used and not place:
        text = "invalid: with DRSORCH_RETENTION_DAYS it names where evidence packs go before rows do,"
        raise WrongSetting("DRSORCH_ARCHIVE", f"{text} {FORM}")
    return read_place("DRSORCH_ARCHIVE", place) if is_used else place
