"""What people gave at the gate at which a run waits, and when that lapses."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from audit.actor import Actor
from audit.models import AuditEntry
from contract.names import visible
from executions.models import Execution, GateEntry, WaveRun
from executions.runs import transitions
from executions.runs.current_wave import waiting_wave
from executions.runs.gates.asked import Gate, gates_in_force
from executions.runs.gates.looked_at import digest_of
from executions.runs.journal import note
from executions.states import GateAct

ENDS_APPROVALS = (GateAct.DECLINED, GateAct.LAPSED)


@dataclass(frozen=True)
class AtGate:
    """A run that waits before a wave."""

    wave: WaveRun
    gate: Gate

    @cached_property
    def entries(self) -> list[GateEntry]:
        """What was done at it since this pause began, oldest first."""
        return list(self.wave.gate_entries.filter(paused_at=self.paused_at).defer("looked_at"))

    @property
    def paused_at(self) -> datetime:
        """When the run came to it."""
        return self.wave.paused_at or self.wave.execution.started_at

    @property
    def expires_at(self) -> datetime:
        """When the run ends, if nobody has let it go on."""
        return self.paused_at + self.gate.expires

    @property
    def given(self) -> list[GateEntry]:
        """The approvals that stand."""
        return standing(self.entries)

    @property
    def missing(self) -> int:
        """How many more are needed."""
        return max(0, self.gate.needed - len(self.given))


def standing(entries: Iterable[GateEntry]) -> list[GateEntry]:
    """The approvals among them that nothing after them has ended."""
    found: list[GateEntry] = []
    for each in entries:
        if each.act in ENDS_APPROVALS:
            found = []
        elif each.is_approval:
            found.append(each)
    return found


def at_gate(execution: Execution) -> AtGate | None:
    """Where the run waits before a wave; None where it does not. A mere pause is a gate that asks for nothing."""
    waves: Sequence[WaveRun] = list(execution.waves.all())
    wave = waiting_wave(waves)
    if wave is None or execution.state.is_final:
        return None
    return AtGate(wave, gates_in_force(waves)[waves.index(wave)] or Gate())


def starter_id(execution: Execution) -> str:
    """Who started the run, whatever they are called by now; empty if it was no person."""
    entries = AuditEntry.objects.filter(subject_kind="execution", subject_id=str(execution.pk), refused=False)
    entry = entries.filter(verb__in=["execution.start", "execution.retry"]).order_by("pk").first()
    return (entry.actor_id or "") if entry else ""


def lapse(execution: Execution, at: AtGate, because: str, now: datetime) -> None:
    """Take the approvals away that stand, and say so. In the transaction of what ended them."""
    given = at.given
    if not given:
        return
    names = [each.by for each in given]
    GateEntry.objects.create(
        wave=at.wave, paused_at=at.paused_at, act=GateAct.LAPSED, at=now, by="engine", text=because
    )
    transitions.touch(execution, now, [at.wave])
    note(execution, "gate.lapsed", wave=at.wave.number, approvers=names, text=because)


def lapse_if_changed(execution: Execution, because: str, now: datetime) -> None:
    """The same, if the run is not any more what they looked at."""
    at = at_gate(execution)
    if at is None or at.gate.is_plain or not at.given:
        return
    digest = digest_of(execution)
    if any(each.digest != digest for each in at.given):
        lapse(execution, at, because, now)


def keep(
    actor: Actor,
    at: AtGate,
    act: GateAct,
    text: str,
    now: datetime,
    digest: str = "",
    looked_at: dict[str, Any] | None = None,
    checklist: Sequence[int] = (),
) -> dict[str, Any]:
    """The row of what was done; answers what the journal says of it."""
    ticked = sorted(set(checklist))
    GateEntry.objects.create(
        wave=at.wave,
        paused_at=at.paused_at,
        act=act,
        at=now,
        by=visible(actor.name)[:254],
        by_id=visible(actor.id)[:520],
        text=text,
        checklist=ticked,
        digest=digest,
        looked_at=looked_at,
    )
    return {
        "wave": at.wave.number,
        **({"digest": digest} if digest else {}),
        **({"checklist": ticked} if ticked else {}),
    }
