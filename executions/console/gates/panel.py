"""What the page says of the gate at which a run waits, and of what an approver says yes to. Rows in, words out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from audit.actor import Actor
from contract.clock import span, unix
from contract.plurals import counted
from executions.console.live_page.event_feed import entries, journal_line
from executions.console.live_page.page_content import Live, WaveCard
from executions.models import Execution, GateEntry, ServerRun
from executions.runs.allowed.gates import GateActions, gate_actions
from executions.runs.gates.given import AtGate, at_gate
from executions.states import Dependents, GateAct, WaveStatus

NAMED = 5  # servers that a sentence names
TOLD = 8  # things that happened meanwhile


@dataclass(frozen=True)
class GatePanel:
    """A gate that asks for more than a resume, with what was given."""

    at: AtGate
    actions: GateActions
    given: Sequence[GateEntry]
    acts: Sequence[GateEntry]

    @property
    def number(self) -> int:
        return self.at.wave.number + 1

    @property
    def counts(self) -> str:
        """How far it is with its approvals."""
        asked = self.at.gate.approvals
        return f"{len(self.given)} of {counted(asked, 'approval')}" if asked else "no approval needed"

    @property
    def closed(self) -> list[str]:
        """Why buttons are closed, each reason once."""
        found = [self.actions.approve if self.at.gate.approvals else self.actions.resume]
        found += [self.actions.decline, self.actions.break_glass]
        return list(dict.fromkeys(each.reason for each in found if each.reason))


def panel_of(execution: Execution, actor: Actor) -> GatePanel | None:
    """None where the run does not wait, or only for somebody who resumes it. `execution` has its waves prefetched."""
    at = at_gate(execution)
    if at is None or at.gate.is_plain or execution.state.is_final:
        return None
    acts = [each for each in at.entries if each.act != GateAct.REMINDED]
    return GatePanel(at, gate_actions(execution, actor), at.given, acts)


def broken_glass(execution: Execution) -> list[GateEntry]:
    """Who let the run through gates without their approvals. No query where no gate needs any."""
    waves = execution.waves.all()
    if not any(wave.gate and wave.gate["approvals"] for wave in waves):
        return []
    rows = GateEntry.objects.filter(wave__in=[wave.pk for wave in waves], act=GateAct.BROKEN).select_related("wave")
    return list(rows.defer("looked_at"))


# What an approver says yes to


def what_ran(live: Live, at: AtGate) -> list[str]:
    """Each wave before the gate in a sentence: how it went, how long it took, what failed, what was left out."""
    behind = [_ran(wave) for wave in live.waves if wave.run.number < at.wave.number]
    return behind or ["Nothing was launched yet."]


def _ran(wave: WaveCard) -> str:
    run, head = wave.run, f"{wave.title[0].upper()}{wave.title[1:]}"
    if run.state is WaveStatus.SKIPPED:
        return f"{head}: skipped. {run.status_message}"
    took = f" in {span(unix(run.ended_at) - unix(run.started_at))}" if run.started_at and run.ended_at else ""
    again = f", attempt {run.attempt}" if run.attempt > 1 else ""
    text = f"{head}: {run.state.label.lower()}{took}{again}, {wave.up} of {counted(wave.total, 'server')} up."
    if ended := wave.launched - wave.up:
        text += f" {ended} {'was' if ended == 1 else 'were'} terminated after the launch."
    if wave.failed:
        text += f" Failed: {_names([each.hostname for each in wave.failures], wave.failed)}."
    return text


def _names(names: Sequence[str], total: int) -> str:
    shown = ", ".join(names[:NAMED])
    return shown if total <= NAMED else f"{shown} and {total - NAMED} more"


def what_was_left_out(execution: Execution) -> str:
    """Servers that people left out so far, in a sentence; empty where there are none."""
    rows = ServerRun.objects.filter(wave__execution=execution, excluded__isnull=False)
    names = list(rows.order_by("wave__number", "position").values_list("hostname", flat=True))
    return f"Left out by people: {_names(names, len(names))}." if names else ""


def what_is_next(live: Live, at: AtGate) -> list[str]:
    """What is launched when the gate is passed."""
    next_up, *later = _coming(live, at)
    rows = ServerRun.objects.filter(wave__execution=at.wave.execution_id, excluded__isnull=False)
    left_out = Counter(rows.order_by().values_list("wave__number", flat=True))
    launched = next_up.total - left_out[next_up.run.number]
    are = "is" if launched == 1 else "are"
    said = [f"{next_up.title[0].upper()}{next_up.title[1:]}: {counted(launched, 'server')} {are} launched."]
    if later:
        servers = sum(wave.total - left_out[wave.run.number] for wave in later)
        gates = sum(wave.has_gate for wave in later)
        stops = f", with {counted(gates, 'pause')} before them" if gates else ", without another pause"
        said.append(f"Then {counted(len(later), 'wave')} with {counted(servers, 'server')}{stops}.")
    return said


def _coming(live: Live, at: AtGate) -> list[WaveCard]:
    """The wave behind the gate, and those after it of which nothing is known that keeps them from running."""
    gone: set[int] = set()
    found: list[WaveCard] = []
    for wave in live.waves:
        run = wave.run
        if run.state in (WaveStatus.FAILED, WaveStatus.SKIPPED):
            runs_dependents = run.skipped is not None and run.skipped["dependents"] == Dependents.RUN
            gone |= set() if runs_dependents else {run.number}
        elif run.number > at.wave.number and gone.intersection(run.depends_on):
            gone.add(run.number)
        elif run.number >= at.wave.number:
            found.append(wave)
    return found


def meanwhile(execution: Execution, seen: int) -> list[str]:
    """What the journal has of the run behind the entry that a page was made with, oldest first."""
    rows = entries(execution).filter(pk__gt=seen).order_by("-pk")[:TOLD]
    return [f"{line.text}, {line.who}" for line in map(journal_line, reversed(list(rows)))]


def last_entry(execution: Execution) -> int:
    """The journal's newest entry about the run."""
    newest = entries(execution).order_by("-pk").values_list("pk", flat=True).first()
    return newest or 0
