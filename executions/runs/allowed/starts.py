"""Whether somebody can start a plan now, and if not, why: what the buttons say is what the service refuses with."""

from dataclasses import dataclass

from audit.actor import Actor
from contract.rights import not_allowed
from executions.runs.allowed.actions import Action, right_to_start
from executions.states import Kind


@dataclass(frozen=True)
class Starts:
    """The three ways to start a plan. A dry run holds no server, so that no run is in its way."""

    drill: Action
    recovery: Action
    dry_run: Action


def starts_of(actor: Actor, *, no_waves: str, blocked: str) -> Starts:
    """What `actor` can start of a plan; `no_waves` and `blocked` are the sentences against any run and against a real
    one (plans.startable), empty if there is none. What only AWS can tell, such as what runs, is asked at the start."""
    return Starts(
        drill=_start(actor, Kind.DRILL, blocked),
        recovery=_start(actor, Kind.RECOVERY, blocked),
        dry_run=_start(actor, Kind.DRILL, no_waves),
    )


def _start(actor: Actor, kind: Kind, reason: str) -> Action:
    """The right comes first, as in the service: whoever lacks it is told nothing else."""
    right, to = right_to_start(kind)
    if not actor.may(right):
        return Action(False, not_allowed(right, to).message)
    return Action(not reason, reason)
