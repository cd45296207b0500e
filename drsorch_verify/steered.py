"""What people did to single waves and servers of a run, and said of it afterwards, against what the journal says.

Only what somebody said, at the time, takes a server or a wave out of the reckoning: a row that says so by itself would
make a failed run a complete one.
"""

from collections.abc import Iterable, Sequence
from typing import Any

Json = dict[str, Any]


def of_wave(wave: Json, told: Sequence[Json]) -> list[str]:
    """What does not match of one wave, in sentences."""
    number, accepted = wave["waveNumber"], [entry for entry in told if not entry["refused"]]
    found = _of_skip(wave, [each for each in accepted if each["verb"] == "wave.skipped" and _covers(each, number)])
    mine = [each for each in accepted if each["detail"].get("wave") == number]
    excluded = {each["detail"]["sourceServerId"]: each for each in mine if each["verb"] == "server.excluded"}
    for server in wave["servers"]:
        found += _of_exclusion(server, excluded.get(server["sourceServerId"]))
    retries = [each for each in mine if each["verb"] == "wave.retried"]
    if wave.get("attempt", 1) != 1 + len(retries):
        found.append(f"it was tried {wave['attempt']} times, the journal says {1 + len(retries)}")
    told_of = [each["detail"] for each in retries if "retriedTime" in each["detail"]]
    times = [{"askedTime": each["askedTime"], "retriedTime": each["retriedTime"]} for each in told_of]
    if wave.get("retries", times) != times:
        found.append("when people decided to try it again is not as the journal says")
    return found + _of_question(wave, accepted, retries)


def of_optional(wave: Json, plan: Json) -> list[str]:
    """Servers that are optional although the plan of the run does not say so."""
    planned: Iterable[Json] = (each for each in plan.get("waves", []) if each["waveNumber"] == wave["waveNumber"])
    optional = [server for each in planned for server in each.get("optionalServerIds", [])]
    wrong = [each for each in wave["servers"] if bool(each.get("optional")) != (each["sourceServerId"] in optional)]
    return [f"whether {each['hostname']} is optional is not what the plan says" for each in wrong]


def _covers(entry: Json, number: int) -> bool:
    waves = entry["detail"].get("waves")
    return isinstance(waves, list) and number in waves


def _of_skip(wave: Json, entries: Iterable[Json]) -> list[str]:
    by_people = [each for each in entries if "reason" in each["detail"]]
    kept = wave.get("skipped")
    if kept is None:
        return ["a person skipped it, as the journal says"] if by_people else []
    if not any(_same(kept, each) for each in by_people):
        return ["the journal does not say that it was skipped by a person"]
    return [] if wave["status"] == "SKIPPED" else [f"a person skipped it, but it is {wave['status']}"]


def _same(kept: Json, entry: Json) -> bool:
    detail = entry["detail"]
    return bool(kept["by"] == detail["by"] == entry["actor"] and kept["reason"] == detail["reason"])


def _of_exclusion(server: Json, entry: Json | None) -> list[str]:
    name, kept = server["hostname"], server.get("excluded")
    if (kept is None) != (entry is None):
        return [f"whether {name} was left out is not as the journal says"]
    if kept is None or entry is None:
        return []
    if kept["by"] != entry["actor"] or kept["reason"] != entry["detail"]["text"]:
        return [f"who left {name} out, and why, is not as the journal says"]
    return [f"{name} was left out, and launched"] if server["launchTime"] is not None else []


def _of_question(wave: Json, told: Sequence[Json], retries: Sequence[Json]) -> list[str]:
    """Where the run waited after the wave's failure: who let it go on."""
    if wave.get("answeredBy") is None:
        return []
    after = [each for each in told if each["detail"].get("afterWave") == wave["waveNumber"]]
    last = retries[-1]["id"] if retries else 0
    resumed = [each for each in after if each["verb"] == "execution.resume" and each["id"] > last]
    same = any(each["actor"] == wave["answeredBy"] for each in resumed)
    return [] if same else ["the journal does not say who let the run go on after it failed"]


def said_afterwards(record: Json, entries: Iterable[Json]) -> list[str]:
    """Findings and sign-offs are those of the journal: none is left out, added, or worded otherwise. Reports from
    before there were any have neither."""
    mine = [each for each in entries if each["subject_id"] == record["executionId"] and not each["refused"]]
    signed = [
        {"by": each["actor"], "time": each["detail"]["time"], "lookedAt": each["detail"]["lookedAt"]}
        for each in mine
        if each["verb"] == "execution.signed_off" and each["actor_kind"] != "service"
    ]
    found = [] if record.get("signOffs", []) == signed else ["report: its sign-offs are not those of the journal"]
    told = {each["findingId"]: each for each in record.get("findings", [])}
    if len(told) == len(record.get("findings", [])) and told == _findings(mine):
        return found
    return [*found, "report: its findings are not those of the journal"]


def _findings(entries: Iterable[Json]) -> dict[str, Json]:
    known: dict[str, Json] = {}
    for each in entries:
        detail = each["detail"]
        if each["verb"] == "finding.filed":
            said = {name: detail[name] for name in ("findingId", "text", "owner", "severity", "dueDate")}
            closed = dict.fromkeys(("closedBy", "closedTime", "closedReason", "closedByExecutionId"))
            known[detail["findingId"]] = {**said, "filedBy": each["actor"], "filedTime": detail["time"], **closed}
        elif each["verb"] == "finding.changed" and detail["findingId"] in known:
            known[detail["findingId"]] |= {name: detail[name] for name in ("text", "owner", "severity", "dueDate")}
        elif each["verb"] == "finding.closed" and detail["findingId"] in known:
            known[detail["findingId"]] |= {
                "closedBy": each["actor"],
                "closedTime": detail["time"],
                "closedReason": detail["reason"] or None,
                "closedByExecutionId": detail["byExecution"],
            }
    return known
