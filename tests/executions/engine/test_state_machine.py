"""People, time and AWS in any order, against the real engine and the simulator: what must hold always does."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from audit.actor import SYSTEM
from audit.models import AuditEntry
from contract.errors import DomainError
from drs_simulator.testing import RunningSimulator
from executions.commands import control
from executions.models import Execution, LaunchJob, ServerHold
from executions.states import Kind
from plans.fields import WaveSpec
from plans.models import RecoveryPlan
from plans.services import create_plan
from tests.support.emptying import empty_database
from tests.support.stage import Stage

pytestmark = pytest.mark.slow

HOSTS = ("app-01", "app-02", "web-01", "web-02")
# Plans that share servers; the third pauses before its second wave and goes on after a failure.
PLANS = (("app-01", "web-01"), ("web-01 app-02",), ("app-02", "web-02", "app-01"))
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
        self.accepted: Counter[str] = Counter()
        self.ended: dict[object, tuple[object, ...]] = {}

    def plan(self, number: int, tiers: tuple[str, ...], group: object) -> RecoveryPlan:
        waves = [
            WaveSpec(
                name=hosts,
                group_ids=[group],  # type: ignore[list-item]
                server_ids=self.stage.ids(hosts),
                pause_before=number == 2 and index == 1,
                on_failure="CONTINUE" if number == 2 else "STOP",
            )
            for index, hosts in enumerate(tiers)
        ]
        return create_plan(actor=SYSTEM, name=f"Plan {number}", waves=waves)

    def teardown(self) -> None:
        """AWS behaves again, and somebody resumes what is paused: then every run ends."""
        self.simulator.clear_scenarios()
        for _ in range(200):
            for run in Execution.objects.filter(status="PAUSED"):
                control.resume(actor=SYSTEM, execution_id=run.pk, clock=self.stage.clock)
            if not Execution.objects.active().exists():
                break
            self.stage.advance(120)
            self.stage.look()
        assert not Execution.objects.active().exists()
        assert not ServerHold.objects.exists()
        self.nothing_is_launched_twice()
        self.stage.sweep.close()

    def attempt(self, verb: str, work: Callable[[], object]) -> None:
        """Count an action that was accepted; a refusal must change nothing, which the invariants see."""
        try:
            work()
        except DomainError:
            return
        self.accepted[verb] += 1

    @rule(number=st.integers(0, len(PLANS) - 1), kind=st.sampled_from(Kind))
    def start(self, number: int, kind: Kind) -> None:
        plan = self.plans[number]
        self.attempt(
            "execution.start",
            lambda: control.start(actor=SYSTEM, plan_id=plan.pk, kind=kind, clock=self.stage.clock),
        )

    def some_run(self, data: st.DataObject) -> Execution:
        return data.draw(st.sampled_from(list(Execution.objects.order_by("started_at"))), label="run")

    def has_runs(self) -> bool:
        return Execution.objects.exists()

    @precondition(has_runs)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        run = self.some_run(data)
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
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        run = self.some_run(data)
        self.attempt(
            "execution.cancel",
            lambda: control.cancel(actor=SYSTEM, execution_id=run.pk, clock=self.stage.clock),
        )

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
        self.stage.advance(seconds)
        if sweeps:
            self.stage.look(sweeps)

    @rule()
    def the_engine_looks(self) -> None:
        self.stage.look(1)

    @rule(name=st.sampled_from(sorted(FAULTS)), times=st.integers(1, 3), host=st.sampled_from(HOSTS))
    def aws_misbehaves(self, name: str, times: int, host: str) -> None:
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
    def every_accepted_action_left_one_entry(self) -> None:
        for verb, count in self.accepted.items():
            if verb:
                assert AuditEntry.objects.filter(verb=verb, outcome="ok").count() == count, verb


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
