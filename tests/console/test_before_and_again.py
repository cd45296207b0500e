"""The console before a run and after a failed one: readiness, dry runs that nobody takes for real, trying again."""

from datetime import timedelta

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from drs_simulator.testing import RunningSimulator
from executions.models import Execution, ServerHold, ServerRun
from executions.readiness.stored_verdicts import refresh
from executions.states import ExecutionStatus, Kind, LaunchStatus, Phase, WaveStatus
from protection.models import SourceServer
from tests.console import world
from tests.console.test_pages import HX, look, words


def known() -> None:
    """Everything is read and well."""
    now = timezone.now()
    world.region(jobs_as_of=now)
    SourceServer.objects.update(details_as_of=now, latest_snapshot_at=now, launch_template_id="lt-1")


def rehearsed(*, fail: bool) -> Execution:
    """A dry run that is over; the first server has a finding."""
    made = world.start(world.plan("Rehearsed", pause=1))
    ServerHold.objects.all().delete()
    finding = {"code": "LAGGING", "severity": "WARNING", "message": "Its replication is BACKLOG."}
    if fail:
        finding = {"code": "SERVER_GONE", "severity": "BLOCKING", "message": "DRS did not list it."}
    servers = ServerRun.objects.filter(wave__execution=made)
    servers.update(phase=Phase.DONE)
    first = servers.order_by("wave__number", "position")[0]
    ServerRun.objects.filter(pk=first.pk).update(
        findings=[finding], error=finding["message"] if fail else "", launch_status="FAILED" if fail else "PENDING"
    )
    now = timezone.now()
    made.waves.update(status=WaveStatus.COMPLETED, started_at=now, ended_at=now, status_message="2 servers checked.")
    rehearsal = {
        "findings": [{"code": "QUOTA_JOBS", "severity": "WARNING", "message": "20 DRS jobs run."}],
        "predictedDuration": 930, "predictedEarliest": 800, "predictedLatest": 1100, "launches": 12,
        "basis": "From 12.",
    }  # fmt: skip
    status = ExecutionStatus.FAILED if fail else ExecutionStatus.COMPLETED
    return world.change(made, dry_run=True, status=status, ended_at=now, next_step_at=None, rehearsal=rehearsal)


def test_a_plan_says_whether_it_would_work_and_until_when_that_is_believed(console: Client) -> None:
    plan = world.plan("Payments")
    assert "Not known" in words(look(console, "plan", plan.pk))
    known()
    text = words(look(console, "plan", plan.pk))
    assert "Ready with warnings" in text
    assert "It has never completed a drill" in text
    assert "valid until" in text
    SourceServer.objects.filter(name__contains="server 0-0").update(replication_state="INITIAL_SYNC")
    text = words(look(console, "plan", plan.pk))
    assert "No recovery snapshot to launch from: Payments server 0-0." in text
    board = words(look(console, "dashboard"))
    assert "1 Not known" in board  # no engine has weighed it yet
    refresh(timezone.now())
    board = words(look(console, "dashboard"))
    assert "1 Not ready" in board
    assert "Payments : No recovery snapshot" in board
    world.region(age_seconds=3600, jobs_as_of=timezone.now())
    refresh(timezone.now() + timedelta(minutes=3))
    assert "1 Not known" in words(look(console, "dashboard"))


def test_a_dry_run_is_never_taken_for_a_real_one(console: Client) -> None:
    run = rehearsed(fail=False)
    html = look(console, "execution", run.pk)
    text = words(html)
    for said in (
        "This is a dry run.", "Dry run of a drill", "All 4 servers would launch.", "4 of 4 servers checked",
        "Would launch", "Its replication is BACKLOG.", "20 DRS jobs run.", "15 min 30 s", "From 12.",
    ):  # fmt: skip
        assert said in text, said
    for wrong in ("servers launched", "Terminate", "Try again", "Pending"):
        assert wrong not in text, wrong
    assert "Dry run" in words(look(console, "executions"))
    assert "No run matches" in look(console, "executions", dry_run="no")
    assert "Rehearsed" in words(look(console, "executions", dry_run="yes"))
    assert "never run" in words(look(console, "plans"))


