"""People, time and AWS in any order, against the real engine and the simulator: what must hold always does."""

import uuid
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from audit.actor import SYSTEM, person
from audit.models import AuditEntry
from contract.errors import DomainError
from drs_simulator.testing import RunningSimulator
from executions.commands import control, gates, steering
from executions.models import Execution, LaunchJob, ServerHold, ServerRun
from executions.runs.gates.given import at_gate
from executions.runs.gates.looked_at import digest_of
from executions.states import Dependents, Kind
from plans.fields import WaveSpec
from plans.gates import GateShape
from plans.models import RecoveryPlan
from plans.services import create_plan
from tests.support.emptying import empty_database
from tests.support.stage import Stage

pytestmark = pytest.mark.slow

HOSTS = ("app-01", "app-02", "web-01", "web-02")
# Plans that share servers; the first has gates before recoveries and before its second wave and pauses after a failure,
# the third pauses before its second wave, has a gate before its third, and goes on after a failure.
PLANS = (("app-01", "web-01"), ("web-01 app-02",), ("app-02", "web-02", "app-01"))
ON_FAILURE = ("PAUSE", "STOP", "CONTINUE")
GATE = GateShape(approvals=1, checklist=[], expiresMinutes=60)
GATES = {(0, 1): GATE, (2, 2): GateShape(approvals=2, checklist=["Checked."], expiresMinutes=600)}
FAULTS: dict[str, dict[str, object]] = {
    "throttle": {"operation": "StartRecovery"},
    "conflict": {},
    "access_denied": {"operation": "StartRecovery"},
    "late_landing": {"operation": "StartRecovery", "seconds": 60},
    "internal_error_before": {"operation": "StartRecovery"},
    "drop_connection_before": {},
    "drop_connection_after_effect": {},
    "internal_error_after_effect": {},
    "broken_json": {"operation": ["StartRecovery", "DescribeJobs"]},
    "visibility_delay": {"seconds": 100},
    "launch_failed": {},
    "server_skipped": {},
    "snapshot_fail_uses_previous": {},
    "never_settles": {},
    "slow_server": {"factor": 8},
    "late_instance_id": {"seconds": 90},
    "terminate_fails": {},
}
# Launches whose answer is lost are looked for by DRS's time of creation, the wall's: no clock may be far from that.
LOST = ("late_landing", "drop_connection_after_effect", "internal_error_after_effect", "broken_json")
FOUND_WITHIN = timedelta(minutes=9)
AT_GATES = ("look", "approve", "approve", "approve", "decline", "break")
FINAL = ("COMPLETED", "PARTIAL", "FAILED", "CANCELLED")


