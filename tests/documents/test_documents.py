"""The configuration as documents: out, compared, in again."""

import json
import re
from typing import Any

import pytest
import yaml
from django.test import Client
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from audit.models import AuditEntry
from notify.models import Subscription
from plans.models import RecoveryPlan
from protection.models import ProtectionGroup
from tests.documents import document_schema
from tests.support.api_client import Api, answer, make_user, refusal
from tests.support.stage import Stage
from tests.support.threads import at_once


def group(name: str, servers: list[str], region: str = "us-east-1", **more: Any) -> dict[str, Any]:
    spec = {"region": region, "sourceServerIds": servers, **more}
    return {"apiVersion": "drsorch/v1", "kind": "ProtectionGroup", "metadata": {"name": name}, "spec": spec}


def plan(name: str, *waves: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": "RecoveryPlan", "metadata": {"name": name}, "spec": {"waves": list(waves), **more}}


def wave(*groups: str, **more: Any) -> dict[str, Any]:
    return {"protectionGroups": list(groups), **more}


def diff(api: Api, document: Any, *, prune: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = answer(api.post("/configuration/diff", {"document": document, "prune": prune}))
    return found


def applied(api: Api, document: Any, *, prune: bool = False) -> dict[str, Any]:
    body = {"document": document, "prune": prune, "digest": diff(api, document, prune=prune)["digest"]}
    found: dict[str, Any] = answer(api.post("/configuration/apply", body))
    return found


def export(api: Api, form: str = "json") -> str:
    return str(api.get(f"/configuration?format={form}").content.decode())


def said(changes: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(each["action"], each["kind"], each["name"]) for each in changes["changes"]]


@pytest.fixture
def document(stage: Stage) -> list[dict[str, Any]]:
    db, app = stage.ids("db-primary-01 db-replica-01"), stage.ids("app-01 app-02 web-01")
    first = wave("Databases", waveName="Databases", onFailure="PAUSE", optionalServerIds=[db[1]])
    gate = {"approvals": 1, "checklist": ["The database is consistent"], "expiresMinutes": 60}
    second = wave("app", "Databases", serverIds=["web-01", app[0]], dependsOnWaves=[0], pauseBeforeWave=True, gate=gate)
    subscription = {"channel": "SNS", "target": "arn:aws:sns:us-east-1:111122223333:drsorch-x", "events": ["FAILED"]}
    return [
        plan("Payments", first, second, rtoMinutes=30, startGate={"approvals": 2}, labels={"app": "pay"}),
        group("Databases", db, description="Of the shop: “=1+1”"),
        group("App", app, labels={"tier": "web"}),
        {"kind": "Subscription", "metadata": {"name": "On call"}, "spec": {**subscription, "plan": "Payments"}},
    ]


@pytest.mark.both
def test_what_is_exported_applies_as_the_same_bytes(admin: Api, document: list[Any]) -> None:
    assert said(diff(admin, document)) == [
        ("CREATE", "ProtectionGroup", "App"),
        ("CREATE", "ProtectionGroup", "Databases"),
        ("CREATE", "RecoveryPlan", "Payments"),
        ("CREATE", "Subscription", "On call"),
    ]
    assert not ProtectionGroup.objects.exists()  # a difference writes nothing
    applied(admin, document)
    exports = {form: export(admin, form) for form in ("json", "yaml", "csv")}
    assert json.loads(exports["json"]) == yaml.safe_load(exports["yaml"])
    [waves] = [each["spec"]["waves"] for each in json.loads(exports["json"]) if each["kind"] == "RecoveryPlan"]
    assert waves[1]["protectionGroups"] == ["App", "Databases"]  # as the group is written
    for text in exports.values():
        assert diff(admin, text, prune=True)["changes"] == [], text
    for model in (RecoveryPlan, ProtectionGroup):
        model.objects.all().delete()
    Subscription.objects.all().delete()
    applied(admin, exports["yaml"])
    assert {form: export(admin, form) for form in exports} == exports
    verbs = set(AuditEntry.objects.filter(refused=False).values_list("verb", flat=True))
    assert {"configuration.apply", "group.create", "plan.create", "subscription.create"} <= verbs


@pytest.mark.both
def test_subscriptions_of_one_name_are_all_there(admin: Api, stage: Stage) -> None:
    topic = "arn:aws:sns:us-east-1:111122223333:drsorch-"
    for name, target in (("Ops", "a"), ("ops", "b"), ("Ops (2)", "c"), ("Ops", "d")):
        body = {"name": name, "channel": "SNS", "target": topic + target, "events": ["FAILED"]}
        answer(admin.post("/notification-subscriptions", body), 201)
    text = export(admin)
    names = {each["spec"]["target"][-1]: each["metadata"]["name"] for each in json.loads(text)}
    assert names == {"a": "Ops", "b": "ops (3)", "c": "Ops (2)", "d": "Ops (4)"}
    assert diff(admin, text, prune=True)["changes"] == []
    Subscription.objects.all().delete()
    applied(admin, text)
    assert export(admin) == text


@pytest.mark.both
def test_servers_move_between_groups_and_plans_follow(admin: Api, stage: Stage, document: list[Any]) -> None:
    applied(admin, document)
    db, app = stage.ids("db-primary-01 db-replica-01"), stage.ids("app-01 app-02 web-01")
    swapped = [group("Databases", [app[1]]), group("App", [db[0], app[0]]), group("Web", [app[2], db[1]])]
    moved = plan("Payments", wave("app", serverIds=[db[0]]), wave("Web", serverIds=[app[2]]))
    refused = refusal(admin.post("/configuration/diff", {"document": swapped}), 400, "VALIDATION_ERROR")
    assert "“Payments”, wave 1, has" in json.dumps(refused, ensure_ascii=False)
    before = {each.name: each.pk for each in ProtectionGroup.objects.all()}
    applied(admin, [*swapped, moved])
    assert {each.name: each.pk for each in ProtectionGroup.objects.exclude(name="Web")} == before
    assert diff(admin, [*swapped, moved])["changes"] == []
    entry = AuditEntry.objects.filter(verb="plan.update").latest("id")
    assert entry.before is not None
    assert entry.after is not None
    assert entry.before["waves"][0]["serverIds"] == [db[0], db[1]]
    assert entry.after["waves"][0]["serverIds"] == [db[0]]
    pruned = applied(admin, [each for each in swapped if each["metadata"]["name"] != "Databases"], prune=True)
    assert said(pruned) == [("DELETE", "ProtectionGroup", "Databases")]  # plans are of a kind that it has not


def test_each_fault_is_told_at_its_document_line_and_path(admin: Api, stage: Stage) -> None:
    [db] = stage.ids("db-primary-01")
    text = f"""
- kind: ProtectionGroup
  metadata: {{name: One}}
  spec: {{region: us-east-1, sourceServerIds: [{db}]}}
- kind: ProtectionGroup
  metadata:
    name: Two
  spec:
    region: us-east-1
    sourceServerIds:
      - {db}
- kind: RecoveryPlan
  metadata: {{name: Plan}}
  spec:
    rtoMinutes: 0
    waves:
      - protectionGroups: [One]
        pauseBeforeWave: true
      - protectionGroups: [Three]
        onFailure: STOPP
"""
    wrong = refusal(admin.post("/configuration/diff", {"document": text}), 400, "VALIDATION_ERROR")["fields"]
    assert wrong["document[2].spec.rtoMinutes"][0].startswith("Recovery plan “Plan”, line 15: ")
    assert "line 20" in wrong["document[2].spec.waves[1].onFailure"][0]
    text = text.replace("STOPP", "STOP").replace("rtoMinutes: 0", "rtoMinutes: 5")
    wrong = refusal(admin.post("/configuration/diff", {"document": text}), 400, "VALIDATION_ERROR")["fields"]
    assert "line 18: The first wave cannot" in wrong["document[2].spec.waves[0].pauseBeforeWave"][0]
    assert "line 19: There is no protection group “Three”" in wrong["document[2].spec.waves[1].protectionGroups[0]"][0]
    both = [group("One", [db]), group("Two", [db])]
    wrong = refusal(admin.post("/configuration/diff", {"document": both}), 400, "VALIDATION_ERROR")["fields"]
    assert wrong == {"document[1]": [f"{db} is in “One” and in “Two”. A server can be in one group only."]}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [", "Line 2, column 1: "),
        ("a: &x 1\nb: *x", "Line 1: anchors"),
        ("a: !!python/object:os.system ls", "Line 1: anchors, aliases and tags"),
        ("kind: A\nkind: B", "Line 2: kind stands there twice"),
        ("[" * 5000, "nested more than 32"),
        ("- 1\n- x", "An object with kind, metadata and spec"),
        ("kind: Secret\nmetadata: {name: x}\nspec: {}", "Line 1: Use Account, ProtectionGroup"),
        ("apiVersion: drsorch/v2\nkind: RecoveryPlan\nmetadata: {name: x}", "Line 1: Use drsorch/v1."),
        ("kind: RecoveryPlan\nmetadata: x\nspec: {}", "Line 2: A name is expected"),
        ("kind: RecoveryPlan\nmetadata: {name: x}\nspec: {wavess: []}", "Did you mean waves?"),
        ("plan,wave,group\nA,1,B", "The column server is required"),
        ("plan,wave,group,server\nA,1,Nowhere,s-00000000000000000", "line 2, region"),
        ("plan,wave,group,region,server\nA,2,G,us-east-1,db-primary-01", "has no wave 1"),
        ("plan,wave,group,region,server,optional\nA,1,G,us-east-1,db-primary-01,perhaps", "Use yes or no."),
        ("\x00", "cannot be read"),
        ("", "required"),
    ],
)
def test_what_cannot_be_read_is_told_in_words(admin: Api, stage: Stage, text: str, why: str) -> None:
    stage.ids("db-primary-01")
    shown = refusal(admin.post("/configuration/diff", {"document": text}), 400, "VALIDATION_ERROR")
    assert why in json.dumps(shown, ensure_ascii=False)


def test_a_table_adds_waves_and_keeps_what_it_does_not_say(admin: Api, stage: Stage, document: list[Any]) -> None:
    applied(admin, document)
    lines = ("Plan,Wave,Group,Server,Optional,Region", "Payments,1,Databases,DB-PRIMARY-01,,")
    table = "\r\n".join((*lines, "Payments,2,=New,app-03,yes,us-east-1"))
    found = applied(admin, table)
    assert said(found) == [("CREATE", "ProtectionGroup", "=New"), ("UPDATE", "RecoveryPlan", "Payments")]
    shown = RecoveryPlan.objects.get()
    assert [each.on_failure for each in shown.waves.order_by("number")] == ["PAUSE", "STOP"]
    assert shown.rto_minutes == 30
    assert "\r\nPayments,2,Wave 2,'=New,us-east-1," in export(admin, "csv")  # a spreadsheet takes it for text
    stage.group("web-02", name="Of no plan")
    text = export(admin, "csv")
    assert diff(admin, text, prune=True)["changes"] == []  # a table of waves says nothing of groups that none has
    Subscription.objects.all().delete()
    less = "\r\n".join([text.partition("\r\n")[0], f"Other,1,Wave,=New,,{stage.ids('app-03')[0]}"])
    assert said(diff(admin, less, prune=True))[-1] == ("DELETE", "RecoveryPlan", "Payments")
    assert diff(admin, text.replace(",", ";"))["changes"] == [], "as spreadsheets of some countries have it"


def test_what_a_table_has_no_column_for_moves_with_its_wave(admin: Api, stage: Stage) -> None:
    stage.ids("app-01")
    gate = {"approvals": 1, "checklist": [], "expiresMinutes": 60}
    last = wave("G", waveName="Last", serverIds=["app-03"], dependsOnWaves=[1], timeoutMinutes=90)
    middle = wave("G", waveName="Middle", serverIds=["app-02"], pauseBeforeWave=True, gate=gate, dependsOnWaves=[0])
    middle["optionalServerIds"] = ["app-02"]
    first = wave("G", waveName="First", serverIds=["app-01"], timeoutMinutes=20)
    applied(admin, [group("G", ["app-01", "app-02", "app-03", "web-01"]), plan("P", first, middle, last)])
    lines = ["wave,plan,waveName,group,server", "1,P,First,G,app-01", "3,P,Middle,G,app-02", "4,P,The last,G,app-03"]
    applied(admin, "\n".join([*lines, "2,P,New,G,web-01"]))
    [made] = [each["spec"]["waves"] for each in json.loads(export(admin)) if each["kind"] == "RecoveryPlan"]
    assert [each["waveName"] for each in made] == ["First", "New", "Middle", "The last"]
    assert [each.get("timeoutMinutes") for each in made] == [20, None, None, None], "only a name says which wave it is"
    assert [each.get("dependsOnWaves") for each in made] == [None, None, [0], None]
    assert [bool(each.get("gate")) for each in made] == [False, False, True, False]
    assert made[2]["pauseBeforeWave"]
    assert made[2]["optionalServerIds"] == stage.ids("app-02")
    swapped = ["plan,wave,waveName,group,server", "P,1,The last,G,app-03", "P,2,First,G,app-01"]
    applied(admin, "\n".join(swapped))
    [made] = [each["spec"]["waves"] for each in json.loads(export(admin)) if each["kind"] == "RecoveryPlan"]
    assert [each.get("timeoutMinutes") for each in made] == [None, 20]


def test_a_wave_that_names_none_has_what_the_others_leave(admin: Api, stage: Stage) -> None:
    app, last = stage.ids("app-01 app-02 app-03 web-01"), wave("Apps", match={"hostname": "web-*"})
    asked = [group("Apps", app), plan("Plan", wave("Apps"), wave("Apps", serverIds=["app-02"]), last)]
    [made] = [each for each in diff(admin, asked)["changes"] if each["kind"] == "RecoveryPlan"]
    waves = made["fields"]["waves"]["after"]
    assert [each["serverIds"] for each in waves] == [[app[0], app[2]], [app[1]], [app[3]]]


def test_servers_are_found_by_tags_and_names(admin: Api, stage: Stage) -> None:
    stage.ids("db-primary-01")
    named = {
        "kind": "ProtectionGroup",
        "metadata": {"name": "Apps"},
        "spec": {"region": "us-east-1", "match": {"hostname": "app-*"}},
    }
    [change] = diff(admin, named)["changes"]
    assert change["fields"]["sourceServerIds"]["after"] == stage.ids("app-01 app-02 app-03")
    slips: tuple[dict[str, Any], ...] = ({}, {"tags": {}})
    for empty in slips:  # which do not take all servers
        for follow in (False, True):
            slip = {**named, "spec": {"region": "us-east-1", "match": empty, "follow": follow}}
            told = refusal(admin.post("/configuration/diff", {"document": slip}), 400, "VALIDATION_ERROR")
            assert "Name tags, a hostname, or both." in str(told["fields"]["document[0].spec.match"])
    tagged = {**named, "spec": {"region": "us-east-1", "match": {"tags": {"NoSuch": "*"}}}}
    assert "No source server is named or matches" in json.dumps(
        refusal(admin.post("/configuration/diff", {"document": tagged}), 400, "VALIDATION_ERROR")
    )


def test_only_what_was_looked_at_is_applied(admin: Api, stage: Stage, document: list[Any]) -> None:
    digest = diff(admin, document)["digest"]
    other = [*document[:3]]
    refusal(admin.post("/configuration/apply", {"document": other, "digest": digest}), 412, "VERSION_CONFLICT")
    applied(admin, document)
    refusal(admin.post("/configuration/apply", {"document": document, "digest": digest}), 412, "VERSION_CONFLICT")
    wrong = [group("Databases", [*stage.ids("db-primary-01"), "s-00000000000000000"], description="Other"), document[0]]
    wrong[1] = plan("Payments", wave("App"), wave("Databases"))
    body = {"document": wrong, "digest": diff(admin, wrong)["digest"]}
    before = export(admin)
    refusal(admin.post("/configuration/apply", body), 400, "INVALID_SERVER_IDS")
    assert export(admin) == before
    run = stage.start(RecoveryPlan.objects.get())
    changed = plan("Payments", wave("App"))
    body = {"document": changed, "digest": diff(admin, changed)["digest"]}
    found = refusal(admin.post("/configuration/apply", body), 409, "PLAN_HAS_ACTIVE_EXECUTION")
    assert found["executionId"] == str(run.pk)


@pytest.mark.both
@pytest.mark.django_db(transaction=True)
def test_of_two_who_apply_at_once_one_wins(admin: Api, stage: Stage, document: list[Any]) -> None:
    digest = diff(admin, document)["digest"]
    body = {"document": document, "digest": digest}
    answers = at_once([lambda: admin.post("/configuration/apply", body)] * 4)
    codes = sorted(each.status_code for each in answers)
    assert codes == [200, 412, 412, 412]
    assert AuditEntry.objects.filter(verb="plan.create", refused=False).count() == 1


def test_rights(sign_in: Any, stage: Stage, document: list[Any], admin: Api) -> None:
    hook = {"channel": "WEBHOOK", "target": "https://hooks.example.com/secret-path", "events": ["FAILED"]}
    document.append({"kind": "Subscription", "metadata": {"name": "Hook"}, "spec": hook})
    assert len(applied(admin, document)["secrets"]) == 1
    viewer, planner = sign_in("viewer"), sign_in("planner")
    assert "secret-path" in export(admin)
    assert "secret-path" not in export(viewer)
    changed = [{**document[4], "spec": {**hook, "enabled": False}}]
    assert "secret-path" not in json.dumps(
        diff(viewer, [{**document[4], "spec": {**hook, "target": "https://hooks.example.com/x"}}])
    )
    for form in ("json", "yaml"):  # what they are shown in place of a secret keeps what is there
        assert diff(planner, export(planner, form), prune=True)["changes"] == []
    planners = json.loads(export(planner))
    planners[0]["spec"]["labels"] = {"tier": "edge"}
    assert said(applied(planner, planners)) == [("UPDATE", "ProtectionGroup", "App")]
    assert "secret-path" in export(admin)
    masked = next(each for each in planners if each["metadata"]["name"] == "Hook")
    applied(admin, {**masked, "spec": {**masked["spec"], "events": ["PAUSED"]}})
    assert Subscription.objects.get(name="Hook").target == hook["target"]
    for who in (viewer, planner):
        body = {"document": changed, "digest": diff(who, changed)["digest"]}
        refusal(who.post("/configuration/apply", body), 403, "FORBIDDEN")
    applied(planner, [plan("Another", wave("App"))])


def test_the_page_shows_a_difference_and_applies_it(admin: Api, stage: Stage, document: list[Any]) -> None:
    client = Client()
    client.force_login(admin.user)
    text = yaml.safe_dump(document)
    shown = client.post("/settings/configuration", {"document": text})
    digest = shown.context["found"].digest
    assert "Apply 4 changes" in shown.content.decode()
    assert "You may not" not in shown.content.decode()
    onlooker, planner = Client(), Client()
    onlooker.force_login(make_user("viewer"))
    planner.force_login(make_user("planner"))
    seen = onlooker.post("/settings/configuration", {"document": text}).content.decode()
    assert "You may not apply one: ask an administrator" in seen
    assert re.search(
        r"You may not create protection groups, .*create subscriptions\.</span><button[^>]* disabled>", seen
    )
    seen = planner.post("/settings/configuration", {"document": text}).content.decode()
    assert "You may not apply one" not in seen
    assert "You may not create subscriptions.</span>" in seen
    assert client.post("/settings/configuration", {"document": text, "digest": digest}).status_code == 302
    again = client.post("/settings/configuration", {"document": text, "digest": digest})
    assert again.status_code == 412
    assert "Nothing was applied." in again.content.decode()
    assert text.splitlines()[0] in again.content.decode()  # what was typed is kept
    assert client.get("/settings/configuration/export?format=csv").headers["Content-Type"].startswith("text/csv")


def test_the_published_schema_is_that_of_the_code_and_takes_what_is_exported(admin: Api, document: list[Any]) -> None:
    assert document_schema.PATH.read_text() == document_schema.text(), document_schema.__doc__
    check = Draft202012Validator(json.loads(document_schema.text()))
    check.validate(document)
    applied(admin, document)
    check.validate(json.loads(export(admin)))
    for wrong in ({"kind": "RecoveryPlan"}, {**document[0], "status": 1}, group("A", [], descripton="x")):
        assert not check.is_valid([wrong])
