"""What pages say is so: trouble is named, gates and problems are what they were, every closed door says why."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from audit.actor import SYSTEM
from executions.commands import control
from executions.launching import restored_runs
from executions.models import Execution, LaunchJob, ServerRun
from executions.runs.silence.unresponsive_regions import UNSAVED
from executions.states import ExecutionStatus, Kind, WaveStatus
from plans.editor.draft import PlanDraft
from protection.models import RecoveryInstance, SourceServer
from tests.console import world
from tests.console.polls.test_live import fragments, poll
from tests.console.test_before_and_again import known
from tests.console.test_pages import HX, look, words
from tests.support.api_client import make_user


def launching() -> Execution:
    """A run in its first of three waves, of which AWS told seven minutes ago."""
    run = world.start(world.plan("Payments", sizes=(2, 2, 2), pause=None))
    first = world.launch(run.waves.all()[0], end=False)
    LaunchJob.objects.filter(wave=first).update(status="STARTED", seen_at=timezone.now() - timedelta(minutes=7))
    return world.change(run, first, status=ExecutionStatus.LAUNCHING)


def text_of(client: Client, run: Execution) -> str:
    return words(look(client, "execution", run.pk))


# A run in trouble


def test_what_did_not_launch_was_launched_from_no_snapshot(console: Client) -> None:
    run = world.start(world.plan("Payments", sizes=(1,), pause=None))
    wave = world.launch(run.waves.all()[0])
    old = {"used_previous_snapshot": True, "recovery_snapshot_id": "pit-1", "snapshot_at": timezone.now()}
    ServerRun.objects.filter(wave=wave).update(launch_status="FAILED", error="VcpuLimitExceeded", **old)
    text = text_of(console, run)
    assert "DRS took an earlier snapshot for it." in text
    assert "Was to be launched from the snapshot pit-1" in text
    assert "Launched from" not in text


def test_one_cause_is_told_once_with_all_that_it_struck(console: Client) -> None:
    run = world.start(world.plan("Payments", sizes=(7, 2), pause=None))
    wave = world.launch(run.waves.all()[0])
    servers = list(ServerRun.objects.filter(wave=wave).order_by("position"))
    for each in servers[:6]:
        text = f"InsufficientInstanceCapacity: none for {each.source_server_id}, request 5f0{each.position}1c2a-11aa"
        ServerRun.objects.filter(pk=each.pk).update(launch_status="FAILED", error=text)
    ServerRun.objects.filter(pk=servers[6].pk).update(launch_status="FAILED", error="VcpuLimitExceeded: 64")
    html = look(console, "execution", run.pk)
    told = words(html[html.index('id="problems-title"') :].partition("</section>")[0])
    named = ", ".join(each.hostname for each in servers[:5])
    assert "2 problems" in told
    assert f"{named} and 1 more, listed below Wave 1" in told
    assert told.count("InsufficientInstanceCapacity") == 1
    assert f"{servers[6].hostname} Wave 1 VcpuLimitExceeded" in told
    page = "https://us-east-1.console.aws.amazon.com/servicequotas/home/services/ec2/quotas"
    assert html.count("Service Quotas<") == html.count(f'href="{page}"') == 1, "of the one that is a quota"


def test_it_says_that_there_is_nothing_to_do_only_when_all_is_well(console: Client) -> None:
    run = launching()
    text = text_of(console, run)
    assert "No action needed." in text
    assert "data from AWS 7 minutes ago" in text
    since = timezone.now() - timedelta(minutes=3)
    for error, said in (
        (
            "DescribeJobs in us-east-1: AccessDeniedException: not authorized",
            "An administrator must fix the permissions.",
        ),
        ("DescribeJobs in us-east-1: ConnectTimeoutError: timed out", "Its current state is not known."),
    ):
        world.change(run, failing_since=since, aws_error=error)
        text = text_of(console, run)
        assert said in text
        assert "No action needed" not in text
        assert ("AWS has refused requests since" in text) == ("AccessDenied" in error)
        assert ("AWS has not answered since" in text) == ("AccessDenied" not in error)
    world.change(run, failing_since=since, aws_error=f"{UNSAVED}: DataError: NUL")
    text = text_of(console, run)
    assert "AWS answers, but the answer cannot be saved, since" in text
    assert "AWS: The answer" not in text
    world.change(run, failing_since=None, aws_error="")
    world.beat(at=timezone.now() - timedelta(minutes=5))
    for html in (look(console, "execution", run.pk), poll(console, run, run.revision).content.decode()):
        assert "No engine is running, so this run does not advance." in words(html)
        assert "No action needed" not in html


def test_it_says_why_a_launch_waits_instead_of_nothing_to_do(console: Client) -> None:
    run = world.start(world.plan("Payments", pause=None))
    wave = run.waves.all()[0]
    wave.status, wave.started_at, wave.status_message = WaveStatus.INITIATED, timezone.now(), "Job drsjob-1 has app-01."
    wave.save()
    world.change(run, wave, status=ExecutionStatus.RUNNING)
    LaunchJob.objects.filter(wave=wave).update(status="QUEUED", refused_since=timezone.now())
    html = look(console, "execution", run.pk)
    assert '<p id="banner" class="banner" data-tone="attention">' in html
    assert "is being sent to AWS. Job drsjob-1 has app-01." in words(html)
    assert "No action needed" not in html


def test_a_run_read_from_a_backup_says_what_is_asked_of_a_person(console: Client) -> None:
    run = world.paused("Payments")
    run.waves.filter(number=1).update(status_message=restored_runs.LOOKED)
    html = look(console, "execution", run.pk)
    assert "It may have been cancelled after the backup: check, then resume or cancel." in words(html)
    assert "Resume when the launched servers pass your checks" not in html
    assert '<details class="card" id="wave-2-servers" open>' in html
    run.waves.filter(number=1).update(status=WaveStatus.PENDING, status_message=restored_runs.LOOKING)
    world.change(run, status=ExecutionStatus.RUNNING, restored_at=timezone.now())
    text = text_of(console, run)
    assert f"Restored from a backup. {restored_runs.LOOKING}" in text
    assert "No action needed" not in text


def test_it_does_not_call_servers_down_that_may_yet_come_up(console: Client) -> None:
    run = launching()
    run.waves.filter(number=0).update(status=WaveStatus.FAILED, ended_at=timezone.now())
    ended = {"ended_at": timezone.now(), "next_step_at": timezone.now()}
    world.change(run, status=ExecutionStatus.FAILED, **ended)
    ServerRun.objects.filter(wave__execution=run).update(launch_status="IN_PROGRESS", recovery_instance_id="")
    assert "Failed: no server known to be up, and AWS may still launch 2." in text_of(console, run)
    up = {"launch_status": "LAUNCHED", "launched_at": timezone.now()}
    ServerRun.objects.filter(pk=ServerRun.objects.filter(wave__execution=run)[0].pk).update(**up)
    text = text_of(console, run)
    assert "Failed: 1 of 6 known to be up, and AWS may still launch 1." in text
    assert "1 instance still running and costing money until terminated." in text
    world.change(run, next_step_at=None)
    assert "Failed: 1 of 6 launched." in text_of(console, run)
    ServerRun.objects.filter(wave__execution=run).update(launch_status="FAILED")
    assert "Failed: no server was launched." in text_of(console, run)


def test_a_poll_without_news_still_tells_when_aws_last_answered(console: Client) -> None:
    run = launching()
    told = timezone.now()
    LaunchJob.objects.filter(wave__execution=run, status="STARTED").update(seen_at=told)
    answer = poll(console, run, run.revision)
    assert (answer.status_code, answer["X-Told-At"]) == (204, told.isoformat())


# Gates


def test_a_gate_at_which_a_run_was_cancelled_was_reached(console: Client) -> None:
    run = world.paused("Payments")
    control.cancel(actor=SYSTEM, execution_id=run.pk)
    text = text_of(console, run)
    assert re.search(r"Paused here for 4 min( \d+ s)? , never resumed", text)
    assert "Pause not reached" not in text


def test_a_pause_that_was_asked_for_is_drawn_and_taken_away_again(console: Client) -> None:
    run = launching()
    console.post(reverse("pause-execution", args=[run.pk]))
    html = look(console, "execution", run.pk)
    assert "Asked to pause here before wave 2" in words(html)
    assert "&amp;gate" in html
    seen = Execution.objects.get(pk=run.pk).revision
    asked = poll(console, run, run.revision)
    assert "wave-2" in fragments(asked)
    assert "Asked to pause here before wave 2" in words(asked.content.decode())
    console.post(reverse("resume-execution", args=[run.pk]))
    address = f"{reverse('execution-live', args=[run.pk])}?rev={seen}&engine=1&gate"
    back: Any = console.get(address, headers=HX)
    assert "wave-2" in fragments(back)
    assert "Asked to pause" not in back.content.decode()


# Problems, and what is left behind


def test_one_failure_is_one_problem_with_a_remedy(console: Client) -> None:
    run = world.ended(ExecutionStatus.PARTIAL, "Payments", fail="InsufficientInstanceCapacity: no t3.large")
    wave = run.waves.get(number=1)
    told = {"error_code": "SERVER_LAUNCH_FAILED", "error_message": "1 of 2 servers failed."}
    run.waves.filter(pk=wave.pk).update(**told, status_message=told["error_message"])
    world.change(run, wave, **told)
    html = look(console, "execution", run.pk)
    text = words(html)
    assert "1 problem " in text
    assert "Payments server 1-0 Wave 2 InsufficientInstanceCapacity: no t3.large AWS had no free machine" in text
    assert "Allow another instance type" in text
    assert text.count("SERVER_LAUNCH_FAILED") == 1  # at its wave
    assert text.count("1 of 2 servers failed.") == 1


def test_a_recovery_that_stands_is_production_and_no_litter(chief: Client) -> None:
    drill = world.ended(ExecutionStatus.COMPLETED)
    assert "costing money" in text_of(chief, drill)
    danger = 'id="terminate-open" class="button" data-variant="danger"'
    assert danger in look(chief, "execution", drill.pk)
    Execution.objects.filter(pk=drill.pk).update(kind=Kind.RECOVERY)
    html = look(chief, "execution", drill.pk)
    assert "4 instances run, for production." in words(html)
    assert "costing money" not in html
    assert 'id="terminate-open"' in html
    assert danger not in html


# Readiness


def test_the_instances_of_a_run_are_not_in_its_own_way(console: Client) -> None:
    run = world.paused("Payments")
    known()
    for server in ServerRun.objects.exclude(recovery_instance_id=""):
        SourceServer.objects.filter(pk=server.source_server_id).update(recovery_instance_id=server.recovery_instance_id)
    text = words(look(console, "plan", run.plan_id))
    assert "Problems for the next run Running now" in text
    for wrong in ("earlier drill", "not launched from here", "Not ready", "keeps anybody from starting"):
        assert wrong not in text, wrong
    control.cancel(actor=SYSTEM, execution_id=run.pk)
    text = words(look(console, "plan", run.plan_id))
    assert "An instance from an earlier drill is still running" in text
    assert "None of this prevents a recovery from being started." in text


def test_what_has_ended_since_drs_listed_it_is_not_said_to_run(chief: Client) -> None:
    run = world.ended(ExecutionStatus.COMPLETED, "Payments")
    known()
    now, rows = timezone.now(), list(ServerRun.objects.exclude(recovery_instance_id="").select_related("job"))
    for each in rows:
        mine = each.recovery_instance_id
        SourceServer.objects.filter(pk=each.source_server_id).update(recovery_instance_id=mine)
        RecoveryInstance.objects.create(
            pk=mine, source_server_id=each.source_server_id, account_id=world.ACCOUNT, region="us-east-1",
            is_drill=True, ec2_state="RUNNING", job_id=each.job.job_id, seen_at=now,
        )  # fmt: skip
    wrong, one, key = "from an earlier drill is still running", rows[0], rows[0].recovery_instance_id
    asked = [("start-drill", run.plan_id), ("start-recovery", run.plan_id), ("plan", run.plan_id)]

    def told() -> list[bool]:
        runs = [wrong in words(look(chief, *each)) for each in asked]
        shown = look(chief, "server", one.source_server_id).partition('id="launches-title"')[0]
        return [*runs, key in shown, key in look(chief, "instances")]

    assert told() == [True] * 5
    ServerRun.objects.filter(wave__execution=run).update(
        launch_status="TERMINATED", terminated_at=now + timedelta(seconds=5)
    )
    assert told() == [False] * 5
    later = now + timedelta(seconds=65)  # DRS lists them all the same: what stands is never hidden
    SourceServer.objects.update(seen_at=later)
    RecoveryInstance.objects.update(seen_at=later)
    assert told() == [True] * 5


@pytest.mark.parametrize("kind", ["drill", "recovery"])
def test_the_question_before_a_start_says_what_stands_against_it(chief: Client, kind: str) -> None:
    plan = world.plan("Payments")
    known()
    SourceServer.objects.filter(name__contains="server 0-0").update(launch_template_id="")
    text = words(look(chief, f"start-{kind}", plan.pk))
    assert "Not ready" in text
    assert "No launch settings in DRS: Payments server 0-0." in text


# Closed doors


def test_operators_are_told_why_they_cannot_start_recoveries(client: Client) -> None:
    world.plan("Payments")
    client.force_login(make_user("operator"))
    assert "You may start drills, but not recoveries." in words(look(client, "plans"))


def test_it_says_on_the_page_why_a_run_is_not_tried_again(console: Client) -> None:
    run = world.ended(ExecutionStatus.PARTIAL, fail="No capacity")
    for status, words_of_it in (("IN_PROGRESS", "are being"), ("COMPLETED", "were")):
        world.change(run, termination_status=status)
        told = f"It cannot be tried again. Instances of it {words_of_it} terminated, so it cannot"
        assert told in text_of(console, run)


def test_a_group_cannot_be_made_of_nothing(chief: Client, simulator: Any) -> None:
    simulator.scenario("uninitialized", region="eu-west-1")
    html = look(chief, "new-group", region="eu-west-1")
    assert "There is no server to make a group of." in words(html)
    assert re.search(r'value="save" disabled>Create group', html)


# Words


def test_what_is_never_copied_or_only_being_snapshot_does_not_lag(console: Client) -> None:
    world.region()
    world.group("Web", [world.server("web-01", state="CREATING_SNAPSHOT"), world.server("web-02", state="RESCAN")])
    new = world.server("web-03", state="INITIAL_SYNC")
    ends = datetime(2026, 11, 29, 23, 50, tzinfo=UTC)
    SourceServer.objects.filter(pk=new).update(copied_percent=43, copy_ends_at=ends)
    found = words(look(console, "servers"))
    assert found.count("Lagging") == 1  # the tab, which counts what is compared anew
    told = (
        "Taking a snapshot",
        "Comparing disks",
        "first copy, nothing to launch from yet 43 % until about 2026-11-29 23:50:00",
    )
    assert [each for each in told if each not in found] == []
    board = look(console, "dashboard")
    cells = dict(re.findall(r'data-label="(Ready|First copy|Lagging)">(?:<a[^>]+>)?([0-9]+)', board))
    assert cells == {"Ready": "1", "First copy": "1", "Lagging": "1"}


def test_lists_of_servers_say_why_one_lags_and_which_have_no_group(console: Client) -> None:
    world.region()
    home = world.group("Web", [world.server("web-01", state="CREATING_SNAPSHOT")])
    world.server("lonely")
    SourceServer.objects.update(last_launch_result="NOT_STARTED")
    assert "Taking a snapshot" in words(look(console, "servers"))
    assert "Not started" in words(look(console, "group", home.pk))
    board = look(console, "dashboard")
    assert '?group=none">1 source server<' in board
    found = words(look(console, "servers", group="none"))
    assert "lonely" in found
    assert "web-01" not in found


def test_one_is_one_and_two_are_two(console: Client) -> None:
    run = world.ended(ExecutionStatus.PARTIAL, "Payments", fail="No", sizes=(1, 1, 2))
    run.waves.filter(number=1).update(status=WaveStatus.COMPLETED)
    ServerRun.objects.filter(wave__number=1).update(
        launch_status="LAUNCHED", recovery_instance_id="i-00000000000000abc", launched_at=timezone.now()
    )
    text = words(look(console, "retry-execution", run.pk))
    assert "Waves 1, 2: launched already, count as completed, and are not touched." in text
    single = world.ended(ExecutionStatus.COMPLETED, "Small", sizes=(1,))
    text = words(look(console, "start-drill", single.plan_id))
    assert "1 instance of earlier drills still runs. AWS replaces it, or terminate it first" in text


def test_taking_a_wave_out_of_an_unsaved_plan_does_not_say_that_it_is_saved() -> None:
    draft = PlanDraft()
    draft.do("add")
    draft.do("remove:1")
    assert draft.notes == ["Wave 2 was removed. Nothing is changed until you save."]


def test_e_mail_that_cannot_be_sent_is_no_default(chief: Client) -> None:
    assert 'value="SNS" selected' in look(chief, "new-subscription")
    assert "this installation sends none" in look(chief, "new-subscription")
    with override_settings(MAIL="smtp://mail"):
        html = look(chief, "new-subscription")
        assert 'value="EMAIL" selected' in html
        assert "sends none" not in html


def test_people_who_are_signed_in_keep_the_navigation_where_nothing_is(console: Client) -> None:
    for address in ("/nowhere", reverse("new-plan")):
        answer = console.get(address)
        assert answer.status_code in (403, 404)
        assert 'aria-label="Main"' in answer.content.decode()
        assert "no-store" in answer["Cache-Control"]
    console.logout()
    assert 'aria-label="Main"' not in console.get("/nowhere").content.decode()


def test_a_filter_tells_how_much_it_found(console: Client) -> None:
    world.plan("Payments")
    rows = console.get(reverse("plans"), {"q": "pay"}, headers=HX).content.decode()
    assert '<p id="announcer" hx-swap-oob="innerHTML">1 plan found.</p>' in rows
    assert rows.count("announcer") == 1
    assert "plan found" not in look(console, "plans", q="pay")


def test_what_an_earlier_attempt_left_running_is_told_by_the_last_one(console: Client) -> None:
    first = world.ended(ExecutionStatus.PARTIAL, "Payments", sizes=(2,), fail="No capacity")
    again = world.ended(ExecutionStatus.COMPLETED, "Payments again", sizes=(1,))
    world.change(again, attempt=2, first_attempt_id=first.pk, retry_of=first)
    left = ServerRun.objects.filter(wave__execution=first, launch_status="LAUNCHED")
    said = f"{left.count()} instance{'s run' if left.count() > 1 else ' runs'} that earlier attempts launched"
    assert said in words(look(console, "execution", again.pk))
    assert "earlier attempts launched" not in words(look(console, "execution", first.pk))
    left.update(launch_status="TERMINATED")
    assert "earlier attempts launched" not in words(look(console, "execution", again.pk))


def test_a_terminated_instance_is_not_called_usable(console: Client) -> None:
    run = world.ended(ExecutionStatus.COMPLETED, sizes=(1,))
    ServerRun.objects.update(usable_at=timezone.now())
    assert " usable" in words(look(console, "execution", run.pk))
    ServerRun.objects.update(launch_status="TERMINATED")
    assert " usable" not in words(look(console, "execution", run.pk))
