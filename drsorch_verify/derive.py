"""Recovery time and point achieved, where the time went, and statuses, derived from what report.json says happened.

No figure of the report is used.

Times are Unix seconds. A server's way through its wave: `quota` until AWS took its launch, `queue`, then the phases of
its job log, to its launch. A wave is split by the server that came last; the run by its waves, `person` at the gates
and after waves that failed. Launches before one again in its wave are `other`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = dict[str, Any]
PARTS = ("person", "quota", "queue", "cleanup", "snapshot", "conversion", "launch", "other")
UP = ("LAUNCHED", "TERMINATED")
CLOCKS_DIFFER = 60  # seconds by which a snapshot that was taken for a launch may seem older than its intent
GIVEN_UP = ("WAVE_TIMEOUT", "AWS_NOT_ANSWERING")  # waves that ended while AWS went on

_PHASE = {
    "CLEANUP_START": "cleanup",
    "CLEANUP_END": "cleanup",
    "SNAPSHOT_START": "snapshot",
    "SNAPSHOT_END": "snapshot",
    "SNAPSHOT_FAIL": "snapshot",
    "USING_PREVIOUS_SNAPSHOT": "snapshot",
    "CONVERSION_START": "conversion",
    "CONVERSION_END": "conversion",
    "LAUNCH_START": "launch",
}
_OVER = ("LAUNCH_END", "LAUNCH_FAILED", "CONVERSION_FAIL", "SERVER_SKIPPED", "USING_PREVIOUS_SNAPSHOT_FAILED")

Turn = tuple[str, int]
Stretch = tuple[str, int, int]


def launched(server: Json) -> bool:
    return server["launchStatus"] in UP and server["launchTime"] is not None


def between(since: int | None, until: int | None) -> int | None:
    return None if since is None or until is None else max(0, until - since)


def stretches(turns: Sequence[Turn], end: int) -> list[Stretch]:
    """Stretches between turning points, never backwards and never past the end."""
    found: list[Stretch] = []
    cursor = min(turns[0][1], end) if turns else end
    for at, (part, _) in enumerate(turns):
        until = min(max(cursor, turns[at + 1][1] if at + 1 < len(turns) else end), end)
        found.append((part, cursor, until))
        cursor = until
    return found


def split(turns: Sequence[Turn], end: int) -> dict[str, int]:
    """Seconds by part."""
    found = dict.fromkeys(PARTS, 0)
    for part, since, until in stretches(turns, end):
        found[part] += until - since
    return found


def server_turns(wave: Json, server: Json) -> list[Turn]:
    """Empty for a server that was not launched."""
    begin = wave["startTime"]
    if begin is None or server["launchTime"] is None:
        return []
    job = _job(wave, server)
    turns = [*_before(wave, job, begin), ("queue", begin if job["intentTime"] is None else job["intentTime"])]
    part, ahead = "", _ahead(wave, server)
    for event in server["events"]:
        part = "" if event["event"] in _OVER else _PHASE.get(event["event"], part)
        if part:
            turns.append((part, event["time"] - ahead))
    return turns


def _job(wave: Json, server: Json) -> Json:
    found: Json = next(each for each in wave["jobs"] if each["launchId"] == server["launchId"])
    return found


def _ahead(wave: Json, server: Json) -> int:
    """By how many seconds AWS's clock was ahead of the product's; older reports do not tell."""
    return int(_job(wave, server).get("awsAheadSeconds", 0))


def _before(wave: Json, job: Json, begin: int) -> list[Turn]:
    """AWS is not to blame for launches before it that failed, and for the decision to launch again within the run. Of
    runs from before that was kept, the decision is not told from the launches."""
    sent = [each["intentTime"] for each in wave["jobs"] if each["intentTime"] is not None]
    again = wave.get("attempt", 1) > 1 and job["intentTime"] is not None and job["intentTime"] > min(sent)
    if not again:
        return [("quota", begin)]
    decided = [each for each in wave.get("retries", []) if each["retriedTime"] <= job["intentTime"]]
    turns = [("other", begin), *_decisions(decided)]
    return [*turns[:-1], ("quota", turns[-1][1])] if decided else turns


def _decisions(retries: Sequence[Json]) -> list[Turn]:
    return [turn for each in retries for turn in (("person", each["askedTime"]), ("other", each["retriedTime"]))]


def gate_turns(wave: Json) -> list[Turn]:
    until = wave["endTime"] if wave["resumedTime"] is None else wave["resumedTime"]
    if wave["pausedTime"] is None or until is None:
        return []
    return [("person", wave["pausedTime"]), ("other", until)]


def last_of(servers: Iterable[Json]) -> Json | None:
    """The server that came up last; of several the one that stands last."""
    up = [(each["launchTime"], at, each) for at, each in enumerate(servers) if each["launchTime"] is not None]
    return max(up)[2] if up else None


def server_figures(record: Json, wave: Json, server: Json) -> Json:
    """rtoSeconds, tookSeconds, split and rpo of one server."""
    turns = server_turns(wave, server)
    used = any(event["event"] == "USING_PREVIOUS_SNAPSHOT" for event in server["events"])
    rpo = target(_rpo(record, wave, server), record["rpoMinutes"], reached=launched(server))
    return {
        "rtoSeconds": between(record["firstStartTime"], server["launchTime"]),
        "tookSeconds": between(wave["startTime"], server["launchTime"]),
        "split": split(turns, server["launchTime"] or 0),
        "rpo": _still_read(rpo) if _is_reading(record, wave, server) else rpo,
        "usedPreviousSnapshot": used,
    }


def wave_figures(record: Json, wave: Json) -> Json:
    """rtoSeconds, tookSeconds, waitedSeconds, lastServerId and split of one wave."""
    last = last_of(wave["servers"])
    end = last["launchTime"] if last else None
    gate = gate_turns(wave)
    return {
        "rtoSeconds": between(record["firstStartTime"], end),
        "tookSeconds": between(wave["startTime"], end),
        "waitedSeconds": gate[1][1] - gate[0][1] if gate else 0,
        "lastServerId": last["sourceServerId"] if last else None,
        "split": split(server_turns(wave, last) if last else [], end or 0),
    }


def run_figures(record: Json) -> Json:
    """Everything under `measured`: over all attempts, each server as the last one left it."""
    homes = servers_with_waves(record)
    servers = [server for _, server in homes]
    complete = bool(servers) and all(launched(each) for each in servers)
    end = max((each["launchTime"] for each in servers if each["launchTime"] is not None), default=None)
    known = [_rpo(record, wave, each) for wave, each in homes if launched(each)]
    start = reference(record) if counts_from_outage(record) else record["firstStartTime"]
    figures = {
        "complete": complete,
        "servers": len(servers),
        "launchedServers": sum(launched(each) for each in servers),
        "referenceTime": reference(record),
        "rto": target(between(start, end), record["rtoMinutes"], reached=complete),
        "rpo": _worst(record, homes),
        "rpoUnknownServers": known.count(None),
        "laterThanOutageServers": sum(launched(each) and _is_later(record, wave, each) for wave, each in homes),
        "previousSnapshotServers": sum(launched(each) and each["usedPreviousSnapshot"] for each in servers),
        "split": split(_run_turns(record, end) if end is not None else [], end or 0),
    }
    if counts_from_outage(record):
        reading = sum(_is_reading(record, wave, each) for wave, each in homes)
        figures |= {
            "rtoFromStartSeconds": between(record["firstStartTime"], end),
            "rpoLagSeconds": _lag_of_worst(record, homes),
            "rpoUnknownServers": known.count(None) - reading,
            "rpoReadingServers": reading,
        }
    return figures


def counts_from_outage(record: Json) -> bool:
    """Before version 1.1.0 the recovery time counted from the start, whatever outage was declared, and the recovery
    point left out the source's lag."""
    return "rtoFromStartSeconds" in record["measured"]


