"""Lists at size: tabs with counts, filters in the address, and the whole of what is filtered as a file."""

import csv
import io
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from drsorch_site.page_context import beat as known_beat
from executions.models import Execution, PlanReadiness, ServerRun
from executions.states import ExecutionStatus
from plans.models import RecoveryPlan
from protection.models import SourceServer
from protection.states import COUNTED
from tests.console import world
from tests.console.test_pages import HX, look, words

TAB = re.compile(r'<a id="[^"]*" href="([^"]*)"( aria-current="page")?>([^<]+) <span class="num">([0-9]+)</span></a>')


def tabs(html: str) -> dict[str, int]:
    return {label: int(count) for _, _, label, count in TAB.findall(html)}


def current(html: str) -> list[str]:
    return [label for _, is_current, label, _ in TAB.findall(html) if is_current]


def rows(client: Client, name: str, **query: str) -> list[dict[str, str]]:
    response = client.get(reverse(name), {**query, "format": "csv"})
    assert response["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(response.content.decode())))


def test_runs_have_tabs_dates_and_a_file(console: Client) -> None:
    failed = world.ended(ExecutionStatus.FAILED, "=Payments", fail="no capacity")
    done, waiting = world.ended(ExecutionStatus.COMPLETED, "Orders"), world.paused("Web")
    old = timezone.now() - timedelta(days=40)
    Execution.objects.filter(pk=done.pk).update(started_at=old)
    html = look(console, "executions")
    assert tabs(html) == {"All": 3, "Under way": 1, "Paused": 1, "Completed": 1, "Failed": 1}
    assert current(html) == ["All"]
    part = look(console, "executions", status="ACTIVE")
    assert current(part) == ["Under way"]
    assert str(waiting.pk) in part
    assert str(done.pk) not in part
    day = f"{old - timedelta(days=1):%Y-%m-%d}"
    lately = look(console, "executions", since=f"{timezone.now() - timedelta(days=1):%Y-%m-%d}")
    assert tabs(lately)["All"] == 2
    assert tabs(look(console, "executions", until=day)).get("All") == 0
    assert tabs(look(console, "executions", until="9999-12-31"))["All"] == 3
    assert f"?since={day}&amp;status=FAILED" in look(console, "executions", since=day).replace("?&amp;", "?")
    (row,) = rows(console, "executions", status="FAILED")
    assert (row["planName"], row["runNumber"], row["status"]) == ("'=Payments", str(failed.number), "FAILED")
    assert [each["executionId"] for each in rows(console, "executions")] == [
        str(each.pk) for each in Execution.objects.newest_first()
    ]
    assert console.get(reverse("executions"), {"status": "FAILED"}, headers=HX).status_code == 200


STATES = ["CONTINUOUS", "CREATING_SNAPSHOT", "RESCAN", "BACKLOG", "INITIATING", "INITIAL_SYNC", "STALLED", "NEW_WORD"]
STATES += ["DISCONNECTED", "PAUSED", "STOPPED"]


def test_servers_are_filtered_as_they_are_counted(console: Client) -> None:
    world.region()
    for state in STATES:
        for trouble in ({}, {"replication_error": "AGENT_NOT_SEEN"}, {"replication_direction": "FAILBACK"}):
            SourceServer.objects.filter(pk=world.server(state=state)).update(**trouble)
    for word, (_, _, members) in COUNTED.items():
        found = set(SourceServer.objects.counted_as(members))
        assert found == {each for each in SourceServer.objects.all() if each.counted_state in members}, word
    html = look(console, "servers")
    assert sum(tabs(html).values()) == 2 * tabs(html)["All"] == 2 * SourceServer.objects.count()
    part = look(console, "servers", state="lagging", region="us-east-1")
    assert current(part) == ["Lagging"]
    assert len(rows(console, "servers", state="lagging")) == tabs(html)["Lagging"]
    board = look(console, "dashboard")
    links = re.findall(r'href="(/source-servers\?region=us-east-1&amp;state=[a-z]+)">([0-9]+)</a>', board)
    assert len(links) == len(COUNTED)
    for address, count in links:
        assert tabs(console.get(address.replace("&amp;", "&")).content.decode())[
            COUNTED[address.rpartition("=")[2]][0]
        ] == int(count)


@pytest.mark.parametrize("name", ["executions", "servers"])
def test_odd_filters_filter_nothing(console: Client, name: str) -> None:
    world.region()
    for odd in ({"state": "x"}, {"status": "x"}, {"since": "yesterday"}, {"until": "0000-00-00"}, {"format": "x"}):
        assert console.get(reverse(name), odd).status_code == 200


def test_plans_say_whether_they_would_work_and_when_that_was_last_proven(console: Client) -> None:
    good = world.ended(ExecutionStatus.COMPLETED, "Payments")
    world.ended(ExecutionStatus.FAILED, "Orders", fail="no capacity")
    plan = RecoveryPlan.objects.get(name="Payments")
    RecoveryPlan.objects.filter(pk=plan.pk).update(rto_minutes=60, owner="ann@example.com")
    weighed = {"plan_version": plan.version, "verdict": "NOT_READY", "checked_at": timezone.now()}
    PlanReadiness.objects.create(plan=plan, expires_at=timezone.now() + timedelta(minutes=5), **weighed)
    began = good.started_at - timedelta(minutes=90)
    Execution.objects.filter(pk=good.pk).update(started_at=began)
    ServerRun.objects.filter(wave__execution=good).update(launched_at=good.started_at)
    html = look(console, "plans")
    text = words(html)
    told = "Payments 4 servers in 2 waves Not ready ann@example.com RTA 1 h 30 min , 30 min over RTO 60 min"
    told += " RPA not known 1 hour ago"
    assert told in text
    assert f'href="{reverse("execution", args=[good.pk])}"' in html
    assert "Orders 4 servers in 2 waves not weighed yet system no RTO no RPO never" in text
    RecoveryPlan.objects.filter(pk=plan.pk).update(rto_minutes=120)
    assert "1 h 30 min of 120 min" in words(look(console, "plans")), "against the target that it has now"
    world.change(good, started_at=began + timedelta(minutes=30))
    assert "1 h 0 min of 120 min" in words(look(console, "plans")).replace("1 h of", "1 h 0 min of")
    PlanReadiness.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert "Not ready" not in words(look(console, "plans"))
    world.beat(at=timezone.now() - timedelta(hours=1))
    known_beat.asked_at = float("-inf")
    assert "No engine runs" in words(look(console, "plans"))
