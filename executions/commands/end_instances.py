"""Terminating some recovery instances by their ids, of whichever runs, or launched outside.

Those of runs go the way of their run's clean-up, and are followed to their end. Those that no run launched are asked
for here: DRS is asked first what it lists, the journal has the intent before the call, and what became of them the
inventory shows a minute later. A repeat is harmless.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.conf import settings
from django.db import transaction

from audit.actor import Actor
from audit.journal import attempt, record
from contract.clock import Clock, db_clock
from contract.errors import DomainError, Invalid
from drs.client import Drs, SendWindow
from drs.errors import DrsError, Effect, Trouble
from drs.shapes import GONE, RecoveryInstance
from executions.codes.ours import Code
from executions.commands.control import check_comment
from executions.commands.standing import Standing, standing
from executions.terminating.outcome import Failure, TerminationResult
from executions.terminating.terminate import terminate

MOST = 200  # instances of one request; more are asked for in several
VERB = "instance.terminate"
_ABOUT_ONE = (Trouble.CONFLICT, Trouble.INVALID, Trouble.NOT_FOUND)  # refusals that may lie in one of several


@dataclass
class Ended:
    """What became of a request, told apart: each instance is in one of these."""

    accepted: list[str] = field(default_factory=list)
    already_gone: list[str] = field(default_factory=list)
    unknown: list[Failure] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)


@attempt(VERB, "execution")
def end_instances(*, actor: Actor, instance_ids: Sequence[str], comment: str = "", clock: Clock = db_clock) -> Ended:
    """Terminate these instances. Raises Invalid, and Forbidden unless the actor has the right for each kind among
    them; whatever else keeps one of them is told in the answer."""
    check_comment(comment)
    wanted = list(dict.fromkeys(instance_ids))
    if not wanted or len(wanted) > MOST:
        raise Invalid({"recoveryInstanceIds": [f"Give 1 to {MOST} instance IDs; this has {len(wanted)}."]})
    known = {each.recovery_instance_id: each for each in standing()}
    chosen = [known[each] for each in wanted if each in known]
    for right in sorted({each.right for each in chosen}) or ["executions.terminate_drill"]:
        actor.require(right, "terminate these instances")
    done = Ended()
    done.unknown = [_not_known(each) for each in wanted if each not in known]
    by_run: dict[uuid.UUID, list[Standing]] = defaultdict(list)
    outside: dict[tuple[str, str], list[Standing]] = defaultdict(list)
    for each in chosen:
        if each.execution_id is not None:
            by_run[each.execution_id].append(each)
        else:
            outside[each.account_id, each.region].append(each)
    for run, mine in by_run.items():
        _end_of_run(done, actor, run, mine, comment, clock)
    for (account, region), mine in outside.items():
        _end_outside(done, actor, account, region, mine, comment)
    return done


def _not_known(instance: str) -> Failure:
    text = (
        f"DRS did not list {instance} when its region was last read, and no run launched it. Look in the EC2 console."
    )
    return Failure(instance, Code.UNKNOWN_TO_DRS, text)


def _end_of_run(
    done: Ended, actor: Actor, run: uuid.UUID, mine: Sequence[Standing], comment: str, clock: Clock
) -> None:
    ids = [each.recovery_instance_id for each in mine]
    try:
        told: TerminationResult = terminate(actor=actor, execution_id=run, comment=comment, only=ids, clock=clock)
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
        elif each in told.terminated:
            done.accepted.append(each)
        else:
            done.failed.append(
                failed.get(each) or Failure(each, Code.NOT_CONFIRMED, str(Code.NOT_CONFIRMED.explanation))
            )


# Launched outside


def _end_outside(done: Ended, actor: Actor, account: str, region: str, mine: Sequence[Standing], comment: str) -> None:
    ids = [each.recovery_instance_id for each in mine]
    try:
        listed = Drs(region, account).recovery_instances([each.source_server_id for each in mine])
    except DrsError as error:
        done.failed += [_failure(each, error) for each in ids]
        return
    by_id = {each.recovery_instance_id: each for each in listed}
    asked = []
    for each in ids:
        found = by_id.get(each)
        if found is None:
            done.unknown.append(_not_known(each))
        elif found.ec2_state in GONE:
            done.already_gone.append(each)
        elif not actor.may(_right_of(found)):
            done.failed.append(Failure(each, "FORBIDDEN", f"DRS says that {each} is not a drill's."))
        else:
            asked.append(each)
    if asked:
        _ask(done, actor, account, region, asked, comment)


def _right_of(found: RecoveryInstance) -> str:
    return "executions.terminate_drill" if found.is_drill is True else "executions.terminate_recovery"


def _ask(done: Ended, actor: Actor, account: str, region: str, ids: list[str], comment: str) -> None:
    """One request; if DRS refuses it because of one of several, one for each."""
    window = SendWindow(settings.SEND_WINDOW_SECONDS)
    _note(actor, ids, {"region": region, "accountId": account, **({"comment": comment} if comment else {})})
    try:
        job = Drs(region, account).terminate(ids, window=window)
    except DrsError as error:
        if error.trouble in _ABOUT_ONE and len(ids) > 1:
            for each in ids:
                _ask(done, actor, account, region, [each], comment)
            return
        _note(actor, ids, {"region": region, "text": str(error)}, outcome=error.code)
        done.failed += [_failure(each, error) for each in ids]
    else:
        _note(actor, ids, {"region": region, "jobId": job.job_id}, verb=f"{VERB}.sent")
        done.accepted += ids


def _failure(instance: str, error: DrsError) -> Failure:
    code = Code.NOT_CONFIRMED if error.effect is Effect.UNCERTAIN else error.code
    return Failure(instance, code, f"{error.code}: {error.message}")


def _note(
    actor: Actor, ids: Iterable[str], detail: dict[str, object], *, verb: str = VERB, outcome: str = "ok"
) -> None:
    with transaction.atomic():
        record(
            actor,
            verb,
            subject_kind="recovery-instance",
            subject_id="launched outside",
            outcome=outcome,
            detail={"instances": list(ids), **detail},
        )
