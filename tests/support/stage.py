"""A stage for runs: groups, plans, the real engine and the simulated DRS, with a clock that tests move for both."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from audit.actor import SYSTEM
from contract.clock import db_clock
from drs_simulator.testing import RunningSimulator
from executions.commands import control
from executions.engine.sweep import Sweep
from executions.models import Execution, WaveRun
from executions.runs.aws_calls import AwsCalls, Call
from executions.states import Kind
from plans.fields import WaveSpec
from plans.models import RecoveryPlan
from plans.services import create_plan
from protection.models import ProtectionGroup, SourceServer
from protection.services import create_group
from tests.support import inventory
from tests.support.packs import Packs

NEVER = datetime.max.replace(tzinfo=UTC)  # hours pass in a second here; a test that wants the inventory read says so
STEP = 300.0  # seconds between two looks where a test only waits; one that is about what lies between says less
PAYMENTS = ("db-primary-01 db-replica-01", "app-01 app-02 app-03", "web-01 web-02")


def at_the_send(calls: AwsCalls[Any]) -> Call:
    """The StartRecovery among these calls: before it, credentials and servers are looked at."""
    call: Any = next(calls)
    while call.func.__name__ != "start_recovery":
        call = calls.send(call())
    return cast("Call", call)


@dataclass
class Stage:
    """One test's world. `offset` is how far its clock is ahead of the database's."""

    simulator: RunningSimulator
    offset: timedelta = timedelta()
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    packs: Packs = field(default_factory=Packs)

    def __post_init__(self) -> None:
        self.sweep = Sweep(clock=self.clock)
        self.sweep.next_inventory_check = NEVER

    def clock(self) -> datetime:
        return db_clock() + self.offset

    def ids(self, hostnames: str, region: str = "us-east-1") -> list[str]:
        """Source server ids by host name, in the order given."""
        if not SourceServer.objects.filter(region=region).exists():
            inventory.read(self.simulator, region)
        known = dict(SourceServer.objects.filter(region=region).values_list("hostname", "source_server_id"))
        return [known[name] for name in hostnames.split()]

    def group(self, hostnames: str, region: str = "us-east-1", name: str = "") -> ProtectionGroup:
        name, ids = name or f"Group {next(self.numbers)}", self.ids(hostnames, region)
        if inventory.is_untouched(self.simulator):
            return inventory.assign(name, region, ids)
        return create_group(actor=SYSTEM, name=name, region=region, source_server_ids=ids)

    def plan(self, *tiers: str, name: str = "", **options: Any) -> RecoveryPlan:
        """A plan with a wave (and a group) for each line of host names. `pause={2}`, `on_failure={0: "CONTINUE"}`."""
        waves = [
            WaveSpec(
                name=f"Tier {number + 1}",
                group_ids=[self.group(hostnames, options.get("region", "us-east-1")).pk],
                server_ids=self.ids(hostnames, options.get("region", "us-east-1")),
                pause_before=number in options.get("pause", ()),
                on_failure=options.get("on_failure", {}).get(number, "STOP"),
                depends_on=options.get("depends_on", {}).get(number, ()),
            )
            for number, hostnames in enumerate(tiers or PAYMENTS)
        ]
        return create_plan(actor=SYSTEM, name=name or f"Plan {next(self.numbers)}", waves=waves)

    def start(self, plan: RecoveryPlan, kind: Kind = Kind.DRILL, **how: Any) -> Execution:
        return control.start(actor=SYSTEM, plan_id=plan.pk, kind=kind, clock=self.clock, **how)

    def advance(self, seconds: float) -> None:
        """Let time pass, for us and for DRS."""
        self.offset += timedelta(seconds=seconds)
        self.simulator.advance(seconds)

    def look(self, times: int = 3) -> None:
        """Sweep until whatever is due now is done."""
        for _ in range(times):
            self.sweep.once()
            self.sweep.drain()
            self.packs.hold(self.clock())
            if not Execution.objects.filter(next_step_at__lte=self.clock()).exists():
                return

    def until(self, execution: Execution, *statuses: str, step: float = STEP, limit: float = 3600) -> Execution:
        """Let time pass in steps until the run has one of these statuses."""
        return self.wait(lambda: self.fresh(execution).status in statuses, execution, step, limit)

    def wait(
        self, condition: Callable[[], bool], execution: Execution, step: float = STEP, limit: float = 3600
    ) -> Execution:
        self.look()
        passed = 0.0
        while not condition():
            if passed > limit:
                raise AssertionError(f"still {self.picture(execution)} after {limit} s")
            self.advance(step)
            passed += step
            self.look_again()
        return self.fresh(execution)

    def look_again(self) -> None:
        """After a step of waiting."""
        self.look()

    def fresh(self, execution: Execution) -> Execution:
        return Execution.objects.get(pk=execution.pk)

    def picture(self, execution: Execution) -> tuple[str, list[str]]:
        """The run's status and those of its waves."""
        return self.fresh(execution).status, [wave.status for wave in self.waves(execution)]

    def waves(self, execution: Execution) -> Sequence[WaveRun]:
        return list(WaveRun.objects.filter(execution=execution).order_by("number"))

    def launches(self) -> list[dict[str, Any]]:
        """Every StartRecovery that had its effect, oldest first."""
        return [call for call in self.simulator.journal("StartRecovery") if call["job_id"]]
