"""Large waves and several regions: as many DRS jobs as DRS wants, within what it takes, and words while it waits."""

import time
from itertools import pairwise
from typing import Any

import pytest

from audit.actor import SYSTEM
from drs_simulator.world.fleet import Fleet, generate_fleet
from executions.commands import control
from executions.models import Execution, LaunchJob, ServerRun, WaveRun
from executions.states import Kind
from plans.fields import WaveSpec
from plans.models import RecoveryPlan
from plans.services import create_plan
from protection.inventory.recovery_instances import InstancesKnown
from protection.inventory.source_servers import read_region
from protection.models import SourceServer
from protection.services import create_group
from tests.support.stage import Stage

pytestmark = pytest.mark.slow


def bulk(stage: Stage, **servers: int) -> dict[str, list[str]]:
    """A fleet of so many servers a region (`us_east_1=230`), read into the inventory."""
    fleets = [generate_fleet(count, region.replace("_", "-")) for region, count in servers.items()]
    regions = tuple(each.regions[0] for each in fleets)
    stage.simulator.load_fleet(Fleet(tuple(server for each in fleets for server in each.servers), regions))
    for region in regions:
        read_region(region)
    by_region = {region: SourceServer.objects.filter(region=region).order_by("hostname") for region in regions}
    return {region: list(found.values_list("pk", flat=True)) for region, found in by_region.items()}


def wave_of(ids: dict[str, list[str]], name: str = "All") -> WaveSpec:
    groups = [
        create_group(actor=SYSTEM, name=f"{name} {region}", region=region, source_server_ids=members).pk
        for region, members in ids.items()
    ]
    return WaveSpec(name=name, group_ids=groups, server_ids=[each for members in ids.values() for each in members])


def plan_of(*waves: WaveSpec, name: str = "Bulk") -> RecoveryPlan:
    return create_plan(actor=SYSTEM, name=name, waves=list(waves))


def said(run: Execution) -> str:
    return WaveRun.objects.get(execution=run, number=0).status_message


def test_it_cuts_a_wave_into_jobs_of_a_hundred_sent_fifteen_seconds_apart_in_each_region(stage: Stage) -> None:
    run = stage.start(plan_of(wave_of(bulk(stage, us_east_1=230, us_west_2=20))))
    stage.until(run, "LAUNCHING", step=5)
    stage.until(run, "COMPLETED", step=60)
    jobs = LaunchJob.objects.order_by("intent_at")
    assert sorted((job.region, job.servers.count()) for job in jobs) == [
        ("us-east-1", 30),
        ("us-east-1", 100),
        ("us-east-1", 100),
        ("us-west-2", 20),
    ]
    intents = [job.intent_at for job in jobs if job.intent_at and job.region == "us-east-1"]
    assert len(intents) == 3
    assert all((later - sooner).total_seconds() >= 15 for sooner, later in pairwise(intents))
    (elsewhere,) = (job.intent_at for job in jobs if job.region == "us-west-2")
    assert elsewhere is not None
    assert elsewhere < intents[1], "it waits for no other region"
    assert len(stage.launches()) == 4
    assert ServerRun.objects.filter(launch_status="LAUNCHED").count() == 250


def test_it_waits_for_foreign_jobs_within_the_quota_and_says_so(stage: Stage) -> None:
    ids = bulk(stage, us_east_1=30)["us-east-1"]
    for each in ids[:20]:
        stage.simulator.scenario("foreign_job", servers=[each], region="us-east-1")
    run = stage.start(plan_of(wave_of({"us-east-1": ids[20:]})))
    stage.look()
    assert "quota in us-east-1 is used up. Waiting for a job there to end. (Concurrent jobs in progress" in said(run)
    stage.advance(15)
    stage.look()
    assert "quota in us-east-1 is used up: 20 jobs with 20 servers run there" in said(run)
    assert "(Concurrent jobs in progress: at most 20)" in said(run)
    stage.until(run, "COMPLETED")
    assert said(run) == ""
    assert len(stage.launches()) == 1


def test_it_waits_for_the_job_that_has_its_server_and_names_it(stage: Stage) -> None:
    plan = stage.plan("app-01 app-02")
    (server,) = stage.ids("app-02")
    foreign = stage.simulator.scenario("foreign_job", servers=[server], region="us-east-1")["jobID"]
    run = stage.start(plan)
    stage.look()
    assert f"{server} is in DRS job {foreign} (START_DRILL, " in said(run)
    assert len(stage.launches()) == 1  # the free one goes at once
    stage.until(run, "COMPLETED")
    assert len(stage.launches()) == 2


