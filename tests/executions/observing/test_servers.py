"""What is told of each server: instance ids that come late or never, snapshots, skipped ones, phases, whole logs."""

from drs.client import Drs
from executions.models import JobEvent, LaunchJob, ServerRun
from tests.support.stage import Stage


def server(hostname: str = "app-01") -> ServerRun:
    return ServerRun.objects.get(hostname=hostname)


def test_it_looks_late_instance_ids_up_by_job(stage: Stage) -> None:
    """The job never tells the id; an instance of an earlier run exists and must not be taken."""
    plan = stage.plan("app-01")
    stage.until(stage.start(plan), "COMPLETED")
    earlier = server().recovery_instance_id
    stage.advance(60)
    stage.look()
    stage.simulator.scenario("late_instance_id", servers=["app-01"], seconds=-1)
    run = stage.until(stage.start(plan), "COMPLETED")
    stage.advance(30)
    stage.look()
    found = ServerRun.objects.get(wave__execution=run)
    (instance,) = Drs("us-east-1").recovery_instances(stage.ids("app-01"))
    assert instance.job_id == LaunchJob.objects.get(wave__execution=run).job_id
    assert found.recovery_instance_id == instance.recovery_instance_id
    assert found.recovery_instance_id != earlier
    assert ServerRun.objects.exclude(wave__execution=run).get().recovery_instance_id == earlier


def test_it_completes_without_waiting_for_an_instance_id(stage: Stage) -> None:
    stage.simulator.scenario("late_instance_id", servers=["app-01"], seconds=300)
    run = stage.start(stage.plan("app-01"))
    stage.look()  # what the launch would end was asked before
    stage.simulator.scenario("access_denied", operation="DescribeRecoveryInstances")
    stage.until(run, "COMPLETED")
    run = stage.fresh(run)
    assert server().recovery_instance_id == ""
    assert run.next_step_at is not None
    stage.wait(lambda: server().recovery_instance_id != "", run)
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)
    assert stage.fresh(run).status == "COMPLETED"


def test_it_shows_a_launch_from_the_previous_snapshot(stage: Stage) -> None:
    stage.simulator.scenario("snapshot_fail_uses_previous", servers=["app-01"])
    stage.until(stage.start(stage.plan("app-01 app-02")), "COMPLETED")
    assert server().used_previous_snapshot
    assert server().launch_status == "LAUNCHED"
    assert not server("app-02").used_previous_snapshot


def test_it_shows_skipped_and_failed_servers_in_awss_words(stage: Stage) -> None:
    stage.simulator.scenario("server_skipped", servers=["app-01"], raw_error="not protected any more")
    stage.simulator.scenario("snapshot_fail_no_previous", servers=["app-02"])
    stage.simulator.scenario("conversion_fail", servers=["app-03"], raw_error="no driver")
    stage.until(stage.start(stage.plan("app-01 app-02 app-03 web-01")), "PARTIAL")
    assert server().error == "SERVER_SKIPPED: not protected any more"
    assert server("app-02").error.startswith("USING_PREVIOUS_SNAPSHOT_FAILED: ")
    assert server("app-03").error == "CONVERSION_FAIL: no driver"
    assert server("web-01").error == ""
    assert {each.phase for each in ServerRun.objects.all()} == {"DONE"}
    assert {each.launch_status for each in ServerRun.objects.exclude(hostname="web-01")} == {"FAILED"}


def test_it_keeps_every_line_of_a_long_log_once(stage: Stage) -> None:
    stage.simulator.settings(page_size=3)
    stage.simulator.scenario("short_pages", size=2, empty_every=2)
    run = stage.start(stage.plan("app-01 app-02 app-03"))
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)
    job = LaunchJob.objects.get()
    ours = list(JobEvent.objects.filter(derived=False).order_by("at", "id").values_list("at", "event"))
    stage.simulator.clear_scenarios()
    assert ours == [(line.at, line.event) for line in Drs("us-east-1").job_log(job.job_id)]
    assert JobEvent.objects.filter(derived=True, event="LAUNCH_END").count() == 3


def test_it_takes_launch_end_from_drs_where_drs_sends_it(stage: Stage) -> None:
    stage.simulator.scenario("launch_end_event")
    run = stage.start(stage.plan("app-01"))
    stage.wait(lambda: stage.fresh(run).next_step_at is None, run)
    event = JobEvent.objects.get(event="LAUNCH_END")
    assert not event.derived
    assert event.data["targetInstanceID"] == server().recovery_instance_id


def test_an_instance_that_is_gone_later_stays_in_the_record(stage: Stage) -> None:
    """DRS shows TERMINATED and no id for jobs of instances since replaced."""
    stage.simulator.scenario("clear_instance_ids")
    plan = stage.plan("app-01", "web-01", pause={1})
    run = stage.until(stage.start(plan), "PAUSED")
    stage.wait(lambda: LaunchJob.objects.filter(status="COMPLETED").exists(), run)  # until then, DRS holds the server
    instance = server().recovery_instance_id
    ended = stage.simulator.client().terminate_recovery_instances(recoveryInstanceIDs=[instance])
    assert ended["job"]["jobID"]
    LaunchJob.objects.update(watched=True)
    stage.advance(600)
    stage.look()
    assert (server().launch_status, server().recovery_instance_id) == ("LAUNCHED", instance)
    assert stage.fresh(run).status == "PAUSED"
