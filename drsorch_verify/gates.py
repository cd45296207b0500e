"""Gates: what is asked for before a wave, what approvers looked at, and whether each launch came after what guards it.

The product makes its digests by `state` and `digest`, too: what an approver saw is one form, written once.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from drsorch_verify import chain, history
from drsorch_verify.derive import UP

Json = dict[str, Any]
PASSES = ("gate.approved", "gate.broken", "execution.resume")
TICKED = ("gate.approved", "execution.resume")
LAUNCHES = ("launch.intent", "launch.adopted")


def state(plan: object, waves: Iterable[tuple[int, str, int, bool, Sequence[object]]]) -> Json:
    """What an approver looks at: the plan, and of each wave its number, status, attempt, whether a person skipped it,
    and its servers (id, status, instance, state of the instance, whether it was left out), in the order of their ids.
    """
    return {"plan": chain.sha256(chain.canonical(plan)), "waves": [list(each) for each in waves]}


def digest(looked_at: Json) -> str:
    """SHA-256 over its canonical JSON."""
    return chain.sha256(chain.canonical(looked_at))


@dataclass
class Gates:
    """The gates of one attempt, as far as its journal has been read."""

    entries: Sequence[Json]
    plan: Json
    asked: dict[int, Json | None]
    looked: Json
    begun: set[int]
    skipped: set[int]
    passed: set[int] = field(default_factory=set)
    given: list[Json] = field(default_factory=list)  # the approvals by now, the last one of each person

    def needed(self, number: int) -> int:
        """How many approvals stand before the wave: of its own gate, and of those of skipped waves before it that
        nobody has passed."""
        return max((each["approvals"] for each in self._in_force(number)), default=0)

    def unticked(self, number: int, entry: Json) -> list[str]:
        """Items of the checklist that stands before the wave that an entry does not say were ticked. It is that of the
        wave's own gate, and of those carried over that ask for approvals."""
        asked = self._in_force(number)
        own = self.asked.get(number)
        items = [item for each in asked if each["approvals"] or each is own for item in each.get("checklist", [])]
        ticked = entry["detail"].get("checklist", [])
        return [item for at, item in enumerate(dict.fromkeys(items)) if at not in ticked]

    def _in_force(self, number: int) -> list[Json]:
        found: list[Json] = []
        for at in range(number + 1):
            if (at < number and at not in self.skipped | self.begun) or at in self.begun or at in self.passed:
                found = []
            elif gate := self.asked.get(at):
                found.append(gate)
        return found


def problems(record: Json, entries: Sequence[Json]) -> list[str]:
    """What does not match, in sentences."""
    found = []
    for tried in [*record["earlier"], record]:
        about = "" if tried is record else f"attempt {tried['attempt']}, "
        mine = [each for each in entries if each["subject_id"] == tried["executionId"] and not each["refused"]]
        found += [f"report: {about}{text}" for text in _of_attempt(record, tried, mine)]
    return found


def _of_attempt(record: Json, tried: Json, entries: Sequence[Json]) -> Iterable[str]:
    if record["dryRun"]:
        return
    asked = _planned(record)
    for wave in tried["waves"]:
        if "gate" in wave and wave["gate"] != asked.get(wave["waveNumber"]):
            yield f"the gate before wave {wave['waveNumber'] + 1} is not the plan's"
    nothing_left = {each["waveNumber"]: each["status"] for each in tried["waves"] if not each["servers"]}  # of a retry
    stands = {number for number, status in nothing_left.items() if status == "COMPLETED"}
    gates = Gates(entries, record["plan"], asked, tried.get("lookedAt", {}), stands, set(nothing_left) - stands)
    for at, entry in enumerate(entries):
        yield from _take(gates, at, entry)
    yield from _of_lines(tried, entries)


def _planned(record: Json) -> dict[int, Json | None]:
    waves = {each["waveNumber"]: each.get("gate") for each in record["plan"].get("waves", [])}
    if record["executionType"] == "RECOVERY":
        waves[0] = record["plan"].get("startGate")
    return waves


def _take(gates: Gates, at: int, entry: Json) -> Iterable[str]:
    detail, verb = entry["detail"], entry["verb"]
    number = detail.get("wave")
    if verb == "wave.skipped":
        gates.skipped.update(_skipped(entry))
    elif verb == "execution.paused" and number is not None:
        gates.given = []
        gates.passed.discard(number)
    elif verb in ("gate.declined", "gate.lapsed"):
        gates.given = []
    elif verb == "gate.approved":
        yield from _of_approval(gates, at, entry)
    elif verb == "gate.broken":
        yield from _of_look(gates, at, entry)
    elif verb in LAUNCHES and number is not None:
        if verb == "launch.intent" and gates.needed(number):
            yield f"wave {number + 1} was launched before its gate was passed"
        gates.begun.add(number)
    if verb in TICKED and number is not None and (missing := gates.unticked(number, entry)):
        yield f"{entry['actor']} let wave {number + 1} go on without “{missing[0]}” of its checklist being ticked"
    if verb in PASSES and number is not None and (verb != "gate.approved" or "resumedTime" in detail):
        yield from _of_pass(gates, entry, gates.needed(number))
        gates.passed.add(number)


