"""After a clean-up DRS is asked once more what it lists: a run says when that was, and that none of its instances is
there. The inventory asks it anyway, once a minute, so a crash costs nothing but another minute."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypedDict

from django.db import transaction

from contract.clock import unix
from executions.models import Execution, ServerRun
from executions.runs import transitions
from executions.runs.journal import note
from executions.states import LaunchStatus
from executions.terminating.instances import GONE, lock_run
from executions.terminating.outside_changes import asked_at
from protection.inventory.recovery_instances import Reading

PATIENCE = timedelta(minutes=10)  # DRS lists an instance for a while that it has just terminated


class PlaceProof(TypedDict):
    """What DRS listed of a run's terminated instances in one account and region, and when it was asked."""

    accountId: str
    region: str
    askedTime: int
    instances: list[str]
    stillListed: list[str]


def prove(reading: Reading, now: datetime) -> None:
    """Write it down for each run whose clean-up waits for it."""
    as_of = asked_at(reading, now)
    here = {"waves__servers__job__account_id": reading.account, "waves__servers__job__region": reading.region}
    for execution in Execution.objects.filter(proof_due=True, **here).distinct():
        with transaction.atomic():
            lock_run(execution)
            _prove(Execution.objects.get(pk=execution.pk), reading, as_of, now)


def _prove(execution: Execution, reading: Reading, as_of: datetime, now: datetime) -> None:
    rows = ServerRun.launches.filter(wave__execution=execution, launch_status=LaunchStatus.TERMINATED)
    gone = list(rows.exclude(recovery_instance_id="").select_related("job").order_by("wave__number", "position"))
    here = [each for each in gone if (each.job.account_id, each.job.region) == (reading.account, reading.region)]
    last = max((each.terminated_at for each in here if each.terminated_at), default=None)
    if not execution.proof_due or not here or last is None or as_of <= last:
        return
    states = {each.recovery_instance_id: each.ec2_state for each in reading.instances}
    ids = [each.recovery_instance_id for each in here]
    still = [each for each in ids if each in states and states[each] not in GONE]
    if still and as_of < last + PATIENCE:
        return
    proof: list[PlaceProof] = [each for each in execution.cleanup_proof or () if not _is_of(each, reading)]
    proof.append(
        PlaceProof(
            accountId=reading.account,
            region=reading.region,
            askedTime=unix(as_of),
            instances=ids,
            stillListed=still,
        )
    )
    wanted = {(each.job.account_id, each.job.region) for each in gone}
    is_whole = wanted <= {(each["accountId"], each["region"]) for each in proof}
    Execution.objects.filter(pk=execution.pk).update(cleanup_proof=proof, proof_due=not is_whole)
    if is_whole:
        note(execution, "terminate.proved", instances=[each for one in proof for each in one["instances"]], proof=proof)
        transitions.touch(execution, now)


def _is_of(proof: PlaceProof, reading: Reading) -> bool:
    return (proof["accountId"], proof["region"]) == (reading.account, reading.region)


def sentences(proof: Sequence[PlaceProof] | None) -> list[str]:
    """What was asked when, for page and report; None while it was not asked yet."""
    return [_sentence(each) for each in proof or ()]


def _sentence(proof: PlaceProof) -> str:
    if proof["stillListed"]:
        return f"DRS in {proof['region']} still lists {', '.join(proof['stillListed'])}."
    asked = len(proof["instances"])
    found = f"none of the {asked} is listed" if asked > 1 else "it is not listed"
    return f"{found} by DRS in {proof['region']}."
