"""Every run that is over has a pack that holds, whatever happened to it: the stage makes one, and has it checked, each
time that something new is known of an ended run (`tests.support.packs`)."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audit.actor import SYSTEM
from drsorch_verify import archive, history
from drsorch_verify.check import JOURNAL, REPORT, notes, problems
from drsorch_verify.derive import is_late
from executions.commands import control
from executions.commands.abandon import abandon
from executions.commands.retry import retry
from executions.models import Execution, LaunchJob, ServerRun
from plans.models import RecoveryPlan
from reports import services as reports
from tests.support.packs import found_wrong
from tests.support.stage import Stage

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def a_pack_of_each_news(stage: Stage) -> None:
    stage.packs.every = True


END = ("COMPLETED", "PARTIAL", "FAILED", "CANCELLED")


def packed(stage: Stage, run: Execution) -> tuple[bytes, dict[str, Any]]:
    made = reports.evidence(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    assert problems(made) == []
    return made, json.loads(archive.read(made)[REPORT])


def ended(stage: Stage, run: Execution, *, step: float = 150, limit: float = 9000) -> Execution:
    """Wait for the end of a run, and until DRS owes nothing of it."""
    stage.until(run, *END, step=step, limit=limit)
    return known(stage, run)


def known(stage: Stage, run: Execution) -> Execution:
    return stage.wait(lambda: stage.fresh(run).next_step_at is None, run, limit=20_000)


def cancel(stage: Stage, run: Execution) -> None:
    control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)


def resume(stage: Stage, run: Execution) -> None:
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)


def given_up(stage: Stage, run: Execution) -> Execution:
    """AWS is silent until somebody gives the run up."""
    stage.simulator.scenario("internal_error_before", operation="DescribeJobs")
    for _ in range(35):
        stage.advance(60)
        stage.look()
    abandon(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.look()
    return stage.fresh(run)


# What one end needs said beside what the walks below do


@pytest.mark.field("B3")
def test_a_run_that_was_given_up_says_what_is_to_come_and_then_what_came(stage: Stage) -> None:
    """DRS dates the launches long before the run was given up, and says so only afterwards."""
    stage.simulator.scenario("launch_end_event")
    run = stage.start(stage.plan("app-01 app-02", "web-01"))
    stage.wait(lambda: LaunchJob.objects.exclude(job_id="").exists(), run, step=5)
    run = given_up(stage, run)
    assert stage.picture(run) == ("FAILED", ["FAILED", "SKIPPED"])
    made, report = packed(stage, run)
    assert report["expected"][0].startswith("2 servers of wave 1 may still come up")
    assert "Made while AWS had not told everything of 1 launches" in notes(made)[0]
    stage.simulator.clear_scenarios("internal_error_before")
    run = known(stage, run)
    server = ServerRun.objects.get(hostname="app-01")
    assert server.launched_at is not None
    assert run.ended_at is not None
    assert server.launched_at < run.ended_at
    made, report = packed(stage, run)
    assert (report["status"], report["expected"], notes(made)) == ("FAILED", [], [])
    assert [each["late"] for each in report["waves"][0]["servers"]] == [True, True]
    assert report["measured"]["launchedServers"] == 2


def test_a_late_launch_that_aws_dates_before_the_end_is_late_all_the_same(stage: Stage) -> None:
    """The wave timed out by what DRS said after its deadline; the time that it told later lies before that."""
    stage.simulator.scenario("launch_end_event")
    run = ended(stage, stage.start(stage.plan("app-01 app-02")))
    server = ServerRun.objects.get(hostname="app-01")
    entry = {"detail": {"wave": 0, "launches": {server.source_server_id: ["PENDING", None, None]}}}
    wave = packed(stage, run)[1]["waves"][0]
    shown = next(each for each in wave["servers"] if each["hostname"] == "app-01")
    assert shown["launchTime"] <= wave["endTime"]
    assert (is_late(wave, shown, entry), is_late(wave, shown, None), shown["late"]) == (True, False, False)


def test_rows_of_a_run_that_was_given_up_do_not_pass_when_they_are_changed(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01 app-02", "web-01"))
    stage.wait(lambda: LaunchJob.objects.exclude(job_id="").exists(), run, step=5)
    run = given_up(stage, run)
    stage.simulator.clear_scenarios()
    run, stage.packs.touched = known(stage, run), True
    now, first = stage.clock(), {"wave__execution": run, "wave__number": 0}
    earlier = run.started_at - timedelta(hours=1)
    rows: list[tuple[Any, dict[str, Any], str]] = [
        (Execution.objects.filter(pk=run.pk), {"status": "PARTIAL"}, "status is PARTIAL, the journal says FAILED"),
        (Execution.objects.filter(pk=run.pk), {"ended_at": now}, "endTime is not when"),
        (run.waves.filter(number=0), {"status": "COMPLETED"}, "wave 1 is COMPLETED, but"),
        (run.waves.filter(number=0), {"ended_at": now}, "wave 1: endTime is not when"),
        (ServerRun.objects.filter(**first), {"launch_status": "FAILED"}, "app-01 is FAILED, the journal says LAUNCHED"),
        (
            ServerRun.objects.filter(**first),
            {"launched_at": earlier},
            "is of another time than",
        ),
        (
            ServerRun.objects.filter(wave__execution=run, hostname="web-01"),
            {"launch_status": "LAUNCHED", "launched_at": now},
            "wave 2: it is SKIPPED, but web-01 was launched",
        ),
    ]
    for chosen, change, told in rows:
        before = {each.pk: {name: getattr(each, name) for name in change} for each in chosen}
        chosen.update(**change)
        found = found_wrong(run, now)
        assert any(told in each for each in found), (change, found)
        for pk, columns in before.items():
            chosen.model.objects.filter(pk=pk).update(**columns)
    assert found_wrong(run, now) == []


def test_a_run_that_was_given_up_by_the_version_before(stage: Stage) -> None:
    """Its journal has nothing of what ended with it but the entry of who gave it up."""
    run = stage.start(stage.plan("app-01", "web-01"))
    stage.wait(lambda: LaunchJob.objects.exclude(job_id="").exists(), run, step=5)
    run = given_up(stage, run)
    links = json.loads(archive.read(packed(stage, run)[0])[JOURNAL])["links"]
    entries = [link["entry"] for link in links if "entry" in link]
    abandoned = next(each for each in entries if each["verb"] == "execution.abandon")
    later = {each["id"] for each in entries if each["id"] > abandoned["id"]}
    report = packed(stage, run)[1]
    line = next(line for line in report["journal"] if line["entryId"] == abandoned["id"])
    line["time"] = report["endTime"]  # the stage's clock is ahead of the journal's
    abandoned["at"] = datetime.fromtimestamp(line["time"], UTC).isoformat()
    report["journal"] = [line for line in report["journal"] if line["entryId"] not in later]
    assert history.problems(report, [each for each in entries if each["id"] not in later]) == []


@pytest.mark.field("B8")
def test_figures_that_are_still_being_read_are_said_to_be(stage: Stage) -> None:
    plan = stage.plan("app-01")
    RecoveryPlan.objects.filter(pk=plan.pk).update(rpo_minutes=5)
    run = stage.start(plan)
    stage.look()  # before a drill is sent, too, DRS is asked which instances run
    stage.simulator.scenario("internal_error_before", operation="DescribeRecoveryInstances")
    stage.until(run, "COMPLETED", step=15)
    report = packed(stage, run)[1]
    assert "Whether the RPO of 5 min was met is still being read from AWS." in report["verdict"]
    assert "Figures of 1 launched server of wave 1 are still being read" in report["expected"][0]
    stage.simulator.clear_scenarios()
    report = packed(stage, known(stage, run))[1]
    assert (report["measured"]["rpo"]["reached"], report["expected"]) == ("MET", [])


def test_a_pause_asked_for_again_right_after_the_resume(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01", "web-01", pause={1}))
    stage.until(run, "PAUSED")
    resume(stage, run)
    control.pause(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.until(run, "PAUSED")
    stage.advance(600)
    cancel(stage, run)
    wave = packed(stage, known(stage, run))[1]["waves"][1]
    assert (wave["resumedTime"], wave["resumedBy"], wave["waitedSeconds"] >= 600) == (None, None, True)


def test_a_third_attempt_of_which_the_second_was_deleted(stage: Stage) -> None:
    """The first has an instance standing and is kept; of the second nothing came up."""
    stage.simulator.scenario("launch_failed", servers=["app-02"], times=2)
    run = first = ended(stage, stage.start(stage.plan("app-01 app-02", "web-01")))
    for status in ("FAILED", "COMPLETED"):
        again = retry(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
        run = ended(stage, again)
        assert run.status == status
    Execution.objects.filter(attempt=2).delete()
    report = packed(stage, run)[1]
    assert [each["executionId"] for each in report["earlier"]] == [str(first.pk)]
    assert report["measured"]["launchedServers"] == 3


@pytest.mark.parametrize("operation", ["DescribeJobLogItems", "DescribeRecoveryInstances"])
def test_logs_and_instances_that_are_never_told(stage: Stage, operation: str) -> None:
    run = stage.start(stage.plan("app-01"))
    stage.look()  # before a drill is sent, too, DRS is asked which instances run
    stage.simulator.scenario("internal_error_before", operation=operation)
    stage.until(run, "COMPLETED")
    for hours in (1, 12, 12, 1):
        stage.advance(hours * 3600)
        stage.look()
    packed(stage, known(stage, run))
