"""A DRS that is unkind in any combination, with people at work: at rest, what the product says is what stands there.

Each walk switches scenarios of `drs_simulator` on and off, starts, pauses, cancels and terminates, and lets time pass.
Then AWS is kind again, whoever must resume or give up does so, and everything has to come out right.
"""

import os
import uuid
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from audit.actor import SYSTEM
from audit.models import AuditEntry
from contract.errors import DomainError
from drs_simulator.testing import RunningSimulator
from executions.commands import control
from executions.commands.abandon import abandon
from executions.models import Execution, LaunchJob, ServerHold, ServerRun
from executions.querysets import SPLIT
from executions.states import Kind
from plans.fields import WaveSpec
from plans.models import RecoveryPlan
from plans.services import create_plan
from tests.support.emptying import empty_database
from tests.support.packs import found_wrong
from tests.support.still import still_stage

pytestmark = pytest.mark.slow

HOSTS = ("app-01", "app-02", "app-03", "web-01", "web-02")
PLANS = (("app-01 app-02 app-03", "web-01"), ("web-02", "web-01 app-03"))
# Scenarios that strike one server, and what may become of it.
OF_A_SERVER: dict[str, dict[str, object]] = {
    "launch_failed": {},
    "conversion_retried": {"fails": 1},
    "template_gone": {},
    "network_recovery_fails": {},
    "never_settles": {},
    "slow_server": {"factor": 3},
    "late_instance_id": {"seconds": 200},
    "dies_at_once": {"state": "TERMINATED"},
    "termination_protection": {},
    "late_rows": {"seconds": 300},
    "missing_rows": {},
    "launch_actions": {"seconds": 120},
    "server_refused": {"named": False},
    "refuses_instance": {"named": False},
}
OF_ALL: dict[str, dict[str, object]] = {
    "throttle": {"operation": ["StartRecovery", "DescribeJobs", "DescribeJobLogItems", "DescribeRecoveryInstances"]},
    "drop_connection_after_effect": {},
    "internal_error_after_effect": {},
    "internal_error_before": {"operation": "DescribeJobs"},
    "late_landing": {"operation": "StartRecovery", "seconds": 40},
    "visibility_delay": {"seconds": 60},
    "tags_lost": {},
    "strange_jobs": {},
    "unknown_status": {"status": "VALIDATING"},
    "untold_launches": {"how": "EMPTY"},
    "terminate_untold": {"emptied": True},
    "clear_instance_ids": {},
    "missing_members": {"members": ["creationDateTime"], "operation": "DescribeJobs"},
    "short_pages": {},
    "launch_end_event": {},
    "steady_times": {},
}
OUTSIDE = ("ec2_terminated", "ec2_stopped", "left_drs", "foreign_job", "disconnected")
# A server that one of these has struck may fail; nobody else may because of it.
CULPRITS = {"launch_failed", "template_gone", "network_recovery_fails", "never_settles", "dies_at_once"}
CULPRITS |= {"server_refused", "termination_protection"}
PATIENCE = (60, 1800)  # seconds between two looks at the end: first soon, then rarely


