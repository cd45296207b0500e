"""Bulk delete hides: finished runs leave the lists, and nothing else of them changes or is forgotten."""

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.actor import SYSTEM
from audit.journal import record as write_entry
from audit.models import AuditEntry
from contract.clock import db_clock
from drsorch_verify.tables import as_csv
from executions.commands import control
from executions.measuring.forecast import predict_duration
from executions.models import Execution, LaunchJob, ServerRun
from executions.states import ExecutionStatus, Kind
from reports import evidence_pack
from reports.aws_calls import calls
from reports.documents.pdf import as_pdf
from reports.report_data import record
from tests.console import world
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.packs import found_wrong
from tests.support.stage import Stage


def entries() -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(verb="execution.hide", outcome="ok").order_by("id"))


def up(stage: Stage, kind: Kind = Kind.DRILL, hosts: str = "app-01 app-02") -> Execution:
    """A finished run whose instances stand and of which nothing is to be told any more."""
    run = stage.until(stage.start(stage.plan(hosts), kind), "COMPLETED")
    return stage.wait(lambda: not run.waves.filter(jobs__watched=True).exists(), run)


def cleaned_up(stage: Stage, hosts: str = "app-01 app-02") -> Execution:
    run = up(stage, hosts=hosts)
    control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    return stage.wait(lambda: bool(stage.fresh(run).termination_status == "COMPLETED"), run)


