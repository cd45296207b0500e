"""Launching from points in time: chosen before anything is sent, sent, kept by retries, and told by report and pack."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from audit.actor import SYSTEM
from audit.models import AuditEntry
from contract.clock import unix
from drsorch_verify import archive, check, chosen
from executions.commands import retry
from executions.commands.points_in_time import choose
from executions.models import Execution, LaunchJob, ServerRun
from plans.models import RecoveryPlan
from protection.inventory import points_in_time
from reports import services
from tests.executions.launching.test_one_bad_server import fates, launched
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import Stage

pytestmark = pytest.mark.slow

APPS = "app-01 app-02 app-03"
HOUR = timedelta(hours=1)


def started(stage: Stage, plan: RecoveryPlan, ago: timedelta = 3 * HOUR, **how: Any) -> Execution:
    points_in_time.forget(list(stage.ids(APPS)))
    wanted = datetime.now(UTC) - ago
    return stage.start(plan, snapshots=choose(plan.pk, wanted), **how)


def row(hostname: str) -> ServerRun:
    return ServerRun.objects.filter(hostname=hostname).latest("pk")


def sent(stage: Stage) -> dict[str, str]:
    """The snapshot that each server was last launched from, by DRS's own journal."""
    calls = stage.launches()
    return {
        each["sourceServerID"]: each.get("recoverySnapshotID", "")
        for call in calls
        for each in call["params"]["sourceServers"]
    }