def test_it_keeps_more_than_five_hundred_servers_within_the_quota(stage: Stage) -> None:
    run = stage.start(plan_of(wave_of(bulk(stage, us_east_1=520))))
    stage.wait(lambda: "quota in us-east-1 is used up" in said(run), run, step=60)
    stage.until(run, "COMPLETED", step=60)
    assert len(stage.launches()) == 6
    assert ServerRun.objects.filter(launch_status="LAUNCHED").count() == 520


def test_it_withdraws_what_was_not_sent_when_cancelled(stage: Stage) -> None:
    run = stage.start(plan_of(wave_of(bulk(stage, us_east_1=230))))
    stage.look()
    control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.until(run, "CANCELLED")
    assert [job.status for job in LaunchJob.objects.order_by("position")][1:] == ["WITHDRAWN", "WITHDRAWN"]
    assert len(stage.launches()) == 1
    assert WaveRun.objects.get().status == "FAILED"


def test_one_region_that_refuses_does_not_keep_the_others_from_launching(stage: Stage) -> None:
    stage.simulator.scenario("access_denied", operation="StartRecovery", region="us-east-1")
    ids = bulk(stage, us_east_1=2, us_west_2=2)
    run = stage.until(stage.start(plan_of(wave_of(ids))), "PARTIAL")
    assert run.error_code == "DRS_ACCESS_DENIED"
    assert set(ServerRun.objects.filter(job__region="us-west-2").values_list("launch_status", flat=True)) == {
        "LAUNCHED"
    }
    assert set(ServerRun.objects.filter(job__region="us-east-1").values_list("launch_status", flat=True)) == {"FAILED"}


@pytest.mark.parametrize("fault", ["unreachable", "drop_connection_before"])
def test_a_region_that_does_not_answer_slows_no_other(stage: Stage, fault: str) -> None:
    """Eight runs in a region that hangs, two elsewhere: those are launched and polled as if nothing was wrong."""
    ids = bulk(stage, us_east_1=8, us_west_2=2)
    plans = [plan_of(wave_of({"us-east-1": [each]}, each), name=each) for each in ids["us-east-1"]]
    plans += [plan_of(wave_of({"us-west-2": [each]}, each), name=each) for each in ids["us-west-2"]]
    stage.simulator.scenario(fault, region="us-east-1", **({"seconds": 18} if fault == "unreachable" else {}))
    known: dict[str, Any] = {"looked": InstancesKnown(), "clock": stage.clock}  # DRS is not asked at the start
    runs = [control.start(actor=SYSTEM, plan_id=plan.pk, kind=Kind.DRILL, **known) for plan in plans]
    began = time.monotonic()
    for _ in range(6):
        stage.sweep.once()
    assert {stage.fresh(run).status for run in runs[8:]} == {"POLLING"}
    stage.advance(900)
    for _ in range(4):
        stage.sweep.once()
    assert {stage.fresh(run).status for run in runs[8:]} == {"COMPLETED"}
    assert time.monotonic() - began < 15
    assert not any(stage.fresh(run).state.is_final for run in runs[:8])
    stage.simulator.clear_scenarios()


def test_a_wave_hears_of_one_region_while_the_other_does_not_answer(stage: Stage) -> None:
    ids = bulk(stage, us_east_1=1, us_west_2=1)
    run = stage.start(plan_of(wave_of(ids)))
    stage.wait(lambda: LaunchJob.objects.exclude(job_id="").count() == 2, run, step=5)
    stage.simulator.scenario("drop_connection_before", region="us-east-1")
    stage.wait(lambda: ServerRun.objects.get(job__region="us-west-2").launch_status == "LAUNCHED", run)
    waiting = stage.fresh(run)
    assert waiting.failing_since is not None
    assert ServerRun.objects.get(job__region="us-east-1").launch_status == "PENDING"
    stage.advance(3600)
    stage.look()
    assert not stage.fresh(run).state.is_final  # nothing is concluded about the silent region
    stage.simulator.clear_scenarios()
    assert stage.until(run, "COMPLETED").failing_since is None
