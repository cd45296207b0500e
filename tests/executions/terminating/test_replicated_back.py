"""A drill's instance that somebody replicates back (DRS: failback, ReverseReplication) may run production: nothing ends
it by itself, and nobody without the right to end recoveries does."""

import pytest
from django.test import Client

from audit.actor import SYSTEM
from executions.commands import control
from executions.models import ServerRun
from tests.executions.commands.test_production import asked, launched_outside, running
from tests.executions.launching.test_production_guard import servers
from tests.executions.terminating.test_leases import leased, pass_hours, verbs
from tests.executions.terminating.test_outside_changes import round_of_inventory, up
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import Stage


def replicate_back(stage: Stage, *hosts: str, **told: str) -> None:
    stage.simulator.scenario("failback_state", servers=list(hosts), **told)


@pytest.mark.parametrize("state", ["", "FAILBACK_NOT_STARTED", "FAILBACK_NOT_READY_FOR_LAUNCH"])
@pytest.mark.parametrize("replication", ["NOT_STARTED", "STOPPED", "DISCONNECTED"])
def test_one_that_nobody_replicates_back_is_any_drills(stage: Stage, state: str, replication: str) -> None:
    launched_outside(stage, "app-01", is_drill=True)
    replicate_back(stage, "app-01", state=state, replication=replication)
    answer(Api(make_user("operator")).post("/executions", asked(stage.plan("app-01"))), 202)


@pytest.mark.both
def test_the_end_of_its_lease_leaves_it_alone(stage: Stage) -> None:
    run = leased(stage)
    (spared,) = running(stage, "app-01")
    replicate_back(stage, "app-01")
    pass_hours(stage, 4.2)
    pass_hours(stage, 1.1)
    stage.wait(lambda: ServerRun.objects.get(hostname="app-02").launch_status == "TERMINATED", run)
    assert verbs(run) == ["lease.warned", "lease.ended"]
    assert running(stage, "app-01") == [spared]


@pytest.mark.parametrize(
    ("state", "replication"),
    [
        ("FAILBACK_IN_PROGRESS", "NOT_STARTED"),
        ("FAILBACK_READY_FOR_LAUNCH", "CONTINUOUS"),
        ("FAILBACK_NOT_READY_FOR_LAUNCH", "INITIAL_SYNC"),
        ("FAILBACK_OF_TOMORROW", "NOT_STARTED"),
        ("", "STATE_OF_TOMORROW"),
    ],
)
def test_no_drill_is_launched_over_it_unasked(stage: Stage, state: str, replication: str) -> None:
    plan = stage.plan("app-01")
    launched_outside(stage, "app-01", is_drill=True)
    (spared,) = running(stage, "app-01")
    replicate_back(stage, "app-01", state=state, replication=replication)
    (named,) = refusal(Api(make_user("operator")).post("/executions", asked(plan)), 403, "FORBIDDEN")["instances"]
    assert named["recoveryInstanceId"] == spared
    told = Api(make_user("recovery-manager")).post("/executions", asked(plan))
    assert refusal(told, 409, "PRODUCTION_RUNNING")["instances"][0]["recoveryInstanceId"] == spared


def test_replicated_back_while_the_run_waits_before_its_wave(stage: Stage) -> None:
    launched_outside(stage, "app-01 app-02", is_drill=True)
    spared = running(stage, "app-01")
    run = stage.start(stage.plan("web-01", "app-01 app-02", pause={1}))
    stage.until(run, "PAUSED")
    replicate_back(stage, "app-01")
    control.resume(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)
    stage.until(run, "PARTIAL")
    assert running(stage, "app-01") == spared
    assert servers(run)["app-01"] == ("FAILED", "PRODUCTION_RUNNING")
    assert servers(run)["app-02"] == ("LAUNCHED", "")
    assert "is replicated back (FAILBACK_IN_PROGRESS)" in ServerRun.objects.get(hostname="app-01").error


def test_terminating_its_drill_needs_the_right_to_end_recoveries(stage: Stage) -> None:
    run = up(stage, "app-01 app-02")
    spared, other = running(stage, "app-01 app-02")
    replicate_back(stage, "app-01")
    round_of_inventory(stage)
    operator, browser = Api(make_user("operator")), Client()
    browser.force_login(make_user("operator"))
    for page in (f"/executions/{run.pk}/terminate", "/recovery-instances"):
        assert "eplicated back" in browser.get(page).content.decode()
    told = operator.post(f"/executions/{run.pk}/terminate-instances", {})
    assert "somebody replicates it back" in told.json()["message"]
    assert operator.post("/recovery-instances/terminate", {"recoveryInstanceIds": [spared]}).status_code == 403
    answer(operator.post("/recovery-instances/terminate", {"recoveryInstanceIds": [other]}))
    stage.wait(lambda: ServerRun.objects.get(hostname="app-02").launch_status == "TERMINATED", run)
    assert running(stage, "app-01") == [spared]
    stage.simulator.clear_scenarios("failback_state")
    round_of_inventory(stage)
    assert ServerRun.objects.get(hostname="app-01").failback_state == ""
    answer(operator.post(f"/executions/{run.pk}/terminate-instances", {}))
