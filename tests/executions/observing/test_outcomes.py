"""How waves depend on one another, and what a run is called in the end."""

from typing import Any

import pytest

from executions.models import ServerHold, ServerRun, WaveRun
from tests.support.stage import Stage

FAILS, CONTINUE = "web-01", "CONTINUE"

# Options of the plan "app-01 / web-01 (fails) / app-02", and what becomes of run and waves.
PLANS: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "stops at a failure": ({}, "PARTIAL", ["COMPLETED", "FAILED", "SKIPPED"]),
    "goes on": ({"on_failure": {1: CONTINUE}}, "PARTIAL", ["COMPLETED", "FAILED", "COMPLETED"]),
    "goes on, but depends": (
        {"on_failure": {1: CONTINUE}, "depends_on": {2: (1,)}},
        "PARTIAL",
        ["COMPLETED", "FAILED", "SKIPPED"],
    ),
    "goes on, depends on another": (
        {"on_failure": {1: CONTINUE}, "depends_on": {2: (0,)}},
        "PARTIAL",
        ["COMPLETED", "FAILED", "COMPLETED"],
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_it_ends_as_its_waves_say(stage: Stage, name: str) -> None:
    options, status, waves = PLANS[name]
    stage.simulator.scenario("launch_failed", servers=[FAILS])
    run = stage.until(stage.start(stage.plan("app-01", FAILS, "app-02", **options)), status)
    assert stage.picture(run) == (status, waves)
    assert run.error_code == "SERVER_LAUNCH_FAILED"
    assert len(stage.launches()) == sum(each != "SKIPPED" for each in waves)
    assert not ServerHold.objects.exists()


def test_it_skips_what_depends_on_what_was_skipped(stage: Stage) -> None:
    stage.simulator.scenario("launch_failed", servers=[FAILS])
    plan = stage.plan(FAILS, "app-01", "app-02", "app-03", on_failure={0: CONTINUE}, depends_on={1: (0,), 2: (1,)})
    run = stage.until(stage.start(plan), "PARTIAL")
    assert stage.picture(run)[1] == ["FAILED", "SKIPPED", "SKIPPED", "COMPLETED"]
    skipped = WaveRun.objects.get(number=2)
    assert skipped.status_message == "It depends on wave 2, which did not complete."
    assert {each.launch_status for each in ServerRun.objects.filter(wave=skipped)} == {"PENDING"}


def test_nothing_launched_is_a_failure(stage: Stage) -> None:
    stage.simulator.scenario("launch_failed")
    run = stage.until(stage.start(stage.plan("app-01", "web-01", on_failure={0: CONTINUE})), "FAILED")
    assert stage.picture(run) == ("FAILED", ["FAILED", "FAILED"])


def test_one_early_failure_does_not_abandon_its_siblings(stage: Stage) -> None:
    stage.simulator.scenario("server_skipped", servers=["app-01"])
    run = stage.start(stage.plan("app-01 app-02"))
    stage.wait(lambda: ServerRun.objects.get(hostname="app-01").launch_status == "FAILED", run)
    assert stage.picture(run) == ("LAUNCHING", ["LAUNCHING"])
    stage.until(run, "PARTIAL")
    assert ServerRun.objects.get(hostname="app-02").launch_status == "LAUNCHED"
