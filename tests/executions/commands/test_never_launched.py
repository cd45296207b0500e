"""Servers that a cancelled run has never sent are told so, wherever a run is shown."""

from typing import Any

from django.test import Client
from django.urls import reverse

from audit.actor import SYSTEM
from executions.commands import control
from executions.models import Execution, LaunchJob, ServerRun
from reports.report_data import record
from tests.executions.launching.test_many_servers import bulk, plan_of, wave_of
from tests.support.api_client import Api, answer, make_user
from tests.support.stage import Stage

UNSENT = "Not launched: the run was cancelled before AWS took it."
SKIPPED = "Not launched: the run was cancelled before this wave."


def told(api: Api, run: Execution) -> list[Any]:
    return [
        each["notLaunched"]
        for wave in answer(api.get(f"/executions/{run.pk}"))["waves"]
        for each in wave["serverStatuses"]
    ]


def rows(client: Client, run: Execution) -> tuple[int, int, bool]:
    page = client.get(f"/executions/{run.pk}").content.decode()
    return page.count(">Not launched<"), page.count("<td>Queued"), UNSENT in page


def test_servers_of_a_cancelled_run_that_were_never_sent(stage: Stage, admin: Api, client: Client) -> None:
    ids = bulk(stage, us_east_1=2, us_west_2=1)
    first = {"us-east-1": ids["us-east-1"][:1], "us-west-2": ids["us-west-2"]}
    stage.simulator.scenario("throttle", operation="StartRecovery", region="us-west-2")
    run = stage.start(plan_of(wave_of(first), wave_of({"us-east-1": ids["us-east-1"][1:]}, "Second")))
    stage.wait(lambda: LaunchJob.objects.exclude(job_id="").count() == 1, run, step=5)
    client.force_login(make_user("viewer"))
    assert rows(client, run)[::2] == (0, False)
    control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    assert told(admin, run) == [None, UNSENT, SKIPPED], "although a launch is under way, and the run not over"
    assert rows(client, run) == (2, 1, True), "one was sent"
    stage.until(run, "PARTIAL", "CANCELLED", "FAILED")
    assert told(admin, run) == [None, UNSENT, SKIPPED]
    assert rows(client, run) == (2, 0, True)
    found = record(Execution.objects.with_waves().get(pk=run.pk), stage.clock())
    servers = [each for wave in found["waves"] for each in wave["servers"]]
    assert [each["error"] for each in servers] == [each["notLaunched"] for each in servers] == [None, UNSENT, SKIPPED]
    report = client.get(f"/executions/{run.pk}/report").content.decode()
    assert (report.count(">Not launched<"), ">Pending<" in report) == (2, False)
    server = ServerRun.objects.get(job__region="us-west-2").source_server_id
    assert UNSENT in client.get(reverse("server", args=[server])).content.decode()


def test_a_run_cancelled_before_anything_was_sent(stage: Stage, admin: Api, client: Client) -> None:
    run = stage.start(stage.plan("app-01", "web-01"))
    control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    run = stage.until(run, "CANCELLED")
    client.force_login(make_user("viewer"))
    assert told(admin, run) == [SKIPPED, SKIPPED]
    assert rows(client, run) == (2, 0, False)
