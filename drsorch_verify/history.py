"""What the report says happened, against what the journal said when it happened.

Entries carry the figures of their moment (`endTime`, `intentTime`, `launches` …). Older ones do not: then the time at
which the entry was written stands for it, give or take `SLACK`, and what has no such entry is told as not anchored.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from drsorch_verify import came_up, chain, chosen, cleaned_up, derive, leased, steered

Json = dict[str, Any]
SLACK = 120  # seconds by which clocks may differ: ours, the database's and AWS's
RESUMES = ("execution.resume", "gate.approved", "gate.broken")
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
    shown = [(each["executionId"], each["attempt"]) for each in attempts]
    known = [(run, at) for at, run in enumerate(reversed(ids), 1)]
    # Those between may be missing: whoever cleans up the history keeps runs that have instances standing.
    if shown != [each for each in known if each in shown] or shown[-1] != known[-1]:
        return ["report: its attempts are others than the journal's"]
    found = _of_start(record, entries, ids[-1])
    for each in attempts:
        about = "" if each is record else f"attempt {each['attempt']}, "
        told = [entry for entry in entries if entry["subject_id"] == each["executionId"] and not entry["refused"]]
        found += [f"report: {about}{text}" for text in _of_attempt(record, each, told, launches=not record["dryRun"])]
    found += [f"report: {text}" for each in (cleaned_up, leased) for text in each.problems(record, entries)]
    return found + _of_lines(record, entries)


def notes(record: Json, entries: Sequence[Json]) -> list[str]:
    """What holds and is not vouched for by the journal, because nothing was written down of it at the time."""
    waves = [wave for each in [*record["earlier"], record] for wave in each["waves"]]
    known = anchors(entries)
    up = [server for wave in waves for server in wave["servers"] if server["launchTime"] is not None]
    times = sum(_anchor(known, server)[1] is None for server in up)
    points = sum(_anchor(known, server)[2] is None for server in up if server["pointInTime"] is not None)
    open_jobs = {job["launchId"] for wave in waves for job in wave["jobs"] if job.get("moreExpected")}
    ended = {entry["detail"].get("launch") for entry in _ended(entries)}
    logs = len({server["launchId"] for server in up} - ended - open_jobs)
    told = ((times, "launch times"), (points, "points in time of data"), (logs, "job logs"))
    found = [f"Not anchored in the journal: {count} {what}." for count, what in told if count]
    more = f"Made while AWS had not told everything of {len(open_jobs)} launches: more may be known by now."
    return [more, *found] if open_jobs else found


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


def _of_attempt(record: Json, tried: Json, told: Sequence[Json], *, launches: bool) -> list[str]:
    cancel, start = _last(told, "execution.cancel"), _start(told, tried["executionId"])
    ended, given_up = _last(told, "execution.ended"), _last(told, "execution.abandon")
    found = _of_statuses(tried, told, cancel, ended) if launches else []
    if start is not None:
        found += _moment("startTime", tried["startTime"], start)
        found += _person("startedBy", tried["startedBy"], start)
        left_out = sorted(each["sourceServerId"] for each in tried.get("leftOut", []))
        if left_out != sorted(start["detail"].get("leftOut", [])):
            found.append("the servers that were left out are others than the journal says")
    found += chosen.of_attempt(record, tried, start)
    found += _moment("endTime", tried["endTime"], ended or given_up or cancel)
    outcome = ended["outcome"] if ended else given_up["after"]["status"] if given_up else tried["status"]
    if outcome != tried["status"]:
        found.append(f"the run's status is {tried['status']}, the journal says {outcome}")
    if launches:
        known = anchors(told)
        for wave in tried["waves"]:
            name = f"wave {wave['waveNumber'] + 1}"
            problems = [
                *_of_wave(wave, told, start),
                *_of_jobs(wave, told),
                *_of_servers(wave, known),
                *_of_lags(wave, told),
                *chosen.of_wave(wave, told),
                *came_up.of_usable(wave, told),
                *steered.of_wave(wave, told),
                *steered.of_optional(wave, record["plan"]),
            ]
            found += [f"{name}: {text}" for text in problems]
    return found


def _of_statuses(tried: Json, told: Sequence[Json], cancel: Json | None, ended: Json | None) -> list[str]:
    ends = wave_ends(told)
    count = None if ended is None else ended["detail"].get("launchedServers")
    found = derive.status_problems(tried, ends, cancelled=cancel is not None, launched_by_end=count)
    up = sum(derive.launched(each) for wave in tried["waves"] for each in wave["servers"])
    if count is not None and up < count:
        found.append(f"{up} servers are launched, the journal had {count} when the run ended")
    for wave in tried["waves"]:
        for server in wave["servers"]:
            wanted = derive.is_late(wave, server, ends.get(wave["waveNumber"]))
            if server.get("late", wanted) != wanted:
                found.append(f"late of wave {wave['waveNumber'] + 1}, {server['hostname']} is not as the journal says")
    return found


def wave_ends(told: Iterable[Json]) -> dict[int, Json]:
    """The entry of each wave's end, by the wave's number; one that was skipped has none."""
    ends = [entry for entry in told if entry["verb"] in ("wave.completed", "wave.failed") and not entry["refused"]]
    return {entry["detail"]["wave"]: entry for entry in ends}


def _of_wave(wave: Json, told: Sequence[Json], start: Json | None) -> list[str]:
    mine = [entry for entry in told if entry["detail"].get("wave") == wave["waveNumber"]]
    paused = _last(mine, "execution.paused")
    let_on = [each for each in mine if each["verb"] == "execution.resume" or "resumedTime" in each["detail"]]
    resumed = _last([each for each in let_on if paused and each["id"] > paused["id"]], *RESUMES)
    found = _moment("pausedTime", wave["pausedTime"], paused) + _moment("resumedTime", wave["resumedTime"], resumed)
    found += _person("resumedBy", wave["resumedBy"], resumed)
    if wave["status"] == "SKIPPED":
        return found + _of_skipped(wave, mine)
    if wave["status"] not in ("COMPLETED", "FAILED") or _stands(wave, start):
        return found
    ended = _last(mine, f"wave.{wave['status'].lower()}")
    if ended is None and wave["errorCode"] == "AWS_NOT_ANSWERING":
        ended = _last(told, "execution.abandon")  # which had no entries of what ended with it
    if ended is None:
        return [*found, f"the journal does not say that it {wave['status']}"]
    if "startTime" in ended["detail"]:
        found += _moment("startTime", wave["startTime"], ended)
    return found + _moment("endTime", wave["endTime"], ended)


def _of_skipped(wave: Json, mine: Sequence[Json]) -> list[str]:
    """Of a wave that was skipped nothing was launched, but for what a database that was lost had sent before: such a
    launch was found at AWS and taken over."""
    over = {entry["detail"].get("launch") for entry in mine if entry["verb"] == "launch.adopted"}
    up = [each for each in wave["servers"] if each["launchTime"] is not None and each["launchId"] not in over]
    return [f"it is SKIPPED, but {each['hostname']} was launched" for each in up]


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
        found += _clock(job, mine)
        ended = _ended(mine)
        if ended and ended[-1]["detail"]["logDigest"] != _digest(_log(wave, job)):
            found.append(f"the log of job {job['jobId']} is not what it was when DRS ended it")
        if ended and job.get("moreExpected"):
            found.append(f"more is expected of job {job['jobId']}, the journal says that DRS had told everything")
    return found


def _clock(job: Json, mine: Sequence[Json]) -> list[str]:
    """How far AWS's clock was off is what was written down when its job was; older versions did not."""
    told = [each["detail"].get("awsAheadSeconds") for each in mine if each["detail"].get("jobId") == job["jobId"]]
    known = [each for each in told if each is not None]
    says = job.get("awsAheadSeconds", 0)
    return [f"the clock of job {job['jobId']} is not what the journal says"] if known and known[0] != says else []


