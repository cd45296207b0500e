"""Which launch settings are not what they were when the plan's servers were last launched by a drill that completed."""

from collections.abc import Iterator, Sequence

from executions.readiness.plan_changes import NAMED
from executions.readiness.terms import LaunchChange, PlanFacts
from protection.inventory.launch_settings import changes


def launch_changes(facts: PlanFacts) -> Iterator[LaunchChange]:
    """Of every server whose settings are known, of then and of now."""
    for server in facts.servers:
        then = facts.launched_with.get(server.id)
        if then is not None and server.settings is not None:
            for each in changes(then, server.settings):
                yield LaunchChange(server.id, server.name, each)


def sentence(found: Sequence[LaunchChange], facts: PlanFacts) -> str:
    """The first changes with old and new value, and how many more there are."""
    day = facts.last_drill.ended_at.date().isoformat() if facts.last_drill else "?"
    told = [
        f"{each.name}: {each.change.label} was {each.change.was} at the last good drill of {day}, is"
        f" {each.change.now} now."
        for each in found[:NAMED]
    ]
    more = [f"And {len(found) - NAMED} more."] if len(found) > NAMED else []
    return " ".join([*told, *more])
