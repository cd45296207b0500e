"""The ledger: what has proven that it comes up, by what, how well, and what has not."""

import csv
import io
import re
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.signals import post_init
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from executions.models import Execution, ServerRun
from executions.states import ExecutionStatus, LaunchStatus
from plans.models import RecoveryPlan
from tests.console import world
from tests.console.test_pages import words
from tests.reports.runs import drilled, payments
from tests.support.api_client import Api, answer, refusal
from tests.support.still import StillStage


def ledger_of(api: Api, days: int = 90) -> dict[str, Any]:
    found: dict[str, Any] = answer(api.get(f"/ledger?days={days}"))
    return found


def age(run: Execution, days: int) -> None:
    """As if it had been so many days ago."""
    ServerRun.objects.filter(wave__execution=run).update(launched_at=timezone.now() - timedelta(days=days))
    Execution.objects.filter(pk=run.pk).update(ended_at=timezone.now() - timedelta(days=days))


@pytest.mark.both
def test_what_was_launched_counts_for_its_days(admin: Api) -> None:
    proven, old = world.ended(ExecutionStatus.COMPLETED, "Fresh"), world.ended(ExecutionStatus.COMPLETED, "Old")
    age(old, 100)
    world.plan("Never drilled")
    world.sharing(proven, "Shares")  # its servers count once, however many plans have them
    world.ended(ExecutionStatus.PARTIAL, "Partly", fail="No capacity")
    ServerRun.objects.filter(wave__execution=proven).update(launch_status=LaunchStatus.TERMINATED)  # it came up before
    found = ledger_of(admin)
    states = {each["planName"]: each["status"] for each in found["plans"]}
    assert states == {
        "Fresh": "PROVEN",
        "Never drilled": "NEVER",
        "Old": "OVERDUE",
        "Partly": "NEVER",
        "Shares": "NEVER",
    }
    assert {each["days"]: (each["servers"], each["of"]) for each in found["coverage"]} == {
        30: (7, 16), 90: (7, 16), 365: (11, 16),
    }  # fmt: skip
    servers = [each["status"] for plan in found["plans"] if plan["planName"] == "Partly" for each in plan["servers"]]
    assert sorted(servers) == ["NEVER", "PROVEN", "PROVEN", "PROVEN"]
    assert ledger_of(admin, days=365)["plans"][2]["status"] == "PROVEN"
    refusal(admin.get("/ledger?days=0"), 400, "VALIDATION_ERROR")
    refusal(admin.get("/ledger?days=000000001999999999"), 400, "VALIDATION_ERROR")


@pytest.mark.both
def test_a_dry_run_and_a_run_without_all_servers_prove_no_plan(admin: Api) -> None:
    dry, short = world.ended(ExecutionStatus.COMPLETED, "Dry"), world.ended(ExecutionStatus.COMPLETED, "Short")
    Execution.objects.filter(pk=dry.pk).update(dry_run=True)
    Execution.objects.filter(pk=short.pk).update(servers_left_out=1)
    found = {each["planName"]: each for each in ledger_of(admin)["plans"]}
    assert (found["Dry"]["status"], found["Short"]["status"]) == ("NEVER", "NEVER")
    assert {each["status"] for each in found["Dry"]["servers"]} == {"NEVER"}
    assert {each["status"] for each in found["Short"]["servers"]} == {"PROVEN"}


@pytest.mark.both
def test_a_server_that_was_added_since_makes_its_plan_overdue(admin: Api) -> None:
    run = world.ended(ExecutionStatus.COMPLETED, "Grown")
    row = ServerRun.objects.filter(wave__execution=run).first()
    assert row
    ServerRun.objects.filter(pk=row.pk).update(source_server_id="s-00000000000000000")  # so another one is unproven
    (plan,) = ledger_of(admin)["plans"]
    assert (plan["status"], plan["executionId"]) == ("OVERDUE", str(run.pk))


@pytest.mark.slow
def test_its_figures_are_those_of_the_report(still: StillStage, admin: Api) -> None:
    plan = payments(still)
    run = drilled(still, plan)
    RecoveryPlan.objects.filter(pk=plan.pk).update(rto_minutes=10)  # the target of today is the one that counts
    found = ledger_of(admin)["plans"][0]
    report = answer(admin.get(f"/executions/{run.pk}/report"))
    measured = report["measured"]
    assert found["rta"]["seconds"] == measured["rto"]["seconds"]
    assert (measured["rto"]["reached"], found["rta"]["reached"], found["rta"]["target"]) == ("MET", "MISSED", 600)
    assert (found["rpa"]["seconds"], found["rpa"]["reached"]) == (
        measured["rpo"]["seconds"],
        measured["rpo"]["reached"],
    )
    told = {each["sourceServerId"]: each for wave in report["waves"] for each in wave["servers"]}
    for each in found["servers"]:
        assert each["rta"]["seconds"] == told[each["sourceServerId"]]["rtoSeconds"]
        assert each["rpa"]["seconds"] == told[each["sourceServerId"]]["rpo"]["seconds"]