def servers_with_waves(record: Json) -> list[tuple[Json, Json]]:
    """Every server of the run and of the attempts before it, as its last attempt left it, with its wave."""
    waves = [wave for each in [*record["earlier"], record] for wave in each["waves"]]
    return list({server["sourceServerId"]: (wave, server) for wave in waves for server in wave["servers"]}.values())


def _is_later(record: Json, wave: Json, server: Json) -> bool:
    """Data from after the declared outage: then the outage was not then, and the RPA is not known."""
    outage, data = record["outageTime"], _data_time(wave, server)
    return outage is not None and data is not None and data > outage


def _rpo(record: Json, wave: Json, server: Json) -> int | None:
    return None if _is_later(record, wave, server) else between(_data_time(wave, server), reference(record))


def _data_time(wave: Json, server: Json) -> int | None:
    point = _point(server)
    return None if point is None else point - _ahead(wave, server) - _lag(wave, server)


def _point(server: Json) -> int | None:
    """A snapshot that was chosen is what the server was launched from, unless DRS says that it was another one."""
    told, chosen = server["pointInTime"], server.get("snapshotTime")
    if chosen is None or (told is not None and abs(told - chosen) > CLOCKS_DIFFER):
        found: int | None = told
    else:
        found = chosen
    return found


def _lag(wave: Json, server: Json) -> int:
    """A snapshot that was taken for the launch has data as old as the source's lag when the launch was sent."""
    lag: int | None = server.get("lagSeconds")
    point, intent = server["pointInTime"], _job(wave, server)["intentTime"]
    if server["usedPreviousSnapshot"] or server.get("recoverySnapshotId") or lag is None or None in (point, intent):
        return 0
    return lag if point - _ahead(wave, server) >= intent - CLOCKS_DIFFER else 0


