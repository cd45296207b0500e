"""The lease of a drill's instances: until when, who extended it, and what engines did at its end, by the journal.

An engine terminates by itself only what outlived a lease that said so, an hour after a warning, and only what DRS
called a drill's right before. Anything else in a journal was not this product, or it was broken.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
WARNING = 3600
ENGINE, DRILL, TERMINATE = "engine", "DRILL", "TERMINATE"


@dataclass
class Lease:
    """As far as the entries have been read."""

    ends: int | None
    warned: int | None = None
    over: int | None = None

    @property
    def shape(self) -> tuple[int | None, int | None, int | None]:
        return self.ends, self.warned, self.over


def problems(record: Json, entries: Iterable[Json]) -> list[str]:
    """What does not match, in sentences."""
    mine = [entry for entry in entries if entry["subject_id"] == record["executionId"] and not entry["refused"]]
    told = [entry for entry in mine if entry["verb"].startswith("lease.")]
    found = _not_of_leases(mine)
    if told and not _may_have_one(record):
        return [*found, "the journal tells of a lease, which only drills have"]
    lease = Lease(_first_end(record))
    found += [text for entry in told for text in _take(lease, entry, record)]
    shown = record["cleanup"].get("lease")
    if shown is None:
        return [*found, *(["the journal tells of a lease, the report of none"] if told else [])]
    if (shown["endsTime"], shown["warnedTime"], shown["overTime"]) != lease.shape:
        found.append(f"the lease is {shown}, by the journal it ends, was warned of and was over at {lease.shape}")
    planned = record["plan"].get("drillLeaseHours"), record["plan"].get("drillLeaseEnds", shown["atEnd"])
    if (shown["hours"], shown["atEnd"]) != planned:
        found.append("the lease is not the plan's")
    return found


def _may_have_one(record: Json) -> bool:
    return bool(record["executionType"] == DRILL and not record["dryRun"])


def _first_end(record: Json) -> int | None:
    hours, ended = record["plan"].get("drillLeaseHours"), record["endTime"]
    return None if hours is None or ended is None or not _may_have_one(record) else ended + 3600 * hours


def _take(lease: Lease, entry: Json, record: Json) -> Iterator[str]:
    detail, terminates = entry["detail"], record["plan"].get("drillLeaseEnds") == TERMINATE
    match entry["verb"]:
        case "lease.extend":
            ends = detail["extendedTime"] + 3600 * detail["hours"]
            if entry["after"] != {"leaseEndsTime": ends} or entry["actor_kind"] == ENGINE:
                yield "an extension of the lease is not by so many hours, or by no person"
            lease.ends, lease.warned, lease.over = ends, None, None
        case "lease.warned":
            ends = max(lease.ends or 0, detail["warnedTime"] + WARNING)
            if detail["leaseEndsTime"] != ends or not terminates:
                yield "the warning of the lease's end is not an hour before it, or nothing was to end"
            lease.ends, lease.warned = ends, detail["warnedTime"]
        case "lease.over":
            if terminates or _is_early(lease, detail):
                yield "people were told of a lease that was not over"
            lease.over = detail["overTime"]
        case "lease.ended":
            if not terminates or lease.warned is None or _is_early(lease, detail):
                yield "a lease was ended before its time, without a warning, or although the plan did not say so"
            yield from _of_ended(detail, record)
            lease.over = None if detail.get("waits") else detail["overTime"]


def _is_early(lease: Lease, detail: Json) -> bool:
    warned = detail["overTime"] if lease.warned is None else lease.warned + WARNING
    return lease.ends is None or bool(detail["overTime"] < max(lease.ends, warned))


def _of_ended(detail: Json, record: Json) -> Iterator[str]:
    """Never production, and never what is not this run's."""
    servers = [server for wave in record["waves"] for server in wave["servers"]]
    mine = {each["recoveryInstanceId"] for each in [*servers, *record["cleanup"].get("earlierInstances", ())]}
    for each in detail["instances"]:
        if detail["drsSays"].get(each) != DRILL:
            yield f"{each} was terminated at its lease's end, and DRS did not call it a drill's"
        if each not in mine or each in detail["leftAlone"]:
            yield f"{each} was terminated at the lease's end, and was not to be"


def _not_of_leases(mine: Sequence[Json]) -> list[str]:
    """Terminations that an engine began by itself, of what no lease had ended."""
    found, over = list[str](), set[str]()
    for entry in mine:
        ids = entry["detail"].get("instances", [])
        if entry["verb"] == "lease.ended":
            over = set(ids)
        elif entry["verb"] == "execution.terminate" and entry["actor_kind"] == ENGINE:
            found += [f"an engine terminated {each} by itself, whose lease had not ended" for each in ids
                      if each not in over]  # fmt: skip
    return found
