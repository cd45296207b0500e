"""Lists are sorted by their heads: in the address, without JavaScript, the same on every page and in the file."""

import csv
import io
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from executions.models import Execution, Pacemaker, PlanReadiness, ServerRun
from executions.states import ExecutionStatus, Kind, Verdict
from plans.models import RecoveryPlan
from protection.models import ProtectionGroup, SourceServer
from tests.console import world
from tests.console.test_pages import HX, look

pytestmark = [pytest.mark.both, pytest.mark.django_db]

HEAD = re.compile(
    r'<th scope="col"(?: class="[a-z]+")?(?: aria-sort="([a-z]+)")?><a href="([^"]+)">([^<]+?) ?(?:<svg|</a>)'
)
NOON = datetime.fromisoformat("2026-01-01T12:00:00+00:00")


def heads(html: str) -> dict[str, tuple[str, str]]:
    """How each column is sorted, and where its head leads."""
    return {label: (told, unescape(address)) for told, address, label in HEAD.findall(html)}


def order(html: str, *names: str) -> list[str]:
    """These names as the rows of a table have them."""
    body = html[html.index("<tbody") :]
    return sorted(names, key=lambda name: body.index(f">{name}</a>"))


def finished(name: str, minutes: int, by: str = "ann@example.com", at: datetime = NOON) -> Execution:
    """A row of the history, of no plan."""
    return Execution(
        plan_name=name, kind=Kind.DRILL, total_waves=0, initiated_by=by, started_by=by, started_at=at,
        status=ExecutionStatus.COMPLETED, ended_at=at + timedelta(minutes=minutes),
    )  # fmt: skip


def walked(client: Client, sort: str, meanwhile: Execution | None = None) -> list[str]:
    """The ids of all runs, page after page; `meanwhile` starts behind the first page."""
    found, query = list[str](), f"sort={sort}"
    while query:
        html = client.get(f"{reverse('executions')}?{query}", headers=HX).content.decode()
        found += re.findall(r'<tr id="row-([0-9a-f-]{36})"', html)
        more = re.search(r'id="load-more" class="button" href="\?([^"]*)"', html)
        query = unescape(more[1]) if more else ""
        if meanwhile is not None:
            meanwhile.save(force_insert=True)
            meanwhile = None
    return found


def test_runs_are_sorted_alike_on_all_pages_and_in_the_file(console: Client) -> None:
    names = ["beta", "Alpha", "gamma"]
    rows = [finished(names[at % 3], at % 7, f"{'ba'[at % 2]}@example.com", NOON + timedelta(at)) for at in range(120)]
    for at, run in enumerate(rows):
        run.kind = Kind.RECOVERY if at % 5 == 0 else Kind.DRILL
        run.status = (ExecutionStatus.FAILED, ExecutionStatus.CANCELLED, ExecutionStatus.COMPLETED)[at % 4 % 3]
    Execution.objects.bulk_create(rows)
    html = look(console, "executions", kind="DRILL")
    declared = list(ExecutionStatus)
    assert heads(html)["Started"] == ("descending", "?kind=DRILL&sort=started")
    assert {told for told, _ in heads(html).values()} == {"descending", ""}
    assert set(heads(html)) == {"Run", "Type", "Status", "Started", "Started by", "Took"}
    newest = sorted(rows, key=lambda run: run.started_at, reverse=True)
    keys: list[tuple[str, Callable[[Execution], Any]]] = [
        ("plan", lambda run: run.plan_name.lower()),
        ("type", lambda run: run.kind),
        ("status", lambda run: declared.index(ExecutionStatus.of(run.status))),
        ("by", lambda run: run.started_by),
        ("took", lambda run: run.ended_at and run.ended_at - run.started_at),
        ("started", lambda run: run.started_at),
    ]
    for sort, key in keys:
        for name, down in ((sort, False), (f"-{sort}", True)):
            wanted = [str(run.pk) for run in sorted(newest, key=key, reverse=down)]
            assert walked(console, name) == wanted, name
            sheet = console.get(reverse("executions"), {"sort": name, "format": "csv"}).content.decode()
            assert [each["executionId"] for each in csv.DictReader(io.StringIO(sheet))] == wanted, name
    late = finished("alpha", 1, at=timezone.now())
    assert walked(console, "plan", late) == [str(run.pk) for run in sorted(newest, key=lambda r: r.plan_name.lower())]
    assert console.get(reverse("executions"), {"sort": "plan", "after": "x"}).status_code == 400
    assert heads(look(console, "executions", sort="no-column"))["Started"][0] == "descending"


def test_filter_and_tabs_keep_the_order(console: Client) -> None:
    Execution.objects.bulk_create([finished("Orders", 1), finished("Web", 2)])
    html = look(console, "executions", sort="-took", status="COMPLETED")
    assert '<input type="hidden" name="sort" value="-took">' in html
    assert 'href="?sort=-took"' in html, "the tab of all runs"
    assert heads(html)["Took"] == ("descending", "?sort=took&status=COMPLETED")


