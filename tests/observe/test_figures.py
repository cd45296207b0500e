"""Each figure appears when its fault is made, for Prometheus and for CloudWatch; and nobody else reads them."""

import json
import logging
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from contract.clock import db_clock
from drs import failed_call_counts
from drs_simulator.testing import RunningSimulator
from drsorch_site.configuration.logs import JsonLines
from executions import pacemaker, queue
from executions.metrics import cloudwatch_lines, failed_aws_calls, figures
from executions.models import AwsErrors, Execution, Pacemaker, WaveRun
from executions.states import ExecutionStatus
from tests.console import world
from tests.support.api_client import Api, make_user
from tests.support.processes import eventually, running_engine
from tests.support.readiness import readyz
from tests.support.stage import Stage

pytestmark = pytest.mark.both

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-of-the-scraper-alone"


@pytest.fixture(autouse=True)
def nothing_failed() -> None:
    failed_call_counts.take()


def scraped(**headers: str) -> dict[str, float]:
    """The samples by name and labels, as Prometheus reads them."""
    with override_settings(METRICS_TOKEN=TOKEN):
        response = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}", **headers})
    assert response.status_code == 200, response.content
    assert "no-store" in response["Cache-Control"]
    found = {}
    for family in text_string_to_metric_families(response.content.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def reported(caplog: pytest.LogCaptureFixture, later: timedelta = timedelta()) -> list[dict[str, Any]]:
    """The lines of CloudWatch that are written now, once each was checked against the format."""
    Pacemaker.objects.get_or_create(pk=1)
    caplog.clear()
    with caplog.at_level(logging.INFO, "executions.metrics.cloudwatch_lines"):
        assert cloudwatch_lines.report_if_due(lambda: db_clock() + later)
    lines = [
        json.loads(JsonLines().format(each))
        for each in caplog.records
        if each.name == "executions.metrics.cloudwatch_lines"
    ]
    for line in lines:
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert abs(line["_aws"]["Timestamp"] / 1000 - (db_clock() + later).timestamp()) < 60
        assert directive["Namespace"] == "DRSOrchestration"
        assert len(directive["Metrics"]) <= 100
        for name in directive["Dimensions"][0]:
            assert isinstance(line[name], str)
        for metric in directive["Metrics"]:
            values = line[metric["Name"]] if isinstance(line[metric["Name"]], list) else [line[metric["Name"]]]
            assert 0 < len(values) <= 100
            assert all(isinstance(each, int | float) for each in values)
    return lines


def plain(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures without dimensions, which the alarms are about."""
    (line,) = [each for each in lines if each["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [[]]]
    return line


@pytest.mark.django_db
def test_an_installation_marks_its_figures(caplog: pytest.LogCaptureFixture, settings: Any) -> None:
    settings.INSTALLATION = "drsorch-east"
    for line in reported(caplog):
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive["Dimensions"][0][0] == "Installation"
        assert line["Installation"] == "drsorch-east"


@pytest.mark.django_db
def test_a_failed_run_is_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    assert plain(reported(caplog))["ExecutionsFailed"] == 0
    world.ended(ExecutionStatus.FAILED)
    world.ended(ExecutionStatus.PARTIAL)
    world.ended(ExecutionStatus.COMPLETED)
    lines = reported(caplog, timedelta(seconds=61))
    assert plain(lines)["ExecutionsFailed"] == 2
    assert plain(reported(caplog, timedelta(seconds=122)))["ExecutionsFailed"] == 0
    by_status = {each["Status"]: each["Executions"] for each in lines if "Status" in each}
    assert by_status["FAILED"] == by_status["PARTIAL"] == by_status["COMPLETED"] == 1
    assert set(by_status) == set(ExecutionStatus)
    found = scraped()
    assert found["drsorch_executions{status=FAILED}"] == 1
    assert found["drsorch_executions_failed_last_hour"] == 2


@pytest.mark.django_db
def test_a_minute_is_reported_by_one_engine_and_none_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    reported(caplog)
    assert not cloudwatch_lines.report_if_due()
    world.ended(ExecutionStatus.FAILED)
    # Nobody was there for an hour; the next line covers all of it.
    assert plain(reported(caplog, timedelta(hours=1)))["ExecutionsFailed"] == 1


@pytest.mark.django_db
def test_a_pause_is_a_wait(caplog: pytest.LogCaptureFixture) -> None:
    assert scraped()["drsorch_pause_waiting_seconds"] == 0
    world.paused()
    assert 240 <= plain(reported(caplog))["PauseWaiting"] < 300
    found = scraped()
    assert 240 <= found["drsorch_pause_waiting_seconds"] < 300
    assert found["drsorch_executions{status=PAUSED}"] == 1
    Execution.objects.update(status="CANCELLED", ended_at=db_clock())
    assert scraped()["drsorch_pause_waiting_seconds"] == 0


def test_an_aws_that_does_not_answer_is_poll_lag_and_an_error(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    run = stage.start(stage.plan("app-01"))
    stage.until(run, "LAUNCHING", step=5)
    stage.look()
    assert figures.read(stage.clock(), stage.clock()).poll_lag < 20
    stage.simulator.scenario("throttle", operation="DescribeJobs")
    for _ in range(8):
        stage.advance(30)
        stage.look()
    lines = reported(caplog, stage.offset)
    assert 180 < plain(lines)["PollLag"] < 300
    by_code = {each["Code"]: each["AwsErrors"] for each in lines if "Code" in each}
    assert by_code["ThrottlingException"] == plain(lines)["AwsErrors"] >= 2
    found = scraped()
    key = "drsorch_aws_errors_total{code=ThrottlingException,operation=DescribeJobs,region=us-east-1}"
    assert found[key] == by_code["ThrottlingException"]
    assert not any("Code" in each for each in reported(caplog, stage.offset + timedelta(seconds=61)))


@pytest.mark.django_db
def test_an_engine_that_does_not_look_is_poll_lag(caplog: pytest.LogCaptureFixture) -> None:
    run = world.start(world.plan())
    Execution.objects.filter(pk=run.pk).update(next_step_at=db_clock() - timedelta(seconds=90))
    line = plain(reported(caplog))
    assert 90 <= line["PollLag"] < 120
    assert line["QueueDepth"] == 1
    assert scraped()["drsorch_due_executions"] == 1


@pytest.mark.django_db
def test_errors_in_requests_are_counted_too(admin: Api, simulator: RunningSimulator) -> None:
    simulator.scenario("access_denied", operation="DescribeSourceServers")
    assert admin.get("/drs/source-servers?region=us-east-1").status_code == 502
    row = AwsErrors.objects.get()
    assert (row.code, row.operation, row.count) == ("AccessDeniedException", "DescribeSourceServers", 1)
    assert failed_call_counts.is_empty()
    failed_aws_calls.keep()
    assert AwsErrors.objects.get().count == 1


def test_durations_and_latencies_of_waves(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    run = stage.start(stage.plan("app-01", "web-01"))
    stage.until(run, "COMPLETED")
    line = plain(reported(caplog, stage.offset + timedelta(seconds=1)))
    waves = stage.waves(run)
    took = [(w.ended_at - w.started_at).total_seconds() for w in waves if w.ended_at and w.started_at]
    found = figures.read(stage.clock(), stage.clock() - timedelta(days=1))
    assert sorted(found.wave_durations) == pytest.approx(sorted(took))
    assert len(found.launch_latencies) == 2
    assert all(0 <= each < 60 for each in found.launch_latencies)
    assert set(line["WaveDuration"]) <= set(took) or line["WaveDuration"]


@pytest.mark.postgresql
@pytest.mark.slow
def test_a_killed_engine_goes_silent(stage: Stage, tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    to_file = ["sh", "-c", 'exec "$@" 2>>"$0"', str(log)]
    with running_engine(to_file, LOG_FORMAT="json", DRSORCH_WORKERS="1") as engine:
        eventually(lambda: "EngineHeartbeatAge" in log.read_text(), what="the first figures")
        engine.kill_tree()
    lines = [each for each in map(json.loads, log.read_text().splitlines()) if "_aws" in each]  # each line is JSON
    assert sum("EngineHeartbeatAge" in each for each in lines) == 1
    assert all(each["EngineHeartbeatAge"] < 10 for each in lines if "EngineHeartbeatAge" in each)
    before = scraped()["drsorch_engine_heartbeat_age_seconds"]
    eventually(lambda: scraped()["drsorch_engine_heartbeat_age_seconds"] >= before + 1, what="the age")
    Pacemaker.objects.update(beat_at=db_clock() - pacemaker.SILENT_AFTER * 3)
    assert scraped()["drsorch_engine_heartbeat_age_seconds"] >= 90
    assert readyz().json()["checks"]["engine"].startswith("silent for 9")


@pytest.mark.django_db
def test_only_the_scraper_and_administrators_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def status(client: Client, **headers: str) -> int:
        return client.get("/metrics", headers=headers).status_code

    assert status(Client()) == 401
    assert status(Client(), Authorization="Bearer ") == 401  # no token is set: none opens it
    with override_settings(METRICS_TOKEN=TOKEN):
        assert status(Client(), Authorization=f"Bearer {TOKEN}x") == 401
        assert status(Client(), Authorization=f"Basic {TOKEN}") == 401
        assert status(Client(), Authorization=f"Bearer {TOKEN}") == 200
    for role, expected in (("viewer", 401), ("recovery-manager", 401), ("admin", 200)):
        client = Client()
        client.force_login(make_user(role), backend="identity.auth.RoleBackend")
        assert status(client) == expected, role
    assert Client().post("/metrics").status_code == 405


@pytest.mark.django_db
def test_a_scrape_costs_the_same_for_any_history() -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            scraped()
        return len(captured)

    world.ended(ExecutionStatus.COMPLETED)
    few = queries()
    for _ in range(5):
        world.ended(ExecutionStatus.FAILED)
        world.paused()
    assert queries() == few <= 20


@pytest.mark.django_db
def test_a_broker_that_does_not_answer_hides_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> int:
        raise ConnectionError

    assert "drsorch_queue_tasks" in scraped()
    monkeypatch.setattr(queue, "queue_size", broken)
    assert "drsorch_queue_tasks" not in scraped()


@pytest.mark.django_db
def test_readiness_tells_how_old_the_inventory_is_without_failing_for_it() -> None:
    world.beat()
    world.region("us-east-1", age_seconds=5)
    world.region("us-west-2", age_seconds=3600)
    response = readyz()
    assert response.status_code == 200
    told = response.json()["inventory"]
    assert re.fullmatch(r"read \d s ago", told["us-east-1"])
    assert told["us-west-2"].startswith("stale: read 36")


@pytest.mark.django_db
def test_the_dashboard_asks_only_for_figures_that_are_there(caplog: pytest.LogCaptureFixture) -> None:
    world.beat()
    world.region()
    world.paused()
    AwsErrors.objects.create(code="x", operation="y", region="z", count=1)
    WaveRun.objects.filter(number=0).update(ended_at=db_clock())
    board = json.loads((ROOT / "deploy/grafana/drsorch.json").read_text())
    names = {each.split("{")[0] for each in scraped()}
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    used = {name for each in asked for name in re.findall(r"drsorch_\w+", each)}
    assert used <= names, used - names
    assert names - used <= {"drsorch_aws_errors_created"}, "a figure without a panel"
    labels = {label for each in asked for group in re.findall(r"by \(([^)]*)\)", each) for label in group.split(", ")}
    known = {label for each in scraped() for label in re.findall(r"[{,](\w+)=", each)}
    assert labels <= known, labels - known
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    page = (ROOT / "docs/observe.md").read_text()
    for name in names - {"drsorch_aws_errors_created"}:
        assert f"`{name}" in page, name
    for line in reported(caplog):
        for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
            assert f"`{metric['Name']}`" in page, metric


@pytest.mark.django_db
def test_the_alarms_are_about_figures_that_are_written(caplog: pytest.LogCaptureFixture) -> None:
    world.beat()
    written = set(plain(reported(caplog)))
    template = (ROOT / "deploy/cloudformation/alarms.yaml").read_text()
    watched = set(re.findall(r"MetricName: (\w+)\n\s+Namespace: DRSOrchestration\b", template))
    assert watched >= {"EngineHeartbeatAge", "ExecutionsFailed", "PauseWaiting", "PollLag"}
    assert watched <= written
