"""Steering single waves and servers of a run: what each verb does, and what it refuses."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from audit.actor import SYSTEM
from audit.models import AuditEntry
from drsorch_verify.check import problems
from executions.commands import control, steering
from executions.models import Execution, ServerRun, WaveRun
from executions.runs.allowed import steering as allowed
from plans.fields import WaveSpec
from plans.models import RecoveryPlan
from plans.services import create_plan
from reports import evidence_pack
from tests.reports.test_ended_instances import Json, forged
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import Stage


def planned(stage: Stage, *tiers: str, **columns: dict[int, Any]) -> RecoveryPlan:
    """A plan with a wave for each line of host names; `columns` are fields of waves by their number."""
    waves = [
        WaveSpec(
            name=f"Tier {number + 1}",
            group_ids=[stage.group(hostnames).pk],
            server_ids=stage.ids(hostnames),
            **{name: values[number] for name, values in columns.items() if number in values},
        )
        for number, hostnames in enumerate(tiers)
    ]

    return create_plan(actor=SYSTEM, name="Steered", waves=waves)


@pytest.fixture
def api(admin: Api) -> Api:
    return admin


def shown(api: Api, run: Execution) -> Any:
    return answer(api.get(f"/executions/{run.pk}"))


def sent(stage: Stage) -> list[list[str]]:
    """The servers of each StartRecovery that had its effect."""
    return [sorted(each["sourceServerID"] for each in call["params"]["sourceServers"]) for call in stage.launches()]


def failing(stage: Stage, hostname: str, times: int = 1) -> str:
    (server,) = stage.ids(hostname)
    stage.simulator.scenario("launch_failed", servers=[server], times=times)
    return server


@pytest.mark.both
def test_a_failed_wave_pauses_the_run_and_its_failed_servers_are_launched_again(stage: Stage, api: Api) -> None:
    plan = planned(stage, "app-01 app-02", "web-01", on_failure={0: "PAUSE"}, depends_on={1: (0,)})
    bad = failing(stage, "app-01")
    run = stage.until(stage.start(plan), "PAUSED", "FAILED", "PARTIAL")
    seen = shown(api, run)
    assert (seen["status"], seen["pausedAfterWave"], seen["pausedBeforeWave"]) == ("PAUSED", 0, None)
    assert [each["status"] for each in seen["waves"]] == ["FAILED", "PENDING"]
    path = f"/executions/{run.pk}/waves"
    refusal(api.post(f"{path}/1/retry"), 400, "WAVE_NOT_RETRYABLE")
    fine = next(each for each in stage.ids("app-01 app-02") if each != bad)
    assert list(refusal(api.post(f"{path}/0/retry", {"serverIds": [fine]}), 400, "VALIDATION_ERROR")["fields"]) == [
        "serverIds"
    ]
    assert answer(api.post(f"{path}/0/retry", {"comment": "template mended"}))["status"] == "RUNNING"
    run = stage.until(run, "COMPLETED", "PARTIAL", "PAUSED")
    seen = shown(api, run)
    assert [(each["status"], each["attempt"]) for each in seen["waves"]] == [("COMPLETED", 2), ("COMPLETED", 1)]
    assert sent(stage) == [
        sorted(stage.ids("app-01 app-02")),
        [bad],
        stage.ids("web-01"),
    ]
    refusal(api.post(f"{path}/0/retry"), 400, "WAVE_NOT_RETRYABLE")


def test_going_on_counts_the_wave_as_failed_and_skips_what_depends_on_it(stage: Stage, api: Api) -> None:
    plan = planned(stage, "app-01 app-02", "web-01", "web-02", on_failure={0: "PAUSE"}, depends_on={1: (0,)})
    failing(stage, "app-01")
    run = stage.until(stage.start(plan), "PAUSED")
    refusal(api.post(f"/executions/{run.pk}/resume", {"waveNumber": 1}), 400, "EXECUTION_NOT_PAUSED")
    answer(api.post(f"/executions/{run.pk}/resume", {"waveNumber": 0, "comment": "without it"}))
    run = stage.until(run, "COMPLETED", "PARTIAL", "PAUSED")
    assert stage.picture(run) == ("PARTIAL", ["FAILED", "SKIPPED", "COMPLETED"])


@pytest.mark.parametrize(("how", "waits"), [("resume", 1), ("retry", 1), ("retry in vain", 2)])
def test_the_time_in_which_a_person_decides_is_not_said_to_be_awss(
    stage: Stage, api: Api, how: str, waits: int
) -> None:
    plan = planned(stage, "app-01 app-02", "web-01", on_failure={0: "PAUSE"})
    failing(stage, "app-01", times=waits)
    run = stage.until(stage.start(plan), "PAUSED")
    stage.advance(3000)
    if how != "resume":
        steering.retry_wave(actor=SYSTEM, execution_id=run.pk, wave=0, clock=stage.clock)
        run = stage.until(run, "COMPLETED", "PAUSED")
        stage.advance(3000)
    if how != "retry":
        control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
        run = stage.until(run, "PARTIAL")
    split = answer(api.get(f"/executions/{run.pk}/report?format=json"))["measured"]["split"]
    assert (split["quota"] < 300, split["other"] < 2900) == (True, True), split
    assert 3000 * waits - 100 < split["person"] < 3000 * waits + 300, split
    pack = evidence_pack.vouched(SYSTEM, evidence_pack.account(run.pk, stage.clock()), {})
    assert problems(pack) == []

    def sooner(report: Json, _: object) -> None:
        report["waves"][0]["retries"] = [{"askedTime": 1, "retriedTime": 2}]

    assert any("when people decided to try it again" in each for each in problems(forged(pack, sooner)))


@pytest.mark.parametrize("dependents", ["SKIP", "RUN"])
def test_a_wave_is_skipped_and_its_dependents_are_or_run_all_the_same(stage: Stage, api: Api, dependents: str) -> None:
    plan = planned(stage, "app-01", "app-02", "web-01", pause_before={1: True}, depends_on={2: (1,)})
    run = stage.until(stage.start(plan), "PAUSED")
    path = f"/executions/{run.pk}/waves"
    assert list(refusal(api.post(f"{path}/1/skip", {"reason": " "}), 400, "VALIDATION_ERROR")["fields"]) == ["reason"]
    refusal(api.post(f"{path}/0/skip", {"reason": "no"}), 409, "WAVE_HAS_BEGUN")
    refusal(api.post(f"{path}/7/skip", {"reason": "no"}), 404, "NOT_FOUND")
    for _ in range(2):  # again: nothing changes
        answer(api.post(f"{path}/1/skip", {"reason": "Its storage is gone.", "dependents": dependents}))
    otherwise = {"SKIP": "RUN", "RUN": "SKIP"}[dependents]  # on a page from before, or not knowing of it
    told = api.post(f"{path}/1/skip", {"reason": "Its storage is gone.", "dependents": otherwise})
    refusal(told, 409, "WAVE_HAS_BEGUN")
    assert f"{api.user.email} did" in told.json()["message"]
    run = stage.until(run, "COMPLETED", "PARTIAL", "PAUSED")
    last = {"SKIP": "SKIPPED", "RUN": "COMPLETED"}[dependents]
    assert stage.picture(run) == ("COMPLETED", ["COMPLETED", "SKIPPED", last])
    seen = shown(api, run)
    assert seen["waves"][1]["skipped"]["reason"] == "Its storage is gone."
    assert [each["status"] for each in seen["waves"][1]["jobs"]] == ["WITHDRAWN"], "nothing waits to be sent"
    assert AuditEntry.objects.filter(verb="wave.skipped", refused=False).count() == 1
    assert len(stage.launches()) == (1 if dependents == "SKIP" else 2)


def test_a_wave_whose_servers_came_late_is_not_said_to_be_still_launching() -> None:
    run, now = Execution(status="PAUSED"), datetime.now(UTC)
    wave = WaveRun(number=0, status="FAILED", asked_at=now)
    late = allowed.no_retry(run, wave, [ServerRun(launch_status="LAUNCHED")])
    open_ = allowed.no_retry(run, wave, [ServerRun(launch_status="LAUNCHED"), ServerRun(launch_status="PENDING")])
    assert late is not None
    assert open_ is not None
    assert "Resume the run" in late.reason
    assert "still working" in open_.reason


def test_a_server_is_left_out_and_never_launched(stage: Stage, api: Api) -> None:
    plan = planned(stage, "app-01", "web-01 web-02", pause_before={1: True})
    run = stage.until(stage.start(plan), "PAUSED")
    out, kept = stage.ids("web-01 web-02")
    path = f"/executions/{run.pk}/servers"
    refusal(api.post(f"{path}/{stage.ids('app-01')[0]}/exclude", {"reason": "late"}), 409, "WAVE_HAS_BEGUN")
    refusal(api.post(f"{path}/s-11111111111111111/exclude", {"reason": "who"}), 404, "NOT_FOUND")
    for _ in range(2):
        answer(api.post(f"{path}/{out}/exclude", {"reason": "Its disk is broken."}))
    refusal(api.post(f"{path}/{kept}/exclude", {"reason": "both"}), 400, "SERVER_NOT_EXCLUDABLE")
    answer(api.post(f"/executions/{run.pk}/resume"))
    run = stage.until(run, "COMPLETED", "PARTIAL", "FAILED")
    assert stage.picture(run) == ("COMPLETED", ["COMPLETED", "COMPLETED"])
    assert sent(stage) == [stage.ids("app-01"), [kept]]
    server = ServerRun.objects.get(source_server_id=out)
    assert (server.launch_status, (server.excluded or {})["reason"]) == ("PENDING", "Its disk is broken.")
    assert AuditEntry.objects.filter(verb="server.excluded", refused=False).count() == 1
    told = f"Left out by {server.excluded['by'] if server.excluded else ''}: Its disk is broken."
    assert told in api.get(f"/executions/{run.pk}/report?format=csv").content.decode()
    assert shown(api, run)["serversLeftOut"] == 1


def test_an_optional_server_does_not_fail_its_wave(stage: Stage, api: Api) -> None:
    failing(stage, "app-02")
    optional = stage.ids("app-02")
    plan = planned(stage, "app-01 app-02", "web-01", optional_server_ids={0: optional}, depends_on={1: (0,)})
    run = stage.until(stage.start(plan), "COMPLETED", "PARTIAL", "FAILED")
    assert stage.picture(run) == ("COMPLETED", ["COMPLETED", "COMPLETED"])
    assert shown(api, run)["waves"][0]["statusMessage"] == "Completed without 1 of 1 optional server."


def test_a_wave_waits_for_its_time_or_is_started_now(stage: Stage, api: Api) -> None:
    plan = planned(stage, "app-01", "web-01", wait_minutes_before={1: 30})
    run = stage.start(plan)
    stage.wait(lambda: stage.waves(run)[1].starts_at is not None, run)
    stage.advance(1200)
    stage.look()
    assert (len(stage.launches()), shown(api, run)["waves"][1]["status"]) == (1, "PENDING")
    assert shown(api, run)["waves"][1]["startsAt"]
    path = f"/executions/{run.pk}/waves"
    refusal(api.post(f"{path}/0/start-now"), 409, "WAVE_HAS_BEGUN")
    answer(api.post(f"/executions/{run.pk}/pause"))
    stage.until(run, "PAUSED")
    told = refusal(api.post(f"{path}/1/start-now"), 400, "WAVE_NOT_WAITING")
    assert told["status"] == "PAUSED"
    answer(api.post(f"/executions/{run.pk}/resume"))
    answer(api.post(f"{path}/1/start-now"))
    stage.look()
    assert len(stage.launches()) == 2
    assert stage.until(run, "COMPLETED").status == "COMPLETED"


@pytest.mark.both
def test_a_button_that_was_shown_before_something_else_happened_does_nothing(stage: Stage, client: Client) -> None:
    """Before the wave, and after each of its failures: each button is for what its page showed."""
    client.force_login(make_user("operator"))
    plan = planned(stage, "app-01", "web-01 web-02", pause_before={1: True}, on_failure={1: "PAUSE"})
    failing(stage, "web-01", times=2)
    run = stage.until(stage.start(plan), "PAUSED")

    def resume(attempt: int) -> str:
        client.post(f"/executions/{run.pk}/resume", {"wave": "1", "attempt": str(attempt)})
        return stage.fresh(run).status

    assert resume(1) == "PAUSED"
    assert resume(0) == "RUNNING"
    stage.until(run, "PAUSED", "PARTIAL")
    assert resume(0) == "PAUSED"
    steering.retry_wave(actor=SYSTEM, execution_id=run.pk, wave=1, clock=stage.clock)
    stage.until(run, "PAUSED", "PARTIAL")
    assert resume(1) == "PAUSED"
    assert resume(2) == "RUNNING"
    assert stage.until(run, "PARTIAL").status == "PARTIAL"


def test_an_operator_steers_drills_and_no_recoveries(stage: Stage) -> None:
    operator = Api(make_user("operator"))
    plan = planned(stage, "app-01", "web-01", pause_before={1: True})
    run = stage.until(stage.start(plan), "PAUSED")
    Execution.objects.filter(pk=run.pk).update(kind="RECOVERY")
    for verb, body in (("resume", {}), ("waves/1/skip", {"reason": "x"}), ("waves/1/start-now", {})):
        refusal(operator.post(f"/executions/{run.pk}/{verb}", body), 403, "FORBIDDEN")
    Execution.objects.filter(pk=run.pk).update(kind="DRILL")
    answer(operator.post(f"/executions/{run.pk}/resume"))


def test_servers_of_a_skipped_wave_are_not_shown_as_queued(stage: Stage, client: Client) -> None:
    stage.simulator.scenario("launch_failed", servers=stage.ids("app-01"))
    run = stage.until(stage.start(stage.plan("app-01", "web-01")), "FAILED")
    client.force_login(make_user("viewer"))
    page = client.get(f"/executions/{run.pk}").content.decode()
    assert "Not launched</span>" in page
    assert "<td>Queued" not in page