class UnkindDrs(RuleBasedStateMachine):
    """Every rule is something that AWS, others, people or time may do."""

    simulator: RunningSimulator  # set by the test, because hypothesis makes the machines

    def __init__(self) -> None:
        super().__init__()
        empty_database()
        self.simulator.reset()
        self.world = still_stage(self.simulator)
        self.stage = self.world.__enter__()
        group = self.stage.group(" ".join(HOSTS))
        self.plans = [self.plan(number, tiers, group.pk) for number, tiers in enumerate(PLANS)]
        self.struck: set[str] = set()  # servers that may fail
        self.touched: set[str] = set()  # servers whose instances somebody else has changed
        self.gives_up: set[uuid.UUID] = set()

    def plan(self, number: int, tiers: tuple[str, ...], group: object) -> RecoveryPlan:
        waves = [
            WaveSpec(
                name=hosts,
                group_ids=[group],  # type: ignore[list-item]
                server_ids=self.stage.ids(hosts),
                on_failure="CONTINUE" if number else "STOP",
            )
            for hosts in tiers
        ]
        return create_plan(actor=SYSTEM, name=f"Plan {number}", waves=waves)

    @rule(name=st.sampled_from(sorted(OF_A_SERVER)), host=st.sampled_from(HOSTS), times=st.integers(1, 2))
    def a_server_fares_badly(self, name: str, host: str, times: int) -> None:
        if name in CULPRITS:
            self.struck.update(self.stage.ids(host))
        endless = name in ("server_refused", "missing_rows", "late_rows", "launch_actions")
        options = dict(OF_A_SERVER[name]) | ({} if endless else {"times": times})
        self.simulator.scenario(name, servers=[host], **options)

    @rule(name=st.sampled_from(sorted(OF_ALL)), times=st.integers(1, 4))
    def aws_is_unkind(self, name: str, times: int) -> None:
        self.simulator.scenario(name, times=times, **OF_ALL[name])

    @rule(name=st.sampled_from(OUTSIDE), host=st.sampled_from(HOSTS))
    def others_act(self, name: str, host: str) -> None:
        with suppress(ValueError):  # it has no instance, or is busy
            self.simulator.scenario(name, servers=[host], region="us-east-1")
            self.touched.update(self.stage.ids(host))

    @rule()
    def jobs_are_deleted(self) -> None:
        self.simulator.scenario("jobs_deleted")

    @rule(name=st.sampled_from(sorted({**OF_A_SERVER, **OF_ALL})))
    def aws_is_kind_again(self, name: str) -> None:
        self.simulator.clear_scenarios(name)

    @initialize(
        number=st.integers(0, len(PLANS) - 1),
        kind=st.sampled_from(Kind),
        bad=st.lists(st.tuples(st.sampled_from(sorted(OF_A_SERVER)), st.sampled_from(HOSTS)), max_size=3),
        unkind=st.lists(st.sampled_from(sorted(OF_ALL)), max_size=3),
    )
    def a_run_begins(self, number: int, kind: Kind, bad: list[tuple[str, str]], unkind: list[str]) -> None:
        """On a day on which several things go wrong at once."""
        self.start(number, kind)
        for name, host in bad:
            self.a_server_fares_badly(name, host, 1)
        for name in unkind:
            self.aws_is_unkind(name, 2)
        self.stage.look()

    @rule(number=st.integers(0, len(PLANS) - 1), kind=st.sampled_from(Kind))
    def somebody_starts(self, number: int, kind: Kind) -> None:
        self.start(number, kind)

    def start(self, number: int, kind: Kind) -> None:
        """A start that ends a recovery is meant to."""
        with suppress(DomainError):
            plan = self.plans[number].pk
            control.start(actor=SYSTEM, plan_id=plan, kind=kind, replace_production=True, clock=self.stage.clock)

    def has_runs(self) -> bool:
        return Execution.objects.exists()

    @precondition(has_runs)
    @rule(data=st.data(), verb=st.sampled_from(["pause", "resume", "cancel", "terminate"]))
    def somebody_steers(self, data: st.DataObject, verb: str) -> None:
        run = data.draw(st.sampled_from(list(Execution.objects.order_by("started_at"))), label="run")
        with suppress(DomainError):
            getattr(control, verb)(actor=SYSTEM, execution_id=run.pk, clock=self.stage.clock)

    @rule(seconds=st.sampled_from([1, 16, 61, 301, 700]), looks=st.integers(1, 3))
    def time_passes(self, seconds: int, looks: int) -> None:
        self.stage.advance(seconds)
        self.stage.look(looks)

    @invariant()
    def nothing_is_launched_twice(self) -> None:
        tags = Counter(call["params"]["tags"]["drsorch:launch"] for call in self.stage.launches())
        assert all(count == 1 for count in tags.values()), tags
        assert not AuditEntry.objects.filter(verb="launch.doubled").exists()

    @invariant()
    def whoever_waits_says_for_what(self) -> None:
        waiting = LaunchJob.objects.filter(
            wave__execution__ended_at=None, job_id="", not_before__gt=self.stage.clock() + timedelta(seconds=20)
        ).exclude(status__in=["WITHDRAWN", "REJECTED"])
        for job in waiting.select_related("wave__execution"):
            said = job.wave.status_message or job.wave.execution.aws_error
            assert said, ("waits without a word", job.status, job.wave.execution.status)

    def teardown(self) -> None:
        self.simulator.clear_scenarios()
        for number in range(140):
            self.somebody_decides()
            if not Execution.objects.filter(next_step_at__isnull=False).exists():
                break
            self.stage.advance(PATIENCE[number > 80])
            self.stage.look()
        try:
            self.is_at_rest()
        finally:
            self.world.__exit__(None, None, None)

    def somebody_decides(self) -> None:
        """Resume what is paused; what has stalled, give up."""
        for run in Execution.objects.filter(status="PAUSED"):
            control.resume(actor=SYSTEM, execution_id=run.pk, clock=self.stage.clock)
        for run in Execution.objects.active():
            with suppress(DomainError):
                abandon(actor=SYSTEM, execution_id=run.pk, clock=self.stage.clock)
                self.gives_up.add(run.pk)

    def is_at_rest(self) -> None:
        assert not Execution.objects.active().exists(), list(Execution.objects.active().values("status", "aws_error"))
        assert not ServerHold.objects.exists()
        self.nothing_is_launched_twice()
        self.every_launch_was_sent()
        truth = self.simulator.state()
        for server in ServerRun.objects.select_related("job", "wave__execution"):
            self.agrees(server, truth)
            self.suffers_for_no_other(server)
        for run in Execution.objects.all():
            assert not found_wrong(run, self.stage.clock())

    def every_launch_was_sent(self) -> None:
        """What DRS made for us is known here; what is needed was made."""
        known = dict(LaunchJob.objects.exclude(job_id="").values_list("job_id", "pk"))
        for call in self.stage.launches():
            assert call["job_id"] in known, ("DRS runs a job of ours that nobody knows", call["params"])
        unsent = LaunchJob.objects.filter(job_id="").exclude(SPLIT).exclude(status__in=["WITHDRAWN", "REJECTED"])
        unsent = unsent.exclude(wave__status="SKIPPED").exclude(wave__execution__in=self.gives_up)
        assert not unsent.exists(), list(unsent.values("status", "error_message", "wave__status"))

    def agrees(self, server: ServerRun, truth: dict[str, Any]) -> None:
        """What the product says of a server's instance is what EC2 would say."""
        mine = [
            each
            for each in cast("list[dict[str, Any]]", truth["ever"])
            if each["job_id"] == server.job.job_id and each["server_id"] == server.source_server_id
        ]
        runs = any(each["state"] in ("pending", "running") for each in mine)
        picture = (server.hostname, server.launch_status, server.error, mine)
        note(str(picture))
        if server.source_server_id in self.touched:
            return
        if server.launch_status == "LAUNCHED":
            assert server.recovery_instance_id in [each["id"] for each in mine], picture
            assert runs or server.is_unknown_to_drs, picture
        elif server.launch_status in ("FAILED", "TERMINATED"):
            assert not runs or server.wave.execution_id in self.gives_up, picture
        else:
            never_sent = server.wave.status == "SKIPPED" or server.job.status == "WITHDRAWN"
            assert never_sent, (*picture, server.wave.status, server.job.status, server.job.error_message)
            assert not mine, picture

    def suffers_for_no_other(self, server: ServerRun) -> None:
        run = server.wave.execution
        if server.launch_status != "FAILED" or run.pk in self.gives_up or run.cancel_requested_at is not None:
            return
        may_fail = self.struck | self.touched
        assert server.source_server_id in may_fail, (server.hostname, server.error, server.job.error_message)


@pytest.mark.parametrize(
    ("examples", "steps"),
    [(6, 14), pytest.param(int(os.environ.get("UNKIND_WALKS", "80")), 40, marks=pytest.mark.long)],
    ids=["short", "long"],
)
def test_at_rest_everything_is_as_it_is_said(
    transactional_db: None, simulator: RunningSimulator, examples: int, steps: int
) -> None:
    UnkindDrs.simulator = simulator
    run_state_machine_as_test(
        UnkindDrs,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],  # a failure prints its steps; shrinking against a real database takes too long
            suppress_health_check=list(HealthCheck),
        ),
    )
