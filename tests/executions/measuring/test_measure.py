"""RTO, RPO and where the time went, to the second, against what a person works out by hand.

Of a steady job every wait is the middle of its range: 10 s until it starts; then for each server 2.5 s to the
snapshot, 150 s snapshot, 2.5 s, 320 s conversion, 2.5 s + 2.5 s to the launch, 27.5 s launch. So a server is up after
10 + 507.5 = 517.5 s, or, at half the speed, after 10 + 1015 = 1025 s. We ask DRS every 15 s, on the quarter minute.
"""

import re
import time
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from audit.actor import SYSTEM
from executions.commands import control
from executions.measuring.rta_rpa import Measured, measure, rows_of
from executions.measuring.time_parts import Part
from executions.models import Execution
from executions.states import Kind, Reached
from plans.models import RecoveryPlan
from tests.support.api_client import Api, answer, make_user
from tests.support.still import StillStage


def measured(run: Execution, **targets: int | None) -> Measured:
    """The figures, as if the plan had had these targets."""
    Execution.objects.filter(pk=run.pk).update(**targets)
    found = Execution.objects.with_waves().get(pk=run.pk)
    return measure(found, rows_of(found))


def split_of(**parts: int) -> dict[Part, int]:
    return {part: parts.get(part, 0) for part in Part}


@pytest.fixture
def told(still: StillStage) -> StillStage:
    """DRS logs each launch to the moment."""
    still.simulator.scenario("launch_end_event")
    return still


def test_it_splits_rto_by_phase_person_and_the_rest(told: StillStage) -> None:
    told.simulator.scenario("slow_server", servers=["app-01"], factor=2)
    run = told.start(told.plan("app-01 app-02", "web-01", pause={1}))
    told.until(run, "PAUSED", step=15)
    told.advance(600)
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=told.clock)
    told.until(run, "COMPLETED", step=15)
    figures = measured(run, rto_minutes=36, rpo_minutes=0)

    # Wave 1: 1025 s, seen at 1035 (the 15 s grid). Paused 1035 to 1635. Wave 2: 517.5 s, so up at 2152.5 s.
    first, second = figures.waves
    assert [(each.row.hostname, each.rto) for each in figures.servers] == [
        ("app-01", 1025), ("app-02", 517), ("web-01", 2152),
    ]  # fmt: skip
    assert (first.took, first.rto, first.waited) == (1025, 1025, 0)
    assert (second.took, second.rto, second.waited) == (517, 2152, 600)
    assert first.last is not None
    assert first.last.hostname == "app-01"
    # app-01 at half speed: 10 + 5 | 300 + 5 | 640 + 5 + 5 | 55
    assert first.split == split_of(queue=15, snapshot=305, conversion=650, launch=55)
    # web-01 from 1635 s: 12.5 | 152.5 | 325 | 27.5, cut at 1647.5, 1800, 2125 and 2152.5
    assert second.split == split_of(queue=12, snapshot=153, conversion=325, launch=27)
    # Between wave 1's last launch (1025) and the pause (1035): 10 s in which nobody had asked DRS.
    assert figures.split == split_of(person=600, queue=27, snapshot=458, conversion=975, launch=82, other=10)
    assert sum(figures.split.values()) == figures.rto.seconds == 2152
    assert (figures.rto.reached, figures.rto.missed_by) == (Reached.MET, None)
    assert (figures.rpo.reached, figures.rpo.seconds) == (Reached.MET, 0)  # snapshots were taken after the start
    missed = measured(run, rto_minutes=35).rto
    assert (missed.reached, missed.target, missed.missed_by) == (Reached.MISSED, 2100, 52)
    assert measured(run, rto_minutes=None).rto.reached is Reached.NO_TARGET


def test_it_takes_rpo_from_the_snapshots_point_in_time(told: StillStage) -> None:
    """crm-sql-02 lags 25 min, crm-sql-01 not; its snapshot is begun 12.5 s after the start."""
    run = told.start(told.plan("crm-sql-01 crm-sql-02"))
    told.until(run, "COMPLETED", step=15)
    told.advance(15)
    told.look()
    fresh, lagging = measured(run, rpo_minutes=20).servers
    points = [each.row.point_in_time or run.started_at for each in (fresh, lagging)]
    assert [round((each - run.started_at).total_seconds(), 3) for each in points] == [12.5, -1487.5]
    assert (fresh.rpo, lagging.rpo) == (0, 1488)
    assert fresh.rpo_verdict.reached is Reached.MET
    assert (lagging.rpo_verdict.reached, lagging.rpo_verdict.missed_by) == (Reached.MISSED, 288)
    assert (measured(run, rpo_minutes=20).rpo.seconds, measured(run, rpo_minutes=25).rpo.reached) == (1488, "MET")


