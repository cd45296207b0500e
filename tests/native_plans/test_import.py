"""Recovery plans of DRS made into groups and a plan here: what is shown beforehand is what is made, or nothing."""

from functools import partial

import pytest
from django.test import Client

from audit.models import AuditEntry
from native_plans.compiled import compiled
from plans.models import RecoveryPlan
from protection.models import ProtectionGroup
from tests.native_plans.what_drs_has import made_in_drs
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import Stage
from tests.support.threads import at_once

pytestmark = pytest.mark.slow


def test_a_plan_of_drs_becomes_what_was_shown(stage: Stage) -> None:
    db, app, web = stage.ids("db-primary-01"), stage.ids("app-01 app-02"), stage.ids("web-01 web-02")
    existing = stage.group("app-01")
    stage.group("db-replica-01", name="Storage: Tier 1")
    arn = made_in_drs(stage.simulator, "Storage", db, 30, 120, app, web, 15)
    stage.simulator.delete_servers("web-02")
    api = Api(make_user("admin"))
    shown = answer(api.post("/native-plans/import", {"arn": arn, "dryRun": True}))
    assert (shown["planId"], shown["planName"], shown["refusals"]) == (None, "Storage", [])
    assert [each["groupName"] for each in shown["groups"]] == [
        "Storage: Tier 1 2",
        "Storage: Tier 4",
        "Storage: Tier 5",
    ], "a name that is taken is numbered"
    assert [(each["waveName"], each["waitMinutesBefore"]) for each in shown["waves"]] == [
        ("Tier 1", 0),
        ("Tier 4", 150),
        ("Tier 5", 0),
    ]
    assert shown["waves"][1]["protectionGroups"] == [existing.name, "Storage: Tier 4"]
    assert {(each["what"], each["where"]) for each in shown["notExpressed"]} == {
        ("UNKNOWN_SERVER", "step 5, Tier 5"),
        ("WAIT", "the end"),
    }
    assert not RecoveryPlan.objects.exists()
    made = answer(api.post("/native-plans/import", {"arn": arn}), 201)
    assert {**made, "planId": None} == shown
    plan = RecoveryPlan.objects.get(pk=made["planId"])
    assert (plan.name, plan.description) == ("Storage", "By the storage team")
    told = [
        ([(one.source_server_id, one.optional) for one in wave.servers.all()], wave.wait_minutes_before)
        for wave in plan.waves.all()
    ]
    assert told == [([(db[0], True)], 0), ([(app[0], False), (app[1], True)], 150), ([(web[0], False)], 0)]
    assert ProtectionGroup.objects.get(name="Storage: Tier 4").assignments.get().source_server_id == app[1]
    (entry,) = AuditEntry.objects.filter(verb="plan.import")
    assert (entry.detail["arn"], entry.detail["waves"]) == (arn, 3)
    assert len(entry.detail["notExpressed"]) == 2
    again = refusal(api.post("/native-plans/import", {"arn": arn}), 409, "RP_NAME_EXISTS")
    assert list(again["fields"]) == ["name"]
    other = answer(api.post("/native-plans/import", {"arn": arn, "name": "Storage again"}), 201)
    assert other["groups"] == [], "all servers have a group by now"


def test_what_cannot_be_imported_is_refused_by_the_field(stage: Stage) -> None:
    api, client = Api(make_user("admin")), stage.simulator.client()
    for arn in ("none", "arn:aws:s3:::bucket", "arn:aws:drs:us-east-1:999999999999:recovery-plan/x"):
        assert "arn" in refusal(api.post("/native-plans/import", {"arn": arn}), 400, "VALIDATION_ERROR")["fields"]
    arn = made_in_drs(stage.simulator, "Waits only", 10)
    nowhere = arn.replace("us-east-1", "us-nowhere-1")
    assert "arn" in refusal(api.post("/native-plans/import", {"arn": nowhere}), 400, "INVALID_REGION")["fields"]
    assert "arn" in refusal(api.post("/native-plans/import", {"arn": arn}), 400, "VALIDATION_ERROR")["fields"]
    client.delete_recovery_plan(recoveryPlanArn=arn)
    assert "arn" in refusal(api.post("/native-plans/import", {"arn": arn}), 400, "VALIDATION_ERROR")["fields"]
    refusal(Api(make_user("operator")).post("/native-plans/import", {"arn": arn}), 403, "FORBIDDEN")
    plan = stage.plan("app-01 app-02", "web-01")
    made = answer(api.post(f"/recovery-plans/{plan.pk}/native", {}))["inDrs"][0]["arn"]
    ours = refusal(api.post("/native-plans/import", {"arn": made}), 409, "NATIVE_PLAN_IS_COPY")
    assert (ours["planId"], list(ours["fields"])) == (str(plan.pk), ["arn"])
    name, before = plan.name, [each.steps for each in compiled(plan).plans]
    plan.delete()  # and the copy is all that is left of it
    found = answer(api.post("/native-plans/import", {"arn": made}), 201)
    assert found["planName"] == name
    again = compiled(RecoveryPlan.objects.get(pk=found["planId"])).plans
    assert [[one.servers for one in each.steps] for each in again] == [
        [one.servers for one in steps] for steps in before
    ]


@pytest.mark.both
def test_of_imports_at_once_one_wins(stage: Stage) -> None:
    arn = made_in_drs(stage.simulator, "Storage", stage.ids("db-primary-01"), stage.ids("app-01 app-02"))
    api = Api(make_user("admin"))
    answers = at_once([partial(api.post, "/native-plans/import", {"arn": arn})] * 4)
    assert sorted(each.status_code for each in answers) == [201, 409, 409, 409]
    assert {each.json()["error"] for each in answers if each.status_code == 409} == {"RP_NAME_EXISTS"}
    assert RecoveryPlan.objects.count() == 1
    assert ProtectionGroup.objects.count() == 2


def test_the_pages_show_it_and_make_only_what_they_have_shown(stage: Stage) -> None:
    stage.group("web-01")
    arn = made_in_drs(stage.simulator, "Storage", stage.ids("db-primary-01"), stage.ids("app-01"))
    client = Client()
    client.force_login(make_user("admin"))
    assert "<table" not in client.get("/recovery-plans/in-drs").content.decode(), "DRS is not asked by itself"
    listed = client.get("/recovery-plans/in-drs?place=us-east-1").content.decode()
    assert "Storage" in listed
    assert "/recovery-plans/in-drs/import?arn=" in listed
    page = "/recovery-plans/in-drs/import"
    shown = client.get(page, {"arn": arn})
    seen = shown.context["found"].digest
    assert "New group “Storage: Tier 2” of 1." in shown.content.decode()
    stage.group("app-01", name="Meanwhile")
    stale = client.post(page, {"arn": arn, "name": "Storage", "seen": seen})
    assert stale.status_code == 412
    assert not RecoveryPlan.objects.exists()
    fresh = stale.context["found"].digest
    assert client.post(page, {"arn": arn, "name": "Storage", "seen": fresh}).status_code == 302
    plan = RecoveryPlan.objects.get()
    assert client.post(page, {"arn": arn, "name": "Storage", "seen": fresh}).status_code == 409
    assert plan.waves.count() == 2
