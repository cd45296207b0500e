"""The runbook is followed by hand: its own lines, typed into bash, launch what a run launches, in the same order."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client, override_settings

from audit.actor import SYSTEM
from audit.models import AuditEntry
from executions.commands import control
from plans.models import RecoveryPlan, Wave
from plans.services import delete_plan, update_plan
from runbooks.runbook import runbook_of
from tests.runbooks.aws import typed
from tests.support.api_client import Api, make_user
from tests.support.stage import Stage

pytestmark = pytest.mark.slow


def order(calls: list[dict[str, Any]]) -> list[tuple[bool, list[str]]]:
    return [
        (call["params"]["isDrill"], sorted(each["sourceServerID"] for each in call["params"]["sourceServers"]))
        for call in calls
    ]


def test_its_lines_launch_what_a_run_launches_and_clean_up(stage: Stage) -> None:
    plan = stage.plan("db-primary-01 db-replica-01", "app-01 app-02", "web-01", name="Payments; rm -rf /", pause={1})
    Wave.objects.filter(plan=plan, number=2).update(success_means="STATUS_CHECKS")
    RecoveryPlan.objects.filter(pk=plan.pk).update(rto_minutes=60)
    stage.until(stage.start(plan), "PAUSED")
    run = plan.executions.get()
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.until(run, "COMPLETED")
    by_run = order(stage.launches())
    stage.simulator.reset()
    runbook = runbook_of(plan.pk)
    until = [each for step in (*runbook.before, *runbook.waves) for each in step.commands]
    printed = typed(stage.simulator, until)
    assert order(stage.launches()) == by_run
    assert printed.count("\tLAUNCHED\ti-") == 5
    assert "i-" in printed
    assert stage.simulator.state()["instances"]
    after = [each for step in runbook.after for each in step.commands]
    typed(stage.simulator, [*after, "sleep 1", "sleep 1", "sleep 1"])
    assert stage.simulator.state()["instances"] == []


def test_production_is_seen_before_and_left_alone_after(stage: Stage) -> None:
    runbook = runbook_of(stage.plan("app-01").pk)
    recovery = [
        each.replace("--is-drill", "--no-is-drill")
        for step in (*runbook.before, *runbook.waves)
        for each in step.commands
    ]
    assert "CONTINUOUS" in typed(stage.simulator, recovery)
    assert [drill for drill, _ in order(stage.launches())] == [False]
    (looked,) = [step.commands for step in runbook.before if step.title.startswith("What runs already")]
    assert "i-" in typed(stage.simulator, list(looked))
    typed(stage.simulator, [each for step in runbook.after for each in step.commands])
    assert not stage.simulator.journal("TerminateRecoveryInstances")


def test_a_shell_that_was_opened_later_launches_nothing_and_a_lost_answer_is_found(stage: Stage) -> None:
    """DRS takes a launch without a mode for a recovery."""
    runbook = runbook_of(stage.plan("app-01").pk)
    mode, (launch, look) = runbook.before[0].commands, runbook.waves[0].commands
    with pytest.raises(AssertionError, match="MODE"):
        typed(stage.simulator, [launch])
    assert stage.launches() == []
    with pytest.raises(AssertionError, match="JOB_1_1"):
        typed(stage.simulator, runbook.waves[1].commands)
    stage.simulator.scenario("internal_error_after_effect", operation="StartRecovery", times=1)
    assert "\t1\t" in typed(stage.simulator, [*mode, f"{launch} || true", look])
    assert launch.count("AWS_MAX_ATTEMPTS=1 ") == 1  # the command line would launch again by itself
    said = " ".join(runbook.waves[0].said)
    assert "instead of launching again" in said


def test_it_says_gates_waits_dependencies_and_what_may_fail(stage: Stage) -> None:
    plan = stage.plan("app-01 app-02", "web-01", pause={1}, depends_on={1: (0,)}, on_failure={0: "PAUSE"})
    gated = {"approvals": 2, "checklist": ["DNS is frozen"], "expiresMinutes": 60}
    Wave.objects.filter(plan=plan, number=1).update(wait_minutes_before=10, gate=gated)
    plan.servers.filter(assignment__source_server_id=stage.ids("app-02")[0]).update(optional=True)
    told = {step.title: " ".join(step.said) for step in runbook_of(plan.pk).waves}
    assert "May fail, because the plan calls them optional: app-02." in told["Wave 1, Tier 1: what came up"]
    assert "wait for somebody to decide" in told["Wave 1, Tier 1: what came up"]
    gate = told["Before wave 2, Tier 2"]
    assert all(each in gate for each in ("It needs wave 1", "2 approvals", "[ ] DNS is frozen", "Wait 10 min"))


def test_it_is_shown_and_stored_when_it_changes(stage: Stage, tmp_path: Path) -> None:
    plan = stage.plan("app-01", name="Payments <b>")
    api = Api(make_user("viewer"))
    for form, kind, begins in (
        ("html", "text/html", b"<!"),
        ("pdf", "application/pdf", b"%PDF"),
        ("txt", "text/plain", b"RUN"),
    ):
        answer = api.get(f"/recovery-plans/{plan.pk}/runbook?format={form}")
        assert (answer.status_code, answer["Content-Type"].split(";")[0]) == (200, kind)
        assert answer.content.lstrip().startswith(begins)
    assert b"<b>" not in api.get(f"/recovery-plans/{plan.pk}/runbook").content
    client = Client()
    client.force_login(make_user("viewer"))
    assert b"sourceServerID=s-" in client.get(f"/recovery-plans/{plan.pk}/runbook").content
    assert b"/runbook" in client.get(f"/recovery-plans/{plan.pk}").content
    with override_settings(RUNBOOKS=str(tmp_path / "kept")):
        call_command("store_runbooks")
        call_command("store_runbooks")
        files = sorted(each.name for each in (tmp_path / "kept").iterdir())
        assert files == [f"runbook-payments-b-{plan.pk}.{form}" for form in ("html", "pdf", "txt")]
        assert AuditEntry.objects.filter(verb="runbook.stored").count() == 1
        update_plan(actor=SYSTEM, plan_id=plan.pk, rto_minutes=30)
        call_command("store_runbooks")
        assert "RTO 30 min" in (tmp_path / "kept" / files[2]).read_text()
        update_plan(actor=SYSTEM, plan_id=plan.pk, name="Salaries")
        call_command("store_runbooks")
        renamed = tmp_path / "kept" / f"runbook-salaries-{plan.pk}.txt"
        old = (tmp_path / "kept" / files[2]).read_text()
        assert ("NOT TO BE USED" in old, "aws drs" in old, renamed.stem in old) == (True, False, True)
        assert "aws drs start-recovery" in renamed.read_text()
        delete_plan(actor=SYSTEM, plan_id=plan.pk)
        call_command("store_runbooks")
        call_command("store_runbooks")
        assert "This plan was deleted." in renamed.read_text()
        assert "aws drs" not in renamed.read_text()
        plan = stage.plan("app-02", name="Other")
    with override_settings(RUNBOOKS="/proc/nowhere"):
        call_command("store_runbooks")  # says so, and ends
    assert AuditEntry.objects.filter(verb="runbook.stored").count() == 4