def test_it_is_a_page_and_two_files(admin: Api) -> None:
    world.ended(ExecutionStatus.COMPLETED, "=Payments <b>&")
    world.plan("Never drilled")
    admin.client.force_login(admin.user)
    page = admin.client.get("/ledger").content.decode()
    assert "1 plan <" in page
    assert "=Payments &lt;b&gt;&amp;" in page
    assert "4 of 8 servers in plans" in page
    assert 'href="/ledger"' in admin.client.get("/executions").content.decode()
    table = admin.get("/ledger?format=csv").content.decode()
    rows = list(csv.DictReader(io.StringIO(table)))
    told = {
        each["sourceServerId"]: each["waveNumber"]
        for plan in answer(admin.get("/ledger"))["plans"]
        for each in plan["servers"]
    }
    assert {row["sourceServerId"]: int(row["waveNumber"]) for row in rows} == told  # by one name one count
    assert len(rows) == 8
    assert {each["planName"][0] for each in rows} == {"'", "N"}  # no formula
    pdf = admin.get("/ledger?format=pdf")
    assert pdf.content.startswith(b"%PDF")
    assert pdf["Content-Disposition"] == f'attachment; filename="ledger-{timezone.now():%Y-%m-%d}.pdf"'
    assert admin.client.get("/ledger?format=pdf").content.startswith(b"%PDF")


def test_the_servers_of_a_plan_come_when_it_is_opened(admin: Api) -> None:
    """Those of five hundred plans were a page of 1.4 MB."""
    run, other = world.ended(ExecutionStatus.COMPLETED, "Payments"), world.ended(ExecutionStatus.COMPLETED, "Orders")
    admin.client.force_login(admin.user)
    folded = admin.client.get("/ledger").content.decode()
    assert "up after" not in folded
    mine = f"/ledger?days=90&servers={run.plan_id}"
    assert f'hx-get="{mine[7:].replace("&", "&amp;")}"' in folded
    part = admin.client.get(mine, headers={"HX-Request": "true"}).content.decode()
    assert (part.count("up after"), "<html" in part, "Orders" in part) == (4, False, False)
    whole = admin.client.get(mine).content.decode()
    assert (whole.count("up after"), f'id="plan-{run.plan_id}" open' in whole) == (4, True)
    assert f'id="plan-{other.plan_id}" open' not in whole
    nobody = f"/ledger?servers={uuid.uuid4()}"
    assert admin.client.get(nobody, headers={"HX-Request": "true"}).status_code == 404


def made_by(act: Callable[[], str]) -> tuple[str, Counter[type]]:
    """What it answers, and how many rows of what were made objects for it."""
    made = Counter[type]()

    def count(sender: type, **_: object) -> None:
        made[sender] += 1

    post_init.connect(count)
    try:
        return act(), made
    finally:
        post_init.disconnect(count)


def test_many_plans_are_a_page_of_fifty_and_counted_whole(admin: Api) -> None:
    """Of those that are not shown no row of a run or a server is made: five hundred plans took over a second."""
    for each in range(3):
        age(world.ended(ExecutionStatus.COMPLETED, f"A{each}", sizes=(1,)), 100 if each == 2 else 1)
    for each in range(50):
        world.plan(f"B{each:02}", sizes=(1,))
    age(world.ended(ExecutionStatus.COMPLETED, "C", sizes=(1,)), 1)
    admin.client.force_login(admin.user)
    page, cost = made_by(lambda: admin.client.get("/ledger").content.decode())
    more = re.search(r'id="load-more" class="button" href="([^"]+)"', page)
    assert more
    rest: str = admin.client.get(f"/ledger{more[1].replace('&amp;', '&')}").content.decode()
    names = re.findall(r'<th scope="row"><a[^>]+>([^<]+)</a>', page + rest)
    assert (names, len(names)) == (sorted({*names}), 54)
    assert page.count('<th scope="row">') == 50
    for html in (page, rest):
        assert "3 plans Proven · 1 plan Overdue · 50 plans Never proven" in words(html)
        assert "3 of 54 servers in plans" in words(html)
    assert cost[RecoveryPlan] == 50
    again = made_by(lambda: admin.client.get("/ledger").content.decode())[1]
    assert (again[ServerRun], again[Execution]) == (0, 3), "figures of runs are kept, and times are no rows"
    assert len(ledger_of(admin)["plans"]) == 54
    file = admin.get("/ledger?format=csv").content.decode()
    assert len({row["planName"] for row in csv.DictReader(io.StringIO(file))}) == 54


@pytest.mark.both
def test_a_server_of_several_plans_is_held_against_the_target_of_each(admin: Api) -> None:
    run = world.ended(ExecutionStatus.COMPLETED, "Payments")
    world.sharing(run, "Shares")
    RecoveryPlan.objects.filter(name="Payments").update(rto_minutes=60)
    RecoveryPlan.objects.filter(name="Shares").update(rto_minutes=None)
    found = {each["planName"]: each["servers"] for each in ledger_of(admin)["plans"]}
    shared = {each["sourceServerId"] for each in found["Shares"]}
    assert {each["rta"]["target"] for each in found["Payments"] if each["sourceServerId"] in shared} == {3600}
    assert {each["rta"]["target"] for each in found["Shares"]} == {None}


@pytest.mark.both
def test_many_plans_cost_no_more_queries(admin: Api) -> None:
    from contract.clock import db_clock
    from executions.measuring import proven
    from reports.ledger.figures import ledger

    def asked(more_plans: int) -> int:
        for _ in range(more_plans):
            world.ended(ExecutionStatus.COMPLETED)
        proven._KEPT.clear()
        with CaptureQueriesContext(connection) as statements:
            ledger(db_clock())
        return len(statements)

    few = asked(4)
    assert asked(8) == few <= 24
