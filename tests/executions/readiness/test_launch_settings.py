"""What a drill launched its servers with is frozen with it; a change since is told, with both values."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from audit.actor import SYSTEM
from contract.clock import db_clock
from executions.commands import control, steering
from executions.commands.retry import retry
from executions.engine import drilled_settings
from executions.models import Execution, LaunchJob, ServerRun
from plans.models import RecoveryPlan
from protection.inventory import launch_details
from protection.inventory.launch_settings import changes, digest_of
from protection.models import LaunchSettings, RegionInventory, SourceServer
from tests.console import world
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import NEVER, Stage

OLD, NEW = "subnet-0123456789abcdef0", "subnet-0fedcba9876543210"
INTO_NEW = [{"subnetId": NEW, "deviceIndex": 0}]


def read_anew(stage: Stage) -> None:
    """The engine's next round, for which every server is due."""
    RegionInventory.objects.update(tried_at=db_clock() - timedelta(hours=1))
    SourceServer.objects.filter(details_as_of__isnull=False).update(details_as_of=db_clock() - timedelta(hours=2))
    check(stage)


def check(stage: Stage) -> None:
    """One look of the engine at what is due to be read."""
    stage.sweep.next_inventory_check = None
    stage.sweep.once()
    stage.sweep.drain()
    stage.sweep.next_inventory_check = NEVER


def drilled(stage: Stage, plan: RecoveryPlan, *ends: str) -> Execution:
    """A drill that is over, whose engine looked at the inventory once it had launched."""
    run = stage.start(plan)
    stage.wait(lambda: not ServerRun.objects.filter(wave__execution=run, job__job_id="").exists(), run, step=20)
    check(stage)
    return stage.until(run, *(ends or ("COMPLETED",)))


def change(stage: Stage, hostname: str, launch: dict[str, Any] | None = None, **template: object) -> None:
    """Somebody changes a server's launch settings, and the default version of its template."""
    [server] = stage.ids(hostname)
    settings = stage.simulator.client().get_launch_configuration(sourceServerID=server)
    stage.simulator.surroundings(launch={hostname: launch or {}}, templates={settings["ec2LaunchTemplateID"]: template})


def shown(admin: Api, plan: RecoveryPlan) -> dict[str, Any]:
    body: dict[str, Any] = answer(admin.get(f"/recovery-plans/{plan.pk}/readiness"))
    return body


def reason(admin: Api, plan: RecoveryPlan, code: str) -> dict[str, Any]:
    found = {each["code"]: each for each in shown(admin, plan)["reasons"]}
    return dict(found.get(code, {}))


def test_a_subnet_changed_since_the_last_good_drill_is_named_with_both_values(stage: Stage, admin: Api) -> None:
    plan = stage.plan("app-01 app-02")
    run = drilled(stage, plan)
    day = run.ended_at.date() if run.ended_at else ""
    read_anew(stage)
    assert reason(admin, plan, "LAUNCH_SETTINGS_CHANGED") == {}
    change(stage, "app-01", {"launchDisposition": "STOPPED"}, networkInterfaceSet=INTO_NEW)
    read_anew(stage)
    found = reason(admin, plan, "LAUNCH_SETTINGS_CHANGED")
    assert f"app-01: subnet was {OLD} at the last good drill of {day}, is {NEW} now." in found["message"]
    assert (
        f"app-01: launch disposition was STARTED at the last good drill of {day}, is STOPPED now." in found["message"]
    )
    assert (found["severity"], found["serverIds"]) == ("WARNING", stage.ids("app-01"))
    assert shown(admin, plan)["launchChangesSinceDrill"][0] == {
        "sourceServerID": stage.ids("app-01")[0],
        "hostname": "app-01",
        "field": "subnetIds",
        "label": "subnet",
        "was": OLD,
        "now": NEW,
    }
    told = answer(admin.get(f"/drs/source-servers/{stage.ids('app-01')[0]}/launch-settings"))
    assert (told["settings"]["subnetIds"], told["settings"]["launchDisposition"]) == ([NEW], "STOPPED")
    assert (len(told["digest"]), told["asOf"]) == (64, told["templateAsOf"])
    again = drilled(stage, plan)  # with the new ones
    read_anew(stage)
    assert again.status == "COMPLETED"
    assert reason(admin, plan, "LAUNCH_SETTINGS_CHANGED") == {}


