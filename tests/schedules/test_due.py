"""Engines and schedules: each drill starts once, whoever looks; what cannot start is told."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.actor import SYSTEM
from audit.models import AuditEntry
from contract.clock import db_clock
from drs_simulator.testing import RunningSimulator
from executions import installation
from executions.models import Execution, Installation
from executions.runs.aws_calls import run_inline
from executions.states import ExecutionStatus
from notify.models import Notice
from notify.states import Event
from plans.fields import WaveSpec
from plans.models import RecoveryPlan
from plans.services import create_plan
from protection.models import RegionInventory, ServerAssignment, SourceServer
from schedules import services
from schedules.due import look
from schedules.models import Occurrence, Schedule
from schedules.services import Wanted
from tests.console import world
from tests.executions.commands.test_production import launched_outside, running
from tests.support.stage import Stage

pytestmark = [pytest.mark.both, pytest.mark.django_db]


class Engine:
    """What an engine does of schedules, on a clock of its own."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def clock(self) -> datetime:
        return self.now

    def look(self) -> None:
        for calls in look(self.now, self.clock):
            run_inline(calls)

    def until(self, end: datetime, step: timedelta = timedelta(hours=1)) -> None:
        while self.now < end:
            self.now += step
            self.look()


@pytest.fixture
def plan(simulator: RunningSimulator, db: None) -> Iterator[RecoveryPlan]:
    stage = Stage(simulator)
    yield stage.plan("web-01", name="Payments")
    stage.sweep.close()


def schedule(plan: RecoveryPlan, now: datetime, **changes: Any) -> Schedule:
    given: dict[str, Any] = {"rule": "FREQ=WEEKLY;BYDAY=SU", "starts_on": date(2026, 1, 1), "time": time(2, 30)}
    wanted = Wanted(**{**given, "time_zone": "Europe/Berlin", **changes})
    return services.create(actor=SYSTEM, plan_id=plan.pk, wanted=wanted, clock=lambda: now)


def _wave_of(run: Execution) -> WaveSpec:
    """A wave of the servers that a run holds."""
    held = list(ServerAssignment.objects.filter(hold__execution=run))
    return WaveSpec("Once more", [held[0].group_id], [each.source_server_id for each in held])


def end_runs() -> None:
    """As if each run had completed at once."""
    for run in Execution.objects.filter(ended_at=None):
        run.holds.all().delete()
        Execution.objects.filter(pk=run.pk).update(
            status=ExecutionStatus.COMPLETED, ended_at=timezone.now(), next_step_at=None
        )


def starts() -> list[tuple[datetime, str]]:
    return list(Occurrence.objects.order_by("at").values_list("at", "outcome"))


def outcomes() -> list[tuple[str, str]]:
    return [(f"{at.astimezone(UTC):%m-%d %H:%M}", outcome) for at, outcome in starts()]


def test_a_month_with_a_change_of_clocks_drills_each_sunday_once(plan: RecoveryPlan) -> None:
    world.beat()
    world.subscription(events=[Event.SCHEDULE])
    first, second = (Engine(datetime(2026, 3, 10, 0, 35, tzinfo=UTC)) for _ in range(2))
    schedule(plan, first.now)
    for _ in range(31 * 24):
        world.beat()
        for engine in (first, second):
            engine.now += timedelta(hours=1)
            engine.look()
        end_runs()
    assert outcomes() == [
        ("03-15 01:30", "STARTED"), ("03-22 01:30", "STARTED"), ("03-29 01:30", "STARTED"), ("04-05 00:30", "STARTED"),
    ]  # fmt: skip
    started = Execution.objects.order_by("started_at")
    assert [(each.started_by, each.kind) for each in started] == [("service:schedule", "DRILL")] * 4
    told = list(Notice.objects.filter(event=Event.SCHEDULE).values_list("data__what", "happened_at"))
    assert [what for what, _ in told] == ["SCHEDULED"] * 4
    told_at = sorted(at for _, at in told)
    ahead = [at - before for (at, _), before in zip(starts(), told_at, strict=True)]
    assert all(timedelta(hours=23) < each <= timedelta(days=1) for each in ahead), ahead
    entry = AuditEntry.objects.filter(verb="execution.start", refused=False).first()
    assert entry
    assert (entry.actor, entry.actor_kind) == ("service:schedule", "service")


def test_what_no_engine_looked_at_in_time_is_missed_and_told(plan: RecoveryPlan) -> None:
    world.beat()
    world.subscription(events=[Event.SCHEDULE])
    engine = Engine(datetime(2026, 3, 14, tzinfo=UTC))
    schedule(plan, engine.now)
    engine.now = datetime(2026, 3, 23, tzinfo=UTC)
    for _ in range(4):
        engine.now += timedelta(minutes=2)
        engine.look()
    assert outcomes() == [("03-15 01:30", "MISSED"), ("03-22 01:30", "MISSED")]
    assert not Execution.objects.exists()
    notice = Notice.objects.filter(event=Event.SCHEDULE, data__what="MISSED").first()
    assert notice
    assert "No engine ran at that time." in notice.text
    assert Schedule.objects.get().next_at == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_a_plan_that_is_not_ready_is_tried_for_a_quarter_of_an_hour_and_not_drilled(plan: RecoveryPlan) -> None:
    world.beat()
    SourceServer.objects.update(replication_state="INITIAL_SYNC")
    engine = Engine(datetime(2026, 3, 15, 1, 29, tzinfo=UTC))
    made = schedule(plan, engine.now)
    RegionInventory.objects.update(as_of=engine.now)
    engine.until(datetime(2026, 3, 15, 1, 40, tzinfo=UTC), timedelta(minutes=1))
    assert "web-01" in Schedule.objects.get(pk=made.pk).problem
    engine.until(datetime(2026, 3, 15, 1, 50, tzinfo=UTC), timedelta(minutes=1))
    assert outcomes() == [("03-15 01:30", "REFUSED")]
    assert "web-01" in Occurrence.objects.get().text
    assert not Execution.objects.exists()


