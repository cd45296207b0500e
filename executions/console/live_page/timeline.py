"""The timeline of a run: waves and phases over time, gates and waits as labeled gaps. Rows in, percentages out."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Min

from contract.clock import unix
from contract.status import Tone
from executions.console.live_page.page_content import Live, WaveCard
from executions.measuring.last_servers import last_servers
from executions.measuring.rta_rpa import server_path
from executions.measuring.time_parts import Part, part_of
from executions.models import JobEvent
from executions.states import Phase, phase_after

ROW_HEIGHT = 34
Stretch = tuple[Part, datetime, datetime | None]
WAIT_WORTH_SHOWING = timedelta(seconds=20)


@dataclass(frozen=True)
class Span:
    """A stretch of time as a bar, in per cent of the whole; `to` is None while it lasts."""

    label: str
    tone: Tone
    since: datetime
    to: datetime | None
    left: float
    width: float
    shade: float = 1.0

    @property
    def x(self) -> str:
        return f"{self.left:.2f}%"

    @property
    def size(self) -> str:
        return f"{max(self.width, 0.4):.2f}%"


@dataclass
class Row:
    """One line of the drawing: a wave with its phases, or a gap before it."""

    label: str
    whole: Span
    y: int
    phases: list[Span] = field(default_factory=list)
    is_gap: bool = False

    @property
    def until(self) -> str:
        return f"{self.whole.left + self.whole.width:.2f}%"

    @property
    def bar_y(self) -> int:
        return self.y + 16

    @property
    def text_y(self) -> int:
        return self.y + 11

    @property
    def line_y(self) -> int:
        return self.y + 21


class Timeline:
    """What is drawn of a run until `now`, or until its end."""

    def __init__(self, live: Live, now: datetime) -> None:
        self.start = live.execution.started_at
        self.end = max(live.execution.ended_at or now, self.start + timedelta(seconds=1))
        self.is_over = live.execution.ended_at is not None
        self.is_dry_run = live.execution.dry_run
        phases = _phases(live)
        self.rows: list[Row] = []
        before = self.start
        for wave in live.waves:
            for label, since, to in _gaps(wave, before):
                self._add(label, Tone.ATTENTION, since, to, is_gap=True)
            if wave.run.started_at:
                self._add_wave(wave, phases[wave.run.pk])
                before = wave.run.ended_at or self.end

    @property
    def height(self) -> int:
        return len(self.rows) * ROW_HEIGHT

    def _add_wave(self, wave: WaveCard, stretches: Sequence[Stretch]) -> None:
        since, to = wave.run.started_at or self.start, wave.run.ended_at
        row = self._add(f"Wave {wave.number}, {wave.run.name}", wave.run.state.tone, since, to)
        told = [each for each in stretches if each[2] is None or unix(each[2]) > unix(each[1])]
        for at, (part, moment, until) in enumerate(told):
            row.phases.append(self._span(part.words, row.whole.tone, moment, until, shade=0.35 + 0.2 * (at % 4)))

    def _add(self, label: str, tone: Tone, since: datetime, to: datetime | None, *, is_gap: bool = False) -> Row:
        row = Row(label, self._span(label, tone, since, to), len(self.rows) * ROW_HEIGHT, is_gap=is_gap)
        self.rows.append(row)
        return row

    def _span(self, label: str, tone: Tone, since: datetime, to: datetime | None, shade: float = 1.0) -> Span:
        whole = (self.end - self.start).total_seconds()
        left = min(max((since - self.start).total_seconds() / whole, 0), 1)
        right = min(max(((to or self.end) - self.start).total_seconds() / whole, left), 1)
        return Span(label, tone, since, to, 100 * left, 100 * (right - left), shade)


def _gaps(wave: WaveCard, before: datetime) -> Iterator[tuple[str, datetime, datetime | None]]:
    """The gate of a wave, and a wait for anything else that was long enough to be asked about."""
    run = wave.run
    waited_since = before
    if run.paused_at:
        who = f"Paused before wave {wave.number}"
        yield (
            f"{who}, resumed by {run.resumed_by}" if run.resumed_at else who,
            run.paused_at,
            run.resumed_at or (run.ended_at),
        )
        waited_since = run.resumed_at or run.paused_at
    if run.started_at and run.started_at - waited_since > WAIT_WORTH_SHOWING:
        yield f"Waited before wave {wave.number}", waited_since, run.started_at


def _phases(live: Live) -> dict[int, Sequence[Stretch]]:
    """What the time of each wave went on, as the report counts it: on the way of the server that came up last. Of a
    wave in which none has come up yet, when its first server entered each phase."""
    last = last_servers([each.run for each in live.waves])
    found: dict[int, Sequence[Stretch]] = dict(_begun([each for each in live.waves if each.run.pk not in last]))
    for key, rows in last.items():
        found[key] = _joined(server_path(rows.servers[0], rows, rows.jobs[0]))
    return defaultdict(tuple, found)


def _joined(path: Iterable[tuple[Part, datetime, datetime]]) -> list[Stretch]:
    """One stretch for each part: AWS's log tells several moments of one."""
    found: list[Stretch] = []
    for part, since, until in path:
        if found and found[-1][0] is part:
            found[-1] = (part, found[-1][1], until)
        elif until > since:
            found.append((part, since, until))
    return found


def _begun(waves: Sequence[WaveCard]) -> Iterator[tuple[int, list[Stretch]]]:
    first = JobEvent.objects.filter(job__wave__in=[wave.run.pk for wave in waves]).exclude(source_server_id="")
    rows: Iterable[tuple[uuid.UUID, str, datetime]] = first.order_by().values_list("job", "event").annotate(Min("at"))
    jobs = {job.pk: job for wave in waves for job in wave.run.jobs.all()}
    begun: dict[int, dict[Part, datetime]] = defaultdict(dict)
    for pk, event, told in rows:
        if part := part_of(phase_after(event, Phase.QUEUED)):
            wave_pk, at = jobs[pk].wave_id, told - jobs[pk].aws_ahead
            begun[wave_pk][part] = min(at, begun[wave_pk].get(part, at))
    for wave in waves:
        turns = sorted(begun[wave.run.pk].items(), key=lambda item: item[1])
        ends = [*(at for _, at in turns[1:]), wave.run.ended_at][: len(turns)]
        yield wave.run.pk, [(part, at, until) for (part, at), until in zip(turns, ends, strict=True)]
