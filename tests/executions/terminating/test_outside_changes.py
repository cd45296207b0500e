"""What others do to a run's instances becomes an event of the run within two rounds of the inventory; and after a
clean-up DRS is asked once more what it lists."""

from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from audit.actor import SYSTEM
from audit.models import AuditEntry
from drs.shapes import RecoveryInstance
from executions.commands import control
from executions.console.gates.panel import what_ran
from executions.console.live_page.event_feed import feed
from executions.console.live_page.page_content import Live
from executions.models import Execution, ServerRun
from executions.runs.aws_calls import run_inline
from executions.runs.gates.given import at_gate
from executions.states import Kind
from executions.terminating import cleanup_proof, outside_changes
from notify.models import Notice
from notify.states import Event
from protection.inventory import recovery_instances
from protection.models import RegionInventory
from reports.report_data import record
from tests.console import world
from tests.console.world import ACCOUNT
from tests.executions.commands.test_production import launched_outside, running
from tests.support.api_client import Api, answer, make_user
from tests.support.packs import found_wrong
from tests.support.stage import NEVER, Stage
from tests.support.still import StillStage


def round_of_inventory(stage: Stage) -> None:
    """An engine reads the inventory, as it does once a minute."""
    stage.advance(61)
    RegionInventory.objects.update(tried_at="2020-01-01T00:00Z")
    stage.sweep.next_inventory_check = None
    stage.look(times=1)
    stage.sweep.next_inventory_check = NEVER


def up(stage: Stage, hosts: str = "app-01 app-02 app-03", kind: Kind = Kind.DRILL) -> Execution:
    """A run that is over, whose instances stand, some minutes later."""
    run = stage.until(stage.start(stage.plan(hosts), kind), "COMPLETED")
    run = stage.wait(lambda: not run.waves.filter(jobs__watched=True).exists(), run)
    stage.advance(600)
    return run


def told(run: Execution) -> list[tuple[str, Any]]:
    entries = AuditEntry.objects.filter(subject_id=str(run.pk)).order_by("id")
    return [(each.verb, each.detail["servers"]) for each in entries if each.verb.startswith("instance")]


def states(run: Execution) -> dict[str, tuple[str, str]]:
    rows = ServerRun.objects.filter(wave__execution=run)
    return {each.hostname: (each.launch_status, each.recovery_instance_state) for each in rows}


def shown(run: Execution) -> Live:
    return Live(Execution.objects.with_waves().get(pk=run.pk))


def holds(run: Execution, stage: Stage) -> None:
    assert found_wrong(Execution.objects.get(pk=run.pk), stage.clock()) == []


@pytest.mark.both
def test_terminated_in_ec2(stage: Stage) -> None:
    run = up(stage)
    stage.simulator.scenario("ec2_terminated", servers=["app-02"])
    round_of_inventory(stage)
    assert states(run)["app-02"] == ("TERMINATED", "")
    assert told(run) == [("instance.terminated", ["app-02"])]
    assert "2 instances still running" in shown(run).banner.after
    assert any("Somebody else terminated 1 instance" in line.text and "app-02" in line.text for line in feed(run))
    round_of_inventory(stage)
    assert len(told(run)) == 1
    holds(run, stage)


def test_what_ends_while_the_run_waits_is_said_to_whoever_lets_it_go_on(stage: Stage) -> None:
    make_user("operator")  # makes the roles
    world.subscription()
    run = stage.until(stage.start(stage.plan("app-01 app-02", "web-01", pause={1})), "PAUSED")
    stage.wait(lambda: not run.waves.filter(jobs__watched=True).exists(), run)
    stage.advance(600)
    stage.simulator.scenario("ec2_terminated", servers=["app-02"])
    round_of_inventory(stage)
    after = shown(run).banner.after
    assert after.startswith("Of the servers that came up, 1 was terminated since: see the waves. Resume when ")
    at = at_gate(Execution.objects.get(pk=run.pk))
    assert at is not None
    (ran,) = what_ran(shown(run), at)
    assert ran.endswith("1 of 2 servers up. 1 was terminated after the launch.")
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    run = stage.until(run, "COMPLETED")
    assert (run.servers_left_out, shown(run).left_out) == (0, 0), "it was launched, and nobody left it out"
    notice = Notice.objects.filter(event=Event.FINISHED).latest("pk")
    assert "completed: 3 of 3 servers launched, 1 of them terminated since" in notice.subject
    holds(run, stage)


