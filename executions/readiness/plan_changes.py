"""How a plan differs from the copy of it that a run kept, in sentences."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from contract.plurals import counted
from plans.fields import STEERING

if TYPE_CHECKING:
    from executions.readiness.terms import PlanFacts, ServerFacts, WaveFacts

NAMED = 5  # how many servers a sentence names


def changes_since(then: Mapping[str, Any], facts: "PlanFacts") -> list[str]:
    """How the plan differs from the copy that a run kept, one sentence a difference; names do not matter."""
    before = {each["waveNumber"]: each for each in then.get("waves", [])}
    was = {server: number for number, wave in before.items() for server in wave["serverIds"]}
    homes = {server.id: wave.number for wave in facts.waves for server in wave.servers}
    called = {server.id: server.name for server in facts.servers}
    found = []
    if added := [each for each in homes if each not in was]:
        found.append(f"Added: {_listed(f'{called[each]} in wave {homes[each] + 1}' for each in added)}.")
    if gone := [each for each in was if each not in homes]:
        found.append(f"Taken out: {_listed(f'{each} of wave {was[each] + 1}' for each in gone)}.")
    moves = Counter((was[each], home) for each, home in homes.items() if each in was and was[each] != home)
    found += [f"Moved from wave {a + 1} to wave {b + 1}: {counted(n, 'server')}." for (a, b), n in moves.items()]
    if len(before) != len(facts.waves):
        found.append(f"It had {counted(len(before), 'wave')} and has {len(facts.waves)}.")
    for wave in facts.waves:
        if wave.number in before:
            found += _wave_changes(wave, before[wave.number])
    return found


def _wave_changes(wave: "WaveFacts", before: Mapping[str, Any]) -> Iterator[str]:
    number = wave.number + 1
    for each, was, now in STEERING.differences(STEERING.given(before), wave.said):
        yield f"Wave {number}, {each.title.lower()}: {now}, was {was}."
    if sorted(before["dependsOnWaves"]) != sorted(wave.depends_on):
        needs = ", ".join(str(each + 1) for each in sorted(wave.depends_on)) or "none"
        yield f"The waves that wave {number} depends on: {needs}."


def names(servers: Sequence["ServerFacts"]) -> str:
    """The first of these servers by name, and how many more there are."""
    more = f" and {len(servers) - NAMED} more" if len(servers) > NAMED else ""
    return ", ".join(server.name for server in servers[:NAMED]) + more


def _listed(items: Iterable[str]) -> str:
    every = list(items)
    more = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + more