def _lag_of_worst(record: Json, homes: Sequence[tuple[Json, Json]]) -> int:
    known = [
        (rpo, at, _lag(wave, each))
        for at, (wave, each) in enumerate(homes)
        if launched(each) and (rpo := _rpo(record, wave, each)) is not None
    ]
    return max(known)[2] if known else 0


def _is_reading(record: Json, wave: Json, server: Json) -> bool:
    """Whether a server is up and AWS was still asked how old its data is."""
    if not counts_from_outage(record) or not launched(server) or _point(server) is not None:
        return False
    return bool(_job(wave, server)["jobId"] and _job(wave, server)["moreExpected"])


def _still_read(found: Json) -> Json:
    return {**found, "reached": "READING"} if found["reached"] == "UNKNOWN" else found


def target(seconds: int | None, minutes: int | None, *, reached: bool) -> Json:
    """A figure of a run that is over, against a target."""
    wanted = None if minutes is None else 60 * minutes
    missed_by = None
    if wanted is None:
        word = "NO_TARGET"
    elif not reached:
        word = "NOT_REACHED"
    elif seconds is None:
        word = "UNKNOWN"
    elif seconds > wanted:
        word, missed_by = "MISSED", seconds - wanted
    else:
        word = "MET"
    return {"reached": word, "seconds": seconds, "targetSeconds": wanted, "missedBySeconds": missed_by}


def _worst(record: Json, homes: Sequence[tuple[Json, Json]]) -> Json:
    up = [(wave, each) for wave, each in homes if launched(each)]
    known = [rpo for wave, each in up if (rpo := _rpo(record, wave, each)) is not None]
    whole = len(up) == len(homes)
    found = target(max(known, default=None), record["rpoMinutes"], reached=bool(known) or whole)
    gone = len(record["earlier"]) < record["attempt"] - 1
    if found["reached"] == "MET" and (gone or len(known) < len(homes)):
        found["reached"] = "UNKNOWN" if whole else "NOT_REACHED"
    return _still_read(found) if any(_is_reading(record, wave, each) for wave, each in homes) else found


def _run_turns(record: Json, end: int) -> list[Turn]:
    turns: list[Turn] = [("other", record["firstStartTime"])]
    for at, each in enumerate([*record["earlier"], record]):
        if at:
            turns.append(("person", record["earlier"][at - 1]["endTime"]))
        turns += [("other", each["startTime"]), *_wave_turns(each["waves"])]
    return turns


def _wave_turns(waves: Sequence[Json]) -> list[Turn]:
    turns: list[Turn] = []
    for wave in waves:
        turns += gate_turns(wave)
        last = last_of(wave["servers"])
        if last is not None:
            way = stretches(server_turns(wave, last), last["launchTime"])
            turns += [*((part, since) for part, since, _ in way), ("other", last["launchTime"])]
        elif wave["startTime"] is not None:
            turns.append(("other", wave["startTime"]))
        turns += _decisions(wave.get("retries", []))
        if wave.get("askedTime") is not None and wave["answeredTime"] is not None:
            turns += [("person", wave["askedTime"]), ("other", wave["answeredTime"])]
    return turns


def reference(record: Json) -> int:
    found: int = record["firstStartTime"] if record["outageTime"] is None else record["outageTime"]
    return found


# The sentence


