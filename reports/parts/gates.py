"""What was done at the gates of a run, as the report has it."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from contract.clock import unix
from executions.models import GateEntry, WaveRun
from executions.states import GateAct


class GateEntryShape(TypedDict):
    """What somebody did at a gate, or that approvals lapsed. `digest` is of what they looked at: see `lookedAt`."""

    act: str
    by: str
    time: int
    pausedTime: int
    text: str
    checklist: list[int]
    digest: str | None


Entries = Mapping[int, Sequence[GateEntry]]
SHOWN = [each.value for each in GateAct if each is not GateAct.REMINDED]


def gate_entries(waves: Iterable[WaveRun]) -> Entries:
    """By the key of the wave, oldest first. One query, if a run waited at any."""
    found: dict[int, list[GateEntry]] = defaultdict(list)
    waited = [each for each in waves if each.paused_at is not None]
    rows = GateEntry.objects.filter(wave__in=waited, act__in=SHOWN).select_related("wave") if waited else ()
    for each in rows:
        found[each.wave_id].append(each)
    return found


def show(entries: Sequence[GateEntry]) -> list[GateEntryShape]:
    """The same as the report has them."""
    return [
        GateEntryShape(
            act=each.act,
            by=each.by,
            time=unix(each.at),
            pausedTime=unix(each.paused_at),
            text=each.text,
            checklist=each.checklist,
            digest=each.digest or None,
        )
        for each in entries
    ]


def looked_at(run: uuid.UUID, entries: Entries) -> dict[str, Any]:
    """The states of a run that people looked at, by their digests."""
    mine = (each for of_wave in entries.values() for each in of_wave if each.wave.execution_id == run)
    return {each.digest: each.looked_at for each in mine if each.looked_at is not None}
