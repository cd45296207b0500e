"""What the report says of gates, in sentences."""

from typing import TYPE_CHECKING

from drsorch_verify.derive import span
from executions.states import GateAct
from plans.gates import words
from reports.sentences import clock

if TYPE_CHECKING:
    from reports.parts.gates import GateEntryShape
    from reports.report_data import RecordShape, WaveShape


def gates(record: "RecordShape") -> list[list[str]]:
    """Where the run waited for people, what was asked of them, for how long, and what they said to it."""
    return [
        [
            f"Before wave {wave['waveNumber'] + 1}, {wave['waveName']}" + (f": {words(gate)}" if gate else ""),
            span(wave["waitedSeconds"]),
            "\n".join([*(_act(each, wave) for each in wave["gateEntries"]), *_passing(wave)]),
        ]
        for wave in record["waves"]
        if wave["pausedTime"] is not None or wave["gateEntries"]
        for gate in (wave["gate"],)
    ]


def _passing(wave: "WaveShape") -> list[str]:
    """Who let it go on, where no line of the gate says so."""
    if any(each["act"] in (GateAct.RESUMED, GateAct.BROKEN, GateAct.APPROVED) for each in wave["gateEntries"]):
        return []
    return [f"Resumed by {wave['resumedBy']} at {clock(wave['resumedTime'])}" if wave["resumedBy"] else "Not resumed"]


def _act(entry: "GateEntryShape", wave: "WaveShape") -> str:
    act = GateAct.of(entry["act"])
    did = "Break-glass" if act is GateAct.BROKEN else act.label
    checks = (wave["gate"] or {"checklist": []})["checklist"]
    ticked = [checks[number] for number in entry["checklist"] if number < len(checks)]
    by = "" if act is GateAct.LAPSED else f" by {entry['by']}"
    said = f": “{entry['text']}”" if entry["text"] else ""
    seen = f" ({'; '.join(ticked)})" if ticked else ""
    mark = f" [{entry['digest'][:12]}]" if entry["digest"] else ""
    return f"{did}{by} at {clock(entry['time'])}{said}{seen}{mark}"


def broken_glass(record: "RecordShape") -> list[str]:
    """Gates that were passed without their approvals, in this attempt or one before: a sentence each."""
    return [
        f"{entry['by']} passed the gate before wave {wave['waveNumber'] + 1}, {wave['waveName']}, without what"
        f" it asks for at {clock(entry['time'])}: “{entry['text']}”"
        for tried in [*record["earlier"], record]
        for wave in tried["waves"]
        for entry in wave["gateEntries"]
        if entry["act"] == GateAct.BROKEN
    ]
