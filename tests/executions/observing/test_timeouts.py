"""Time: wave timeout, late instances, the grace for lagging rows, silence of AWS, and a pause of a year."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from audit.actor import SYSTEM
from audit.models import AuditEntry
from drs.client import Drs
from drs.shapes import Job, RecoveryInstance
from executions.commands import control
from executions.models import Execution, LaunchJob, ServerRun, WaveRun
from tests.executions.launching.test_many_servers import bulk, plan_of, wave_of
from tests.support.stage import Stage


def server(hostname: str = "app-01") -> ServerRun:
    return ServerRun.objects.get(hostname=hostname)


def test_it_fails_a_wave_that_is_late_and_records_the_late_instance(stage: Stage) -> None:
    stage.simulator.scenario("slow_server", servers=["app-01"], factor=6)
    began = stage.clock()
    run = stage.until(stage.start(stage.plan("app-01 app-02", "web-01")), "PARTIAL")
    assert 1800 < (stage.clock() - began).total_seconds() < 1860
    assert stage.picture(run) == ("PARTIAL", ["FAILED", "SKIPPED"])
    assert run.error_code == "WAVE_TIMEOUT"
    assert server("app-02").launch_status == "LAUNCHED"
    assert server().launch_status == "PENDING"
    assert run.next_step_at is not None
    ended, final = run.ended_at, stage.picture(run)
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run, limit=7200)
    assert server().launch_status == "LAUNCHED"
    assert server().recovery_instance_id.startswith("i-")
    assert stage.picture(run) == final
    assert stage.fresh(run).ended_at == ended
    assert AuditEntry.objects.filter(verb="execution.ended").count() == 1


def test_it_fails_a_run_of_which_nothing_came_up_in_time(stage: Stage) -> None:
    stage.simulator.scenario("slow_server", factor=20)
    run = stage.until(stage.start(stage.plan("app-01")), "FAILED")
    assert run.error_code == "WAVE_TIMEOUT"
    stage.wait(lambda: server().launch_status == "LAUNCHED", run, step=300, limit=40_000)
    assert stage.fresh(run).status == "FAILED"


def test_it_goes_on_after_a_timeout_if_the_wave_says_so_and_hears_the_rest_while_paused(stage: Stage) -> None:
    stage.simulator.scenario("slow_server", servers=["app-01"], factor=6)
    run = stage.start(stage.plan("app-01", "web-01", on_failure={0: "CONTINUE"}, pause={1}))
    stage.until(run, "PAUSED")
    assert server().recovery_instance_id == ""
    stage.wait(lambda: server().recovery_instance_id != "", run, limit=7200)
    assert stage.picture(run) == ("PAUSED", ["FAILED", "PAUSED"])
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.until(run, "PARTIAL")


@pytest.mark.parametrize("fault", ["throttle", "internal_error_before"])
def test_it_hears_the_rest_of_a_late_wave_while_the_next_one_cannot_be_sent(stage: Stage, fault: str) -> None:
    """Refused, or in doubt: AWS takes no launch, and tells of those it has."""
    stage.simulator.scenario("steady_times")
    stage.simulator.scenario("slow_server", servers=["app-01"], factor=6)
    run = stage.start(stage.plan("app-01", "web-01", on_failure={0: "CONTINUE"}))
    stage.until(run, "LAUNCHING")
    stage.simulator.scenario(fault, operation="StartRecovery")
    stage.wait(lambda: stage.picture(run)[1] == ["FAILED", "INITIATED"], run)
    assert (stage.fresh(run).status, server().recovery_instance_id) == ("POLLING", "")
    Execution.objects.update(failing_since=stage.clock(), aws_error="DescribeJobs in us-east-1: as the search for it")
    stage.wait(lambda: server().recovery_instance_id != "", run, limit=1200)
    assert stage.picture(run)[1] == ["FAILED", "INITIATED"]
    assert (stage.fresh(run).failing_since, stage.fresh(run).aws_error) == (None, "")
    stage.simulator.clear_scenarios()
    stage.until(run, "PARTIAL")
    assert (stage.picture(run)[1], len(stage.launches())) == (["FAILED", "COMPLETED"], 2)


def test_it_sends_the_next_wave_elsewhere_although_the_region_of_a_late_one_is_silent(stage: Stage) -> None:
    ids = bulk(stage, us_east_1=1, us_west_2=1)
    late, after = (wave_of({region: members}, name=region) for region, members in ids.items())
    stage.simulator.scenario("steady_times")
    stage.simulator.scenario("slow_server", factor=6)
    run = stage.start(plan_of(replace(late, on_failure="CONTINUE"), after))
    stage.until(run, "LAUNCHING")
    stage.simulator.scenario("throttle", operation="StartRecovery", times=1)
    stage.wait(lambda: stage.picture(run)[1] == ["FAILED", "INITIATED"], run)
    stage.simulator.scenario("internal_error_before", operation="DescribeJobs", region="us-east-1")
    stage.wait(lambda: len(stage.launches()) == 2, run, step=15, limit=300)
    assert stage.picture(run)[1][0] == "FAILED"


def test_it_hears_late_news_of_a_run_that_was_cancelled_in_a_pause(stage: Stage) -> None:
    stage.simulator.scenario("slow_server", servers=["app-01"], factor=6)
    run = stage.start(stage.plan("app-01", "web-01", on_failure={0: "CONTINUE"}, pause={1}))
    stage.until(run, "PAUSED")
    control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run, limit=7200)
    assert server().recovery_instance_id != ""
    assert stage.fresh(run).status == "CANCELLED"


@pytest.mark.parametrize("outcome", ["COMPLETED", "FAILED"])
def test_it_takes_the_verdict_from_the_answer_after_a_long_silence(stage: Stage, outcome: str) -> None:
    """AWS throttles everything for longer than the wave timeout, then answers."""
    if outcome == "FAILED":
        stage.simulator.scenario("launch_failed", servers=["app-01"])
    run = stage.start(stage.plan("app-01"))
    stage.look()
    silence = stage.simulator.scenario("throttle")
    for _ in range(30):
        stage.advance(120)
        stage.look(1)
    waiting = stage.fresh(run)
    assert waiting.status == "POLLING"
    assert waiting.failing_since is not None
    assert "ThrottlingException" in waiting.aws_error
    assert silence["name"] == "throttle"
    stage.simulator.clear_scenarios("throttle")
    done = stage.until(run, outcome)
    assert done.error_code == ("" if outcome == "COMPLETED" else "SERVER_LAUNCH_FAILED")
    assert done.failing_since is None
    assert done.aws_error == ""


def test_it_concludes_nothing_from_what_it_saw_before_an_outage_of_its_own(stage: Stage) -> None:
    """Launched in time while no engine ran: past the deadline, the first look finds them up."""
    run = stage.start(stage.plan("app-01"))
    stage.until(run, "LAUNCHING")
    stage.advance(7200)
    stage.until(run, "COMPLETED", limit=60)


def test_it_looks_at_the_servers_of_a_late_adopted_job_before_it_judges(stage: Stage) -> None:
    """Sent, killed before the answer was recorded, and no engine for two hours."""
    stage.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
    stage.simulator.scenario("visibility_delay", seconds=20)
    run = stage.start(stage.plan("app-01"))
    stage.look()
    assert LaunchJob.objects.get().job_id == ""
    stage.advance(7200)
    stage.until(run, "COMPLETED", limit=60)
    assert len(stage.launches()) == 1


def test_it_counts_the_timeout_from_the_jobs_creation_and_no_paused_time(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01", "web-01", pause={1}))
    stage.until(run, "PAUSED")
    stage.advance(30 * 24 * 3600)
    stage.look()
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.until(run, "COMPLETED")
    for job in LaunchJob.objects.select_related("wave"):
        assert job.created_at is not None
        assert job.wave.deadline_at is not None
        assert job.intent_at is not None
        since = max(job.created_at, job.intent_at)
        assert abs((job.wave.deadline_at - since).total_seconds() - 1800) < 1


def test_it_gives_a_completed_jobs_lagging_rows_a_bounded_grace(stage: Stage) -> None:
    stage.simulator.scenario("never_settles", servers=["app-01"])
    run = stage.start(stage.plan("app-01 app-02"))
    stage.wait(lambda: LaunchJob.objects.get().status == "COMPLETED", run)
    assert stage.fresh(run).status == "LAUNCHING"
    seen = LaunchJob.objects.get().completed_seen_at
    run = stage.until(run, "PARTIAL", step=60)
    assert seen is not None
    assert run.ended_at is not None
    assert 120 <= (run.ended_at - seen).total_seconds() < 240
    assert "without saying" in server().error
    assert server("app-02").launch_status == "LAUNCHED"
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run, limit=1200)


def test_a_server_that_comes_up_after_it_was_given_up_can_be_terminated(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DRS ends the job while the server's row is still PENDING, and says LAUNCHED some minutes later."""
    run, told = stage.start(stage.plan("app-01 app-02")), Drs.jobs
    late = server().source_server_id

    def lag(job: Job) -> Job:
        participants = [each for each in job.participants if each.source_server_id != late]
        pending = [replace(each, launch_status="PENDING", recovery_instance_id="") for each in job.participants]
        return replace(job, participants=(*participants, *(e for e in pending if e.source_server_id == late)))

    def jobs(drs: Drs, job_ids: Sequence[str]) -> list[Job]:
        return [lag(job) for job in told(drs, job_ids)]

    listed = Drs.recovery_instances

    def instances(drs: Drs, ids: Sequence[str]) -> list[RecoveryInstance]:
        return [each for each in listed(drs, ids) if each.source_server_id != late]

    with monkeypatch.context() as patch:
        patch.setattr(Drs, "jobs", jobs)
        patch.setattr(Drs, "recovery_instances", instances)
        run = stage.until(run, "PARTIAL", step=20)
        assert "without saying" in server().error
        for _ in range(3):
            stage.advance(20)
            stage.look()
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)
    assert (server().launch_status, server().error) == ("LAUNCHED", "")
    assert (stage.picture(run), stage.fresh(run).ended_at) == (("PARTIAL", ["FAILED"]), run.ended_at)
    control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    (call,) = stage.simulator.journal("TerminateRecoveryInstances")
    assert server().recovery_instance_id in call["params"]["recoveryInstanceIDs"]  # type: ignore[index]


def test_it_takes_a_job_that_drs_has_not_shown_for_a_day_for_gone(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01"))
    stage.look()
    LaunchJob.objects.update(job_id="drsjob-3ffffffffffffffff")
    stage.packs.touched = True
    for _ in range(3):
        stage.advance(8 * 3600 - 60)
        stage.look()
    assert stage.fresh(run).status == "POLLING"
    run = stage.until(run, "FAILED", step=300)
    assert "has not shown the job" in server().error


def test_it_ends_a_pause_after_a_year(stage: Stage) -> None:
    run = stage.start(stage.plan("app-01", "web-01", pause={1}))
    stage.until(run, "PAUSED")
    stage.advance(364 * 24 * 3600)
    stage.look()
    assert stage.fresh(run).status == "PAUSED"
    stage.advance(24 * 3600)
    stage.look()
    run = stage.fresh(run)
    assert (run.status, run.error_code) == ("PARTIAL", "PAUSE_EXPIRED")
    assert [wave.status for wave in WaveRun.objects.order_by("number")] == ["COMPLETED", "SKIPPED"]
    assert len(stage.launches()) == 1
    assert Execution.objects.get().holds.count() == 0