def test_plans_are_sorted_by_what_they_have_proven(console: Client) -> None:
    world.beat()
    done = world.ended(ExecutionStatus.COMPLETED, "Beta")
    failed = world.ended(ExecutionStatus.FAILED, "alpha", fail="no capacity")
    Execution.objects.filter(pk=failed.pk).update(started_at=done.started_at + timedelta(seconds=5))
    world.plan("Gamma")
    weighed = {"checked_at": timezone.now(), "expires_at": timezone.now() + timedelta(hours=1), "plan_version": 1}
    for name, verdict in (("Beta", Verdict.READY), ("alpha", Verdict.NOT_READY)):
        plan = RecoveryPlan.objects.get(name=name)
        PlanReadiness.objects.create(plan=plan, verdict=verdict, **weighed)
    names = ("alpha", "Beta", "Gamma")
    assert order(look(console, "plans"), *names) == ["alpha", "Beta", "Gamma"]
    assert order(look(console, "plans", sort="-name"), *names) == ["Gamma", "Beta", "alpha"]
    assert order(look(console, "plans", sort="ready"), *names) == ["alpha", "Gamma", "Beta"], "the worst first"
    assert order(look(console, "plans", sort="-run"), *names) == ["alpha", "Beta", "Gamma"]
    assert order(look(console, "plans", sort="drilled"), *names) == ["alpha", "Gamma", "Beta"], "never is the least"
    sheet = console.get(reverse("plans"), {"sort": "-run", "format": "csv"}).content.decode()
    assert [each["planName"] for each in csv.DictReader(io.StringIO(sheet))] == ["alpha", "Beta", "Gamma"]
    RecoveryPlan.objects.filter(name="Gamma").update(owner="Zoe@example.com")
    assert order(look(console, "plans", sort="-owner"), *names)[0] == "Gamma"
    slow = world.ended(ExecutionStatus.COMPLETED, "Delta")
    ServerRun.objects.filter(wave__execution=slow).update(launched_at=slow.started_at + timedelta(hours=9))
    proven = order(look(console, "plans", sort="-achieved"), *names, "Delta")
    assert (proven[:2], heads(look(console, "plans"))["Achieved"]) == (["Delta", "Beta"], ("", "?sort=-achieved"))


def test_each_count_of_the_dashboard_leads_to_these_plans(console: Client) -> None:
    world.beat()
    names = ("Alpha", "Beta", "Gamma", "Delta")
    for name in names[:3]:
        world.plan(name)
    world.start(world.plan("Delta"))
    weighed = {"checked_at": timezone.now(), "expires_at": timezone.now() + timedelta(hours=1), "plan_version": 1}
    for name, verdict in (("Alpha", Verdict.READY), ("Beta", Verdict.NOT_READY)):
        PlanReadiness.objects.create(
            plan=RecoveryPlan.objects.get(name=name), verdict=verdict, reasons=["x"], **weighed
        )

    def led_to() -> dict[str, list[str]]:
        found = re.findall(r'id="plans-[a-z_]+" [^>]*href="([^"]+)">(\d+) ', look(console, "dashboard"))
        pages = {address: console.get(address).content.decode() for address, _ in found}
        shown = {
            at: [name for name in names if f">{name}</a>" in html.partition("<tbody")[2]] for at, html in pages.items()
        }
        assert {at: len(plans) for at, plans in shown.items()} == {at: int(count) for at, count in found}
        tabs = re.findall(r'href="(\?readiness=[A-Z_]+)"[^>]*>[^<]*<span class="num">(\d+)', look(console, "plans"))
        assert sorted(tabs) == sorted((at.partition("plans")[2], count) for at, count in found)
        return {at.partition("=")[2]: plans for at, plans in shown.items()}

    every = {"RUNNING": ["Delta"], "READY": ["Alpha"], "UNKNOWN": ["Gamma"], "NOT_READY": ["Beta"]}
    assert led_to() == every
    Pacemaker.objects.all().delete()
    assert led_to() == {"RUNNING": ["Delta"], "NOT_READY": ["Alpha", "Beta", "Gamma"]}, "no engine: none would work"


def test_groups_and_servers_are_sorted(console: Client) -> None:
    lagging = [world.server("web-2", state="STALLED"), world.server("Web-1", region="eu-west-1")]
    world.group("beta", lagging)
    world.group("Alpha", [world.server("db", region="us-west-2")], region="us-west-2")
    ProtectionGroup.objects.filter(name="beta").update(owner="zoe@example.com")
    for sort, wanted in (
        ("", ["Alpha", "beta"]), ("-name", ["beta", "Alpha"]), ("region", ["beta", "Alpha"]),
        ("-servers", ["beta", "Alpha"]), ("-unready", ["beta", "Alpha"]), ("-owner", ["beta", "Alpha"]),
    ):  # fmt: skip
        assert order(look(console, "groups", sort=sort), "Alpha", "beta") == wanted, sort
    run = world.ended(ExecutionStatus.COMPLETED, "Zeta", sizes=(1,))
    proven = ServerRun.objects.get(wave__execution=run)
    SourceServer.objects.filter(name="db").update(lag_seconds=900)
    SourceServer.objects.filter(name="Web-1").update(lag_seconds=None)
    names = ("Web-1", "web-2", "db", proven.hostname)
    for sort, wanted in (
        ("", ["db", "Web-1", "web-2", proven.hostname]),
        ("-lag", ["db", "web-2", proven.hostname, "Web-1"]),
        ("group", ["db", "Web-1", "web-2", proven.hostname]),
        ("launched", ["db", "Web-1", "web-2", proven.hostname]),
        ("-launched", [proven.hostname, "db", "Web-1", "web-2"]),
        ("replication", ["db", "Web-1", proven.hostname, "web-2"]),
        ("-replication", ["web-2", "db", "Web-1", proven.hostname]),
    ):
        assert order(look(console, "servers", sort=sort), *names) == wanted, sort
