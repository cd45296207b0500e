"""People against people, and people against the engine: one winner, nothing lost, nothing launched twice."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from audit.actor import SYSTEM, Actor, person
from audit.models import AuditEntry
from contract.errors import DomainError
from executions.commands import control, gates, steering
from executions.engine import advance, pauses
from executions.launching import launch
from executions.models import Execution, LaunchJob, ServerHold
from executions.runs.claim import ClaimLost, claim, load
from executions.runs.gates.looked_at import digest_of
from executions.states import Kind
from plans.fields import WaveSpec
from plans.gates import GateShape
from plans.services import create_plan
from tests.executions.commands.test_steering import planned
from tests.executions.runs.test_claims import at_once
from tests.support.api_client import make_user
from tests.support.stage import Stage, at_the_send

pytestmark = pytest.mark.both


def code_of(work: Callable[[], object]) -> str:
    try:
        work()
    except DomainError as error:
        return error.code
    return "ok"


def test_it_lets_one_of_ten_starts_of_a_plan_win(stage: Stage) -> None:
    plan = stage.plan("app-01", "web-01")
    codes = at_once(10, lambda _: code_of(lambda: control.start(actor=SYSTEM, plan_id=plan.pk, kind=Kind.DRILL)))
    assert sorted(codes) == ["PLAN_ALREADY_EXECUTING"] * 9 + ["ok"]
    assert Execution.objects.count() == 1
    stage.look()
    assert len(stage.launches()) == 1


def test_it_lets_one_of_two_plans_have_a_server(stage: Stage) -> None:
    group = stage.group("app-01 app-02 web-01")
    plans = []
    for names in ("app-01 app-02", "app-02 web-01"):
        wave = WaveSpec(name="1", group_ids=[group.pk], server_ids=stage.ids(names))
        plans.append(create_plan(actor=SYSTEM, name=names, waves=[wave]))
    codes = at_once(2, lambda n: code_of(lambda: control.start(actor=SYSTEM, plan_id=plans[n].pk, kind=Kind.DRILL)))
    assert sorted(codes) == ["SERVER_CONFLICT", "ok"]
    assert ServerHold.objects.count() == 2


def test_it_lets_one_of_two_resumes_win_and_launches_once(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01", "web-01", pause={1}))
    stage.until(run, "PAUSED")
    codes = at_once(4, lambda _: code_of(lambda: control.resume(actor=SYSTEM, execution_id=run.pk)))
    assert sorted(codes) == ["EXECUTION_NOT_PAUSED"] * 3 + ["ok"]
    at_once(4, lambda _: advance.step(run.pk, stage.clock))
    stage.look()
    assert len(stage.launches()) == 2
    assert AuditEntry.objects.filter(verb="execution.resume", outcome="ok").count() == 1


def test_it_keeps_a_cancel_that_comes_before_the_intent(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01"))
    token = claim(run.pk, stage.clock())
    assert token is not None
    held = load(run.pk, token)
    calls = launch.launch(held, held.waves[0], LaunchJob.objects.get().pk, stage.clock)
    control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    with pytest.raises(ClaimLost):
        at_the_send(calls)
    stage.look()
    assert stage.picture(run) == ("CANCELLED", ["SKIPPED"])
    assert stage.launches() == []


def test_it_keeps_a_cancel_that_comes_between_intent_and_answer(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01", "web-01"))
    calls = advance.step_calls(run.pk, stage.clock)
    call = at_the_send(calls)
    assert control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock).status == "CANCELLING"
    answer = call()
    with pytest.raises(StopIteration):
        calls.send(answer)
    assert LaunchJob.objects.get(position=0, wave__number=0).job_id == answer.job_id
    stage.until(run, "CANCELLED")
    assert stage.picture(run) == ("CANCELLED", ["COMPLETED", "SKIPPED"])
    assert len(stage.launches()) == 1


def test_it_keeps_a_cancel_that_comes_while_the_engine_decides_to_pause(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01", "web-01", pause={1}))
    stage.wait(lambda: stage.waves(run)[0].status == "LAUNCHING", run)
    token = uuid.uuid4()
    Execution.objects.update(claim=token)
    held = load(run.pk, token)
    control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    with pytest.raises(ClaimLost):
        pauses.pause_before(held, held.waves[1], stage.clock())
    stage.until(run, "CANCELLED")
    assert stage.picture(run) == ("CANCELLED", ["COMPLETED", "SKIPPED"])


def test_it_keeps_a_cancel_that_comes_while_answers_are_on_their_way(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01"))
    stage.look()
    stage.advance(15)
    stage.simulator.scenario("hang", seconds=0.4, when="after", operation="DescribeJobs", times=1)
    stage.sweep.poller.start(stage.clock())
    control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.sweep.drain()
    assert stage.fresh(run).status == "CANCELLING"
    stage.until(run, "CANCELLED")
    assert len(stage.launches()) == 1


CANCELLED_IN = {
    "PENDING": ("CANCELLED", ["SKIPPED", "SKIPPED"], 0),
    "INITIATED": ("CANCELLED", ["COMPLETED", "SKIPPED"], 1),
    "REFUSED": ("CANCELLED", ["SKIPPED", "SKIPPED"], 0),
    "POLLING": ("CANCELLED", ["COMPLETED", "SKIPPED"], 1),
    "LAUNCHING": ("CANCELLED", ["COMPLETED", "SKIPPED"], 1),
    "BETWEEN": ("CANCELLED", ["COMPLETED", "SKIPPED"], 1),
    "PAUSED": ("CANCELLED", ["COMPLETED", "SKIPPED"], 1),
}


def bring(stage: Stage, run: Execution, state: str) -> None:
    """Take a new run of two waves, the second after a pause, to where it shall be cancelled."""
    if state == "INITIATED":
        stage.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
        stage.simulator.scenario("visibility_delay", seconds=60)
        stage.look()
    elif state == "REFUSED":
        stage.simulator.scenario("throttle", operation="StartRecovery")
        stage.look()
        stage.simulator.clear_scenarios()
    elif state == "BETWEEN":
        stage.until(run, "PAUSED")
        control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    elif state != "PENDING":
        stage.until(run, state)


@pytest.mark.parametrize("state", CANCELLED_IN)
def test_it_cancels_in_every_state(stage: Stage, state: str) -> None:
    run = stage.start(stage.plan("app-01", "web-01", pause={1}))
    bring(stage, run, state)
    cancelled = control.cancel(actor=SYSTEM, execution_id=run.pk, comment="enough", clock=stage.clock)
    at_once_over = state in ("PENDING", "PAUSED")
    assert cancelled.status == ("CANCELLED" if at_once_over else "CANCELLING")
    if not at_once_over:
        assert control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock).status == "CANCELLING"
    stage.until(run, "CANCELLED")
    status, waves, launches = CANCELLED_IN[state]
    assert stage.picture(run) == (status, waves)
    assert len(stage.launches()) == launches
    assert not ServerHold.objects.exists()
    assert code_of(lambda: control.cancel(actor=SYSTEM, execution_id=run.pk)) == "EXECUTION_NOT_CANCELLABLE"
    first, *repeated = AuditEntry.objects.filter(verb="execution.cancel", outcome="ok").order_by("id")
    assert first.detail["comment"] == "enough"
    assert [each.detail for each in repeated] == [{"changed": False}] * (not at_once_over)


def test_it_pauses_on_demand_and_a_resume_withdraws_it(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01", "web-01", "web-02"))
    stage.until(run, "POLLING")
    control.pause(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.wait(lambda: stage.waves(run)[1].status == "POLLING", run)
    control.pause(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.until(run, "PAUSED")
    assert stage.picture(run)[1] == ["COMPLETED", "COMPLETED", "PAUSED"]
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    control.pause(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.look()
    assert stage.picture(run) == ("PAUSED", ["COMPLETED", "COMPLETED", "PAUSED"])  # nothing began in between
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.until(run, "POLLING")
    assert code_of(lambda: control.pause(actor=SYSTEM, execution_id=run.pk)) == "EXECUTION_NOT_PAUSABLE"
    stage.until(run, "COMPLETED")


def at_a_gate(stage: Stage, approvals: int) -> tuple[Execution, list[Actor]]:
    """A run of two waves that waits at the second's gate, and two people who may approve it."""
    starter, *others = (person(make_user("recovery-manager")) for _ in range(3))
    gate = GateShape(approvals=approvals, checklist=[], expiresMinutes=60)
    plan = planned(stage, "app-01", "web-01 web-02", gate={1: gate})
    run = control.start(actor=starter, plan_id=plan.pk, kind=Kind.DRILL, clock=stage.clock)
    return stage.until(run, "PAUSED"), others


