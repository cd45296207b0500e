"""What the report says happened, against what the journal said when it happened.

Entries carry the figures of their moment (`endTime`, `intentTime`, `launches` …). Older ones do not: then the time at
which the entry was written stands for it, give or take `SLACK`, and what has no such entry is told as not anchored.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from drsorch_verify import chain, derive

Json = dict[str, Any]
SLACK = 120  # seconds by which clocks may differ: ours, the database's and AWS's
# As the journal spells what could forge a line.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def lineage(run: str, entries: Sequence[Json]) -> list[str]:
    """The ids of a run and of the attempts before it, the run first, as the journal tells."""
    ids = [run]
    while (entry := _last(entries, "execution.retry", subject_id=ids[-1])) and entry["detail"]["retryOf"] not in ids:
        ids.append(entry["detail"]["retryOf"])
    return ids


def problems(record: Json, entries: Sequence[Json]) -> list[str]:
    """What does not match, in sentences."""
    ids = lineage(record["executionId"], entries)
    attempts = [*record["earlier"], record]
    if [each["executionId"] for each in attempts] != ids[::-1][-len(attempts) :] or len(ids) != record["attempt"]:
        return ["report: its attempts are others than the journal's"]
    found = _of_start(record, entries, ids[-1])
    for each in attempts:
        about = "" if each is record else f"attempt {each['attempt']}, "
        told = [entry for entry in entries if entry["subject_id"] == each["executionId"] and not entry["refused"]]
        found += [f"report: {about}{text}" for text in _of_attempt(each, told, launches=not record["dryRun"])]
    return found + _of_lines(record, entries)


def notes(record: Json, entries: Sequence[Json]) -> list[str]:
    """What holds and is not vouched for by the journal, because nothing was written down of it at the time."""
    waves = [wave for each in [*record["earlier"], record] for wave in each["waves"]]
    anchors = _anchors(entries)
    up = [server for wave in waves for server in wave["servers"] if server["launchTime"] is not None]
    times = sum(_anchor(anchors, server)[1] is None for server in up)
    points = sum(_anchor(anchors, server)[2] is None for server in up if server["pointInTime"] is not None)
    logs = len({server["launchId"] for server in up} - {entry["detail"].get("launch") for entry in _ended(entries)})
    told = ((times, "launch times"), (points, "points in time of data"), (logs, "job logs"))
    return [f"Not anchored in the journal: {count} {what}." for count, what in told if count]


# The start


def _of_start(record: Json, entries: Sequence[Json], first: str) -> list[str]:
    """What the run is measured against, and since when."""
    start, begin = _start(entries, record["executionId"]), _start(entries, first)
    if start is None or begin is None:
        return ["report: the journal does not tell of its start"]
    detail = start["detail"]
    told: Json = {"executionType": detail["kind"], "initiatedBy": detail["initiatedBy"]}
    told |= {name: detail[name] for name in ("rtoMinutes", "rpoMinutes") if name in detail}
    outage = begin["detail"].get("outageTime")
    told["outageTime"] = None if outage is None else int(datetime.fromisoformat(outage).timestamp())
    told["dryRun"] = bool(detail.get("dryRun"))
    found = [f"report: {name} is {record[name]!r}, the journal says {value!r}" for name, value in told.items()
             if record[name] != value]  # fmt: skip
    if _differs(begin, "startTime", record["firstStartTime"]):
        found.append("report: firstStartTime is not when the journal says that the first attempt was started")
    if detail.get("planDigest") not in (None, _digest(record["plan"])):
        found.append("report: the plan is not the one that the run was started with")
    return found


def _start(entries: Sequence[Json], run: str) -> Json | None:
    return _last(entries, "execution.start", "execution.retry", subject_id=run)


# What happened


def _of_attempt(tried: Json, told: Sequence[Json], *, launches: bool) -> list[str]:
    cancel, start = _last(told, "execution.cancel"), _start(told, tried["executionId"])
    found = derive.status_problems(tried, cancelled=cancel is not None) if launches else []
    if start is not None:
        found += _moment("startTime", tried["startTime"], start)
        found += _person("startedBy", tried["startedBy"], start)
        left_out = sorted(each["sourceServerId"] for each in tried.get("leftOut", []))
        if left_out != sorted(start["detail"].get("leftOut", [])):
            found.append("the servers that were left out are others than the journal says")
    ended = _last(told, "execution.ended")
    found += _moment("endTime", tried["endTime"], ended or cancel)
    if ended is not None and ended["outcome"] != tried["status"]:
        found.append(f"the run's status is {tried['status']}, the journal says {ended['outcome']}")
    if launches:
        anchors = _anchors(told)
        for wave in tried["waves"]:
            name = f"wave {wave['waveNumber'] + 1}"
            problems = [*_of_wave(wave, told, start), *_of_jobs(wave, told), *_of_servers(wave, anchors)]
            found += [f"{name}: {text}" for text in problems]
    return found


def _of_wave(wave: Json, told: Sequence[Json], start: Json | None) -> list[str]:
    mine = [entry for entry in told if entry["detail"].get("wave") == wave["waveNumber"]]
    paused = _last(mine, "execution.paused")
    resumed = _last([entry for entry in mine if paused and entry["id"] > paused["id"]], "execution.resume")
    found = _moment("pausedTime", wave["pausedTime"], paused) + _moment("resumedTime", wave["resumedTime"], resumed)
    found += _person("resumedBy", wave["resumedBy"], resumed)
    if wave["status"] not in ("COMPLETED", "FAILED") or _stands(wave, start):
        return found
    ended = _last(mine, f"wave.{wave['status'].lower()}")
    if ended is None:
        return [*found, f"the journal does not say that it {wave['status']}"]
    if "startTime" in ended["detail"]:
        found += _moment("startTime", wave["startTime"], ended)
    return found + _moment("endTime", wave["endTime"], ended)


def _stands(wave: Json, start: Json | None) -> bool:
    """Of a retry: a wave of which nothing was left to launch. Its entry names those, or is from before it did."""
    if wave["servers"] or start is None or start["verb"] != "execution.retry":
        return False
    return wave["waveNumber"] in start["detail"].get("standing", [wave["waveNumber"]])


def _of_jobs(wave: Json, told: Sequence[Json]) -> list[str]:
    found = []
    sent = {entry["detail"].get("jobId") for entry in told if entry["verb"] in ("launch.sent", "launch.adopted")}
    for job in wave["jobs"]:
        mine = [entry for entry in told if entry["detail"].get("launch") == job["launchId"]]
        found += _moment("intentTime", job["intentTime"], _last(mine, "launch.intent"))
        if job["jobId"] and job["jobId"] not in sent:
            found.append(f"the journal does not know the job {job['jobId']}")
        for entry in _ended(mine):
            if entry["detail"]["logDigest"] != _digest(_log(wave, job)):
                found.append(f"the log of job {job['jobId']} is not what it was when DRS ended it")
    return found


def _log(wave: Json, job: Json) -> list[list[Any]]:
    mine = [server for server in wave["servers"] if server["launchId"] == job["launchId"]]
    return sorted([each["sourceServerId"], event["time"], event["event"]] for each in mine for event in each["events"])


def _of_servers(wave: Json, anchors: Json) -> list[str]:
    intents = {job["launchId"]: job["intentTime"] for job in wave["jobs"]}
    found = []
    for server in wave["servers"]:
        name, at = server["hostname"], server["launchTime"]
        status, launch, point = _anchor(anchors, server)
        if launch not in (None, at) or point not in (None, server["pointInTime"]):
            found.append(f"launch or data of {name} is of another time than the journal says")
        if status not in (None, "PENDING", "IN_PROGRESS") and (status == "LAUNCHED") != derive.launched(server):
            found.append(f"{name} is {server['launchStatus']}, the journal says {status}")
        late = wave["status"] == "COMPLETED" and at is not None and at > wave["endTime"] + SLACK
        if at is not None and (late or at < (intents[server["launchId"]] or at) - SLACK):
            found.append(f"{name} was launched at a time when its launch was not under way")
    return found


def _ended(entries: Iterable[Json]) -> list[Json]:
    return [entry for entry in entries if entry["verb"] == "launch.ended" and not entry["refused"]]


def _anchors(entries: Iterable[Json]) -> Json:
    """Status, launch time and point in time of each server of each attempt, as the journal has them last."""
    found: Json = {}
    for entry in entries:
        for server, told in entry["detail"].get("launches", {}).items() if _tells(entry) else ():
            before = found.get(server, [None, None, None])
            found[server] = [new if new is not None else old for new, old in zip(told, before, strict=True)]
    return found


def _tells(entry: Json) -> bool:
    return entry["verb"] in ("wave.completed", "wave.failed", "launch.ended") and not entry["refused"]


def _anchor(anchors: Json, server: Json) -> list[Any]:
    found: list[Any] = anchors.get(server["sourceServerId"], [None, None, None])
    return found


def _moment(name: str, value: int | None, entry: Json | None) -> list[str]:
    if entry is None:
        return [] if value is None else [f"the journal does not tell of {name}"]
    return [f"{name} is not when the journal says"] if _differs(entry, name, value) else []


def _differs(entry: Json, name: str, value: int | None) -> bool:
    if name in entry["detail"]:
        return bool(entry["detail"][name] != value)
    return value is None or abs(datetime.fromisoformat(entry["at"]).timestamp() - value) > SLACK


def _person(name: str, value: str | None, entry: Json | None) -> list[str]:
    told = None if entry is None else entry["actor"]
    cleaned = value and _CONTROLS.sub(_spelled, value)[:254]
    return [] if cleaned == told else [f"{name} is {value!r}, the journal says {told!r}"]


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _last(entries: Iterable[Json], *verbs: str, **columns: object) -> Json | None:
    wanted = [
        entry
        for entry in entries
        if entry["verb"] in verbs and not entry["refused"] and all(entry[name] == v for name, v in columns.items())
    ]
    return wanted[-1] if wanted else None


def _digest(value: object) -> str:
    return chain.sha256(chain.canonical(value))


# The journal as the report shows it


def _of_lines(record: Json, entries: Sequence[Json]) -> list[str]:
    known = {entry["id"]: entry for entry in entries if entry["subject_id"] == record["executionId"]}
    found = []
    if sorted(known) != sorted(line["entryId"] for line in record["journal"]):
        found.append("report: its journal lines are not the journal's entries of the run")
    for line in record["journal"]:
        entry = known.get(line["entryId"])
        same = entry and all(entry[name] == line[name] for name in ("actor", "verb", "outcome", "refused"))
        if not same or entry is None or int(datetime.fromisoformat(entry["at"]).timestamp()) != line["time"]:
            found.append(f"report: its journal line {line['entryId']} is not in the journal")
    return found