def test_a_change_before_the_launch_is_what_the_drill_launched_with(stage: Stage, admin: Api) -> None:
    """It was made after the last reading: what is frozen was read after the launch was sent."""
    plan = stage.plan("app-01")
    read_anew(stage)
    change(stage, "app-01", instanceType="r5.large")
    drilled(stage, plan)
    row = ServerRun.objects.get()
    assert LaunchSettings.objects.get(pk=row.launch_digest).settings["instanceType"] == "r5.large"
    read_anew(stage)
    assert reason(admin, plan, "LAUNCH_SETTINGS_CHANGED") == {}


def test_a_drill_that_failed_and_a_recovery_freeze_nothing_to_compare_with(stage: Stage, admin: Api) -> None:
    plan = stage.plan("app-01")
    drilled(stage, plan)
    change(stage, "app-01", networkInterfaceSet=INTO_NEW)
    stage.simulator.scenario("launch_failed", servers=["app-01"])
    drilled(stage, plan, "FAILED", "PARTIAL")
    read_anew(stage)
    told = reason(admin, plan, "LAUNCH_SETTINGS_CHANGED")["message"]
    assert f"app-01: subnet was {OLD} at the last good drill" in told


def test_of_a_drill_that_was_tried_again_each_server_is_as_its_own_launch(stage: Stage, admin: Api) -> None:
    plan = stage.plan("app-01 app-02")
    stage.simulator.scenario("launch_failed", servers=["app-02"])
    first = drilled(stage, plan, "PARTIAL", "FAILED")
    stage.wait(lambda: LaunchJob.objects.get().status == "COMPLETED", first)  # its servers may be told before its end
    stage.simulator.clear_scenarios()
    again = retry(actor=SYSTEM, execution_id=first.pk, clock=stage.clock)
    stage.until(again, "COMPLETED")
    change(stage, "app-01", networkInterfaceSet=INTO_NEW)
    read_anew(stage)
    assert "app-01: subnet was" in reason(admin, plan, "LAUNCH_SETTINGS_CHANGED")["message"]


def test_a_wave_that_is_tried_again_is_frozen_anew(stage: Stage) -> None:
    plan = stage.plan("app-01", on_failure={0: "PAUSE"})
    stage.simulator.scenario("launch_failed", servers=["app-01"])
    run = drilled(stage, plan, "PAUSED")
    frozen = ServerRun.objects.get().launch_digest
    stage.simulator.clear_scenarios()
    change(stage, "app-01", networkInterfaceSet=INTO_NEW)
    steering.retry_wave(actor=SYSTEM, execution_id=run.pk, wave=0, clock=stage.clock)
    stage.wait(lambda: not ServerRun.objects.filter(job__job_id="").exists(), run, step=20)
    check(stage)
    stage.until(run, "COMPLETED")
    again = ServerRun.objects.get().launch_digest
    assert again != frozen
    assert LaunchSettings.objects.get(pk=again).settings["subnetIds"] == [NEW]


def test_where_templates_may_not_be_read_it_is_said_and_the_rest_is_compared(stage: Stage, admin: Api) -> None:
    plan = stage.plan("app-01")
    drilled(stage, plan)
    stage.simulator.scenario("access_denied", operation="DescribeLaunchTemplateVersions")
    change(stage, "app-01", {"copyTags": True, "launchDisposition": "STOPPED"}, networkInterfaceSet=INTO_NEW)
    read_anew(stage)
    told = reason(admin, plan, "TEMPLATES_UNKNOWN")["message"]
    assert "does not tell launch templates in us-east-1" in told
    assert "UnauthorizedOperation" in told
    changed = reason(admin, plan, "LAUNCH_SETTINGS_CHANGED")["message"]
    assert "launch disposition was STARTED" in changed
    assert "subnet" not in changed
    calls = len(stage.simulator.journal("DescribeLaunchTemplateVersions"))
    read_anew(stage)
    assert len(stage.simulator.journal("DescribeLaunchTemplateVersions")) == calls, "EC2 is left alone for a while"
    stage.simulator.clear_scenarios()
    stage.sweep.details.no_templates.clear()
    check(stage)  # those without a template are due, whenever they were last read
    assert reason(admin, plan, "TEMPLATES_UNKNOWN") == {}
    assert f"subnet was {OLD}" in reason(admin, plan, "LAUNCH_SETTINGS_CHANGED")["message"]