def test_the_choice_is_frozen_sent_and_what_the_recovery_point_counts_to(stage: Stage) -> None:
    plan = stage.plan(APPS)
    RecoveryPlan.objects.filter(pk=plan.pk).update(rpo_minutes=60)
    run = started(stage, plan)
    rows = {each.source_server_id: each for each in ServerRun.objects.all()}
    assert not stage.launches()
    assert all(each.recovery_snapshot_id.startswith("pit-") for each in rows.values())
    run = stage.until(run, "COMPLETED")
    assert sent(stage) == {key: each.recovery_snapshot_id for key, each in rows.items()}
    pack = services.evidence(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    assert check.problems(pack) == []
    report = json.loads(archive.read(pack)[check.REPORT])
    assert report["pointInTime"] == unix(run.snapshots_until)
    server = report["waves"][0]["servers"][0]
    assert server["rpo"]["reached"] == "MISSED"
    assert server["rpo"]["seconds"] == report["measured"]["referenceTime"] - server["snapshotTime"]
    assert f'"{server["recoverySnapshotId"]}"' in archive.read(pack)[check.TABLE].decode()

    # Whoever forges the snapshot, or its time, is found out.
    told = AuditEntry.objects.filter(subject_id=str(run.pk)).order_by("pk").values("verb", "refused", "detail")
    entries: list[dict[str, Any]] = [{**each} for each in told]
    wave, begun = report["waves"][0], next(each for each in entries if each["verb"] == "execution.start")
    assert chosen.of_wave(wave, entries) == chosen.of_attempt(report, report, begun) == []
    server["snapshotTime"] += 7200
    assert chosen.of_wave(wave, entries) == [
        f"the snapshot of {server['hostname']} is not the one that the journal says was sent"
    ]
    assert chosen.of_attempt(report, report, begun) == [
        "the snapshots chosen for its servers are others than the journal says"
    ]


@pytest.mark.parametrize("named", [True, False])
def test_a_snapshot_that_is_gone_fails_its_server_alone_and_a_retry_keeps_the_choice(stage: Stage, named: bool) -> None:
    run = started(stage, stage.plan(APPS))
    before = {each.hostname: each.recovery_snapshot_id for each in ServerRun.objects.all()}
    stage.simulator.scenario("refusal_style", named=named, code="ValidationException")
    stage.simulator.scenario("snapshots_deleted", servers=["app-02"], ids=[before["app-02"]])
    run = stage.until(run, "PARTIAL")
    assert fates(run) == {"app-01": "LAUNCHED", "app-02": "FAILED", "app-03": "LAUNCHED"}
    assert (row("app-02").error_code, set(launched(stage.simulator).values())) == ("SNAPSHOT_GONE", {1})
    assert row("app-02").error.startswith("The recovery snapshot chosen for it is no longer in DRS; nothing newer")
    stage.simulator.clear_scenarios()
    again = retry.retry(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    again = stage.until(again, "COMPLETED")
    assert again.snapshots_until == run.snapshots_until
    assert row("app-02").recovery_snapshot_id == before["app-02"] == sent(stage)[row("app-02").source_server_id]


def test_a_server_without_a_snapshot_then_is_not_launched_from_newer_data(stage: Stage) -> None:
    stage.simulator.scenario("snapshots_deleted", servers=["app-03"])
    run = stage.until(started(stage, stage.plan(APPS)), "PARTIAL")
    assert (fates(run)["app-03"], row("app-03").error_code) == ("FAILED", "SNAPSHOT_GONE")
    assert row("app-03").source_server_id not in launched(stage.simulator)
    assert "It had no recovery snapshot at or before" in row("app-03").error


def test_a_snapshot_that_is_not_taken_yet_is_none(stage: Stage) -> None:
    plan, (one, two) = stage.plan("app-01 app-02"), stage.ids("app-01 app-02")
    stage.simulator.scenario("missing_members", servers=["app-02"], members=["timestamp", "ebsSnapshots"])
    points_in_time.forget([one, two])
    found = answer(Api(make_user("viewer")).get(f"/recovery-plans/{plan.pk}/points-in-time"))
    assert ([each["sourceServerId"] for each in found["servers"]], found["missing"]) == ([one], [two])


def test_a_lost_answer_is_adopted_with_its_choice(stage: Stage) -> None:
    run = started(stage, stage.plan("app-01"))
    stage.simulator.scenario("drop_connection_after_effect", operation="StartRecovery", times=1)
    run = stage.until(run, "COMPLETED", step=60)
    assert (launched(stage.simulator).total(), LaunchJob.objects.count()) == (1, 1)
    assert sent(stage)[row("app-01").source_server_id] == row("app-01").recovery_snapshot_id


def test_a_dry_run_says_which_chosen_snapshots_are_gone_or_too_old(stage: Stage) -> None:
    plan = stage.plan("app-01 app-02")
    RecoveryPlan.objects.filter(pk=plan.pk).update(rpo_minutes=60)
    run = started(stage, plan, dry_run=True)
    stage.simulator.scenario("snapshots_deleted", servers=["app-02"], ids=[row("app-02").recovery_snapshot_id])
    stage.until(run, "FAILED", step=1, limit=60)
    assert [each["code"] for each in row("app-01").findings] == ["RPO_EXCEEDED"]
    assert [each["code"] for each in row("app-02").findings] == ["SNAPSHOT_GONE"]
    assert not stage.launches()


def test_the_api_shows_the_points_and_takes_a_time_or_snapshots(stage: Stage) -> None:
    plan, api = stage.plan("app-01 app-02"), Api(make_user("recovery-manager"))
    first, second = stage.ids("app-01 app-02")
    points_in_time.forget([first, second])
    at = int((datetime.now(UTC) - 3 * HOUR).timestamp())
    asked = f"/recovery-plans/{plan.pk}/points-in-time"
    found = answer(api.get(f"{asked}?at={at}"))
    assert (found["at"], [each["sourceServerId"] for each in found["servers"]]) == (at, [first, second])
    assert all(0 <= at - each["snapshotTime"] == each["behindSeconds"] < 3700 for each in found["servers"])
    assert (found["missing"], found["skewSeconds"]) == ([], 0)
    shown_time = found["servers"][0]["snapshotTime"]
    again = answer(api.get(f"{asked}?at={shown_time}"))["servers"][0]
    assert (again["snapshotTime"], again["behindSeconds"]) == (shown_time, 0), "the time that was shown is another one"
    calls = len(stage.simulator.journal("DescribeRecoverySnapshots"))
    answer(api.get(f"{asked}?at={at + 60}"))
    assert len(stage.simulator.journal("DescribeRecoverySnapshots")) == calls, "asked again within the minute"
    body: dict[str, Any] = {"planId": str(plan.pk), "executionType": "DRILL"}
    for wrong in (at + 90_000, "yesterday", {first: "pit-1"}, {first: f"pit-{'0' * 17}"}, {"s-1": "pit-" + "0" * 17}):
        refusal(api.post("/executions", {**body, "pointInTime": wrong}), 400, "VALIDATION_ERROR")
    chosen_one = found["servers"][0]["recoverySnapshotId"]
    run = answer(api.post("/executions", {**body, "pointInTime": {first: chosen_one}}), 202)
    shown = answer(api.get(f"/executions/{run['executionId']}"))["waves"][0]["serverStatuses"]
    assert [each["recoverySnapshotId"] for each in shown] == [chosen_one, None]
    stage.until(Execution.objects.get(pk=run["executionId"]), "COMPLETED")
    assert sent(stage) == {first: chosen_one, second: ""}


def test_readiness_at_a_time_names_who_has_no_snapshot_then_and_the_nearest(stage: Stage) -> None:
    plan, (one, two, three) = stage.plan(APPS), stage.ids(APPS)
    address, now = f"/recovery-plans/{plan.pk}/readiness", unix(datetime.now(UTC))
    api = Api(make_user("viewer"))
    assert answer(api.get(address))["at"] is None
    points_in_time.forget([one, two, three])
    listed = stage.simulator.client().describe_recovery_snapshots(sourceServerID=two)["items"]
    at = now - 3 * 3600
    early = [each["snapshotID"] for each in listed if datetime.fromisoformat(each["timestamp"]).timestamp() <= at]
    stage.simulator.scenario("snapshots_deleted", servers=["app-02"], ids=early)
    stage.simulator.scenario("snapshots_deleted", servers=["app-03"])
    shown = answer(api.get(f"{address}?at={at}"))
    assert (shown["at"], shown["verdict"]) == (at, "NOT_READY")
    (reason,) = [each for each in shown["reasons"] if each["code"] == "SNAPSHOT_GONE"]
    assert reason["serverIds"] == [two, three]
    assert "No snapshot at or before that time: app-02, app-03." in reason["message"]
    assert "; the nearest is of 20" in reason["message"].partition("app-03:")[0].partition("app-02:")[2]
    assert reason["message"].endswith("; it has no snapshot at all.")
    refusal(api.get(f"{address}?at={now + 3600}"), 400, "VALIDATION_ERROR")
    refusal(api.get(f"{address}?at=soon"), 400, "VALIDATION_ERROR")
    client = Client()
    client.force_login(make_user("admin"))
    typed = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    assert "the nearest is of" in client.get(f"/recovery-plans/{plan.pk}/start-drill?point={typed}").content.decode()
