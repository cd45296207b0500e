"""Two finished runs side by side: their reports in, what is the same and what differs out. Pure: no rows, no clock."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from contract.clock import span
from executions.measuring.time_parts import Part
from executions.states import ExecutionStatus, Kind, WaveStatus
from plans.fields import PLAN, WAVE, Field, Fields
from plans.fields import Kind as Held
from reports.parts.gate_words import gates
from reports.report_data import RecordShape, ServerShape, WaveShape
from reports.sentences import became, clock, facts

NAMED = 100  # servers of a kind that are named; the reports have all


@dataclass(frozen=True)
class Line:
    """Something of both runs, in words."""

    what: str
    one: str
    other: str
    note: str = ""

    @property
    def differs(self) -> bool:
        """Not told of what differs between any two runs."""
        return self.one != self.other and self.what not in ("Run", "Started", "Ended")


@dataclass(frozen=True)
class Servers:
    """Servers of one kind of difference, the first of them named."""

    title: str
    lines: Sequence[Line]

    @property
    def shown(self) -> Sequence[Line]:
        return self.lines[:NAMED]

    @property
    def more(self) -> int:
        return len(self.lines) - len(self.shown)


@dataclass(frozen=True)
class WaveLines:
    """A wave of both runs, by its number: one of them may lack it."""

    number: int
    lines: Sequence[Line]


# Facts of a report that are times, and where its figures have them.
COMPARED = {
    "Recovery time achieved (RTA)": "rto",
    "Until every server was usable": "usableRto",
    "Recovery point achieved (RPA)": "rpo",
}


@dataclass(frozen=True)
class Comparison:
    """All of it, `one` on the left."""

    one: RecordShape
    other: RecordShape

    @property
    def is_of_one_plan(self) -> bool:
        return self.one["planId"] is not None and self.one["planId"] == self.other["planId"]

    @property
    def achieved(self) -> list[Line]:
        """The facts of both reports, RTA and RPA among them, and how the two times differ if both runs are complete."""
        left, right = ({**_head(each), **dict(facts(each))} for each in self._both)
        names = [*left, *(each for each in right if each not in left)]
        return [Line(each, left.get(each, "–"), right.get(each, "–"), self._change(each)) for each in names]

    def _change(self, name: str) -> str:
        key = COMPARED.get(name)
        one, other = self.one["measured"], self.other["measured"]
        if key is None:
            return ""
        if not (one["complete"] and other["complete"]):
            return "not compared: not every server launched"
        return change(one[key]["seconds"], other[key]["seconds"]) or "not known of both"  # type: ignore[literal-required]

    @property
    def settings(self) -> list[Line]:
        """What was set otherwise: the run’s own, the plan’s, each wave’s."""
        found = [*_run_settings(self.one, self.other), *_set(PLAN, "", self.one["plan"], self.other["plan"])]
        for one, other in zip_longest(self.one["plan"].get("waves", []), self.other["plan"].get("waves", [])):
            if one and other:
                found += _wave_settings(one, other)
        return found

    @property
    def servers(self) -> list[Servers]:
        """Who is in one alone, who came out otherwise, and who stood in another wave."""
        one, other = _servers(self.one), _servers(self.other)
        both = [(one[key], other[key]) for key in one if key in other]
        kinds = [
            ("Only in the first run", [_alone(each, left=True) for key, each in one.items() if key not in other]),
            ("Only in the second run", [_alone(each, left=False) for key, each in other.items() if key not in one]),
            ("Another outcome", [_outcomes(*each) for each in both if became(each[0][1]) != became(each[1][1])]),
            ("In another wave", [_waves_of(*each) for each in both if each[0][0] != each[1][0]]),
        ]
        return [Servers(title, lines) for title, lines in kinds if lines]

    @property
    def same_servers(self) -> int:
        one, other = _servers(self.one), _servers(self.other)
        return sum(key in other and became(each[1]) == became(other[key][1]) for key, each in one.items())

    @property
    def waves(self) -> list[WaveLines]:
        """Each wave: how it ended, how long it took, and on what that time went."""
        left, right = ({each["waveNumber"]: each for each in of["waves"]} for of in (self.one, self.other))
        return [
            WaveLines(number + 1, list(_wave(left.get(number), right.get(number))))
            for number in sorted({*left, *right})
        ]

    @property
    def approvals(self) -> list[Line]:
        """What was asked and said at the gates."""
        left, right = ({name: f"waited {waited}\n{said}" for name, waited, said in gates(of)} for of in self._both)
        names = [*left, *(each for each in right if each not in left)]
        return [Line(each, left.get(each, "not asked"), right.get(each, "not asked")) for each in names]

    @property
    def _both(self) -> tuple[RecordShape, RecordShape]:
        return self.one, self.other


def change(one: int | None, other: int | None) -> str:
    """How much longer the second took."""
    if one is None or other is None:
        return ""
    if one == other:
        return "the same"
    return f"{span(abs(other - one))} {'more' if other > one else 'less'}"


OF_RUN: Sequence[tuple[str, Callable[[RecordShape], str]]] = (
    (
        "Launched from",
        lambda each: f"newest snapshots until {clock(at)}" if (at := each["pointInTime"]) else "new data",
    ),
    ("RTO at the start", lambda each: _minutes(each["rtoMinutes"])),
    ("RPO at the start", lambda each: _minutes(each["rpoMinutes"])),
)


def _head(record: RecordShape) -> dict[str, str]:
    """What stands above the facts of a report."""
    kind, measured = Kind.of(record["executionType"]).label, record["measured"]
    return {
        "Type": f"Dry run of a {kind.lower()}" if record["dryRun"] else kind,
        "Status": ExecutionStatus.of(record["status"]).label,
        "Servers launched": f"{measured['launchedServers']} of {measured['servers']}",
    }


def _run_settings(one: RecordShape, other: RecordShape) -> list[Line]:
    lines = [Line(what, told(one), told(other)) for what, told in OF_RUN]
    return [each for each in lines if each.differs]


def _minutes(minutes: int | None) -> str:
    return "no target" if minutes is None else f"{minutes} min"


def _set(fields: Fields, where: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Line]:
    told = [
        (each, _told(each, one), _told(each, other)) for each in fields if each.name not in ("rtoMinutes", "rpoMinutes")
    ]
    return [Line(f"{where}{each.title}", left, right) for each, left, right in told if left != right]


def _told(field: Field, kept: Mapping[str, Any]) -> str:
    told = field.told(kept)
    if field.kind is Held.MINUTES:
        return f"{told} {field.unit}" if told else field.without
    return told or "–"


def _wave_settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Line]:
    where = f"Wave {one.get('waveNumber', 0) + 1}: "
    needs = [", ".join(f"wave {each + 1}" for each in wave.get("dependsOnWaves", [])) or "–" for wave in (one, other)]
    optional = [len(wave.get("optionalServerIds", [])) for wave in (one, other)]
    found = _set(WAVE, where, one, other)
    if needs[0] != needs[1]:
        found.append(Line(f"{where}needs", *needs))
    if {*one.get("optionalServerIds", [])} != {*other.get("optionalServerIds", [])}:
        found.append(Line(f"{where}optional servers", *(str(each) for each in optional)))
    return found


Placed = tuple[int, ServerShape]


def _servers(record: RecordShape) -> dict[str, Placed]:
    """Every server of the run with the number of its wave, as the last attempt so far left it."""
    tried = [*(each["waves"] for each in record["earlier"]), record["waves"]]
    return {
        each["sourceServerId"]: (wave["waveNumber"], each) for of in tried for wave in of for each in wave["servers"]
    }


def _told_of(server: ServerShape) -> str:
    """How it came out, when, and why not."""
    up = f" after {span(server['rtoSeconds'])}" if server["rtoSeconds"] is not None else ""
    why = f": {server['error']}" if server["error"] else ""
    return f"{became(server)}{up}{why}"


def _alone(placed: Placed, *, left: bool) -> Line:
    wave, server = placed
    told = f"wave {wave + 1}, {_told_of(server)}"
    return Line(_name(server), *((told, "–") if left else ("–", told)))


def _outcomes(one: Placed, other: Placed) -> Line:
    return Line(_name(other[1]), _told_of(one[1]), _told_of(other[1]))


def _waves_of(one: Placed, other: Placed) -> Line:
    return Line(_name(other[1]), f"wave {one[0] + 1}", f"wave {other[0] + 1}")


def _name(server: ServerShape) -> str:
    return f"{server['hostname']} ({server['sourceServerId']})"


def _told_time(seconds: int | None) -> str:
    return "–" if seconds is None else span(seconds)


def _wave(one: WaveShape | None, other: WaveShape | None) -> Iterator[Line]:
    both = (one, other)
    yield Line("Name", *(each["waveName"] if each else "no such wave" for each in both))
    yield Line("Status", *(WaveStatus.of(each["status"]).label if each else "–" for each in both))
    times: list[tuple[str, list[int | None]]] = [
        ("Last server up after", [each["tookSeconds"] if each else None for each in both]),
        *(
            (f"{part.words[0].upper()}{part.words[1:]}", [each["split"][part.value] if each else None for each in both])
            for part in Part
        ),
        ("Waited at its gate", [each["waitedSeconds"] if each and each["pausedTime"] else None for each in both]),
    ]
    for what, seconds in times:
        if any(each is not None for each in seconds):
            yield Line(what, _told_time(seconds[0]), _told_time(seconds[1]), note=change(seconds[0], seconds[1]))
