"""What became of a run's instances after it, against what the journal said each time that one was asked for or gone.

Four outcomes are told apart: accepted by DRS, gone without that, failed, and not known to DRS any more. Each follows
from the last that the journal has of the instance. Reports of versions before 1.1.0 do not tell them apart.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
GONE = ("terminate.gone", "terminate.found_gone", "instance.terminated", "instances.replaced")
LOST = ("terminate.unknown", "instance.left_drs")
ACCEPTED, REFUSED, NOT_DONE = "accepted", "refused", "not done"
ENDED_STATES = ("TERMINATED", "NOT_FOUND", "SHUTTING-DOWN")
NEVER_NAMED = "INSTANCE_NOT_KNOWN"  # of an instance without an id, for which DRS cannot be asked


@dataclass
class Told:
    """What the journal says: the last word on each instance that was asked for, with the code of a failure, and which
    instances were seen to be gone, or not to be known to DRS any more."""

    word: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    jobs: set[str] = field(default_factory=set)

    def is_gone(self, server: Json) -> bool:
        """By its id, or by its server's where it had none; journals before 1.1.0 may have nothing in its place."""
        return not self.gone.isdisjoint({server["recoveryInstanceId"] or "", server["sourceServerId"], ""})


def problems(record: Json, entries: Iterable[Json]) -> list[str]:
    """What does not match, in sentences."""
    shown = record["cleanup"]
    mine = [entry for entry in entries if entry["subject_id"] == record["executionId"] and not entry["refused"]]
    told, found = replay(mine), _of_proof(record, mine)
    found += [f"the journal does not tell that {each} was to be terminated" for each in shown.get("accepted", [])
              if each not in told.word]  # fmt: skip
    if "alreadyGone" not in shown:
        return found
    earlier = shown.get("earlierInstances", [])
    servers = [*(server for wave in record["waves"] for server in wave["servers"]), *earlier]
    found += _of_earlier(earlier, mine)
    found += _of_replaced(shown, mine)
    found += _of_servers(servers, told)
    found += list(_of_outcomes(shown, servers, told))
    lost = [each["jobId"] for each in shown["jobs"] if each["jobId"] and each["jobId"] not in told.jobs]
    return found + [f"the journal does not know the termination {each}" for each in lost]


def _of_earlier(shown: Iterable[Json], mine: Iterable[Json]) -> list[str]:
    """Instances of launches before a wave was tried again: each that had one by then, and no other."""
    told = sorted(
        (entry["detail"]["wave"], server, kept[2])
        for entry in mine
        if entry["verb"] == "wave.retried"
        for server, kept in entry["before"]["servers"].items()
        if kept[2]
    )
    says = sorted((each["waveNumber"], each["sourceServerId"], each["recoveryInstanceId"]) for each in shown)
    return [] if says == told else ["the instances of launches before a retry are others than the journal says"]


def _of_replaced(shown: Json, mine: Iterable[Json]) -> Iterator[str]:
    """Which launch ended them, of those that are told to have ended for one; the first releases do not tell them."""
    if "replaced" not in shown:
        return
    by = {
        each: entry["detail"].get("byExecution") or entry["detail"].get("byJob")
        for entry in mine
        if entry["verb"] == "instances.replaced"
        for each in entry["detail"]["instances"]
    }
    says = {each: one["executionId"] or one["jobId"] for one in shown["replaced"] for each in one["instances"]}
    follows = {each: by[each] for each in shown["alreadyGone"] if each in by}
    for each in sorted(says.keys() | follows.keys()):
        if says.get(each) != follows.get(each):
            yield f"which launch replaced {each}, if one did, is not what the journal says"


def replay(entries: Iterable[Json]) -> Told:
    """The entries of one run, in their order."""
    told = Told()
    for entry in entries:
        verb, detail = entry["verb"], entry["detail"]
        ids = detail.get("instances", [])
        if verb in ("execution.terminate", "terminate.sent"):
            told.word |= dict.fromkeys(ids, (ACCEPTED, None))
            told.jobs |= {detail["jobId"]} if "jobId" in detail else set()
        elif verb == "terminate.refused":
            told.word |= dict.fromkeys(ids, (REFUSED, entry["outcome"]))
        elif verb == "terminate.ended":
            codes = detail.get("codes", {})
            told.word |= {each: (NOT_DONE, codes.get(each)) for each in detail["failed"]}
            told.gone |= set(detail["terminated"])
            told.lost |= set(detail["failed"])
        elif verb in GONE:
            told.gone |= set(ids)
        elif verb in LOST:
            told.lost |= set(ids)
    return told


