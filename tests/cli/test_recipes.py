"""The recipes of docs/recipes.md work: their commands, in their order, against a server and the simulated DRS."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from executions.models import Execution
from notify.delivery_worker import DeliveryWorker
from notify.models import Delivery
from tests.cli.conftest import Programs
from tests.cli.program import ROOT, Program
from tests.notify.conftest import Subscribe, here, receiver, subscribe
from tests.notify.receivers import Receiver, Request
from tests.support.stage import Stage

__all__ = ["here", "receiver", "subscribe"]
pytestmark = pytest.mark.slow


def test_the_nightly_drill_of_github_actions(stage: Stage, programs: Programs, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "recipes.md").read_text().split("```yaml\n")[1].split("```")[0]
    job: dict[str, Any] = yaml.safe_load(text)["jobs"]["drill"]
    program = programs("operator")
    stage.plan("web-01", name=job["env"]["PLAN"])
    github = {"GITHUB_WORKFLOW": "Nightly drill", "GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "1"}
    environment = program.environment | github | {"GITHUB_STEP_SUMMARY": "summary.md", "PLAN": job["env"]["PLAN"]}
    environment["PATH"] = f"{ROOT / 'script'}{os.pathsep}{environment['PATH']}"
    for step in job["steps"]:
        if "run" not in step or step["name"] == "Install":
            continue
        process = subprocess.Popen(
            ["bash", "-e", "-o", "pipefail", "-c", step["run"]], cwd=tmp_path, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 180
        while process.poll() is None and time.monotonic() < deadline:
            stage.advance(300)
            stage.look()
            time.sleep(0.05)
        process.kill()
        out, _ = process.communicate()
        assert process.returncode == 0, f"{step['name']}: {out}"
    run = Execution.objects.get()
    assert (run.status, run.initiated_by, run.termination_status) == ("COMPLETED", "Nightly drill", "COMPLETED")
    assert (tmp_path / "summary.md").read_text().startswith("Drill of “Payments failover”: completed")


@pytest.mark.parametrize(
    ("told", "ends"),
    [
        ({"executionId": "mine", "status": "FAILED"}, "terminate mine --wait --timeout 1800"),
        (
            {"error": "TIMED_OUT", "details": {"executionId": "mine"}, "exitCode": 5},
            "terminate mine --wait --timeout 1800",
        ),
        ({"error": "PLAN_ALREADY_EXECUTING", "details": {"executionId": "theirs"}, "exitCode": 3}, ""),
        ({"error": "UNREACHABLE", "details": {}, "exitCode": 4}, ""),
    ],
)
def test_a_nightly_drill_that_was_refused_cleans_nobody_elses_up(
    tmp_path: Path, told: dict[str, Any], ends: str
) -> None:
    """The refusal names the run that is in the way."""
    text = (ROOT / "docs" / "recipes.md").read_text().split("```yaml\n")[1].split("```")[0]
    steps = {each.get("name"): each.get("run") for each in yaml.safe_load(text)["jobs"]["drill"]["steps"]}
    (tmp_path / "drill.json").write_text(json.dumps(told))
    program = tmp_path / "drsorch"
    program.write_text('#!/bin/sh\necho "$*"\n')
    program.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", steps["Clean up"]],
        cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == ends
    assert (done.returncode == 0) is bool(ends), done


def invoke(program: Program, plan: object, event: Any, seconds: float = 60) -> "subprocess.Popen[str]":
    """The function as Lambda calls it: a process of its own, without anything of ours."""
    code = (
        "import json, sys, start_plan\n"
        "start_plan.POLL_SECONDS, start_plan.MARGIN_SECONDS = 0.05, 0.1\n"
        f"context = type('Context', (), {{'get_remaining_time_in_millis': lambda self: {seconds * 1000}}})()\n"
        "print(json.dumps(start_plan.handler(json.loads(sys.argv[1]), context)))\n"
    )
    environment = program.environment | {
        "PLAN_ID": str(plan),
        "EXECUTION_TYPE": "DRILL",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(event)], cwd=ROOT / "deploy" / "recipes", env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(stage: Stage, process: "subprocess.Popen[str]", step: float = 300) -> tuple[int, str]:
    """How it ended, while time passes."""
    deadline = time.monotonic() + 180
    while process.poll() is None and time.monotonic() < deadline:
        if step:
            stage.advance(step)
            stage.look()
        time.sleep(0.05)
    process.kill()
    out, err = process.communicate()
    return process.returncode, out or err.strip().splitlines()[-1]


def by_region_switch(execution: str, step: str = "Start ERP") -> dict[str, str]:
    """An event as Region switch makes it: its model says so of the payload of a Lambda block."""
    arn = "arn:aws:arc-region-switch::111122223333:plan/erp:a1b2c3"
    return {"InvokedBy": "ARC Region switch", "PlanArn": arn, "ExecutionId": execution, "StepName": step}


def test_a_step_of_region_switch_starts_one_run_and_waits_for_it(stage: Stage, programs: Programs) -> None:
    program, plan = programs("operator"), stage.plan("web-01", name="ERP")
    first, second = by_region_switch("x-1"), by_region_switch("x-2")
    code, told = ended(stage, invoke(program, plan.pk, first, seconds=0.5), step=0)
    assert (code, told.startswith("start_plan.NotOver: {")) == (1, True), told  # the function's time is over
    code, told = ended(stage, invoke(program, plan.pk, first))
    run = Execution.objects.get()
    assert (code, json.loads(told)) == (0, {"executionId": str(run.pk), "runNumber": run.number, "status": "COMPLETED"})
    assert json.loads(ended(stage, invoke(program, plan.pk, first))[1])["executionId"] == str(run.pk)
    stage.simulator.scenario("launch_failed")
    code, told = ended(stage, invoke(program, plan.pk, second))  # not the run of the execution before
    assert (code, told.startswith("start_plan.Failed: {")) == (1, True), told
    assert Execution.objects.count() == 2
    code, again = ended(stage, invoke(program, plan.pk, second))
    assert (code, again, Execution.objects.count()) == (1, told, 2)


@pytest.mark.parametrize("event", [{}, {"executionId": ""}, "a payload of text", [1], None])
def test_a_call_that_names_no_execution_starts_nothing_and_takes_no_earlier_run(
    stage: Stage, programs: Programs, event: Any
) -> None:
    program, plan = programs("operator"), stage.plan("web-01", name="ERP")
    ended(stage, invoke(program, plan.pk, {"executionId": "x-1"}))
    code, told = ended(stage, invoke(program, plan.pk, event))
    assert (code, told.startswith("start_plan.Failed: Nothing was started: the event has no executionId")) == (1, True)
    assert Execution.objects.count() == 1


def test_an_eventbridge_schedule_starts_one_drill_however_often_it_tries(stage: Stage, programs: Programs) -> None:
    text = (
        (ROOT / "docs" / "recipes.md").read_text().split("```yaml\nType: AWS::Scheduler::Schedule\n")[1].split("```")[0]
    )
    given: str = yaml.safe_load(text)["Properties"]["Target"]["Input"]
    program, plan = programs("operator"), stage.plan("web-01", name="ERP")
    event = json.loads(given.replace("<aws.scheduler.execution-id>", "d32c5kddcf5bb8c3"))
    answers = [ended(stage, invoke(program, plan.pk, event), step=0) for _ in range(2)]
    run = Execution.objects.get()
    assert answers == [(0, json.dumps({"executionId": str(run.pk)}) + "\n")] * 2
    assert (run.kind, run.initiated_by, run.started_by) == ("DRILL", "Lambda start_plan", "service:test-operator")


def test_slack_shows_what_people_are_told(stage: Stage, receiver: Receiver, subscribe: Subscribe) -> None:
    def slack(request: Request) -> int:
        """As an incoming webhook: it wants JSON with a text, and looks at nothing else."""
        return 200 if isinstance(request.json.get("text"), str) and request.json["text"].strip() else 400

    receiver.answer = slack
    subscribe(receiver.url, name="Slack")
    stage.until(stage.start(stage.plan("web-01", name="ERP")), "COMPLETED")
    worker = DeliveryWorker(stage.clock)
    worker.once()
    worker.drain()
    worker.close()
    assert [each.json["text"].splitlines()[0] for each in receiver.requests] == [
        "Drill of ERP started by system.", "Drill of ERP completed: 1 of 1 server launched.",
    ]  # fmt: skip
    assert set(Delivery.objects.values_list("status", flat=True)) == {"DELIVERED"}