@pytest.mark.field("B2")
@pytest.mark.parametrize("kind", list(Kind))
def test_it_keeps_what_stands_and_says_so(stage: Stage, kind: Kind) -> None:
    run = up(stage, kind)
    idle = stage.start(stage.plan("web-01"))
    control.cancel(actor=SYSTEM, execution_id=idle.pk)
    admin = Api(make_user("admin"))
    kept = [{"executionId": str(run.pk), "reason": "2 instances still stand. Terminate first, then hide."}]
    assert answer(admin.delete("/executions")) == {"deletedCount": 1, "totalScanned": 2, "kept": kept}
    hidden, noted = entries()
    assert hidden.detail == {"executionIds": [str(idle.pk)]}
    assert noted.detail == {"changed": False, "kept": kept}
    control.terminate(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    told = answer(admin.delete("/executions"))
    assert [each["reason"] for each in told["kept"]] == ["AWS is terminating its instances."]
    stage.wait(lambda: bool(stage.fresh(run).termination_status == "COMPLETED"), run)
    assert answer(admin.delete("/executions")) == {"deletedCount": 1, "totalScanned": 1, "kept": []}
    assert Execution.objects.count() == 2


def everything(run: Execution, at: Any) -> list[Any]:
    """All that is told of a run that is over, as it was asked for at one time."""
    fresh = Execution.objects.with_waves().get(pk=run.pk)
    told = record(fresh, at)
    return [told, as_csv(told), as_pdf(told), calls(fresh), evidence_pack.account(run.pk, at).entries]


@pytest.mark.both
@pytest.mark.field("B2")
def test_report_logs_evidence_and_forecast_are_the_same_to_the_byte(stage: Stage) -> None:
    run, now = cleaned_up(stage), stage.clock()
    viewer = Api(make_user("viewer"))
    logs = viewer.get(f"/executions/{run.pk}/job-logs").content
    known, before = predict_duration(run), everything(run, now)
    assert answer(Api(make_user("admin")).delete("/executions"))["deletedCount"] == 1
    assert everything(run, now) == before
    assert viewer.get(f"/executions/{run.pk}/job-logs").content == logs
    assert predict_duration(run) == known
    assert found_wrong(Execution.objects.get(pk=run.pk), now) == []


def test_the_lists_leave_it_out_and_its_id_finds_it(stage: Stage) -> None:
    run = cleaned_up(stage)
    other = up(stage, hosts="web-01")
    admin = Api(make_user("admin"))
    answer(admin.delete("/executions"))

    def listed(query: str = "") -> list[str]:
        return [each["executionId"] for each in answer(admin.get(f"/executions{query}"))["items"]]

    assert listed() == listed("?hidden=false") == [str(other.pk)]
    assert listed("?hidden=true") == [str(run.pk)]
    shown = answer(admin.get(f"/executions/{run.pk}"))
    assert shown["hiddenTime"] == int(Execution.objects.get(pk=run.pk).hidden_at.timestamp())  # type: ignore[union-attr]
    assert answer(admin.get(f"/executions/{other.pk}"))["hiddenTime"] is None


def test_a_drill_that_was_hidden_still_counts_as_a_drill(stage: Stage) -> None:
    run, client = cleaned_up(stage), Client()
    client.force_login(make_user("admin"))
    page = client.get("/").content.decode()
    control.hide_finished(actor=SYSTEM)
    after = client.get("/").content.decode()
    link = f"/executions/{run.pk}"
    assert (link in page, link in after) == (True, False)
    assert "never drilled" not in after


@pytest.mark.field("B2")
def test_a_recovery_is_guarded_although_everything_that_could_be_was_hidden(stage: Stage) -> None:
    plan = stage.plan("app-01")
    run = stage.until(stage.start(plan, Kind.RECOVERY), "COMPLETED")
    answer(Api(make_user("admin")).delete("/executions"))
    told = Api(make_user("operator")).post("/executions", {"planId": str(plan.pk), "executionType": "DRILL"})
    (named,) = refusal(told, 403, "FORBIDDEN")["instances"]
    assert named["launchedBy"].endswith(f"run {run.number}")


def test_the_console_asks_says_what_stays_and_finds_the_hidden(stage: Stage) -> None:
    gone, stays, client = cleaned_up(stage), up(stage, hosts="web-01"), Client()
    client.force_login(make_user("admin"))
    asked = client.get("/executions/hide").content.decode()
    assert "Hide 1 finished run?" in asked
    assert "Nothing is deleted" in asked
    assert f"{stays.plan_name}</a>: 1 instance still stands." in asked
    done = client.post("/executions/hide", follow=True).content.decode()
    assert "1 run hidden, 1 finished run kept." in done
    link = f"/executions/{gone.pk}"
    assert link not in done
    assert link in client.get("/executions?hidden=yes").content.decode()
    assert "from lists since" in client.get(link).content.decode()
    viewer = Client()
    viewer.force_login(make_user("viewer"))
    assert "Hide finished runs" not in viewer.get("/executions").content.decode()
    assert "You may not hide finished runs." in viewer.get("/executions/hide").content.decode()
    assert viewer.post("/executions/hide").status_code == 403


@pytest.mark.both
def test_what_was_deleted_before_is_said_in_the_journal(db: None) -> None:
    tell = import_module("executions.migrations.0018_tell_what_was_deleted").tell
    editor = SimpleNamespace(connection=connection)
    tell(apps, editor)
    assert not AuditEntry.objects.exists()
    for detail in ({"executionIds": ["a", "b"]}, {"executionIds": ["c"]}, {"changed": False}):
        write_entry(SYSTEM, "execution.delete", subject_kind="execution", subject_id="finished", detail=detail)
    first, second = AuditEntry.objects.order_by("id").values_list("pk", flat=True)[:2]
    tell(apps, editor)
    said = AuditEntry.objects.get(verb="execution.deleted_before")
    assert (said.detail["runs"], said.detail["entries"]) == (3, [first, second])
    assert "cannot be brought back" in said.detail["text"]
    assert said.at <= db_clock()


@pytest.mark.both
def test_a_launch_in_doubt_is_not_hidden_under_the_lock(db: None) -> None:
    run = world.ended(ExecutionStatus.COMPLETED)
    ServerRun.objects.update(launch_status="TERMINATED")
    LaunchJob.objects.update(status="INITIATED", job_id="", watched=False)
    (kept,) = control.hide_finished(actor=SYSTEM).kept
    assert (kept.execution_id, kept.reason) == (run.pk, "AWS has not said yet what became of all its launches.")


@pytest.mark.slow
def test_twenty_runs_that_stand_cost_no_more_queries_than_one(db: None) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            control.hide_finished(actor=SYSTEM)
        return len(asked)

    first = world.ended(ExecutionStatus.COMPLETED)
    few = queries()
    copies = [world.ended(ExecutionStatus.COMPLETED).pk for _ in range(19)]
    assert queries() == few
    assert Execution.objects.filter(pk__in=[first.pk, *copies], hidden_at=None).count() == 20
