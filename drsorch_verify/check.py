"""All the checks of a pack, in the order in which one thing vouches for the next.

The archive has one exact form. Its manifest follows from its files and its journal. The journal's chain ends in the
entry that was made with the pack, which holds the digest of every other file. The report's figures follow from what it
says happened, and that agrees with the journal.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from drsorch_verify import archive, came_up, chain, derive, gates, history, steered, tables

Json = dict[str, Any]
EVIDENCE = "execution.evidence"
JOURNAL, MANIFEST, REPORT, TABLE = "journal.json", "manifest.json", "report.json", "report.csv"
FORMAT = "drsorch-evidence/2"
REPORT_FORMAT = "drsorch-report/2"
# Nothing else belongs into a pack; those of versions before 1.1.0 had a copy of this program, which nobody may run.
NAMES = {"README.txt", "calls.json", "report.pdf", JOURNAL, MANIFEST, REPORT, TABLE}
PROGRAM = re.compile(r"drsorch_verify/[a-z_]+\.py")


def problems(pack: bytes, head: str = "") -> list[str]:
    """What does not match, in sentences; nothing when the pack holds. `head` is a SEQ:DIGEST noted elsewhere."""
    try:
        files = archive.read(pack)
    except ValueError as error:
        return [str(error)]
    strange = [name for name in files if name not in NAMES and not PROGRAM.fullmatch(name)]
    lost = [name for name in (JOURNAL, MANIFEST, REPORT) if name not in files]
    if strange or lost:
        return [f"{name} is no file of an evidence pack" for name in strange] + [f"{name} is missing" for name in lost]
    try:
        return _contents(files, head)
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        StopIteration,
        RecursionError,
        ArithmeticError,
    ) as error:
        return [f"a document in the pack is not what it should be: {type(error).__name__} {error}"]


def _contents(files: Mapping[str, bytes], head: str) -> list[str]:
    told = json.loads(files[MANIFEST])["format"]
    if told != FORMAT:
        return [f"the pack is of format {told}; this program checks {FORMAT}: use a copy of its own time"]
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
    entries = _entries(journal)[:-1]
    found = _figure_problems(record) + history.problems(record, entries) + gates.problems(record, entries)
    found += steered.said_afterwards(record, entries)
    if files.get(TABLE) not in (tables.as_csv(record).encode(), tables.as_csv_before(record).encode(errors="replace")):
        found.append("report.csv does not follow from report.json")
    return found


def notes(pack: bytes) -> list[str]:
    """What of a pack that holds rests on the report alone, in sentences."""
    files = archive.read(pack)
    program = any(PROGRAM.fullmatch(name) for name in files)
    told = ["There is a program in the pack, as in those of versions before 1.1.0. It was not run; do not run it."]
    return told * program + history.notes(json.loads(files[REPORT]), _entries(json.loads(files[JOURNAL])))


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
    entries = _entries(journal)[:-1]
    runs = history.lineage(anchor["subject_id"], entries)
    mine = [each["id"] for each in entries if each["subject_id"] in runs]
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
    found = _differences("the run", record["measured"], derive.run_figures(record) | came_up.figures(record))
    found += derive.verdict_problems(record)
    for attempt in [*record["earlier"], record]:
        found += _wave_problems(record, attempt)
    return found


def _wave_problems(record: Json, attempt: Json) -> list[str]:
    found = []
    for wave in attempt["waves"]:
        name = f"wave {wave['waveNumber'] + 1}"
        name += "" if attempt is record else f" of attempt {attempt['attempt']}"
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
