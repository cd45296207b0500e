"""What pages and reports say of a run that is over: what it achieved, what became of its instances, what comes next."""

import re
from datetime import timedelta

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from drs_simulator.testing import RunningSimulator
from executions.models import Execution, LaunchJob, ServerRun, TerminationJob
from executions.runs.journal import note
from executions.states import ExecutionStatus, Kind
from tests.console import world
from tests.console.test_pages import look, words

VERBS = ("cancel", "retry", "terminate")


def replace_instances(run: Execution, by: Execution, *servers: ServerRun) -> None:
    """As an engine does when DRS has launched the servers anew."""
    pks = [each.pk for each in servers]
    ServerRun.objects.filter(pk__in=pks).update(launch_status="TERMINATED", terminated_at=timezone.now())
    ids = [each.recovery_instance_id for each in servers]
    note(run, "instances.replaced", instances=ids, byExecution=str(by.pk), byPlan=by.plan_name)


def test_nothing_green_stands_above_a_target_that_was_missed(chief: Client) -> None:
    run = world.ended(ExecutionStatus.COMPLETED, "Payments")
    for minutes, tone in ((90, "success"), (30, "partial")):
        started = timezone.now() - timedelta(hours=1)
        Execution.objects.filter(pk=run.pk).update(started_at=started, rto_minutes=minutes)
        world.change(run)
        for name in ("execution", "report"):
            tones = set(re.findall(r'class="banner" data-tone="(\w+)"', look(chief, name, run.pk)))
            assert tones & {"success", "partial"} == {tone}, name


def test_instances_that_a_later_run_replaced_are_said_to_be(chief: Client) -> None:
    run = world.ended(ExecutionStatus.COMPLETED, "Payments")
    later = world.ended(ExecutionStatus.COMPLETED, "Orders")
    servers = list(ServerRun.objects.filter(wave__execution=run).order_by("pk"))
    replace_instances(run, later, servers[0])
    for name, left in (("execution", "3 instances still running"), ("report", "Not requested: later launches")):
        text = words(look(chief, name, run.pk))
        assert left in text
        assert f"eplaced by run {later.number} of Orders" in text
        assert "lready gone" not in text
        assert text.count("Launched") >= 4
    replace_instances(run, later, *servers[1:3])
    gone = ServerRun.objects.filter(pk=servers[3].pk)
    gone.update(launch_status="TERMINATED", terminated_at=timezone.now())
    world.change(run, termination_status="COMPLETED")
    text = words(look(chief, "execution", run.pk))
    assert f"None of its instances is running: run {later.number} of Orders replaced 3 of them." in text
    assert "Cleanup 3 replaced by a later launch, 1 ended without a request" in text
    assert "Not terminated" not in text
    text = words(look(chief, "report", run.pk))
    assert "Clean-up Not requested: later launches replaced some instances" in text
    assert f"Ended without a request {servers[3].recovery_instance_id}" in text
    assert f"{servers[0].recovery_instance_id} replaced since Launched" in text
    assert f"{servers[3].recovery_instance_id} terminated since Launched" in text


def primary(html: str) -> list[str]:
    """The buttons in the head of a run's page that are filled: the likely next step."""
    head = html[html.index('<div class="page-header">') :].partition('<p class="sentence">')[0]
    return re.findall(r'data-variant="primary"[^>]*>([^<]+)<', head)


def test_a_later_attempt_is_told_from_the_run_that_it_completes(console: Client, simulator: RunningSimulator) -> None:
    run = world.ended(ExecutionStatus.PARTIAL, "Payments", fail="InsufficientInstanceCapacity: none")
    html = look(console, "execution", run.pk)
    assert primary(html) == ["Try again"]
    assert "Allow another instance type" in html
    console.post(reverse("retry-execution", args=[run.pk]))
    made = Execution.objects.get(retry_of=run)
    world.launch(made.waves.all()[1])
    world.change(made, *made.waves.all(), status="COMPLETED", ended_at=timezone.now(), next_step_at=None)
    text = words(look(console, "execution", made.pk))
    assert "This attempt launched the server that was left: all 4 servers of the run launched." in text
    assert "1 of 1 servers launched by this attempt, 4 of 4 by all" in text
    assert re.search(r"This attempt took .* Last server up .* after the start of attempt 1 Waves", text)
    assert "Nothing left to launch All its servers were launched by attempt 1 or earlier." in text
    assert "0 servers" not in text
    text = words(look(console, "report", made.pk))
    assert "Wave 1, Payments tier 1 nothing left to launch" in text
    assert "Of earlier attempts 3 instances not terminated" in text
    world.change(made, kind=Kind.RECOVERY)
    ServerRun.objects.filter(wave__execution=made).update(launch_status="TERMINATED", terminated_at=timezone.now())
    text = words(look(console, "execution", made.pk))
    assert "None of its instances is running. 3 instances that earlier attempts launched run, for production." in text
    html = look(console, "execution", run.pk)
    assert primary(html) == ["Go to attempt 2"]
    assert "It was tried again: see attempt 2 (completed)." in words(html)
    assert "AWS had no free machine" in html
    for wrong in ("Allow another instance type", "cannot be", "then try again"):
        assert wrong not in html, wrong