def _of_servers(servers: Iterable[Json], told: Told) -> list[str]:
    """TERMINATED is what the journal had as gone, and nothing else: what is only not listed may run on, in EC2."""
    found = []
    for each in servers:
        if each["launchStatus"] == "TERMINATED" and not told.is_gone(each):
            found.append(f"{each['hostname']} is TERMINATED, the journal does not say that its instance is gone")
        if each["launchStatus"] == "LAUNCHED" and each["recoveryInstanceId"] in told.gone:
            found.append(f"{each['hostname']} is LAUNCHED, the journal says that its instance is gone")
    return found


def _of_outcomes(shown: Json, servers: Sequence[Json], told: Told) -> Iterator[str]:
    gone = {each["recoveryInstanceId"] for each in servers if each["launchStatus"] == "TERMINATED"} - {None}
    unknown = set(shown["unknownToDrs"])
    accepted = {each for each, (word, _) in told.word.items()
                if word == ACCEPTED or (word == NOT_DONE and each in gone)}  # fmt: skip
    failed = told.word.keys() - accepted - gone - unknown
    named = {each["recoveryInstanceId"] for each in shown["failed"] if each["recoveryInstanceId"]}
    outcomes = (
        ("accepted", set(shown["accepted"]), accepted),
        ("already gone", set(shown["alreadyGone"]), gone - accepted),
        ("failed", named, failed),
    )
    for name, says, follows in outcomes:
        for each in sorted(says ^ follows):
            yield f"the journal says that {each} is {'not ' if each in says else ''}among the instances {name}"
    for each in sorted(unknown - told.lost):
        yield f"the journal does not say that DRS lost sight of {each}"
    for each in shown["failed"]:
        code = told.word.get(each["recoveryInstanceId"], ("", NEVER_NAMED))[1]
        if code not in (None, each["code"]):
            yield f"why {each['recoveryInstanceId']} was not terminated is not what the journal says"
    yield from _of_running(shown, servers)


def _of_running(shown: Json, servers: Iterable[Json]) -> Iterator[str]:
    up = [each for each in servers if _stands(each)]
    if shown["status"] == "COMPLETED" and up:
        yield f"the clean-up is COMPLETED, but instances of {len(up)} launches stand"
    known = {each["recoveryInstanceId"] for each in up if each["recoveryInstanceId"]}
    running = len(known - {*shown["unknownToDrs"], *shown["stopped"]})
    if shown["stillRunning"] != running:
        yield f"{shown['stillRunning']} instances are still running, by what became of the servers {running}"


def _stands(server: Json) -> bool:
    """Whether its instance does, as far as is known: also of one that launched and did not come up as it had to."""
    if server["launchStatus"] != "FAILED" or server["errorCode"] != "NOT_USABLE":
        return bool(server["launchStatus"] == "LAUNCHED")
    return bool(server["recoveryInstanceId"]) and server["instanceState"] not in ENDED_STATES


def _of_proof(record: Json, mine: Sequence[Json]) -> list[str]:
    """What DRS listed when it was asked again afterwards."""
    shown = record["cleanup"]
    proved = [entry for entry in mine if entry["verb"] == "terminate.proved"]
    proof, whole = shown.get("proof"), proved[-1]["detail"]["proof"] if proved else None
    if proof is not None and proof != whole and shown["status"] == "COMPLETED" and _covers(proof, record):
        return ["what DRS listed after the clean-up is not what the journal says"]
    return []


def _covers(proof: Sequence[Json], record: Json) -> bool:
    """Whether DRS was asked wherever the run had instances: before that the journal has no entry of it."""
    places = {(job["accountId"], job["region"]) for wave in record["waves"] for job in wave["jobs"] if job["jobId"]}
    return places <= {(each["accountId"], each["region"]) for each in proof}
