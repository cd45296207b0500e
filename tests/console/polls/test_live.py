"""The live page: polls that find nothing, something or the end; start, resume and cancel, with htmx or without."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from drs_simulator.testing import RunningSimulator
from executions.models import Execution, LaunchJob, ServerRun, TerminationJob, WaveRun
from executions.states import ExecutionStatus, LaunchStatus, WaveStatus
from tests.console import world
from tests.console.test_pages import words

HX = {"HX-Request": "true"}


def poll(client: Client, run: Execution, rev: int | str, engine: int = 1) -> Any:
    return client.get(reverse("execution-live", args=[run.pk]), {"rev": str(rev), "engine": str(engine)}, headers=HX)


def fragments(response: HttpResponse) -> set[str]:
    """The ids of the elements that the answer replaces."""
    found = set(re.findall(r'<(?:div|section|li|dl) id="([\w-]+)"(?![^>]*hx-preserve)', response.content.decode()))
    return found - {"problem", "feed-lines"}


def test_it_answers_nothing_new_with_204_after_three_questions(console: Client, django_assert_num_queries: Any) -> None:
    run = world.paused()
    with django_assert_num_queries(3):
        response = poll(console, run, run.revision)
    assert response.status_code == 204
    assert not response.content


def test_it_sends_the_head_and_only_the_waves_that_changed(console: Client) -> None:
    run = world.paused()
    seen = run.revision
    second = run.waves.get(number=1)
    second.status = WaveStatus.LAUNCHING
    second.save()
    run = world.change(run, second, status=ExecutionStatus.LAUNCHING)
    response = poll(console, run, seen)
    assert response.status_code == 200
    assert fragments(response) == {"live", "facts", "timeline", "feed", "engine", "wave-2"}
    html = response.content.decode()
    assert f"rev={run.revision}&amp;engine=1" in html
    assert 'data-title="Launching: ' in html
    assert html.count('hx-swap-oob="true"') == 5
    assert poll(console, run, run.revision).status_code == 204


def test_it_sends_everything_to_a_page_that_knows_nothing(console: Client) -> None:
    run = world.paused()
    for nonsense in ("", "x", "-1", "9" * 40, "²"):
        assert fragments(poll(console, run, nonsense)) >= {"live", "wave-1", "wave-2"}


def test_it_stops_the_polls_of_a_run_that_is_over(console: Client) -> None:
    run = world.ended(ExecutionStatus.COMPLETED)
    ServerRun.objects.filter(wave__execution=run).update(launch_status=LaunchStatus.TERMINATED)
    for rev in (run.revision, 0):
        response = poll(console, run, rev)
        assert response.status_code == 286
        assert 'hx-trigger="every' not in response.content.decode()


def test_an_open_page_of_a_run_that_is_over_learns_that_its_instances_are_gone(console: Client) -> None:
    run = world.ended(ExecutionStatus.COMPLETED)
    page = console.get(reverse("execution", args=[run.pk])).content.decode()
    found = re.search(r'hx-get="([^"]+/live[^"]+)"[^>]* hx-trigger="every 60s', page)
    assert found
    address = found[1].replace("&amp;", "&")
    assert console.get(address, headers=HX).status_code == 204
    ServerRun.objects.filter(wave__execution=run).update(launch_status=LaunchStatus.TERMINATED)
    world.change(run, *run.waves.all())
    answer = console.get(address, headers=HX)
    assert (answer.status_code, "None of its instances is running" in answer.content.decode()) == (286, True)
    assert 'hx-trigger="every' not in answer.content.decode()


def test_a_run_that_is_over_is_polled_slowly_while_drs_owes_it_news(console: Client) -> None:
    """A job outlives the run by seconds or, after a timeout, by hours: until then buttons and instances may change."""
    run = world.ended(ExecutionStatus.PARTIAL, fail="No capacity")
    Execution.objects.filter(pk=run.pk).update(next_step_at=timezone.now())
    page = console.get(reverse("execution", args=[run.pk])).content.decode()
    assert 'hx-trigger="every 15s' in page
    assert poll(console, run, run.revision).status_code == 204
    news = poll(console, run, 0)
    assert (news.status_code, 'hx-trigger="every 15s' in news.content.decode()) == (200, True)
    Execution.objects.filter(pk=run.pk).update(next_step_at=None)
    assert poll(console, run, run.revision).status_code == 286


def test_it_tells_an_open_page_that_the_engine_died_and_that_it_is_back(console: Client) -> None:
    run = world.paused()
    world.beat(at=timezone.now() - timedelta(minutes=5))
    response = poll(console, run, run.revision)
    assert response.status_code == 200
    assert "No engine is running" in response.content.decode()
    assert poll(console, run, run.revision, engine=0).status_code == 204
    world.beat()
    assert "No engine is running" not in poll(console, run, run.revision, engine=0).content.decode()


def test_it_sends_a_browser_without_htmx_to_the_page(console: Client) -> None:
    run = world.paused()
    response = console.get(reverse("execution-live", args=[run.pk]))
    assert response["Location"] == reverse("execution", args=[run.pk])


def test_it_tells_what_waits_for_whom(console: Client) -> None:
    run = world.paused("Payments")
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", console.get(f"/executions/{run.pk}").content.decode()))
    assert re.search(r"Drill · Payments · wave 2 of 2 · 2 of 4 servers up · waiting for you 4 min( \d+ s)?", text)
    assert re.search(
        r"Paused before wave 2, Payments tier 2. Wave 1 finished (just now|\d+ seconds ago). Resume when", text
    )


def test_it_names_the_wave_that_failed_while_it_waits_for_what_to_do_about_it(console: Client) -> None:
    """Sentence, banner, buttons and dashboard speak of that wave, not of the next, which may never run."""
    run = world.paused("Payments")
    first, second = run.waves.all()
    ServerRun.objects.filter(pk__in=[first.servers.all()[0].pk]).update(launch_status=LaunchStatus.FAILED)
    WaveRun.objects.filter(pk=first.pk).update(status=WaveStatus.FAILED, asked_at=timezone.now())
    WaveRun.objects.filter(pk=second.pk).update(status=WaveStatus.PENDING, paused_at=None, depends_on=[0])
    page = words(console.get(f"/executions/{run.pk}").content.decode())
    assert "Payments · after wave 1 of 2 · 1 of 4 servers up · waiting for you" in page
    assert "failed: 1 of 2 servers. It began to wait for a decision just now ." in page
    assert "Retry it, or go on without it: the run would end; wave 2 would be skipped, since it needs wave 1." in page
    assert "After wave 1 of 2, Payments tier 1 · 1 of 4 servers up" in words(console.get("/").content.decode())


def test_it_puts_failed_servers_first_with_the_text_of_aws(console: Client) -> None:
    run = world.ended(ExecutionStatus.PARTIAL, fail="InsufficientInstanceCapacity in us-east-1a")
    html = console.get(f"/executions/{run.pk}").content.decode()
    assert html.index("InsufficientInstanceCapacity") < html.index('id="wave-1"')


def test_it_resumes_once_and_tells_the_second_one_why_not(console: Client) -> None:
    run = world.paused()
    address = reverse("resume-execution", args=[run.pk])
    assert console.post(address)["Location"] == reverse("execution", args=[run.pk])
    again = console.post(address, follow=True)
    assert again.redirect_chain == [(reverse("execution", args=[run.pk]), 302)]
    assert "The run is not paused." in again.content.decode()


def test_it_pauses_on_demand_and_takes_the_pause_back(console: Client) -> None:
    run = world.start(world.plan(sizes=(1, 1, 1), pause=None))
    first = run.waves.all()[0]
    run = world.change(run, world.launch(first, end=False), status=ExecutionStatus.LAUNCHING)
    page = f"/executions/{run.pk}"
    assert "without a pause" in console.get(page).content.decode()
    console.post(reverse("pause-execution", args=[run.pk]))
    asked = console.get(page).content.decode()
    assert "Next: a pause before wave 2" in asked
    assert "Withdraw the pause" in asked
    console.post(reverse("resume-execution", args=[run.pk]))
    assert "without a pause" in console.get(page).content.decode()


@pytest.mark.parametrize(
    ("on_failure", "needed", "optional", "told"),
    [
        ("STOP", [], False, "1 server failed: after this wave the run ends, and waves 2 and 3 will be skipped."),
        ("PAUSE", [], False, "1 server failed: after this wave the run waits for a decision."),
        ("CONTINUE", [], False, "1 server failed. Next: a pause before wave 2, {plan} tier 2."),
        (
            "CONTINUE",
            [0],
            False,
            "1 server failed. Wave 2 will be skipped: what it needs did not complete. "
            "Next: wave 3, {plan} tier 3, after a wait of 5 minutes.",
        ),
        ("STOP", [0], True, "Next: a pause before wave 2, {plan} tier 2."),
    ],
)
def test_it_promises_nothing_that_a_failed_server_has_prevented(
    console: Client, on_failure: str, needed: list[int], optional: bool, told: str
) -> None:
    run = world.start(world.plan(sizes=(2, 1, 1), pause=1))
    first, second, third = run.waves.all()
    WaveRun.objects.filter(pk=first.pk).update(on_failure=on_failure)
    WaveRun.objects.filter(pk=second.pk).update(depends_on=needed)
    WaveRun.objects.filter(pk=third.pk).update(wait_minutes_before=5)
    world.launch(WaveRun.objects.get(pk=first.pk), fail="InsufficientInstanceCapacity", end=False)
    ServerRun.objects.filter(wave=first, launch_status=LaunchStatus.FAILED).update(optional=optional)
    run = world.change(run, status=ExecutionStatus.LAUNCHING)
    shown = words(console.get(f"/executions/{run.pk}").content.decode())
    assert told.format(plan=run.plan_name) in shown


def test_what_somebody_did_is_not_said_above_the_end_that_came_since(console: Client) -> None:
    """“Run 1 was started”, in green, stood above a run that had failed."""
    run = world.start(world.plan())
    console.post(reverse("pause-execution", args=[run.pk]))
    page = console.get(f"/executions/{run.pk}").content.decode()
    said = re.findall(r'<div id="done".*?name="done" value="(\d+)"', page)[0]
    assert 'hx-include="[name=rows],[name=done]"' in page
    live, gone = reverse("execution-live", args=[run.pk]), '<div id="done" hx-swap-oob="delete"></div>'
    assert gone not in console.get(live, {"rev": "0", "done": said}, headers=HX).content.decode()
    world.change(run, status=ExecutionStatus.FAILED, ended_at=timezone.now() + timedelta(seconds=5))
    assert gone in console.get(live, {"rev": "0", "done": said}, headers=HX).content.decode()
    later = str(int(said) + 6)  # what was done after the end stays
    assert gone not in console.get(live, {"rev": "0", "done": later}, headers=HX).content.decode()


def test_a_poll_of_a_cleanup_tells_when_aws_answered_for_that(console: Client) -> None:
    """It told of the launches: “just now” became “1 minute ago” while instances were being terminated."""
    run = world.ended(ExecutionStatus.COMPLETED)
    told = timezone.now()
    launched = told - timedelta(minutes=9)
    LaunchJob.objects.filter(wave__execution=run).update(seen_at=launched)
    TerminationJob.objects.create(execution=run, region="us-east-1", account_id=world.ACCOUNT, seen_at=told)
    run = world.change(run, termination_status="IN_PROGRESS")
    answer = poll(console, run, run.revision)
    assert (answer.status_code, answer["X-Told-At"]) == (204, told.isoformat())
    run = world.change(run, termination_status="COMPLETED", proof_due=True)
    assert "data from AWS just now" in words(console.get(f"/executions/{run.pk}").content.decode())


def test_it_asks_before_it_cancels_and_keeps_the_comment(console: Client) -> None:
    run = world.paused()
    address = reverse("cancel-execution", args=[run.pk])
    dialog = console.get(address, headers=HX).content.decode()
    assert dialog.lstrip().startswith("<form")
    too_long = console.post(address, {"comment": "x" * 513})
    assert too_long.status_code == 422
    assert "x" * 513 in too_long.content.decode()
    done = console.post(address, {"comment": "Enough seen."}, headers=HX)
    assert done["HX-Redirect"] == reverse("execution", args=[run.pk])
    run.refresh_from_db()
    assert run.state is ExecutionStatus.CANCELLED
    page = console.get(f"/executions/{run.pk}").content.decode()
    assert "Enough seen." in page
    again = console.post(address, {"comment": "Once more."})
    assert again.status_code == 400
    assert "Once more." in again.content.decode()


def test_it_starts_a_drill_after_saying_what_it_costs(console: Client, simulator: RunningSimulator) -> None:
    plan = world.plan("Payments")
    address = reverse("start-drill", args=[plan.pk])
    asked = console.get(address).content.decode()
    assert "<strong>4 instances</strong> will be launched in us-east-1" in asked
    assert "cost money" in asked
    started = console.post(address)
    run = Execution.objects.get()
    assert started["Location"] == reverse("execution", args=[run.pk])
    assert run.started_by == "operator@example.com"
    refused = console.post(address, headers=HX)
    assert refused.status_code == 409
    assert "already running" in refused.content.decode()
    assert reverse("execution", args=[run.pk]) in refused.content.decode()


def test_it_says_what_a_termination_waits_for_and_goes_on_asking(chief: Client) -> None:
    run = world.ended(ExecutionStatus.COMPLETED)
    ids = list(ServerRun.objects.exclude(recovery_instance_id="").values_list("recovery_instance_id", flat=True))
    text = "DRS has not ended drsjob-1 yet, which launched them."
    TerminationJob.objects.create(
        execution=run, account_id="1" * 12, region="us-east-1", instance_ids=ids, error_message=text
    )
    run = world.change(run, termination_status="IN_PROGRESS")
    response = poll(chief, run, 0)
    html = response.content.decode()
    assert response.status_code == 200
    assert "0 instances accepted by AWS, 4 waiting, 0 failed" in html
    assert text in html