def test_while_instances_are_terminated_the_banner_says_that_and_nothing_against_it(chief: Client) -> None:
    run = world.ended(ExecutionStatus.COMPLETED, "Payments")
    ids = list(
        ServerRun.objects.filter(wave__execution=run).order_by("pk").values_list("recovery_instance_id", flat=True)
    )
    job = TerminationJob.objects.create(
        execution=run,
        account_id=world.ACCOUNT,
        region="us-east-1",
        status="PENDING",
        job_id="drsjob-1",
        instance_ids=ids[:3],
    )
    world.change(run, termination_status="IN_PROGRESS")
    text = words(look(chief, "execution", run.pk))
    assert "3 instances being terminated; they cost money until AWS has done it." in text
    assert "1 more instance may run and is not part of it." in text
    assert "Terminate 1 instance" in text
    assert "still running" not in text
    LaunchJob.objects.update(seen_at=timezone.now() - timedelta(minutes=6))
    assert "data from AWS 6 minutes ago" in words(look(chief, "execution", run.pk))
    TerminationJob.objects.filter(pk=job.pk).update(seen_at=timezone.now() - timedelta(minutes=2))
    assert "data from AWS 2 minutes ago" in words(look(chief, "execution", run.pk))
    asked = words(look(chief, "start-drill", run.plan_id))
    assert "4 instances of earlier drills still run, 3 of them being terminated. AWS replaces them" in asked
    TerminationJob.objects.filter(pk=job.pk).update(instance_ids=ids)
    html = look(chief, "execution", run.pk)
    assert "4 instances being terminated; they cost money until AWS has done it." in words(html)
    assert "The instances are being terminated" not in html
    asked = words(look(chief, "start-drill", run.plan_id))
    assert "4 instances of earlier drills still run, and are being terminated . A launch waits" in asked
    assert primary(html) == ["Report"]


def test_all_drills_that_are_left_running_are_chosen_at_once_and_no_recovery(chief: Client) -> None:
    run, other = world.ended(ExecutionStatus.COMPLETED, "Payments"), world.ended(ExecutionStatus.COMPLETED, "Orders")
    Execution.objects.filter(pk=other.pk).update(kind=Kind.RECOVERY)
    html = look(chief, "instances")
    assert f"Run {run.number} of Payments" in words(html)
    assert "Choose all 4 drill instances" in words(html)
    assert " checked" not in html
    html = look(chief, "instances", choose="drills")
    chosen = re.findall(r'value="(i-[0-9a-f]+)" aria-label="Choose [^"]+" checked', html)
    mine = ServerRun.objects.filter(wave__execution=run).values_list("recovery_instance_id", flat=True)
    assert sorted(chosen) == sorted(mine)
    asked = words(chief.post(reverse("end-instances"), {"instance": chosen}).content.decode())
    assert "Terminate 4 instances?" in asked
    assert f"by run {run.number} of Payments" in asked


def test_a_mistyped_confirmation_is_no_empty_line_in_the_report(chief: Client) -> None:
    run = world.ended(ExecutionStatus.COMPLETED)
    assert chief.post(reverse("terminate-execution", args=[run.pk]), {"confirm": "terminate"}).status_code == 422
    told = "Tried to terminate the instances of the run: what was typed or chosen was not valid"
    report, journal = words(look(chief, "report", run.pk)), words(look(chief, "journal"))
    assert told in report
    assert told in journal
    assert f"{run.called} of {run.plan_name}" in journal


def test_questions_that_come_too_late_say_what_is_so(console: Client) -> None:
    """Of a run that was over, all terminated: “The run ends at once”, “No instance has been launched yet”."""
    run = world.ended(ExecutionStatus.CANCELLED)
    ServerRun.objects.filter(wave__execution=run).update(launch_status="TERMINATED", terminated_at=timezone.now())
    cancel, retry, terminate = (words(look(console, f"{verb}-execution", run.pk)) for verb in VERBS)
    assert "It is over (cancelled): there is nothing to cancel." in cancel
    assert "ends at once" not in cancel
    assert "Keep running" not in cancel
    assert "this one is cancelled" in retry
    assert "that did not launch" not in retry
    assert "There is no instance of it to terminate." in terminate
    under_way = world.paused()
    ServerRun.objects.filter(wave__execution=under_way, launch_status="LAUNCHED").update(launch_status="TERMINATED")
    asked = words(look(console, "cancel-execution", under_way.pk))
    assert "None of the instances that it launched is running." in asked