def test_stopped_and_started_again(stage: Stage) -> None:
    run = up(stage)
    stage.simulator.scenario("ec2_stopped", servers=["app-01"])
    round_of_inventory(stage)
    assert states(run)["app-01"] == ("LAUNCHED", "STOPPED")
    assert told(run) == [("instance.stopped", ["app-01"])]
    banner = shown(run).banner.after
    assert "2 instances still running" in banner
    assert "1 instance is stopped in EC2" in banner
    api = answer(Api(make_user("viewer")).get(f"/executions/{run.pk}"))
    assert [each["recoveryInstanceState"] for each in api["waves"][0]["serverStatuses"]] == ["STOPPED", None, None]
    report = record(Execution.objects.with_waves().get(pk=run.pk), stage.clock())["cleanup"]
    assert (report["stillRunning"], len(report["stopped"])) == (2, 1)
    holds(run, stage)
    control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.wait(lambda: bool(stage.fresh(run).termination_status == "COMPLETED"), run)
    assert set(states(run).values()) == {("TERMINATED", "")}


def test_terminated_by_drs_is_known_by_its_job(stage: Stage) -> None:
    run = up(stage)
    (instance,) = running(stage, "app-03")
    job = stage.simulator.client().terminate_recovery_instances(recoveryInstanceIDs=[instance])["job"]["jobID"]
    stage.advance(3600)
    round_of_inventory(stage)
    assert told(run) == []
    assert states(run)["app-03"] == ("LAUNCHED", "")
    round_of_inventory(stage)
    assert states(run)["app-03"] == ("TERMINATED", "")
    assert told(run) == [("instance.terminated", ["app-03"])]
    assert AuditEntry.objects.get(verb="instance.terminated").detail["byJob"] == job


@pytest.mark.field("A7")
def test_deleted_from_drs_is_not_said_to_be_terminated(stage: Stage) -> None:
    run = up(stage)
    stage.simulator.scenario("left_drs", servers=["app-01"])
    round_of_inventory(stage)
    assert told(run) == []
    round_of_inventory(stage)
    assert states(run)["app-01"] == ("LAUNCHED", "UNKNOWN")
    assert told(run) == [("instance.left_drs", ["app-01"])]
    assert "unknown to DRS may still run in EC2" in shown(run).banner.after
    round_of_inventory(stage)
    assert len(told(run)) == 1
    holds(run, stage)


@pytest.mark.both
def test_replaced_by_somebodys_launch(stage: Stage) -> None:
    run = up(stage, kind=Kind.RECOVERY)
    job = launched_outside(stage, "app-02")
    round_of_inventory(stage)
    assert states(run)["app-02"] == ("TERMINATED", "")
    assert told(run) == [("instances.replaced", ["app-02"])]
    assert any(f"A launch of somebody else (DRS job {job}) replaced 1 instance" in line.text for line in feed(run))
    holds(run, stage)


def test_replaced_by_a_launch_whose_job_was_deleted_from_drs(still: StillStage) -> None:
    """Its instance was launched from a snapshot of after our launch: so it came later."""
    run = up(still, kind=Kind.RECOVERY)
    job = launched_outside(still, "app-02")
    still.simulator.scenario("jobs_deleted", servers=["app-02"])
    for _ in range(3):
        round_of_inventory(still)
    assert states(run)["app-02"] == ("TERMINATED", "")
    assert told(run) == [("instances.replaced", ["app-02"])]
    assert AuditEntry.objects.get(verb="instances.replaced").detail["byJob"] == job
    holds(run, still)


def test_protected_with_drs(stage: Stage) -> None:
    """DRS's word for it stands in `failback.state`, which the simulator never changes."""
    run = up(stage, "app-01 app-02")
    reading = recovery_instances.fetch("us-east-1", ACCOUNT)
    first, *others = sorted(reading.instances, key=lambda each: each.source_server_id != stage.ids("app-01")[0])
    changed = replace(reading, instances=[replace(first, failback_state="FAILBACK_IN_PROGRESS"), *others])
    for _ in range(2):
        run_inline(outside_changes.note_changes(changed, stage.clock))
    assert told(run) == [("instance.protected", ["app-01"])]
    assert ServerRun.objects.get(hostname="app-01").failback_state == "FAILBACK_IN_PROGRESS"