def span(seconds: int | None) -> str:
    """Seconds as people say them: 45 s, 8 min 45 s, 2 h 3 min, 3 d 4 h."""
    if seconds is None:
        return "not known"
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, left = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {left} s" if left else f"{minutes} min"
    return f"{left} s"


def verdict_problems(record: Json) -> list[str]:
    """The sentence must say the figures, and claim no target that they do not."""
    if record["dryRun"]:
        return []
    said, figures = record["verdict"].replace(f"“{record['planName']}”", ""), run_figures(record)
    wanted = [f": {record['status'].lower()}, {figures['launchedServers']} of {figures['servers']} server"]
    claims = {"MET": 0, "MISSED": 0}
    for achieved, objective, found in (("RTA", "RTO", figures["rto"]), ("RPA", "RPO", figures["rpo"])):
        if found["reached"] in claims:
            claims[found["reached"]] += 1
            took, target = span(found["seconds"]), span(found["targetSeconds"])
            sentence = f"{achieved} {took}: the {objective} of {target} was "
            of_1_0 = f"{objective} {took}: the {objective} target of {target} was "
            wanted.append(of_1_0 if of_1_0 in said else sentence)
    counts = {"MET": said.count(" was met."), "MISSED": said.count(" was missed by ")}
    whole = all(each in said for each in wanted) and counts == claims
    return [] if whole else ["report: its verdict does not say what its figures do"]


# Statuses


def status_problems(
    record: Json, ends: Mapping[int, Json], *, cancelled: bool, launched_by_end: int | None
) -> list[str]:
    """Statuses of waves and run (or of an earlier attempt) that do not follow from what became of the servers.

    `ends` are the waves' ends as the journal has them; `launched_by_end` is how many servers it had up at the run's.
    """
    found = [text for wave in record["waves"] if (text := _wave_problem(wave, ends.get(wave["waveNumber"])))]
    waves = ["COMPLETED" if wave.get("skipped") else wave["status"] for wave in record["waves"]]
    if cancelled or (waves and all(wave.get("skipped") for wave in record["waves"])):
        expected = {"CANCELLED"}
    elif all(status == "COMPLETED" for status in waves) and not record.get("leftOut"):
        expected = {"COMPLETED"}
    elif launched_by_end is None:
        expected = _without_count(record, ends)
    else:
        expected = {"PARTIAL" if launched_by_end else "FAILED"}
    if record["status"] not in expected:
        follows = " or ".join(sorted(expected))
        found.append(f"the run's status is {record['status']}, from its waves it follows {follows}")
    return found


def _without_count(record: Json, ends: Mapping[int, Json]) -> set[str]:
    """By a journal of before it had the count: of servers that were late nothing says on which side of the end."""
    up = [is_late(wave, each, ends.get(wave["waveNumber"])) for wave in record["waves"]
          for each in wave["servers"] if launched(each)]  # fmt: skip
    if not up:
        return {"FAILED"}
    return {"PARTIAL", "FAILED"} if all(up) else {"PARTIAL"}


def is_late(wave: Json, server: Json, end: Json | None) -> bool:
    """Launched, and not known to be when the wave ended: what counts is what the journal had then (`launches` of the
    wave's end), not the launch time, which AWS may tell long after. Where it has none, the launch time."""
    if not launched(server):
        return False
    told = None if end is None else end["detail"].get("launches")
    if told is not None:
        return told.get(server["sourceServerId"], [None])[0] not in UP
    if wave["status"] == "COMPLETED":
        return False
    return wave["endTime"] is None or bool(server["launchTime"] >= wave["endTime"])


def _wave_problem(wave: Json, end: Json | None) -> str:
    name, status = f"wave {wave['waveNumber'] + 1}", wave["status"]
    needed = [each for each in wave["servers"] if not each.get("optional") and not each.get("excluded")]
    whole = all(launched(each) for each in needed)
    late = any(is_late(wave, each, end) for each in needed)
    told = end is not None and "launches" in end["detail"]
    if status == "COMPLETED" and (not whole or (told and late)):
        return f"{name} is COMPLETED, but not every server of it was launched"
    # Without that witness: a launch may be told of long after it was, and the wave did not wait for that.
    if status == "FAILED" and whole and not late and (told or wave["errorCode"] not in GIVEN_UP):
        return f"{name} is FAILED, but every server of it was launched"
    if status not in ("COMPLETED", "FAILED", "SKIPPED"):
        return f"{name} is {status}, although the run is over"
    return ""