def test_a_drill_never_replaces_production_nor_runs_beside_another(plan: RecoveryPlan) -> None:
    world.beat()
    engine = Engine(datetime(2026, 3, 15, 1, 29, tzinfo=UTC))
    schedule(plan, engine.now)
    run = world.start(plan)
    engine.until(datetime(2026, 3, 15, 1, 35, tzinfo=UTC), timedelta(minutes=1))
    assert "is already running (pending" in Schedule.objects.get().problem
    end_runs()
    engine.until(datetime(2026, 3, 15, 1, 37, tzinfo=UTC), timedelta(minutes=1))
    assert outcomes() == [("03-15 01:30", "STARTED")]
    assert Execution.objects.exclude(pk=run.pk).get().started_by == "service:schedule"


def test_one_that_nobody_was_told_of_is_tried_once_a_minute_as_any_other(plan: RecoveryPlan) -> None:
    """No engine ran when it was to be announced; then each look tried it, and asked DRS."""
    world.beat()
    engine = Engine(datetime(2026, 3, 15, 1, 31, tzinfo=UTC))
    schedule(plan, engine.now - timedelta(minutes=5))
    run = world.start(plan)
    tries = []
    for _ in range(6):
        work = list(look(engine.now, engine.clock))
        tries.append(len(work))
        for calls in work:
            run_inline(calls)
        engine.now += timedelta(seconds=20)
    assert tries == [1, 0, 0, 1, 0, 0]
    assert "is already running (pending" in Schedule.objects.get().problem
    assert Execution.objects.get() == run


def test_what_was_in_its_way_is_named(simulator: RunningSimulator, db: None) -> None:
    """… and nobody is sent for a right that a schedule must never have."""
    stage = Stage(simulator)
    plans = [stage.plan("app-01", name="Payments"), stage.plan("web-01", name="Shop")]
    run = world.start(plans[0])
    shared = create_plan(actor=SYSTEM, name="Again", waves=[_wave_of(run)])
    launched_outside(stage, "web-01")
    (instance,) = running(stage, "web-01")
    world.beat()
    engine = Engine(db_clock())
    for plan in (shared, plans[1]):
        Schedule.objects.filter(pk=schedule(plan, engine.now).pk).update(next_at=engine.now)
    engine.until(engine.now + timedelta(minutes=17), timedelta(minutes=1))
    told = dict(Occurrence.objects.values_list("schedule__plan__name", "text"))
    assert told["Again"] == "1 of this plan's servers is in use by a run of “Payments”. Wait for its end or cancel it."
    assert f"may run production: web-01 {instance}. No drill by schedule does that." in told["Shop"]
    assert "You may not" not in told["Shop"]
    stage.sweep.close()


def test_one_that_was_switched_off_or_changed_meanwhile_does_not_start(plan: RecoveryPlan) -> None:
    world.beat()
    engine = Engine(datetime(2026, 3, 15, 1, 31, tzinfo=UTC))
    made = schedule(plan, datetime(2026, 3, 15, 1, 0, tzinfo=UTC))
    work = list(look(engine.now, engine.clock))
    off = Wanted(made.rule, made.starts_on, made.time, made.time_zone, enabled=False)
    services.update(actor=SYSTEM, schedule_id=made.pk, wanted=off, clock=engine.clock)
    for calls in work:
        run_inline(calls)
    assert not Execution.objects.exists()
    assert not Occurrence.objects.exists()


def test_an_installation_that_was_taken_over_starts_none_and_tells_nobody(plan: RecoveryPlan) -> None:
    """The other one announces the same drills, and starts them."""
    world.beat()
    world.subscription(events=[Event.SCHEDULE])
    engine = Engine(datetime(2026, 3, 14, 12, 0, tzinfo=UTC))
    schedule(plan, engine.now)
    installation.own()
    Installation.objects.update(superseded_by="2:line:key")
    engine.look()
    engine.now = datetime(2026, 3, 15, 1, 29, tzinfo=UTC)
    engine.until(datetime(2026, 3, 15, 1, 50, tzinfo=UTC), timedelta(minutes=1))
    assert outcomes() == [("03-15 01:30", "REFUSED")]
    assert "Another installation has taken over" in Occurrence.objects.get().text
    assert not Execution.objects.exists()
    assert not Notice.objects.filter(event=Event.SCHEDULE).exists()


def test_a_real_sweep_looks_at_them(simulator: RunningSimulator, db: None) -> None:
    stage = Stage(simulator)
    plan = stage.plan("web-01")
    world.beat()
    made = schedule(plan, db_clock(), rule="FREQ=DAILY")
    Schedule.objects.filter(pk=made.pk).update(next_at=db_clock() - timedelta(seconds=5))
    stage.look()
    assert Execution.objects.get().started_by == "service:schedule"
    stage.sweep.close()