def test_nothing_is_concluded_while_drs_is_silent_or_just_after_a_launch(stage: Stage) -> None:
    run = up(stage, "app-01")
    stage.packs.touched = True
    ServerRun.objects.update(launched_at=stage.clock())
    stage.simulator.scenario("left_drs", servers=["app-01"])
    round_of_inventory(stage)
    assert ServerRun.objects.get().missing_since is None, "it was launched a moment ago, and may be listed late"
    stage.advance(600)
    stage.simulator.scenario("throttle", operation="DescribeRecoveryInstances")
    for _ in range(3):
        round_of_inventory(stage)
    assert told(run) == []
    stage.simulator.clear_scenarios("throttle")
    round_of_inventory(stage)
    stage.simulator.scenario("throttle", operation="DescribeJobs")
    round_of_inventory(stage)
    assert told(run) == [], "nobody knows whether a job ended it"
    stage.simulator.clear_scenarios("throttle")
    round_of_inventory(stage)
    assert told(run) == [("instance.left_drs", ["app-01"])]


# Proof of a clean-up


def cleaned_up(stage: Stage) -> Execution:
    run = up(stage)
    control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    return stage.wait(lambda: bool(stage.fresh(run).termination_status == "COMPLETED"), run)


def test_after_a_clean_up_drs_is_asked_once_more(stage: Stage) -> None:
    run = cleaned_up(stage)
    assert run.proof_due
    client = Client()
    client.force_login(make_user("viewer"))
    assert "DRS is asked once more" in client.get(f"/executions/{run.pk}").content.decode()
    assert not shown(run).is_over
    round_of_inventory(stage)
    run.refresh_from_db()
    assert run.cleanup_proof is not None
    (proof,) = run.cleanup_proof
    assert (proof["region"], len(proof["instances"]), proof["stillListed"]) == ("us-east-1", 3, [])
    assert shown(run).is_over
    page = client.get(f"/executions/{run.pk}").content.decode()
    assert "Asked DRS at" in page
    assert "none of the 3 is listed by DRS in us-east-1." in page
    cleanup = record(Execution.objects.with_waves().get(pk=run.pk), stage.clock())["cleanup"]
    assert (cleanup["proof"], len(cleanup["accepted"]), cleanup["failed"]) == ([proof], 3, [])
    holds(run, stage)
    Execution.objects.update(cleanup_proof=[{**proof, "askedTime": proof["askedTime"] + 60}])
    wrong = found_wrong(Execution.objects.get(pk=run.pk), stage.clock())
    assert wrong == ["report: what DRS listed after the clean-up is not what the journal says"]
    stage.packs.touched = True
    round_of_inventory(stage)
    assert AuditEntry.objects.filter(verb="terminate.proved").count() == 1


def test_what_drs_still_lists_is_said_when_waiting_does_not_help(stage: Stage) -> None:
    run = cleaned_up(stage)
    reading = recovery_instances.fetch("us-east-1", ACCOUNT)
    (row, *_) = ServerRun.objects.filter(wave__execution=run)
    listed = _listed_as_running(row)
    cleanup_proof.prove(replace(reading, instances=[listed]), stage.clock())
    run.refresh_from_db()
    assert (run.proof_due, run.cleanup_proof) == (True, None), "DRS lists it a little longer, perhaps"
    stage.advance(900)
    later = recovery_instances.fetch("us-east-1", ACCOUNT)
    cleanup_proof.prove(replace(later, instances=[listed]), stage.clock())
    run.refresh_from_db()
    assert [each["stillListed"] for each in run.cleanup_proof or ()] == [[row.recovery_instance_id]]
    assert f"DRS in us-east-1 still lists {row.recovery_instance_id}." in [text for _, text in shown(run).proof]


def _listed_as_running(row: ServerRun) -> RecoveryInstance:
    return RecoveryInstance(row.recovery_instance_id, row.source_server_id, "RUNNING", "", True, None)