def test_a_template_that_is_gone_is_told_before_the_start(stage: Stage, admin: Api) -> None:
    plan = stage.plan("app-01 app-02")
    settings = stage.simulator.client().get_launch_configuration(sourceServerID=stage.ids("app-01")[0])
    stage.simulator.surroundings(templates={settings["ec2LaunchTemplateID"]: None})
    read_anew(stage)
    found = reason(admin, plan, "NO_LAUNCH_TEMPLATE")
    assert (found["severity"], found["serverIds"]) == ("BLOCKING", stage.ids("app-01"))


def test_reading_what_a_drill_launched_stays_within_a_batch_and_ends(stage: Stage) -> None:
    stage.plan("app-01")
    plan = stage.plan("web-01 web-02 db-primary-01")
    stage.simulator.scenario("no_launch_settings", servers=["web-02"])
    run = stage.start(plan)
    stage.wait(lambda: not ServerRun.objects.filter(wave__execution=run, job__job_id="").exists(), run, step=20)
    SourceServer.objects.update(details_as_of=db_clock(), template_as_of=db_clock())
    limit, launch_details.SERVERS_A_ROUND = launch_details.SERVERS_A_ROUND, 2
    try:
        before = len(stage.simulator.journal("GetLaunchConfiguration"))
        for after in (2, 3, 3):
            check(stage)
            assert len(stage.simulator.journal("GetLaunchConfiguration")) - before == after
    finally:
        launch_details.SERVERS_A_ROUND = limit
    frozen = dict(ServerRun.objects.filter(wave__execution=run).values_list("hostname", "launch_digest"))
    assert frozen["web-02"] == drilled_settings.NONE
    assert all(len(digest) == 64 for name, digest in frozen.items() if name != "web-02")
    control.cancel(actor=SYSTEM, execution_id=run.pk, clock=stage.clock)


@pytest.mark.django_db
def test_the_list_of_servers_shows_how_each_would_be_launched(client: Client, admin: Api) -> None:
    server = world.server("app-01")
    kept = LaunchSettings.objects.create(
        digest="d" * 64,
        settings={"launchDisposition": "STARTED", "subnetIds": [OLD], "tags": {"volume": {"Env": "<dr>"}}},
    )
    SourceServer.objects.filter(pk=server).update(launch_digest=kept.pk, details_as_of=db_clock())
    client.force_login(make_user("viewer"))
    page = client.get("/source-servers").content.decode()
    for line in (f"Subnet: {OLD}", "Launch disposition: STARTED", "Tag Env (volume): &lt;dr&gt;"):
        assert f"<li>{line}</li>" in page
    refusal(admin.get("/drs/source-servers/s-0000000000000dead/launch-settings"), 404, "NOT_FOUND")
    refusal(admin.get("/drs/source-servers/nonsense/launch-settings"), 404, "NOT_FOUND")


@pytest.mark.parametrize(("sizing", "told"), [("NONE", ["instanceType"]), ("BASIC", [])])
def test_the_type_that_drs_chooses_by_itself_is_no_change(sizing: str, told: list[str]) -> None:
    then = {"rightSizing": sizing, "instanceType": "m5.large"}
    assert [each.field for each in changes(then, {**then, "instanceType": "c5.large"})] == told


def test_tags_are_compared_one_by_one_and_without_those_of_a_launch() -> None:
    then = {"tags": {"instance": {"Env": "dr", "Old": ""}, "volume": {"Env": "dr"}}}
    now = {"tags": {"instance": {"Env": "test"}, "volume": {"Env": "dr", "New": "1"}}}
    assert [(each.label, each.was, each.now) for each in changes(then, now)] == [
        ("tag Env (instance)", "dr", "test"),
        ("tag New (volume)", "not set", "1"),
        ("tag Old (instance)", "empty", "not set"),
    ]


def test_a_digest_is_of_what_is_said_and_not_of_its_order() -> None:
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})
