"""What a button says is what happens: every status, kind and role, and what makes a difference beside them."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial

import pytest
from django.db import transaction

from audit.actor import Actor, person
from contract.errors import DomainError
from executions.commands import control, retry
from executions.commands.abandon import abandon
from executions.models import Execution, LaunchJob, ServerHold, ServerRun, TerminationJob, WaveRun
from executions.runs.allowed.actions import Action, Verb, actions_of
from executions.runs.allowed.starts import starts_of
from executions.runs.attempts import retry_of
from executions.states import FINAL, WAVE_FINAL, ExecutionStatus, Kind
from plans.models import RecoveryPlan, WaveServer
from plans.representation import show_plan
from plans.views import plan_rows
from protection.inventory.recovery_instances import InstancesKnown
from tests.support.api_client import make_user
from tests.support.stage import Stage

ROLES = ("viewer", "operator", "recovery-manager")
WAVES = {
    "PENDING": ("PENDING", "PENDING"),
    "RUNNING": ("COMPLETED", "PENDING"),
    "POLLING": ("POLLING", "PENDING"),
    "LAUNCHING": ("LAUNCHING", "PENDING"),
    "PAUSED": ("COMPLETED", "PAUSED"),
    "CANCELLING": ("LAUNCHING", "PENDING"),
    "COMPLETED": ("COMPLETED", "COMPLETED"),
    "PARTIAL": ("COMPLETED", "FAILED"),
    "FAILED": ("FAILED", "SKIPPED"),
    "CANCELLED": ("COMPLETED", "SKIPPED"),
}
SERVERS = {"COMPLETED": "LAUNCHED", "FAILED": "FAILED", "LAUNCHING": "IN_PROGRESS", "POLLING": "IN_PROGRESS"}
# Asked for again it is no error (the contract's "again: 200"), and nothing changes.
REPEATABLE = {Verb.PAUSE, Verb.CANCEL, Verb.TERMINATE}


def make(plan: RecoveryPlan, ids: list[str], status: str, kind: Kind, now: datetime) -> Execution:
    """A run of two waves with a server each, as rows."""
    ended = now if status in FINAL else None
    due = {"ended_at": ended, "next_step_at": None if ended else now}
    run = Execution.objects.create(plan=plan, plan_name="P", kind=kind, status=status, total_waves=2, **due)
    for number, (state, server) in enumerate(zip(WAVES[status], ids, strict=True)):
        started = None if state in ("PENDING", "PAUSED", "SKIPPED") else now - timedelta(hours=2)
        over = now if state in WAVE_FINAL else None
        times = {"started_at": started, "ended_at": over}
        wave = WaveRun.objects.create(execution=run, number=number, name="W", status=state, **times)
        sent = {"status": "STARTED", "job_id": f"drsjob-{number:017x}"} if state in ("POLLING", "LAUNCHING") else {}
        job = LaunchJob.objects.create(wave=wave, position=0, account_id="111122223333", region="us-east-1", **sent)
        up = SERVERS.get(state, "PENDING")
        instance = {"recovery_instance_id": f"i-{number:017x}", "launched_at": now} if up == "LAUNCHED" else {}
        ServerRun.objects.create(
            wave=wave, job=job, position=0, source_server_id=server, hostname="h", launch_status=up, **instance
        )
    return run


def asked_to_pause(run: Execution, now: datetime) -> None:
    Execution.objects.filter(pk=run.pk).update(pause_requested_at=now)


def dry(run: Execution, now: datetime) -> None:
    Execution.objects.filter(pk=run.pk).update(dry_run=True)


def in_its_last_wave(run: Execution, now: datetime) -> None:
    run.waves.filter(number=1, status="PENDING").update(status="INITIATED")


def silent(run: Execution, now: datetime) -> None:
    Execution.objects.filter(pk=run.pk).update(failing_since=now - timedelta(hours=1))


def nothing_up(run: Execution, now: datetime) -> None:
    ServerRun.objects.filter(launch_status="LAUNCHED").update(launch_status="FAILED")


def _ending(run: Execution, *instances: str) -> None:
    known = {"status": "STARTED", "job_id": "drsjob-3000000000000000e"}
    TerminationJob.objects.create(execution=run, instance_ids=list(instances), requested_by="x", **known)
    Execution.objects.filter(pk=run.pk).update(termination_status="IN_PROGRESS")


def being_terminated(run: Execution, now: datetime) -> None:
    _ending(run, *ServerRun.objects.values_list("recovery_instance_id", flat=True))


def one_being_terminated(run: Execution, now: datetime) -> None:
    """As after a request while one region did not answer."""
    _ending(run, *ServerRun.objects.values_list("recovery_instance_id", flat=True)[:1])


def terminated(run: Execution, now: datetime) -> None:
    ServerRun.objects.filter(launch_status="LAUNCHED").update(launch_status="TERMINATED")
    Execution.objects.filter(pk=run.pk).update(termination_status="COMPLETED")


def tried_again(run: Execution, now: datetime) -> None:
    Execution.objects.create(
        plan=run.plan, kind=run.kind, total_waves=0, attempt=2, first_attempt_id=run.pk, retry_of=run, status="RUNNING",
        next_step_at=now,
    )  # fmt: skip


def plain(run: Execution, now: datetime) -> None:
    """Nothing beside its status."""


Twist = Callable[[Execution, datetime], None]
OF_ACTIVE: list[Twist] = [plain, asked_to_pause, dry, in_its_last_wave, silent]
OF_FINAL: list[Twist] = [plain, dry, nothing_up, being_terminated, one_being_terminated, terminated, tried_again]


def services(stage: Stage) -> dict[Verb, Callable[..., object]]:
    return {
        Verb.PAUSE: control.pause,
        Verb.CANCEL: control.cancel,
        Verb.RESUME: control.resume,
        Verb.TERMINATE: control.terminate,
        Verb.ABANDON: abandon,
        Verb.RETRY: partial(retry.retry, looked=InstancesKnown()),
    }


def buttons(run: Execution, actor: Actor) -> dict[Verb, Action]:
    fresh = Execution.objects.get(pk=run.pk)
    found = actions_of(fresh, actor)
    return {verb: getattr(found, verb.value, None) or retry_of(fresh, actor) for verb in Verb}


def facts() -> object:
    """Everything that a verb changes."""
    runs = Execution.objects.order_by("pk").values_list("pk", "status", "pause_requested_at", "cancel_requested_at")
    return list(runs), TerminationJob.objects.count()


def cases(status: str) -> Iterator[tuple[Kind, Twist]]:
    for twist in OF_FINAL if status in FINAL else OF_ACTIVE:
        for kind in Kind:
            if twist is not tried_again or status in ("PARTIAL", "FAILED"):
                yield kind, twist


@pytest.mark.parametrize("status", [each.value for each in ExecutionStatus])
def test_a_button_is_open_when_the_service_does_it_and_else_says_the_same(stage: Stage, status: str) -> None:
    plan, ids = stage.plan("app-01", "web-01"), stage.ids("app-01 web-01")
    actors = {role: person(make_user(role)) for role in ROLES}
    for kind, twist in cases(status):
        run = None
        for role, actor in actors.items():
            shown: dict[Verb, Action] = {}
            for verb, do in services(stage).items():
                if run is None:
                    Execution.objects.all().delete()
                    now = stage.clock()
                    run = make(plan, ids, status, kind, now)
                    twist(run, now)
                    shown = {}
                shown = shown or buttons(run, actor)  # what was refused has changed nothing, as the facts say
                button, before, said = shown[verb], facts(), ""
                try:
                    do(actor=actor, execution_id=run.pk, clock=stage.clock)
                except DomainError as refusal:
                    said = refusal.message
                where = f"{verb.value} by {role}, {kind.value} {status}, {twist.__name__}: {button} {said!r}"
                assert button.allowed is (facts() != before), where
                assert said == button.reason or (not said and verb in REPEATABLE), where
                run = None if button.allowed else run


# Starting a plan


STARTS = {
    "drill": partial(control.start, kind=Kind.DRILL, looked=InstancesKnown()),
    "recovery": partial(control.start, kind=Kind.RECOVERY, looked=InstancesKnown()),
    "dry_run": partial(control.start, kind=Kind.DRILL, dry_run=True),
}


def others_run(stage: Stage, plan: RecoveryPlan, status: str) -> None:
    """A run of another plan, with servers of this one for as long as it is active."""
    is_over, now = status in FINAL, stage.clock()
    due = {"ended_at": now} if is_over else {"next_step_at": now}
    run = Execution.objects.create(plan_name="Other", kind=Kind.DRILL, status=status, total_waves=2, **due)
    for server in WaveServer.objects.filter(plan=plan) if not is_over else ():
        ServerHold.objects.create(assignment_id=server.assignment_id, execution=run, wave_number=0)


def own_run(stage: Stage, plan: RecoveryPlan, status: str) -> None:
    make(plan, stage.ids("app-01 web-01"), status, Kind.DRILL, stage.clock())


def emptied(stage: Stage, plan: RecoveryPlan, status: str) -> None:
    plan.waves.all().delete()


@pytest.mark.parametrize("twist", [own_run, others_run, emptied])
@pytest.mark.parametrize("status", [each.value for each in ExecutionStatus])
def test_a_start_button_is_open_when_the_start_works_and_else_says_the_same(
    stage: Stage, status: str, twist: Callable[[Stage, RecoveryPlan, str], None]
) -> None:
    plan = stage.plan("app-01", "web-01")
    twist(stage, plan, status)
    for role in ROLES:
        actor = person(make_user(role))
        (row,) = plan_rows([plan], actor)
        found = starts_of(actor, no_waves=row.no_waves, blocked=row.blocked)
        assert show_plan(plan.pk)["blockedReason"] == (row.blocked or None)
        for way, start in STARTS.items():
            button, said = getattr(found, way), ""
            try:
                with transaction.atomic():
                    start(actor=actor, plan_id=plan.pk, clock=stage.clock)
                    transaction.set_rollback(True)
            except DomainError as refusal:
                said = refusal.message
            assert (button.reason, button.allowed) == (said, not said), f"{way} by {role}, {twist.__name__} {status}"
