"""The dashboard keeps itself true: its poll is cheap, finds every start and end, and nothing kept outlives a run."""

import re
from datetime import timedelta
from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from drsorch_site import dashboard
from executions.models import Execution, TerminationJob
from executions.readiness.stored_verdicts import refresh
from executions.states import ExecutionStatus, JobStatus
from tests.console import world
from tests.console.test_before_and_again import known
from tests.console.test_pages import HX, look, words

MINUTE = timedelta(minutes=1)


def next_poll(html: str) -> str:
    """The address that the page asks next."""
    found = re.search(r'hx-get="(/live\?[^"]+)"', html)
    assert found
    return found[1].replace("&amp;", "&")


def poll(client: Client, address: str) -> Any:
    return client.get(address, headers=HX)


def standing(answer: Any) -> str:
    """What the answer says above the last runs, without what a second changes."""
    return words(re.sub(r"(?s)<time.*?</time>", "", answer.content.decode())).split("Last runs")[0]


def test_an_unchanged_dashboard_costs_three_questions(console: Client, django_assert_num_queries: Any) -> None:
    world.region()
    world.paused()
    html = look(console, "dashboard")
    assert 'hx-trigger="every 3s, poll-now"' in html
    assert "X-Background" in html  # a poll is nobody's touch
    with django_assert_num_queries(3):
        assert poll(console, next_poll(html)).status_code == 204


def test_of_all_who_poll_for_the_same_news_one_reads_it(
    console: Client, chief: Client, django_assert_max_num_queries: Any
) -> None:
    world.region()
    run = world.paused()
    polls = [next_poll(look(each, "dashboard")) for each in (console, chief)]
    world.change(run, status=ExecutionStatus.LAUNCHING)
    first = poll(console, polls[0])
    with django_assert_max_num_queries(12):  # of some 25: session, person, rights, mark, what was left running
        second = poll(chief, polls[1])
    assert (first.status_code, second.status_code) == (200, 200)
    assert "Launching" in words(first.content.decode())
    assert standing(first) == standing(second)
    world.change(run, status=ExecutionStatus.PAUSED)
    assert "Paused" in words(poll(chief, polls[1]).content.decode())


def test_an_open_dashboard_learns_of_every_start_change_and_end(console: Client) -> None:
    world.region()
    plan = world.plan("Payments")
    html = look(console, "dashboard")
    assert 'hx-trigger="every 15s, poll-now"' in html
    run = world.start(plan)
    for change, said in (
        ({}, f"Payments {run.called} Drill Pending"),
        ({"status": ExecutionStatus.LAUNCHING}, f"Payments {run.called} Drill Launching"),
        (
            {"status": ExecutionStatus.COMPLETED, "ended_at": timezone.now(), "next_step_at": None},
            "Nothing is running.",
        ),
    ):
        if change:
            world.change(run, **change)
        answer = poll(console, next_poll(html))
        html = answer.content.decode()
        assert answer.status_code == 200
        assert said in words(html)
        assert poll(console, next_poll(html)).status_code == 204
    world.region(error_code="AccessDenied", error_message="no")
    assert "AccessDenied" in poll(console, next_poll(html)).content.decode()
    assert poll(console, next_poll(html)).status_code == 200
    assert console.get(next_poll(html))["Location"] == reverse("dashboard")


def test_what_is_kept_of_a_plan_says_nothing_of_its_run_and_is_weighed_anew_when_that_ends(console: Client) -> None:
    plan = world.plan("Payments")
    known()
    run = world.start(plan)
    now = timezone.now()
    assert refresh(now) == 1
    board = words(look(console, "dashboard"))
    assert "1 Running now" in board
    assert "Not ready" not in board
    assert "No run has ended yet." in board
    Execution.objects.filter(pk=run.pk).update(started_at=now - 3 * MINUTE)
    assert refresh(now + MINUTE) == 0
    world.change(run, status=ExecutionStatus.COMPLETED, ended_at=now + MINUTE, next_step_at=None)
    run.holds.all().delete()
    board = words(look(console, "dashboard"))
    assert "being run now" not in board
    assert "1 Ready with warnings" in board
    assert refresh(now + 1.1 * MINUTE) == 1
    assert "1 Ready" in words(look(console, "dashboard"))


def test_a_clean_up_takes_room_among_our_jobs(console: Client) -> None:
    world.region()
    run = world.ended(ExecutionStatus.COMPLETED, "Payments")
    assert "0 of 20 0 of 500 servers" in words(look(console, "dashboard"))
    place = {"account_id": world.ACCOUNT, "region": "us-east-1", "job_id": "drsjob-0123456789abcdef0"}
    ids = ["i-1", "i-2"]
    TerminationJob.objects.create(execution=run, status=JobStatus.STARTED, watched=True, instance_ids=ids, **place)
    dashboard._shared.clear()  # nobody's deed that the journal has
    assert "1 of 20 2 of 500 servers" in words(look(console, "dashboard"))


def test_a_region_that_somebody_only_looked_at_is_no_row(console: Client) -> None:
    world.region("ap-south-1", initialized=False)
    assert "ap-south-1" not in look(console, "dashboard")


def test_who_polls_at_once_is_shown_nothing_older_than_the_page(console: Client) -> None:
    """Others were shown the dashboard a moment ago, before what the page shows had happened."""
    world.region()
    poll = reverse("dashboard-live")
    assert "Nothing is running." in console.get(poll, {"mark": "others"}, headers=HX).content.decode()
    world.start(world.plan("Payments"))
    assert "Payments" in look(console, "dashboard")
    assert "Payments" in console.get(poll, {"mark": "seen-before"}, headers=HX).content.decode()