def _log(wave: Json, job: Json) -> list[list[Any]]:
    lines = [
        (server["sourceServerId"], event)
        for server in wave["servers"]
        for launch in (server, *server.get("earlierLaunches", ()))
        if launch["launchId"] == job["launchId"]
        for event in launch["events"]
    ]
    return sorted([server, event["time"], event["event"]] for server, event in lines)


def _of_servers(wave: Json, known: Json) -> list[str]:
    intents = {job["launchId"]: job["intentTime"] for job in wave["jobs"]}
    found = []
    for server in wave["servers"]:
        name, at = server["hostname"], server["launchTime"]
        status, launch, point = _anchor(known, server)
        if launch not in (None, at) or point not in (None, server["pointInTime"]):
            found.append(f"launch or data of {name} is of another time than the journal says")
        up = status in derive.UP and launch is not None
        if status not in (None, "PENDING", "IN_PROGRESS") and up != derive.launched(server):
            found.append(f"{name} is {server['launchStatus']}, the journal says {status}")
        late = wave["status"] == "COMPLETED" and at is not None and at > wave["endTime"] + SLACK
        early = at is not None and at < (intents[server["launchId"]] or at) - SLACK
        if launch is None and (late or early):  # what the journal has of its time is what was known then
            found.append(f"{name} was launched at a time when its launch was not under way")
    return found


def _of_lags(wave: Json, told: Sequence[Json]) -> list[str]:
    """The lag of each source is that of the last intent to launch it; older intents have none."""
    lags: Json = {}
    for entry in told:
        if entry["verb"] == "launch.intent" and not entry["refused"]:
            lags |= entry["detail"].get("lags", {})
    return [
        f"the lag of {each['hostname']} is not what the journal says it was when its launch was sent"
        for each in wave["servers"]
        if "lagSeconds" in each and each["lagSeconds"] != lags.get(each["sourceServerId"])
    ]


def _ended(entries: Iterable[Json]) -> list[Json]:
    return [entry for entry in entries if entry["verb"] == "launch.ended" and not entry["refused"]]


def anchors(entries: Iterable[Json]) -> Json:
    """Status, launch time and point in time of each server of each attempt, as the journal has them last: of the last
    launch, where a wave was tried again."""
    found: Json = {}
    for entry in entries:
        if entry["verb"] == "wave.retried" and not entry["refused"]:
            found = {server: told for server, told in found.items() if server not in entry["detail"]["serverIds"]}
        for server, told in entry["detail"].get("launches", {}).items() if _tells(entry) else ():
            before = found.get(server, [None, None, None])
            if told[0] == "FAILED" and before[0] is not None:  # what had launched was gone before its wave was over
                before = [None, None, before[2]]
            found[server] = [new if new is not None else old for new, old in zip(told, before, strict=True)]
    return found


def _tells(entry: Json) -> bool:
    return entry["verb"] in ("wave.completed", "wave.failed", "launch.news", "launch.ended") and not entry["refused"]


def _anchor(known: Json, server: Json) -> list[Any]:
    found: list[Any] = known.get(server["sourceServerId"], [None, None, None])
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