class Runs(RuleBasedStateMachine):
    """Every rule is something that people, time or AWS may do; the invariants are checked after each."""

    simulator: RunningSimulator  # set by the test, because hypothesis makes the machines

    def __init__(self) -> None:
        super().__init__()
        empty_database()
        self.simulator.reset()
        self.stage = Stage(self.simulator)
        group = self.stage.group(" ".join(HOSTS))
        self.plans = [self.plan(number, tiers, group.pk) for number, tiers in enumerate(PLANS)]
        self.people = [
            person(User.objects.create_superuser(name, f"{name}@example.com")) for name in ("ann", "bob", "eve")
        ]
        self.accepted: Counter[str] = Counter()
        self.ended: dict[object, tuple[object, ...]] = {}
        self.looked: dict[object, str] = {}

    def plan(self, number: int, tiers: tuple[str, ...], group: object) -> RecoveryPlan:
        waves = [
            WaveSpec(
                name=hosts,
                group_ids=[group],  # type: ignore[list-item]
                server_ids=self.stage.ids(hosts),
                pause_before=number == 2 and index == 1,
                gate=GATES.get((number, index)),
                wait_minutes_before=5 if (number, index) == (0, 1) else 0,
                on_failure=ON_FAILURE[number],
            )
            for index, hosts in enumerate(tiers)
        ]
        start_gate = None if number else GATE
        return create_plan(actor=SYSTEM, name=f"Plan {number}", waves=waves, start_gate=start_gate)

    def teardown(self) -> None:
        """AWS behaves again, and somebody resumes what is paused: then every run ends."""
        self.simulator.clear_scenarios()
        for _ in range(200):
            for run in Execution.objects.filter(status="PAUSED"):
                self.let_go_on(run)
            if not Execution.objects.active().exists():
                break
            self.stage.advance(120)
            self.stage.look()
        assert not Execution.objects.active().exists()
        assert not ServerHold.objects.exists()
        self.nothing_is_launched_twice()
        self.nothing_is_launched_without_the_gates_before_it()
        self.stage.sweep.close()

    def let_go_on(self, run: Execution) -> None:
        at = at_gate(run)
        if at is None or at.gate.is_plain:
            control.resume(actor=SYSTEM, execution_id=run.pk, clock=self.stage.clock)
        else:
            gates.break_glass(actor=SYSTEM, execution_id=run.pk, reason="It is late.", clock=self.stage.clock)

    def attempt(self, verb: str, work: Callable[[], object], *, always: bool = True) -> None:
        """Count an action that was accepted; a refusal must change nothing, which the invariants see. What was done
        before already is accepted and, of the verbs that are not `always` told, told once."""
        before = dict(Execution.objects.values_list("pk", "revision"))
        try:
            work()
        except DomainError:
            return
        self.accepted[verb] += always or before != dict(Execution.objects.values_list("pk", "revision"))

    @initialize(number=st.sampled_from([0, 0, 2]), kind=st.sampled_from(Kind), who=st.integers(0, 2))
    def begin(self, number: int, kind: Kind, who: int) -> None:
        """A run that has come to a gate, or to a pause."""
        self.start(number, kind, who)
        for _ in range(8):
            if Execution.objects.filter(status="PAUSED").exists():
                return
            self.time_passes(240, 3)

    @rule(number=st.integers(0, len(PLANS) - 1), kind=st.sampled_from(Kind), who=st.integers(0, 2))
    def start(self, number: int, kind: Kind, who: int) -> None:
        plan, actor = self.plans[number], self.people[who]
        self.attempt(
            "execution.start",
            lambda: control.start(actor=actor, plan_id=plan.pk, kind=kind, clock=self.stage.clock),
        )

    def some_run(self, data: st.DataObject) -> Execution:
        return data.draw(st.sampled_from(list(Execution.objects.order_by("started_at"))), label="run")

    def has_runs(self) -> bool:
        return Execution.objects.exists()

    @precondition(has_runs)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        run = Execution.objects.filter(status="PAUSED").order_by("started_at").first() or self.some_run(data)
        verb = "execution.resume" if run.status == "PAUSED" else "execution.pause_withdrawn"
        self.attempt(verb, lambda: control.resume(actor=SYSTEM, execution_id=run.pk, clock=self.stage.clock))

    @precondition(has_runs)
    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        run = self.some_run(data)
        self.attempt(
            "execution.pause", lambda: control.pause(actor=SYSTEM, execution_id=run.pk, clock=self.stage.clock)
        )

    @precondition(has_runs)
    @rule(data=st.data(), is_meant=st.sampled_from([False, False, False, True]))
    def cancel(self, data: st.DataObject, is_meant: bool) -> None:
        """Seldom: what is cancelled comes to no gate."""
        if not is_meant:
            return
        run = self.some_run(data)
        self.attempt(
            "execution.cancel",
            lambda: control.cancel(actor=SYSTEM, execution_id=run.pk, clock=self.stage.clock),
        )

    @precondition(has_runs)
    @rule(data=st.data(), verb=st.sampled_from(["skip", "run all the same", "exclude", "retry", "start now"]))
    def steer(self, data: st.DataObject, verb: str) -> None:
        run = self.some_run(data)
        wave = data.draw(st.sampled_from(list(run.waves.order_by("number"))), label="wave")
        server = data.draw(st.sampled_from(list(wave.servers.order_by("position"))), label="server")
        about: dict[str, Any] = {"actor": SYSTEM, "execution_id": run.pk, "clock": self.stage.clock}
        skip = partial(steering.skip_wave, wave=wave.number, reason="Why.", **about)
        exclude = partial(steering.exclude_server, source_server_id=server.source_server_id, reason="Why.", **about)
        name, work = {
            "skip": ("wave.skipped", skip),
            "run all the same": ("wave.skipped", partial(skip, dependents=Dependents.RUN)),
            "exclude": ("server.excluded", exclude),
            "retry": ("wave.retried", partial(steering.retry_wave, wave=wave.number, **about)),
            "start now": ("wave.started_now", partial(steering.start_wave_now, wave=wave.number, **about)),
        }[verb]
        self.attempt(name, work, always=False)

    def waits_at_a_gate(self) -> bool:
        return bool(self.waiting())

    def waiting(self) -> list[Execution]:
        paused = Execution.objects.filter(status="PAUSED").order_by("started_at")
        return [run for run in paused if (at := at_gate(run)) and at.gate.approvals]

    @precondition(waits_at_a_gate)
    @rule(data=st.data())
    def others_look_and_approve(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.waiting()), label="run")
        for actor in data.draw(st.sampled_from([self.people, self.people[:2]])):
            at = at_gate(run := self.stage.fresh(run))
            ticks = list(range(len(at.gate.checklist))) if at else []
            about: dict[str, Any] = {"execution_id": run.pk, "clock": self.stage.clock, "checklist": ticks}
            work = partial(gates.approve, actor=actor, digest=digest_of(run), **about)
            self.attempt("gate.approved", work, always=False)

    @precondition(waits_at_a_gate)
    @rule(data=st.data(), who=st.integers(0, 2), verb=st.sampled_from(AT_GATES))
    def at_a_gate(self, data: st.DataObject, who: int, verb: str) -> None:
        """Somebody approves what they have looked at last, which may have been another state."""
        run, actor = data.draw(st.sampled_from(self.waiting()), label="run"), self.people[who]
        about: dict[str, Any] = {"actor": actor, "execution_id": run.pk, "clock": self.stage.clock}
        at = at_gate(run)
        ticks = list(range(len(at.gate.checklist))) if at else []
        if verb == "look" or run.pk not in self.looked:
            self.looked[run.pk] = digest_of(run)
        name, work = {
            "decline": ("gate.declined", partial(gates.decline, reason="No.", **about)),
            "break": ("gate.broken", partial(gates.break_glass, reason="Late.", **about)),
        }.get(verb, ("gate.approved", partial(gates.approve, digest=self.looked[run.pk], checklist=ticks, **about)))
        self.attempt(name, work, always=False)

    @precondition(has_runs)
    @rule(data=st.data())
    def terminate(self, data: st.DataObject) -> None:
        run = self.some_run(data)
        try:
            control.terminate(actor=SYSTEM, execution_id=run.pk, clock=self.stage.clock)
        except DomainError:
            return
        self.accepted["execution.terminate"] += 1

    @rule(seconds=st.sampled_from([1, 16, 61, 301, 700, 2000]), sweeps=st.integers(0, 3))
    def time_passes(self, seconds: int, sweeps: int) -> None:
        if self.stage.offset <= FOUND_WITHIN < self.stage.offset + timedelta(seconds=seconds):
            self.simulator.clear_scenarios()
        self.stage.advance(seconds)
        if sweeps:
            self.stage.look(sweeps)

    @rule()
    def the_engine_looks(self) -> None:
        self.stage.look(1)

    @rule(name=st.sampled_from(sorted(FAULTS)), times=st.integers(1, 3), host=st.sampled_from(HOSTS))
    def aws_misbehaves(self, name: str, times: int, host: str) -> None:
        if name in LOST and self.stage.offset > FOUND_WITHIN:
            return
        options = dict(FAULTS[name])
        if name in ("launch_failed", "server_skipped", "never_settles", "slow_server"):
            options["servers"] = [host]
        self.simulator.scenario(name, times=times, **options)

    @invariant()
    def a_server_is_in_at_most_one_active_run(self) -> None:
        held = Counter(
            server
            for run in Execution.objects.active()
            for server in run.waves.values_list("servers__source_server_id", flat=True)
        )
        assert all(count == 1 for count in held.values()), held
        assert set(ServerHold.objects.values_list("pk", flat=True)) == set(held)

    @invariant()
    def a_final_state_never_changes(self) -> None:
        for run in Execution.objects.final():
            waves = tuple(run.waves.order_by("number").values_list("status", flat=True))
            picture = (run.status, run.ended_at, run.error_code, waves)
            assert run.status in FINAL
            assert self.ended.setdefault(run.pk, picture) == picture

    @invariant()
    def nothing_is_launched_twice(self) -> None:
        tags = Counter(call["params"]["tags"]["drsorch:launch"] for call in self.stage.launches())
        assert all(count == 1 for count in tags.values()), tags
        known = set(map(str, LaunchJob.objects.values_list("pk", flat=True)))
        assert set(tags) <= known
        assert not AuditEntry.objects.filter(verb="launch.doubled").exists()

    @invariant()
    def nothing_is_launched_without_the_gates_before_it(self) -> None:
        """Each gate of its wave and of those before it was passed, there or before a wave between."""
        for intent in AuditEntry.objects.filter(verb="launch.intent", refused=False):
            mine = AuditEntry.objects.filter(subject_id=intent.subject_id, refused=False, pk__lt=intent.pk)
            passes = mine.filter(verb__in=["gate.approved", "gate.broken"], detail__has_key="resumedTime")
            passed = {each.detail["wave"] for each in passes}
            launched = {each.detail["wave"] for each in mine.filter(verb="launch.intent")}
            number = intent.detail["wave"]
            for wave in Execution.objects.get(pk=intent.subject_id).waves.filter(number__lte=number):
                if wave.gate and wave.number not in launched:
                    assert passed & set(range(wave.number, number + 1)), (intent.detail, wave.number)
            if number not in launched:
                again = mine.filter(verb="execution.paused", detail__wave=number).last()
                gate = Execution.objects.get(pk=intent.subject_id).waves.get(number=number).gate
                assert not (gate and again) or passes.filter(pk__gt=again.pk).exists(), intent.detail

    @invariant()
    def nothing_is_launched_that_was_left_out(self) -> None:
        out = ServerRun.launches.exclude(excluded=None).values_list("wave__execution_id", "source_server_id")
        tagged = dict(LaunchJob.objects.values_list("pk", "wave__execution_id"))
        sent = {
            (tagged[uuid.UUID(call["params"]["tags"]["drsorch:launch"])], each["sourceServerID"])
            for call in self.stage.launches()
            for each in call["params"]["sourceServers"]
        }
        assert not sent.intersection(out)

    @invariant()
    def every_accepted_action_left_one_entry(self) -> None:
        for verb, count in self.accepted.items():
            if verb:
                entries = AuditEntry.objects.filter(verb=verb, outcome="ok").exclude(actor_kind="engine")
                assert entries.count() == count, verb


def test_whatever_happens_in_any_order(transactional_db: None, simulator: RunningSimulator) -> None:
    Runs.simulator = simulator
    run_state_machine_as_test(
        Runs,
        settings=settings(
            max_examples=10,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],  # a failure prints its steps; shrinking against a real database takes too long
            suppress_health_check=list(HealthCheck),
        ),
    )
