"""Terminating some recovery instances by their ids, of whichever runs, or launched outside.

Those of runs go the way of their run's clean-up, and are followed to their end: at once, as far as a person's patience
goes, the others by an engine. Those that no run launched are written down for an engine (`outside_instances`).
"""

import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from audit.actor import Actor
from audit.journal import attempt
from contract.clock import Clock, db_clock
from contract.errors import DomainError, Invalid
from contract.rights import ANYTHING
from executions.codes.ours import Code
from executions.commands.control import check_comment
from executions.commands.standing import Standing, seen_standing
from executions.models import OutsideTermination
from executions.terminating import outside_instances
from executions.terminating.outcome import Failure, TerminationResult
from executions.terminating.terminate import terminate

MOST = 200  # instances of one request; more are asked for in several
SECONDS_AT_ONCE = 10.0  # so long a person waits for DRS, run after run; an engine asks for the rest


@dataclass
class Ended:
    """What became of a request, told apart: each instance is in one of these. `requested` are those that an engine asks
    for: everything launched outside, and of runs what DRS does not let go yet, or what there was no time for."""

    requested: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    already_gone: list[str] = field(default_factory=list)
    unknown: list[Failure] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)


@attempt(outside_instances.VERB, "execution")
def end_instances(*, actor: Actor, instance_ids: Sequence[str], comment: str = "", clock: Clock = db_clock) -> Ended:
    """Terminate these instances. Raises Invalid, and Forbidden unless the actor has the right for each kind among
    them; whatever else keeps one of them is told in the answer."""
    check_comment(comment)
    wanted = list(dict.fromkeys(instance_ids))
    if not wanted or len(wanted) > MOST:
        raise Invalid({"recoveryInstanceIds": [f"Give 1 to {MOST} instance IDs; this has {len(wanted)}."]})
    known = {each.recovery_instance_id: (each, here) for each, here in seen_standing(actor)}
    chosen = [known[each] for each in wanted if each in known]
    if not chosen:
        actor.at(ANYTHING).require("executions.terminate_drill", "terminate these instances")
    for each, here in chosen:
        here.require(each.right, "terminate these instances")
    done = Ended()
    done.unknown = [_not_known(each) for each in wanted if each not in known]
    by_run: dict[uuid.UUID, list[Standing]] = defaultdict(list)
    outside: list[OutsideTermination] = []
    for each, here in chosen:
        if each.execution_id is not None:
            by_run[each.execution_id].append(each)
        else:
            outside.append(_row(each, may_be_production=here.may("executions.terminate_recovery")))
    outside_instances.request(actor, outside, comment, clock())
    done.requested = [each.instance_id for each in outside]
    until = time.monotonic() + SECONDS_AT_ONCE
    for run, mine in by_run.items():
        _end_of_run(done, actor, run, mine, comment, clock, at_once=time.monotonic() < until)
    return done


def _not_known(instance: str) -> Failure:
    text = (
        f"DRS did not list {instance} when its region was last read, and no run launched it. Look in the EC2 console."
    )
    return Failure(instance, Code.UNKNOWN_TO_DRS, text)


def _end_of_run(
    done: Ended, actor: Actor, run: uuid.UUID, mine: Sequence[Standing], comment: str, clock: Clock, *, at_once: bool
) -> None:
    ids = [each.recovery_instance_id for each in mine]
    try:
        told: TerminationResult = terminate(
            actor=actor, execution_id=run, comment=comment, only=ids, at_once=at_once, clock=clock
        )
    except DomainError as refusal:
        done.failed += [Failure(each, refusal.code, refusal.message) for each in ids]
        return
    failed = {each.recovery_instance_id: each for each in told.failed}
    unknown = {each.recovery_instance_id: each for each in told.unknown}
    for each in ids:
        if each in unknown:
            done.unknown.append(unknown[each])
        elif each in told.already_gone:
            done.already_gone.append(each)
        elif each in told.waiting:
            done.requested.append(each)
        elif each in told.terminated:
            done.accepted.append(each)
        else:
            done.failed.append(
                failed.get(each) or Failure(each, Code.NOT_CONFIRMED, str(Code.NOT_CONFIRMED.explanation))
            )


def _row(each: Standing, *, may_be_production: bool) -> OutsideTermination:
    return OutsideTermination(
        account_id=each.account_id,
        region=each.region,
        instance_id=each.recovery_instance_id,
        server_id=each.source_server_id,
        hostname=each.hostname,
        may_be_production=may_be_production,
    )
