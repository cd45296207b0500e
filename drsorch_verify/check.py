"""All the checks of a pack, in the order in which one thing vouches for the next.

The archive has one exact form. Its manifest follows from its files and its journal. The journal's chain ends in the
entry that was made with the pack, which holds the digest of every other file. The report's figures follow from what it
says happened, and that agrees with the journal.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from drsorch_verify import archive, chain, derive

Json = dict[str, Any]
EVIDENCE = "execution.evidence"
JOURNAL, MANIFEST, REPORT = "journal.json", "manifest.json", "report.json"
FORMAT = "drsorch-evidence/1"


def problems(pack: bytes, head: str = "") -> list[str]:
    """What does not match, in sentences; nothing when the pack holds. `head` is a SEQ:DIGEST noted elsewhere."""
    try:
        files = archive.read(pack)
    except ValueError as error:
        return [str(error)]
    lost = [name for name in (JOURNAL, MANIFEST, REPORT) if name not in files]
    if lost:
        return [f"{name} is missing" for name in lost]
    try:
        return _contents(files, head)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration, RecursionError) as error:
        return [f"a document in the pack is not what it should be: {type(error).__name__} {error}"]


def _contents(files: Mapping[str, bytes], head: str) -> list[str]:
    journal = json.loads(files[JOURNAL])
    if files[JOURNAL] != document(journal) or set(journal) != {"previous", "links"}:
        return ["journal.json was changed"]
    broken = chain.follow(journal)
    if broken:
        return broken
    anchor = journal["links"][-1].get("entry") if journal["links"] else None
    if anchor is None or anchor["verb"] != EVIDENCE or anchor["refused"]:
        return ["journal: it does not end in the entry that was made with the pack"]
    found = _slice_problems(journal, anchor) + _digest_problems(files, anchor)
    if files[MANIFEST] != document(manifest(files, journal)):
        found.append("manifest.json does not follow from the files and the journal")
    found += _head_problems(journal, head)
    if found:
        return found
    record = json.loads(files[REPORT])
    if record["executionId"] != anchor["subject_id"]:
        return ["report.json is about another run than the journal"]
    return _figure_problems(record) + _history_problems(record, _entries(journal))


def document(content: object) -> bytes:
    """A document as it stands in a pack: one spelling, so that no byte of it is free."""
    return (json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def manifest(files: Mapping[str, bytes], journal: Json) -> Json:
    """What the manifest of a pack says: a digest for each file but itself, and where the journal's slice ends."""
    last = journal["links"][-1]
    return {
        "format": FORMAT,
        "executionId": last["entry"]["subject_id"],
        "head": f"{last['seq']}:{last['digest']}",
        "files": {name: digest(content) for name, content in files.items() if name != MANIFEST},
    }


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def own_digest(ids: list[int]) -> str:
    """Which entries are of the run: so that none can be left out, or hidden behind its digest."""
    return digest(chain.canonical(ids).encode())


def _entries(journal: Json) -> list[Json]:
    return [link["entry"] for link in journal["links"] if "entry" in link]


def _slice_problems(journal: Json, anchor: Json) -> list[str]:
    """The slice begins where the anchor says, and has the entries that it says."""
    detail, first = anchor["detail"], journal["links"][0]
    mine = [each["id"] for each in _entries(journal)[:-1] if each["subject_id"] == anchor["subject_id"]]
    found = []
    if (first["seq"], journal["previous"]) != (detail["firstSeal"], detail["previous"]):
        found.append("journal: it does not begin where it did when the pack was made")
    if own_digest(sorted(mine)) != detail["entries"]:
        found.append("journal: entries of the run were removed, hidden or added")
    return found


def _digest_problems(files: Mapping[str, bytes], anchor: Json) -> list[str]:
    told = anchor["detail"]["files"]
    here = {name: digest(content) for name, content in files.items() if name not in (JOURNAL, MANIFEST)}
    found = [f"{name} is missing" for name in sorted(set(told) - set(here))]
    found += [f"{name} does not belong to the pack" for name in sorted(set(here) - set(told))]
    return found + [f"{name} was changed" for name in sorted(set(told) & set(here)) if told[name] != here[name]]


def _head_problems(journal: Json, head: str) -> list[str]:
    if not head:
        return []
    seals = {f"{link['seq']}:{link['digest']}" for link in journal["links"]}
    return [] if head in seals else [f"the head {head} that was noted elsewhere is not in the journal's slice"]


def _figure_problems(record: Json) -> list[str]:
    found = _differences("the run", record["measured"], derive.run_figures(record))
    for wave in record["waves"]:
        name = f"wave {wave['waveNumber'] + 1}"
        found += _differences(name, wave, derive.wave_figures(record, wave))
        for server in wave["servers"]:
            found += _differences(f"{name}, {server['hostname']}", server, derive.server_figures(record, wave, server))
    return found


def _differences(what: str, told: Json, derived: Json) -> list[str]:
    return [
        f"report: {name} of {what} is {told.get(name)!r}, derived {value!r}"
        for name, value in derived.items()
        if told.get(name) != value
    ]


def _history_problems(record: Json, entries: list[Json]) -> list[str]:
    """What the report says happened, against what the journal said when it happened."""
    done = [entry for entry in entries if entry["subject_id"] == record["executionId"] and not entry["refused"]]
    cancelled = any(entry["verb"] == "execution.cancel" for entry in done)
    found = derive.status_problems(record, cancelled=cancelled)
    for entry in done:
        if entry["verb"] == "execution.ended" and entry["outcome"] != record["status"]:
            found.append(f"report: the run's status is {record['status']}, the journal says {entry['outcome']}")
    told = {(entry["verb"], entry["detail"].get("wave")) for entry in done}
    for wave in record["waves"]:
        verb = f"wave.{wave['status'].lower()}"
        if (
            wave["status"] in ("COMPLETED", "FAILED")
            and not record["dryRun"]
            and (verb, wave["waveNumber"]) not in told
        ):
            found.append(f"report: the journal does not say that wave {wave['waveNumber'] + 1} {wave['status']}")
    sent = {entry["detail"].get("jobId") for entry in done if entry["verb"] in ("launch.sent", "launch.adopted")}
    for job in (job for wave in record["waves"] for job in wave["jobs"]):
        if job["jobId"] and job["jobId"] not in sent:
            found.append(f"report: the journal does not know the job {job['jobId']}")
    return found + _journal_problems(record, entries)


def _journal_problems(record: Json, entries: list[Json]) -> list[str]:
    known = {entry["id"]: entry for entry in entries}
    found = []
    for line in record["journal"]:
        entry = known.get(line["entryId"])
        same = entry and all(entry[name] == line[name] for name in ("actor", "verb", "outcome", "refused"))
        if not same:
            found.append(f"report: its journal line {line['entryId']} is not in the journal")
    return found