def test_a_dry_run_says_what_would_fail(console: Client) -> None:
    text = words(look(console, "execution", rehearsed(fail=True).pk))
    assert "1 of 4 servers would not launch." in text
    assert "Would fail" in text
    assert "DRS did not list it." in text
    assert "no server was launched" not in text


def test_the_dialogs_offer_a_dry_run_also_while_the_plan_runs(console: Client) -> None:
    plan = world.plan("Payments")
    for name in ("start-drill", "start-recovery"):
        assert "Dry run: launch nothing" in look(console, name, plan.pk)
    answer = console.post(reverse("start-recovery", args=[plan.pk]), {"dry_run": "1"}, headers=HX)
    made = Execution.objects.get()
    assert answer.headers["HX-Redirect"] == reverse("execution", args=[made.pk])
    assert (made.dry_run, made.kind, ServerHold.objects.count()) == (True, Kind.RECOVERY, 0)
    world.start(plan)
    assert "Dry run" in words(look(console, "plan", plan.pk))


def test_a_failed_run_is_tried_again_from_its_page(console: Client, simulator: RunningSimulator) -> None:
    run = world.ended(ExecutionStatus.PARTIAL, "Payments", fail="No capacity")
    assert "Try again" in look(console, "execution", run.pk)
    dialog = words(look(console, "retry-execution", run.pk))
    assert "Attempt 2 launches 1 server that did not launch" in dialog
    assert "Wave 2, Payments tier 2: Payments server 1-0" in dialog
    assert "Wave 1: launched already, counts as completed" in dialog
    answer = console.post(reverse("retry-execution", args=[run.pk]), {"comment": "Capacity is back"})
    made = Execution.objects.get(retry_of=run)
    assert answer.headers["Location"] == reverse("execution", args=[made.pk])
    text = words(look(console, "execution", made.pk))
    assert "2 of 2" in text
    assert "Tried again, attempt 2, 1 server left to launch" in text
    assert "All its servers were launched by attempt 1 or earlier." in text
    assert "It was tried again: attempt 2" in look(console, "retry-execution", run.pk)


def test_a_recovery_is_tried_again_only_with_its_name_typed(chief: Client, console: Client) -> None:
    run = world.ended(ExecutionStatus.FAILED, "Payments", fail="No")
    ServerRun.objects.update(launch_status=LaunchStatus.FAILED, recovery_instance_id="")
    Execution.objects.filter(pk=run.pk).update(kind=Kind.RECOVERY)
    address = reverse("retry-execution", args=[run.pk])
    assert "You may not start recoveries" in words(look(console, "retry-execution", run.pk))
    assert console.post(address, {"confirm": "Payments"}).status_code == 403
    assert chief.post(address, {"confirm": "Paymints"}).status_code == 422
    assert Execution.objects.count() == 1
    assert chief.post(address, {"confirm": "payments"}).status_code == 302
    assert Execution.objects.get(retry_of=run).purpose is Kind.RECOVERY


def test_a_recovery_can_say_when_production_was_lost(chief: Client) -> None:
    """The field is in UTC; a wrong time is refused where it was typed, which stays."""
    plan = world.plan("Payments")
    address, lost = reverse("start-recovery", args=[plan.pk]), timezone.now().replace(second=0, microsecond=0)
    assert 'name="outage"' in look(chief, "start-recovery", plan.pk)
    for hours, told in ((1, "in the future"), (-24 * 31, "more than 30 days ago")):
        typed = f"{lost + timedelta(hours=hours):%Y-%m-%dT%H:%M}"
        refused = chief.post(address, {"confirm": "Payments", "outage": typed}, headers=HX)
        html = refused.content.decode()
        assert refused.status_code == 400
        assert told in html
        assert f'value="{typed}"' in html
    assert not Execution.objects.exists()
    typed = f"{lost - timedelta(hours=2):%Y-%m-%dT%H:%M}"
    chief.post(address, {"confirm": "Payments", "outage": typed}, headers=HX)
    assert Execution.objects.get().outage_at == lost - timedelta(hours=2)
