"""How far the servers of each wave are, counted by the database: nobody reads a thousand rows to show a number."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Q, QuerySet

from contract.storage.prepared import Asked, Prepared
from executions.models import Execution, ServerRun
from executions.states import InstanceState, LaunchStatus, Phase

STEPS_OF_A_SERVER = len(Phase) - 1
_STEPS = {phase: at for at, phase in enumerate(Phase)}


class Tally(Counter[tuple[LaunchStatus, Phase]]):
    """Servers of one wave by launch status and phase."""

    def having(self, state: LaunchStatus) -> int:
        return sum(count for (each, _), count in self.items() if each is state)

    def in_phase(self, phase: Phase) -> int:
        return sum(count for (_, each), count in self.items() if each is phase)

    @property
    def percent(self) -> int:
        """Progress: each server counts with the phase that it has reached."""
        whole = self.total() * STEPS_OF_A_SERVER
        done = sum(
            count * (STEPS_OF_A_SERVER if state.is_settled else _STEPS[phase]) for (state, phase), count in self.items()
        )
        return round(100 * done / whole) if whole else 0


_Count = tuple[Any, ...]  # wave, launch status, phase, state of the instance, how many, how many with old data


@dataclass(frozen=True)
class Progress:
    """The tallies of some runs' waves, their failed servers in order, and how many of those that came up DRS does not
    know any more, are stopped in EC2, or run on an earlier snapshot; all by the wave's key."""

    tallies: dict[int, Tally]
    failed: dict[int, list[ServerRun]]
    unknown: Mapping[int, int] = field(default_factory=dict)
    stopped: Mapping[int, int] = field(default_factory=dict)
    behind: Mapping[int, int] = field(default_factory=dict)


def progress_of(executions: Iterable[Execution]) -> Progress:
    """One query, and a second one if any server failed. `executions` must have `waves` prefetched."""
    keys = [wave.pk for execution in executions for wave in execution.waves.all()]
    return _progress(_counted(ServerRun.objects.filter(wave__in=keys)))


def progress_of_one(execution: Execution) -> Progress:
    """The same of one run, by a question that is written once."""
    return _progress(_COUNTS.rows(id=execution.pk))


def _counted(servers: QuerySet[ServerRun]) -> QuerySet[ServerRun, _Count]:
    kinds = ("wave_id", "launch_status", "phase", "recovery_instance_state")
    old = Count("pk", filter=Q(used_previous_snapshot=True))
    return servers.order_by().values_list(*kinds).annotate(Count("pk"), old=old)


_COUNTS = Prepared(lambda: _counted(ServerRun.objects.filter(wave__execution=Asked(Execution, "id"))))


def _progress(counts: Iterable[_Count]) -> Progress:
    tallies: dict[int, Tally] = defaultdict(Tally)
    states: dict[str, Counter[int]] = defaultdict(Counter)
    behind: Counter[int] = Counter()
    for wave, status, phase, instance, count, with_old in counts:
        tallies[wave][LaunchStatus.of(status), Phase.of(phase)] += count
        behind[wave] += with_old if status == LaunchStatus.LAUNCHED else 0
        if status == LaunchStatus.LAUNCHED and instance:
            states[instance][wave] += count
    failed: dict[int, list[ServerRun]] = defaultdict(list)
    if with_failed := [wave for wave, tally in tallies.items() if tally.having(LaunchStatus.FAILED)]:
        for server in ServerRun.objects.filter(wave__in=with_failed, launch_status=LaunchStatus.FAILED):
            failed[server.wave_id].append(server)
    return Progress(tallies, failed, states[InstanceState.UNKNOWN], states[InstanceState.STOPPED], behind)
