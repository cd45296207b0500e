"""Whether servers came up, and since when: the time to the last usable one, and what the journal has of each."""

from collections.abc import Iterable, Sequence
from typing import Any

from drsorch_verify import derive

Json = dict[str, Any]


def figures(record: Json) -> Json:
    """`usableRto` of a run that is over; nothing of reports before version 1.1.0 and its early ones."""
    if "usableRto" not in record["measured"]:
        return {}
    return {"usableRto": _usable_rto(record, derive.servers_with_waves(record), derive.reference(record))}


def _usable_rto(record: Json, homes: Sequence[tuple[Json, Json]], reference: int) -> Json:
    up = [(wave, each) for wave, each in homes if derive.launched(each)]
    times = [each["usableTime"] for _, each in up if each["usableTime"] is not None]
    if times and len(times) == len(homes):
        return derive.target(max(0, max(times) - reference), record["rtoMinutes"], reached=True)
    found = derive.target(None, record["rtoMinutes"], reached=False)
    if found["reached"] == "NOT_REACHED" and len(up) == len(homes):
        found["reached"] = _why_not([(wave, each) for wave, each in up if each["usableTime"] is None])
    return found


def _why_not(missing: Sequence[tuple[Json, Json]]) -> str:
    if any(_is_watched(wave, each) for wave, each in missing):
        return "READING"
    unknown = any("UNKNOWN" in (each["statusChecks"] or {"": "UNKNOWN"}).values() for _, each in missing)
    return "UNKNOWN" if unknown else "NOT_REACHED"


def _is_watched(wave: Json, server: Json) -> bool:
    jobs = (each for each in wave["jobs"] if each["launchId"] == server["launchId"])
    return any(each["jobId"] and each["moreExpected"] for each in jobs)


def of_usable(wave: Json, told: Iterable[Json]) -> list[str]:
    """Since when each server is usable must be what the journal had last; older journals have nothing of it."""
    known: Json = {}
    for entry in told:
        if entry["detail"].get("wave") == wave["waveNumber"] and not entry["refused"]:
            known |= entry["detail"].get("usable", {})
    return [
        f"{each['hostname']} is usable since another time than the journal says"
        for each in wave["servers"]
        if each["sourceServerId"] in known and known[each["sourceServerId"]] != each.get("usableTime")
    ]