def _skipped(entry: Json) -> list[int]:
    """The waves of which an entry says it: several at once, or the one whose end it is."""
    detail = entry["detail"]
    waves = detail.get("waves", [detail.get("wave")])
    return waves if isinstance(waves, list) else []


def _of_approval(gates: Gates, at: int, entry: Json) -> Iterable[str]:
    start = next((each for each in gates.entries if each["verb"] in ("execution.start", "execution.retry")), None)
    if start is not None and _is_same(start, entry):
        yield f"{entry['actor']} approved a gate of the run that they started"
    if entry["actor_kind"] != "person":
        yield f"{entry['actor']}, who is no person, approved a gate"
    yield from _of_look(gates, at, entry)
    gates.given = [*(each for each in gates.given if not _is_same(each, entry)), entry]


def _is_same(one: Json, other: Json) -> bool:
    """Two sign-ins of one address or name are one person's, however it is spelled."""
    ids = one.get("actor_id"), other.get("actor_id")
    return bool(_key(one["actor"]) == _key(other["actor"]) or (ids[0] and ids[0] == ids[1]))


def _key(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def _of_pass(gates: Gates, entry: Json, needed: int) -> Iterable[str]:
    where = f"the gate before wave {entry['detail']['wave'] + 1}"
    if entry["verb"] == "execution.resume" and needed:
        yield f"{where} was passed without its approvals"
    if entry["verb"] == "gate.approved":
        same = sum(each["detail"]["digest"] == entry["detail"]["digest"] for each in gates.given)
        if same < needed:
            yield f"{where} was passed with {same} of {needed} approvals"


def _of_look(gates: Gates, at: int, entry: Json) -> Iterable[str]:
    """What was looked at must have the entry's digest, and be what the journal knew by then."""
    told, who = entry["detail"]["digest"], entry["actor"]
    looked = gates.looked.get(told)
    if looked is None or digest(looked) != told:
        yield f"what {who} looked at does not have the digest that the journal says"
        return
    if looked["plan"] != chain.sha256(chain.canonical(gates.plan)):
        yield f"{who} looked at another plan than the run’s"
    before = gates.entries[:at]
    for number, *rest in looked["waves"]:
        if any(_of_wave(number, rest, before, stands=number in gates.begun)):
            yield f"wave {number + 1} was not as {who} looked at it"


def _of_wave(number: int, looked: Sequence[Any], before: Sequence[Json], *, stands: bool) -> Iterable[bool]:
    """Whether something of a wave was otherwise, by the entries before the look."""
    status, attempt, by_person, servers = looked
    mine = [each for each in before if each["detail"].get("wave") == number]
    ends = [each for each in mine if each["verb"] in ("wave.completed", "wave.failed", "wave.retried")]
    skips = [each for each in before if each["verb"] == "wave.skipped" and number in _skipped(each)]
    ended = ends[-1]["verb"].removeprefix("wave.").upper() if ends else ""
    if ended in ("COMPLETED", "FAILED") or status in ("COMPLETED", "FAILED"):
        yield status != ended and not (stands and not servers)
    yield bool(skips) and status != "SKIPPED"
    yield by_person != any("reason" in each["detail"] for each in skips)
    yield attempt != 1 + sum(each["verb"] == "wave.retried" for each in mine)
    excluded = {each["detail"]["sourceServerId"] for each in mine if each["verb"] == "server.excluded"}
    yield excluded != {server for server, *_, out in servers if out}
    anchors = history.anchors(before)
    for server, launch_status, *_ in servers:
        known = anchors.get(server, [None])[0]
        yield known not in (None, "PENDING", "IN_PROGRESS") and (known in UP) != (launch_status in UP)


def _of_lines(tried: Json, entries: Sequence[Json]) -> Iterable[str]:
    """What the report shows of its gates, against the journal."""
    acts = {"APPROVED": "gate.approved", "BROKEN": "gate.broken", "DECLINED": "gate.declined", "LAPSED": "gate.lapsed"}
    for wave in tried["waves"]:
        lines = [each for each in wave.get("gateEntries", []) if each["act"] in acts]
        told = [each for each in entries if each["detail"].get("wave") == wave["waveNumber"]]
        shown = [
            (acts[each["act"]], each["by"], each["text"], each["digest"], each.get("checklist", [])) for each in lines
        ]
        known = [
            (each["verb"], each["actor"], *_said(each["detail"])) for each in told if each["verb"] in acts.values()
        ]
        if "gateEntries" in wave and shown != known:
            yield f"what was done at the gate before wave {wave['waveNumber'] + 1} is not as the journal says"


def _said(detail: Json) -> tuple[str, str | None, list[int]]:
    text = str(detail.get("comment") or detail.get("reason") or detail.get("text") or "")
    return text, detail.get("digest"), detail.get("checklist", [])
