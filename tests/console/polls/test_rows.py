"""Lists of runs and job logs keep up with runs that are under way: what changed is sent, and nothing else."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from console.templatetags.console import under_way
from executions.models import Execution, LaunchJob
from executions.runs.transitions import touch
from executions.states import ExecutionStatus
from tests.console import world
from tests.console.test_pages import HX, look, words

pytestmark = pytest.mark.both


def asked(html: str, view: str) -> str:
    """The address that a page, or an answer, asks next; empty if it asks no more."""
    found = re.search(rf'hx-get="({view}\?(?!since)[^"]+)"', html)
    return found[1].replace("&amp;", "&") if found else ""


def poll(client: Client, address: str) -> Any:
    return client.get(address, headers=HX)


def sent(html: str) -> set[str]:
    """The ids of the elements that an answer replaces."""
    return set(re.findall(r'<\w+ id="([\w-]+)"[^>]* hx-swap-oob="true"', html))


def end(run: Execution, status: ExecutionStatus = ExecutionStatus.COMPLETED) -> None:
    run.holds.all().delete()
    world.change(run, *run.waves.all(), status=status, ended_at=timezone.now(), next_step_at=None)


# Runs


def test_a_list_asks_for_the_runs_that_are_under_way_until_none_is(console: Client) -> None:
    world.ended(ExecutionStatus.COMPLETED, "Old")
    first, second = world.paused("Payments"), world.paused("Orders")
    html = look(console, "executions")
    address = asked(html, "/executions/rows")
    assert html.count('hx-trigger="every 3s, poll-now"') == 1
    assert '"X-Background": "1"' in html
    assert poll(console, address).status_code == 204
    world.change(first, status=ExecutionStatus.LAUNCHING)
    answer = poll(console, address).content.decode()
    assert sent(answer) == {f"row-{first.pk}"}
    assert "Launching" in words(answer)
    address = asked(answer, "/executions/rows")
    assert poll(console, address).status_code == 204
    end(first)
    answer = poll(console, address).content.decode()
    assert sent(answer) == {f"row-{first.pk}"}
    assert "data-elapsed" not in answer
    address = asked(answer, "/executions/rows")
    assert str(first.pk) not in address
    end(second)
    last = poll(console, address)
    assert (last.status_code, asked(last.content.decode(), "/executions/rows")) == (286, "")
    assert not asked(look(console, "executions"), "/executions/rows")


def test_the_tabs_of_an_open_list_count_as_its_rows_do(console: Client) -> None:
    world.ended(ExecutionStatus.COMPLETED, "Old")
    run, _ = world.paused("Payments"), world.paused("Orders")
    address = asked(look(console, "executions", status="ACTIVE"), "/executions/rows")
    end(run)
    headers = {**HX, "HX-Current-URL": "http://testserver/executions?status=ACTIVE"}
    answer = console.get(address, headers=headers).content.decode()
    assert sent(answer) == {f"row-{run.pk}", "tabs"}
    assert "All 3 Under way 1 Paused 1 Completed 2 CSV" in words(answer)
    assert 'href="?status=ACTIVE" aria-current="page"' in answer
    assert sent(poll(console, address).content.decode()) == {f"row-{run.pk}"}, "no other page has them"


def test_a_run_that_was_deleted_leaves_the_list(console: Client) -> None:
    run = world.paused("Payments")
    address = asked(look(console, "executions"), "/executions/rows")
    Execution.objects.all().delete()
    answer = poll(console, address)
    assert answer.status_code == 286
    assert f'<tr id="row-{run.pk}" hx-swap-oob="true" hidden></tr>' in answer.content.decode()


def test_nothing_new_of_many_runs_is_one_question(console: Client, django_assert_num_queries: Any) -> None:
    for _ in range(8):
        world.paused()
    address = asked(look(console, "executions"), "/executions/rows")
    with django_assert_num_queries(3):  # two of them for the session and its user
        assert poll(console, address).status_code == 204
    world.change(Execution.objects.all()[0], status=ExecutionStatus.LAUNCHING)
    with django_assert_num_queries(4):
        assert poll(console, address).status_code == 200


def test_the_history_is_filtered_by_a_part_of_a_plans_name_also_of_one_that_is_gone(
    console: Client, django_assert_max_num_queries: Any
) -> None:
    """Five hundred plans are no list to choose from; addresses name one by its id."""
    odd, gone = world.plan('A<b> & "c"', sizes=(1,)), world.ended(ExecutionStatus.COMPLETED, "Payments of old")
    run, other = world.start(odd), world.start(world.plan("Payments", sizes=(1,)))
    Execution.objects.filter(pk=gone.pk).update(plan=None)

    def found(plan: str) -> set[str]:
        return set(re.findall(r'<tr id="row-([0-9a-f-]{36})"', look(console, "executions", plan=plan)))

    with django_assert_max_num_queries(12):
        html = console.get("/executions", {"plan": str(odd.pk)}).content.decode()
    assert 'name="plan" value="A&lt;b&gt; &amp; &quot;c&quot;"' in html
    assert "<option" not in html[: html.index("Type")]
    assert found(str(odd.pk)) == found("<B>") == {str(run.pk)}
    assert found("payments") == {str(other.pk)}, "the one of just this name"
    assert found("AYMENT") == {str(other.pk), str(gone.pk)}
    assert found(str(uuid.uuid4())) == {str(each.pk) for each in (run, other, gone)}


def test_it_answers_what_no_page_of_ours_asks(console: Client) -> None:
    run = world.paused()
    address = reverse("execution-rows")
    assert console.get(address)["Location"] == reverse("executions")
    for nonsense in ("", "?run=x", f"?run={run.pk}", f"?run={run.pk}.x", "?run=%00.1", f"?run={uuid.uuid4()}.1&plan=x"):
        assert poll(console, address + nonsense).status_code == 286, nonsense
    many = "&".join(f"run={uuid.uuid4()}.1" for _ in range(200))
    assert poll(console, f"{address}?{many}").content.count(b"<tr") == 100


def test_the_page_of_a_plan_says_when_its_run_is_over(console: Client) -> None:
    run = world.paused("Payments")
    html = look(console, "plan", run.plan_id)
    assert "“Payments” is already running" in words(html)
    address = asked(html, "/executions/rows")
    run = world.change(run, status=ExecutionStatus.LAUNCHING)
    answer = poll(console, address).content.decode()
    assert 'id="startable"' not in answer
    end(run)
    answer = poll(console, asked(answer, "/executions/rows")).content.decode()
    assert re.search(r'<template>[^<]*<section id="assessed" class="card" hx-swap-oob="true"', answer)
    assert "Would a run work now?" in answer
    assert "being run now" not in answer
    assert f'href="{reverse("start-drill", args=[run.plan_id])}"' in answer


# Runs that begin meanwhile


def newer(html: str) -> str:
    """The address by which a list asks for runs that began since."""
    found = re.search(r'hx-get="(/executions/rows\?since=[^"]+)"', html)
    assert found
    return found[1].replace("&amp;", "&")


def at(query: str = "") -> dict[str, str]:
    return {**HX, "HX-Current-URL": f"http://testserver/executions{query}"}


def test_an_open_list_is_sent_the_runs_that_others_start(console: Client) -> None:
    world.paused("Payments")
    address = newer(look(console, "executions"))
    assert console.get(address, headers=at()).status_code == 204
    first, second = world.paused("Orders"), world.ended(ExecutionStatus.FAILED, "Billing")
    answer = console.get(address, headers=at()).content.decode()
    rows = re.findall(r'<tr id="row-([\w-]+)">', answer)
    assert rows == [str(second.pk), str(first.pk)], "the newest first, and nothing twice"
    assert 'hx-swap-oob="afterbegin:#newcomers + .table-scroll tbody"' in answer
    assert f"run={first.pk}." in asked(answer, "/executions/rows"), "the one under way is asked for from now on"
    assert "All 3" in words(answer)
    assert console.get(newer(answer), headers=at()).status_code == 204
    filtered = console.get(address, headers=at("?status=FAILED")).content.decode()
    assert re.findall(r'<tr id="row-([\w-]+)">', filtered) == [str(second.pk)]
    assert 'id="row-' not in console.get(address, headers=at("?sort=plan")).content.decode(), (
        "they have no place on top"
    )
    assert console.get(address, headers=at("?kind=RECOVERY")).status_code == 204


@pytest.mark.parametrize("query", ["", "&sort=plan"])
def test_a_list_of_one_status_gains_runs_that_get_there_later_and_loses_those_that_leave(
    console: Client, query: str
) -> None:
    """However long ago they began."""
    old, run = world.ended(ExecutionStatus.FAILED, "Old"), world.paused("Payments")
    Execution.objects.update(started_at=timezone.now() - timedelta(hours=3))
    failed, waiting = f"?status=FAILED{query}", f"?status=PAUSED{query}"
    asks = {each: newer(console.get(f"/executions{each}").content.decode()) for each in (failed, waiting)}

    def poll_list(each: str) -> Any:
        return console.get(asks[each], headers=at(each))

    assert (poll_list(failed).status_code, poll_list(waiting).status_code) == (204, 204)
    end(run, ExecutionStatus.FAILED)
    answer = poll_list(failed)
    rows = set(re.findall(r'<tr id="row-([\w-]+)"', answer.content.decode()))
    assert (rows, answer["HX-Retarget"]) == ({str(run.pk), str(old.pk)}, "#executions")
    assert 'id="row-' not in poll_list(waiting).content.decode()
    asks[failed] = newer(answer.content.decode())
    assert poll_list(failed).status_code == 204


@pytest.mark.parametrize("query", ["", "&sort=plan"])
def test_rows_that_were_loaded_below_stay_when_the_first_change(console: Client, query: str) -> None:
    """All that the page shows comes anew, once, and what more there is is still to be had."""
    world.ended(ExecutionStatus.FAILED, "Template", sizes=(1,))
    like = Execution.objects.values().get()
    began = timezone.now() - timedelta(hours=9)
    Execution.objects.bulk_create(
        Execution(**like | {"id": uuid.uuid4(), "number": 1000 + at, "started_at": began - timedelta(minutes=at)})
        for at in range(129)
    )
    late = world.paused("A late one")
    Execution.objects.filter(pk=late.pk).update(started_at=began)
    list_of = f"?status=FAILED{query}"

    def shown(html: str) -> list[str]:
        return re.findall(r'<tr id="row-([\w-]+)"', html)

    def more(html: str) -> str:
        return str(re.findall(r'id="load-more" class="button" href="([^"]+)"', html)[0]).replace("&amp;", "&")

    page = console.get(f"/executions{list_of}").content.decode()
    below = console.get(f"/executions{more(page)}", headers=at(list_of)).content.decode()
    assert 'id="newcomers" hx-swap-oob="true"' in below
    assert 'hx-sync="#filter:replace"' in below
    asks = newer(below)
    assert console.get(asks, headers=at(list_of)).status_code == 204
    Execution.objects.filter(pk=shown(below)[20]).update(status=ExecutionStatus.COMPLETED)  # one of those below
    answer = console.get(asks, headers=at(list_of)).content.decode()
    assert (len(shown(answer)), len({*shown(answer)})) == (100, 100)
    assert shown(below)[20] not in shown(answer)
    assert 'hx-swap-oob="true" hidden hx-get="/executions/rows?since' not in answer
    end(late, ExecutionStatus.FAILED)
    answer = console.get(newer(answer), headers=at(list_of)).content.decode()
    assert str(late.pk) in shown(answer)[:50]
    assert len({*shown(answer)}) == 100
    assert console.get(newer(answer), headers=at(list_of)).status_code == 204
    rest = console.get(f"/executions{more(answer)}", headers=at(list_of)).content.decode()
    assert len({*shown(answer), *shown(rest)}) == 130 == len(shown(answer)) + len(shown(rest))
    assert console.get(newer(rest), headers=at(list_of)).status_code == 204
    assert [len(each) for each in under_way([Execution()] * 130)] == [50, 50, 30], "as many as one poll asks for"


def test_runs_that_stand_in_the_list_are_not_sent_again(console: Client) -> None:
    for number in range(30):
        world.ended(ExecutionStatus.COMPLETED, f"Run {number}", sizes=(1,))
    address = newer(look(console, "executions"))
    assert console.get(address, headers=at()).status_code == 204
    run = world.paused("Payments")
    answer = console.get(address, headers=at()).content.decode()
    assert re.findall(r'<tr id="row-([\w-]+)">', answer) == [str(run.pk)]
    assert console.get(newer(answer), headers=at()).status_code == 204


def test_a_list_without_rows_is_sent_whole_once_there_is_one(console: Client) -> None:
    address = newer(look(console, "executions"))
    run = world.paused("Payments")
    answer = console.get(address, headers=at())
    assert (answer["HX-Retarget"], answer["HX-Reswap"]) == ("#executions", "outerHTML")
    assert answer.content.decode().lstrip().startswith('<section id="executions"')
    assert f'<tr id="row-{run.pk}">' in answer.content.decode()
    plan = world.plan("Orders")
    address = newer(look(console, "plan", plan.pk))
    run = world.start(plan)
    answer = console.get(address, headers=HX)
    assert "HX-Refresh" not in answer.headers
    assert '<div class="table-scroll" hx-swap-oob="outerHTML:#newcomers + *">' in answer.content.decode()
    assert f'<tr id="row-{run.pk}">' in answer.content.decode()
    for nonsense in ("x", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00Z", "2026-01-01T00:00:00"):
        assert console.get(f"/executions/rows?since={nonsense}", headers=at()).status_code == 286
    assert console.get("/executions/rows?since=2026-01-01T00:00:00Z&told=x", headers=at()).status_code == 200


def test_the_page_of_a_plan_learns_of_a_run_that_somebody_else_starts(console: Client) -> None:
    plan = world.plan("Payments")
    end(world.start(plan), ExecutionStatus.CANCELLED)
    address = newer(look(console, "plan", plan.pk))
    run = world.start(plan)
    answer = console.get(address, headers=HX).content.decode()
    assert f'<tr id="row-{run.pk}">' in answer
    assert "“Payments” is already running" in words(answer)


# Job logs


def test_job_logs_grow_job_by_job_until_drs_owes_no_more_news(console: Client) -> None:
    run = world.start(world.plan("Payments"))
    first, second = run.waves.all()
    html = look(console, "job-logs", run.pk)
    assert "No DRS job was started yet." in words(html)
    address = asked(html, f"/executions/{run.pk}/job-logs/live")
    assert poll(console, address).status_code == 204
    run = world.change(run, world.launch(first, end=False), status=ExecutionStatus.LAUNCHING)
    answer = poll(console, address).content.decode()
    job, other = (LaunchJob.objects.get(wave=wave) for wave in (first, second))
    assert sent(answer) == {"logs_none", f"log-{job.pk}"}
    assert 'id="logs_none" class="card empty" hidden' in answer
    assert "Launching the instance" in answer
    address = asked(answer, f"/executions/{run.pk}/job-logs/live")
    assert poll(console, address).status_code == 204
    world.launch_log(first, lines=3)
    touch(run, timezone.now(), [first])
    answer = poll(console, address).content.decode()
    assert (f"log-{other.pk}" in answer, answer.count("<li")) == (False, 4)
    end(run)
    Execution.objects.update(next_step_at=timezone.now())  # a log is still to be read
    late = poll(console, address)
    assert (late.status_code, "every 15s" in late.content.decode()) == (200, True)
    Execution.objects.update(next_step_at=None)
    last = poll(console, asked(late.content.decode(), f"/executions/{run.pk}/job-logs/live"))
    assert last.status_code == 286
    assert "hx-trigger" not in last.content.decode()
    assert 'hx-trigger="every' not in look(console, "job-logs", run.pk)


def test_job_logs_show_errors_alone_also_as_they_grow(console: Client) -> None:
    run = world.start(world.plan("Payments"))
    first = world.launch(run.waves.all()[0], end=False)
    world.launch_log(first, lines=3)
    run = world.change(run, first, status=ExecutionStatus.LAUNCHING)
    address = reverse("job-logs-live", args=[run.pk])
    assert "No errors in this job." in poll(console, f"{address}?rev=0&errors=1").content.decode()
    for nonsense in ("", "?rev=x", "?rev=-1", "?rev=" + "9" * 40):
        assert f"log-{first.jobs.get().pk}" in poll(console, address + nonsense).content.decode()
    assert console.get(address)["Location"] == reverse("job-logs", args=[run.pk])
    assert poll(console, reverse("job-logs-live", args=[uuid.uuid4()])).status_code == 404