def approving(stage: Stage, run: Execution, actor: Actor) -> Callable[[], Execution]:
    """What somebody does who has just looked."""
    digest = digest_of(run)
    return lambda: gates.approve(actor=actor, execution_id=run.pk, digest=digest, clock=stage.clock)


@pytest.mark.parametrize("approvals", [1, 2])
def test_of_two_approvals_at_once_the_last_that_is_needed_resumes_the_run(stage: Stage, approvals: int) -> None:
    run, people = at_a_gate(stage, approvals)
    tries = [approving(stage, run, each) for each in people]
    codes = at_once(2, lambda n: code_of(tries[n]))
    assert sorted(codes) == (["EXECUTION_NOT_PAUSED", "ok"] if approvals == 1 else ["ok", "ok"])
    told = AuditEntry.objects.filter(verb="gate.approved", refused=False)
    assert [("resumedTime" in each.detail) for each in told.order_by("pk")] == [False] * (approvals - 1) + [True]
    assert stage.until(run, "COMPLETED", "PAUSED").status == "COMPLETED"
    assert len(stage.launches()) == 2


@pytest.mark.parametrize("other", ["cancel", "skip", "exclude", "break", "decline"])
def test_an_approval_and_another_command_at_once_have_one_outcome(stage: Stage, other: str) -> None:
    run, (ann, bob) = at_a_gate(stage, 1)
    about: dict[str, Any]
    (out, kept), about = stage.ids("web-01 web-02"), {"actor": bob, "execution_id": run.pk, "clock": stage.clock}
    commands: dict[str, Callable[[], object]] = {
        "cancel": lambda: control.cancel(**about),
        "skip": lambda: steering.skip_wave(wave=1, reason="x", **about),
        "exclude": lambda: steering.exclude_server(source_server_id=out, reason="x", **about),
        "break": lambda: gates.break_glass(reason="x", **about),
        "decline": lambda: gates.decline(reason="x", **about),
    }
    tries = [approving(stage, run, ann), commands[other]]
    approved, did = at_once(2, lambda n: code_of(tries[n]))
    lost = {"exclude": "GATE_CHANGED"}.get(other, "EXECUTION_NOT_PAUSED")
    if other in ("break", "decline"):  # either of both, or of a decline that came first both
        assert (approved, did) in {("ok", "EXECUTION_NOT_PAUSED"), (lost, "ok"), ("ok", "ok")}
        assert other == "decline" or (approved, did) != ("ok", "ok")
    else:
        assert (approved, did) in {("ok", "ok"), (lost, "ok")}
    if approved != "ok" and other == "exclude":
        assert code_of(approving(stage, run, ann)) == "ok"
    stage.until(run, "COMPLETED", "CANCELLED", "PAUSED")
    launched = [each["sourceServerID"] for call in stage.launches()[1:] for each in call["params"]["sourceServers"]]
    assert sorted(launched) == sorted({"exclude": [kept], "break": [out, kept], "decline": [out, kept]}.get(other, []))
