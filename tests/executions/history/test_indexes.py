"""Each filter of the history, alone and with the others, is answered from an index: nothing rare is looked for in all
rows, and nothing is sorted."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from contract.rest.paging import Cursor, page
from executions.api.views import filtered
from executions.commands.hide_finished import is_done_with
from executions.measuring.proven import last_launches
from executions.models import Execution, LaunchJob, ServerRun, TerminationJob, WaveRun
from plans.models import WaveServer

pytestmark = [pytest.mark.django_db, pytest.mark.both, pytest.mark.slow]

CHOICES: dict[str, list[str | None]] = {
    "executionType": [None, "RECOVERY"],
    "status": [None, "FAILED"],
    "dryRun": [None, "true"],
    "hidden": [None, "true"],
}
QUERIES = [
    {name: value for name, value in zip(CHOICES, values, strict=True) if value} for values in product(*CHOICES.values())
]


def expected(asked: dict[str, str]) -> str:
    """The index that has these rows and no other, newest first."""
    kept = {(0, 0): "shown", (0, 1): "hidden", (1, 0): "dry", (1, 1): "dry_hidden"}[
        "dryRun" in asked, "hidden" in asked
    ]
    by = {(0, 0): "newest", (1, 0): "kind", (0, 1): "status", (1, 1): "both"}[
        "executionType" in asked, "status" in asked
    ]
    return f"execution_{kept}_{by}"


@pytest.fixture
def plans() -> Iterator[list[str]]:
    """The plans of the queries that are asked meanwhile, with a database that takes an index wherever there is one."""
    found: list[str] = []

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if '"executions_execution"."revision"' in sql:
            execute(
                ("EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN ") + sql, params, many, context
            )
            found.append("\n".join(str(row[-1]) for row in context["cursor"].fetchall()))
        return execute(sql, params, many, context)

    fill()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE executions_execution")  # of an empty table any index seems as good as another
            cursor.execute(
                "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off"
            )
    with connection.execute_wrapper(explain):
        yield found


def fill() -> None:
    """Some runs of every sort, few of them rare in two ways."""
    now = datetime(2026, 6, 1, tzinfo=UTC)
    Execution.objects.bulk_create(
        Execution(
            plan_name="P",
            total_waves=1,
            kind="RECOVERY" if number % 23 == 0 else "DRILL",
            status="FAILED" if number % 29 == 0 else "COMPLETED",
            dry_run=number % 3 == 0,
            hidden_at=now if number % 4 == 0 else None,
            started_at=now - timedelta(minutes=number),
            ended_at=now,
        )
        for number in range(3000)
    )


@pytest.mark.parametrize("is_first", [True, False], ids=["first page", "later page"])
def test_no_list_looks_through_the_history(plans: list[str], is_first: bool) -> None:
    token = None if is_first else Cursor(datetime(2026, 6, 1, tzinfo=UTC), UUID(int=1)).token()
    wrong = {}
    for asked in QUERIES:
        plans.clear()
        page(filtered(asked), time="started_at", limit=50, token=token)
        (plan,) = plans
        if f"{expected(asked)} " not in f"{plan} " or re.search(r"TEMP B-TREE|Sort|Seq Scan", plan):
            wrong["+".join(asked) or "all"] = plan
    assert not wrong


@pytest.mark.parametrize("more", [{}, {"status": "FAILED"}, {"executionType": "RECOVERY", "status": "FAILED"}])
def test_the_runs_of_a_plan_are_found_by_the_plan(plans: list[str], more: dict[str, str]) -> None:
    page(filtered({"planId": str(UUID(int=1)), **more}), time="started_at", limit=50, token=None)
    (plan,) = plans
    assert not re.search(r"SCAN|Seq Scan", plan), plan


@pytest.mark.parametrize(
    "asked",
    [
        lambda ids: LaunchJob.objects.filter(job_id__in=ids),
        lambda ids: LaunchJob.objects.filter(job_id=ids[0]),
        lambda ids: TerminationJob.objects.filter(job_id__in=ids),
        lambda ids: ServerRun.launches.filter(job__job_id__in=ids),
        lambda ids: WaveRun.objects.filter(jobs__job_id__in=ids),
    ],
    ids=["jobs", "job", "terminations", "servers", "waves"],
)
@pytest.mark.usefixtures("plans")
def test_what_drs_tells_of_jobs_is_found_by_their_ids(asked: Callable[[list[str]], QuerySet[Any]]) -> None:
    """Each poll, each readiness and each round of the inventory asks so, in the order of the history."""
    plan = asked(["drsjob-1", "drsjob-2"]).explain()
    assert not re.search(r"SCAN|Seq Scan", plan), plan


def explained(sql: str) -> str:
    """How the database answers a question that the product has asked."""
    with connection.cursor() as cursor:
        cursor.execute(("EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN ") + sql)
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


@pytest.mark.usefixtures("plans")
def test_the_last_launch_of_a_server_is_found_among_all_its_launches() -> None:
    """The ledger, and each list of servers: of every server that has a plan."""
    with CaptureQueriesContext(connection) as asked:
        last_launches(WaveServer.objects.all())
    plan = explained(asked[0]["sql"])
    assert "server_run_by_launch" in plan
    assert not re.search(r"TEMP B-TREE|Sort", plan), plan


@pytest.mark.usefixtures("plans")
def test_runs_that_stay_in_the_lists_are_found_once_and_not_looked_for_in_each_run() -> None:
    plan = Execution.objects.filter(is_done_with()).order_by().values("pk").explain()
    assert plan.count("CORRELATED" if connection.vendor == "sqlite" else "(SubPlan") == 0, plan
