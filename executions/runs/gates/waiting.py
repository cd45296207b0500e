"""Runs that wait at gates, looked at now and then: approvals lapse with news, and people are reminded, once."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef

from contract.clock import unix
from contract.storage.prepared import Prepared
from executions.models import Execution, GateEntry, WaveRun
from executions.runs import notifications, transitions
from executions.runs.gates.asked import Gate, gates_in_force
from executions.runs.gates.given import AtGate, at_gate, lapse_if_changed
from executions.runs.journal import note
from executions.states import ExecutionStatus, GateAct, WaveStatus

NEWS = "There was news of a server."


def wait_before(execution: Execution, wave: WaveRun, now: datetime) -> None:
    """Have the run, whose row says already that it is paused, wait for people before this wave. In a transaction."""
    wave.status, wave.paused_at = WaveStatus.PAUSED, now
    wave.resumed_at, wave.resumed_by = None, ""  # of a pause before
    wave.save(update_fields=["status", "paused_at", "resumed_at", "resumed_by"])
    transitions.touch(execution, now, [wave])
    note(execution, "execution.paused", wave=wave.number, pausedTime=unix(now))
    waves = list(execution.waves.order_by("number"))
    notifications.paused(execution, AtGate(wave, gates_in_force(waves)[wave.number] or Gate()), now)


_GATED = Prepared(
    lambda: (
        Execution.objects.active()
        .filter(Exists(WaveRun.objects.filter(execution=OuterRef("pk"), gate__isnull=False)))
        .filter(status=ExecutionStatus.PAUSED, dry_run=False)
        .order_by()
        .defer("plan_copy", "phase_times")
    )
)


def look(now: datetime) -> None:
    """Whatever is due at gates. One query where no run with a gate waits."""
    for execution in _GATED.objects():
        at = at_gate(execution)
        if at is None or at.gate.is_plain or not (at.given or _is_reminder_due(at, now)):
            continue
        with transaction.atomic():
            locked = Execution.objects.select_for_update().filter(pk=execution.pk).first()
            still = at_gate(locked) if locked else None
            if locked is not None and still is not None and not still.gate.is_plain:
                lapse_if_changed(locked, NEWS, now)
                _remind(locked, still, now)


def _is_reminder_due(at: AtGate, now: datetime) -> bool:
    """Whether people are to be told once more, and were not yet."""
    minutes = settings.GATE_REMINDER_MINUTES
    if not minutes or now < at.paused_at + timedelta(minutes=minutes):
        return False
    return not any(each.act == GateAct.REMINDED for each in at.entries)


def _remind(execution: Execution, at: AtGate, now: datetime) -> None:
    """Tell people once more that the gate waits for them."""
    if not _is_reminder_due(at, now):
        return
    GateEntry.objects.create(wave=at.wave, paused_at=at.paused_at, act=GateAct.REMINDED, at=now, by="engine")
    note(execution, "gate.reminded", wave=at.wave.number)
    notifications.paused(execution, at, now, again=True)