def test_it_counts_rpo_from_a_declared_outage_and_flags_previous_snapshots(told: StillStage) -> None:
    told.simulator.scenario("snapshot_fail_uses_previous", servers=["app-01"])
    told.advance(420 - told.clock().timestamp() % 600 + 600)  # seven minutes past a full ten
    outage = told.clock() - timedelta(minutes=3)
    plan = told.plan("app-01 app-02")
    run = control.start(actor=SYSTEM, plan_id=plan.pk, kind=Kind.RECOVERY, outage_at=outage, clock=told.clock)
    told.until(run, "COMPLETED", step=15)
    told.advance(15)  # the job ends after the last launch; then DRS is asked for the points in time
    told.look()
    figures = measured(run, rpo_minutes=5)
    old, new = figures.servers
    assert old.row.point_in_time is not None
    # DRS keeps one every ten minutes: app-01's is seven minutes before the start, four before the outage.
    assert run.started_at - old.row.point_in_time == timedelta(minutes=7)
    assert (old.rpo, old.rpo_verdict.reached) == (240, Reached.MET)
    # app-02's was taken after the start: data from after the declared outage, so the outage was not then.
    assert (new.rpo, new.later, new.rpo_verdict.reached) == (None, True, Reached.UNKNOWN)
    assert (figures.rpo.seconds, figures.rpo.reached, figures.later_than_outage) == (240, Reached.UNKNOWN, 1)
    assert [each.row.used_previous_snapshot for each in figures.servers] == [True, False]
    assert figures.previous_snapshots == 1


def test_it_counts_the_wait_for_a_quota(told: StillStage) -> None:
    """Refused twice with no job of ours to wait for: tried again every two minutes, DRS takes it at the third try."""
    told.simulator.scenario("quota_exceeded", times=2)
    run = told.start(told.plan("app-01"))
    told.until(run, "POLLING", step=1)
    told.until(run, "COMPLETED", step=15)
    (wave,) = measured(run).waves
    (job,) = wave.row.jobs.all()
    assert job.attempt == 3
    assert job.intent_at is not None
    waited = (job.intent_at - run.started_at).total_seconds()
    assert 30 <= waited <= 300
    assert wave.split[Part.QUOTA] == waited
    assert wave.took == int(waited + 517.5)
    assert sum(wave.split.values()) == wave.took


def test_it_does_not_call_a_target_met_when_a_server_did_not_launch(still: StillStage) -> None:
    """Without LAUNCH_END the launch is when a poll saw it: 517.5 s, so at 525."""
    still.simulator.scenario("launch_failed", servers=["app-02"])
    run = still.start(still.plan("app-01 app-02", "web-01"))
    still.until(run, "PARTIAL", step=15)
    figures = measured(run, rto_minutes=600, rpo_minutes=600)
    assert [each.rto for each in figures.servers] == [525, None, None]
    assert (figures.rto.reached, figures.rto.seconds) == (Reached.NOT_REACHED, 525)
    assert figures.rpo.reached is Reached.NOT_REACHED
    assert not figures.complete


def test_it_concludes_nothing_before_the_end(told: StillStage) -> None:
    run = told.start(told.plan("app-01", "web-01", pause={1}))
    told.until(run, "PAUSED", step=15)
    figures = measured(run, rto_minutes=1, rpo_minutes=1)
    assert figures.rto.reached is Reached.UNKNOWN
    assert figures.rpo.reached is Reached.UNKNOWN


def test_an_outage_is_declared_with_a_recovery_and_lies_in_the_past(admin: Api, still: StillStage) -> None:
    plan, now = still.plan("app-01"), int(time.time())
    start = {"planId": str(plan.pk), "executionType": "RECOVERY", "initiatedBy": "x"}
    months_ago = now - 31 * 86_400
    for wrong in (
        {"executionType": "DRILL", "outageTime": now - 60}, {"outageTime": now + 3600}, {"outageTime": "x"},
        {"outageTime": 0}, {"outageTime": months_ago},
    ):  # fmt: skip
        refused = answer(admin.post("/executions", {**start, **wrong}), 400)
        assert list(refused["details"]["fields"]) == ["outageTime"]
    begun = answer(admin.post("/executions", {**start, "outageTime": now - 3600}), 202)
    assert answer(admin.get(begun["statusUrl"]))["outageTime"] == now - 3600


def test_a_failed_server_was_not_launched_from_an_earlier_snapshot(still: StillStage) -> None:
    """app-01's snapshot fails, an earlier one is used, and then its launch fails as well."""
    still.simulator.scenario("snapshot_fail_uses_previous", servers=["app-01"])
    still.simulator.scenario("launch_failed", servers=["app-01"], raw_error="No capacity")
    run = still.until(still.start(still.plan("app-01 app-02")), "PARTIAL", step=15)
    figures = measured(run)
    assert [(each.launched, each.row.used_previous_snapshot) for each in figures.servers] == [
        (False, True), (True, False),
    ]  # fmt: skip
    assert figures.previous_snapshots == 0


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


