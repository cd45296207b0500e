"""One box finds what has a name, a number or an id; a server's page has all that is known of it."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from contract.rights import EVERYWHERE, Reach
from executions.console.finding.search import look_for
from executions.models import Execution, JobEvent, ServerRun, TerminationJob
from executions.states import ExecutionStatus
from protection.models import ProtectionGroup, RecoveryInstance, SourceServer
from tests.console import world
from tests.console.test_pages import HX, look, words


@pytest.fixture
def run(db: None) -> Execution:
    return world.ended(ExecutionStatus.COMPLETED, "Payments")


def leads_to(client: Client, text: str) -> str:
    response = client.get(reverse("search"), {"q": text})
    assert response.status_code == 302, words(response.content.decode())
    return str(response["Location"])


def test_a_number_or_an_id_leads_to_what_it_names(console: Client, run: Execution) -> None:
    first = ServerRun.objects.filter(wave__execution=run).select_related("job").order_by("pk")[0]
    TerminationJob.objects.create(
        execution=run, account_id=world.ACCOUNT, region="us-east-1", status="PENDING", job_id="drsjob-terminates"
    )
    home = reverse("execution", args=[run.pk])
    named = (str(run.number), f"Run {run.number}", f"#{run.number}", str(run.pk), str(run.pk)[:8].upper())
    of_aws = (first.recovery_instance_id, first.job.job_id, "drsjob-terminates")
    assert {leads_to(console, text) for text in (*named, *of_aws)} == {home}
    assert leads_to(console, first.source_server_id) == reverse("server", args=[first.source_server_id])
    group = ProtectionGroup.objects.order_by("pk")[0]
    assert leads_to(console, str(group.pk)) == reverse("group", args=[group.pk])
    SourceServer.objects.filter(pk=first.source_server_id).update(gone_at=run.ended_at)
    assert "no longer in DRS" in look(console, "search", q=first.hostname)


def test_nobody_finds_what_they_do_not_see(run: Execution) -> None:
    server = ServerRun.objects.filter(wave__execution=run)[0]
    for text in ("payments", str(run.number), str(run.pk), server.source_server_id, server.recovery_instance_id):
        assert look_for(text, EVERYWHERE).count
        assert not look_for(text, Reach(labels=frozenset({("app", "orders")}))).count


def test_a_name_finds_plans_groups_servers_and_last_runs(console: Client, run: Execution) -> None:
    page = words(look(console, "search", q="payments"))
    for text in ("Recovery plans Payments", "Protection groups Payments group 0", "Source servers Payments server 0-0"):
        assert text in page
    assert f"Run {run.number}: Payments drill, completed" in page
    part = console.get(reverse("search"), {"q": "pay"}, headers=HX).content.decode()
    assert part.lstrip().startswith('<div id="found"')
    assert "Nothing is called or has “nowhere”" in words(look(console, "search", q="nowhere"))
    for odd in ("\x00", "%", "_", "s-", "i-" + "x" * 400, "9" * 30, "-" * 9, "'", "run"):
        assert console.get(reverse("search"), {"q": odd}).status_code == 200


def test_the_history_is_only_looked_into_by_indexes(run: Execution) -> None:
    """Names may be looked for among what is configured; never among runs, servers of runs, jobs."""
    history = ("executions_execution", "executions_serverrun", "executions_launchjob", "executions_terminationjob")
    for text in (str(run.number), str(run.pk), "i-00000000000000001", "drsjob-00000000000000001", "payments"):
        with CaptureQueriesContext(connection) as captured:
            look_for(text, EVERYWHERE)
        assert len(captured) <= 12
        for query in captured:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
                steps = [row[3] for row in cursor.fetchall()]
            assert not [each for each in steps if each.startswith("SCAN") and each.split()[1] in history], steps


def test_a_server_has_a_page_with_all_that_is_known_of_it(console: Client, run: Execution) -> None:
    row = ServerRun.objects.filter(wave__execution=run).select_related("wave", "job").order_by("pk")[0]
    began = row.wave.started_at
    assert began is not None
    JobEvent.objects.create(
        job=row.job, at=began, event="SNAPSHOT_START", source_server_id=row.source_server_id, digest="a"
    )
    RecoveryInstance.objects.create(
        recovery_instance_id=row.recovery_instance_id,
        source_server_id=row.source_server_id,
        account_id=world.ACCOUNT,
        region="us-east-1",
        is_drill=True,
        ec2_state="RUNNING",
        seen_at=began,
    )
    html = look(console, "server", row.source_server_id)
    text = words(html)
    for told in ("Payments group 0", "Payments , wave 1", f"Run {run.number} Payments Drill", "snapshot 6 min"):
        assert told in text
    assert "https://us-east-1.console.aws.amazon.com/ec2/home?region=us-east-1#InstanceDetails" in html
    assert f'data-copy="{row.recovery_instance_id}"' in html
    assert f"#/sourceServers/{row.source_server_id}" in html
    assert reverse("server", args=[row.source_server_id]) in look(console, "execution", run.pk)
    assert reverse("server", args=[row.source_server_id]) in look(console, "servers")
    lonely = look(console, "server", world.server("lonely"))
    assert "no plan recovers it" in lonely
    assert console.get(reverse("server", args=["s-00000000000000000"])).status_code == 404


def test_many_launches_of_a_server_cost_no_more_questions(console: Client) -> None:
    plan = world.plan("Payments", sizes=(1,), pause=None)

    def questions(times: int) -> int:
        for _ in range(times):
            run = world.start(plan)
            wave = world.launch(run.waves.all()[0])
            run.holds.all().delete()
            world.change(run, wave, status=ExecutionStatus.COMPLETED, ended_at=wave.ended_at, next_step_at=None)
        server = ServerRun.objects.order_by("pk")[0].source_server_id
        look(console, "server", server)
        with CaptureQueriesContext(connection) as captured:
            look(console, "server", server)
        return len(captured)

    assert questions(1) >= questions(7)
