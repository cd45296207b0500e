"""Every steering verb in every status, for every role: what it does or why not, and one entry in the journal."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import pytest
from django.db import transaction

from audit.actor import Actor, person
from audit.models import AuditEntry
from contract.clock import Clock
from contract.errors import DomainError
from executions.commands import control, gates, steering
from executions.models import Execution, LaunchJob, ServerRun
from executions.runs.gates.looked_at import digest_of
from executions.states import ExecutionStatus, Kind
from tests.executions.commands.test_what_is_allowed import ROLES, dry, make, plain
from tests.support.api_client import make_user
from tests.support.stage import Stage

ACTIVE = {"PENDING", "RUNNING", "POLLING", "LAUNCHING", "PAUSED"}  # in which the second wave can still be changed
MAY = {("operator", Kind.DRILL), ("recovery-manager", Kind.DRILL), ("recovery-manager", Kind.RECOVERY)}
SPARE = "s-000000000000000ee"  # a second server of the second wave

Twist = Callable[[Execution, datetime], None]


def waits(run: Execution, now: datetime) -> None:
    """The second wave waits for its time."""
    run.waves.filter(number=1, status="PENDING").update(starts_at=now + timedelta(minutes=5), wait_minutes_before=5)


def asks(run: Execution, now: datetime) -> None:
    """The first wave has failed, and the run waits for a decision."""
    run.waves.filter(number=0).update(status="FAILED", ended_at=now, on_failure="PAUSE", asked_at=now)
    run.waves.filter(number=1, status="PAUSED").update(status="PENDING")
    ServerRun.objects.filter(wave__execution=run, wave__number=0).update(launch_status="FAILED")


def sent_or_not(run: Execution, now: datetime) -> None:
    """It is not known whether the launch of the second wave was sent."""
    LaunchJob.objects.filter(wave__execution=run, wave__number=1).update(status="INITIATED")


def gated(run: Execution, now: datetime) -> None:
    """The second wave has a gate that needs an approval."""
    gate = {"approvals": 1, "checklist": [], "expiresMinutes": 60}
    run.waves.filter(number=1).update(gate=gate, pause_before=True, paused_at=now)


def approve(*, actor: Actor, execution_id: uuid.UUID, clock: Clock) -> Execution:
    """What is looked at now."""
    digest = digest_of(Execution.objects.get(pk=execution_id))
    return gates.approve(actor=actor, execution_id=execution_id, digest=digest, clock=clock)


def verbs(stage: Stage, server: str) -> dict[str, Callable[..., Execution]]:
    return {
        "skip": partial(steering.skip_wave, wave=1, reason="Why."),
        "exclude": partial(steering.exclude_server, source_server_id=server, reason="Why."),
        "retry": partial(steering.retry_wave, wave=0),
        "start now": partial(steering.start_wave_now, wave=1),
        "resume": control.resume,
        "approve": approve,
        "decline": partial(gates.decline, reason="Why."),
        "break": partial(gates.break_glass, reason="Why."),
    }


def is_possible(verb: str, status: str, twist: Twist) -> bool:
    """By the contract, whoever asks."""
    begun_or_over = status not in ACTIVE or twist is dry
    match verb:
        case "skip" | "exclude":
            return not begun_or_over and twist is not sent_or_not
        case "retry":
            return status == "PAUSED" and twist is asks
        case "start now":
            return status in ACTIVE - {"PAUSED"} and twist is waits
        case "approve" | "decline":
            return status == "PAUSED" and twist is not asks
        case "break":
            return status == "PAUSED" and twist is gated
    return status == "PAUSED" and twist is not gated


def may(verb: str, role: str, kind: Kind) -> bool:
    return (role == "recovery-manager") if verb == "break" else (role, kind) in MAY


def check(do: Callable[[], Execution], run: Execution, twist: Twist, verb: str, role: str) -> None:
    job = LaunchJob.objects.get(wave__execution=run, wave__number=1)
    ServerRun.objects.create(wave=job.wave, job=job, position=1, source_server_id=SPARE, hostname="spare")
    twist(run, run.started_at + timedelta(minutes=1))
    status, last, said = run.status, AuditEntry.objects.count(), ""
    try:
        do()
    except DomainError as refusal:
        said = refusal.code
    where = f"{verb} by {role}, {run.kind} {status}, {twist.__name__}: {said!r}"
    if not may(verb, role, run.purpose):
        assert said == "FORBIDDEN", where
    else:
        assert (said == "") is is_possible(verb, status, twist), where
    assert AuditEntry.objects.filter(refused=False).count() - last == (0 if said else 1), where
    assert Execution.objects.get(pk=run.pk).state.is_final is run.state.is_final, where


DAILY = {("PAUSED", asks), ("PAUSED", gated), ("RUNNING", waits), ("PENDING", sent_or_not), ("RUNNING", dry)}
CASES = [
    pytest.param(status.value, twist, marks=() if twist is plain or (status, twist) in DAILY else pytest.mark.long)
    for status in ExecutionStatus
    for twist in (plain, dry, waits, asks, sent_or_not, gated)
]


@pytest.mark.parametrize(("status", "twist"), CASES)
def test_it_does_what_the_contract_allows_and_says_why_not(stage: Stage, status: str, twist: Twist) -> None:
    plan, ids = stage.plan("app-01", "web-01"), stage.ids("app-01 web-01")
    actors: dict[str, Actor] = {role: person(make_user(role)) for role in ROLES}
    for kind in Kind:
        for role, actor in actors.items():
            for verb, do in verbs(stage, ids[1]).items():
                with transaction.atomic():
                    run = make(plan, ids, status, kind, stage.clock())
                    check(partial(do, actor=actor, execution_id=run.pk, clock=stage.clock), run, twist, verb, role)
                    transaction.set_rollback(True)