@pytest.mark.field("B9")
def test_the_rpa_holds_the_lag_that_the_source_had_at_the_intent(told: StillStage) -> None:
    """Its snapshot is begun 12.5 s after the start, with data that was five minutes old."""
    told.simulator.scenario("odd_lag", servers=["app-01"], lag="PT5M")
    told.simulator.scenario("odd_lag", servers=["app-02"], lag="")
    run = told.start(told.plan("app-01 app-02 app-03"))
    told.look()
    told.simulator.clear_scenarios("odd_lag")  # it caught up since: what counts is the lag at the intent
    told.until(run, "COMPLETED", step=15)
    told.advance(15)
    told.look()
    figures = measured(run, rpo_minutes=4)
    late, unknown, current = figures.servers
    assert [each.row.lag_seconds for each in figures.servers] == [300, None, 0]
    assert (late.lag, late.rpo, late.rpo_verdict.reached) == (300, 288, Reached.MISSED)
    assert (unknown.lag, unknown.rpo) == (0, 0)
    assert (current.lag, current.rpo) == (0, 0)
    assert (figures.rpo.seconds, figures.rpo_lag) == (288, 300)
    report = answer(Api(make_user("admin")).get(f"/executions/{run.pk}/report"))
    assert [each["lagSeconds"] for each in report["waves"][0]["servers"]] == [300, None, 0]
    assert report["measured"]["rpoLagSeconds"] == 300
    assert "5 min of the RPA is replication lag." in report["verdict"]


@pytest.mark.field("B9")
def test_an_earlier_snapshot_is_as_old_as_drs_says(told: StillStage) -> None:
    """The lag of now says nothing of it; DRS's time does."""
    told.simulator.scenario("odd_lag", servers=["app-01"], lag="PT5M")
    told.simulator.scenario("snapshot_fail_uses_previous", servers=["app-01"])
    run = told.until(told.start(told.plan("app-01")), "COMPLETED", step=15)
    told.advance(15)
    told.look()
    (server,) = measured(run).servers
    assert (server.row.lag_seconds, server.lag) == (300, 0)


@pytest.mark.field("B7")
def test_the_verdict_counts_from_the_declared_outage_and_both_are_shown(told: StillStage) -> None:
    """Production was lost two hours before anybody started: a target of one hour is missed."""
    plan = told.plan("app-01")
    RecoveryPlan.objects.update(rto_minutes=60)
    outage = told.clock() - minutes(120)
    run = told.start(plan, Kind.RECOVERY, outage_at=outage)
    told.until(run, "COMPLETED", step=15)
    told.advance(15)
    told.look()
    figures = measured(run, rto_minutes=60)
    assert (figures.from_start, figures.rto.seconds) == (517, 7717)
    assert (figures.rto.reached, figures.rto.missed_by) == (Reached.MISSED, 4117)
    assert sum(figures.split.values()) == figures.from_start
    api = Api(make_user("admin"))
    shown = answer(api.get(f"/executions/{run.pk}/report"))
    assert (shown["measured"]["rto"]["seconds"], shown["measured"]["rtoFromStartSeconds"]) == (7717, 517)
    assert "launched in 8 min 37 s. RTA 2 h 8 min: the RTO of 1 h was missed by 1 h 8 min." in shown["verdict"]
    assert "The RTA counts from the declared outage." in shown["verdict"]
    client = Client()
    client.force_login(make_user("viewer"))
    page = client.get(reverse("execution", args=[run.pk])).content.decode()
    assert re.search(r"2 h 8 min</span> after production was lost, <span[^>]*>8 min 37 s</span> after the start", page)


@pytest.mark.field("B8")
def test_while_drs_is_asked_how_old_the_data_is_it_is_being_read(told: StillStage) -> None:
    plan = told.plan("app-01")
    RecoveryPlan.objects.update(rpo_minutes=5)
    run = told.start(plan)
    told.look()
    told.simulator.scenario("throttle", operation="DescribeRecoveryInstances")
    told.until(run, "COMPLETED", step=15)
    figures = measured(run, rpo_minutes=5)
    assert (figures.rpo.reached, figures.servers[0].rpo_verdict.reached) == (Reached.READING, Reached.READING)
    assert (figures.rpo_reading, figures.rpo_unknown) == (1, 0)
    shown = answer(Api(make_user("admin")).get(f"/executions/{run.pk}/report"))
    assert "Whether the RPO of 5 min was met is still being read from AWS." in shown["verdict"]
    told.simulator.clear_scenarios("throttle")
    told.advance(15)
    told.look()
    assert measured(run, rpo_minutes=5).rpo.reached is Reached.MET
